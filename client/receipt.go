package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"dist.example/blobstore"
	"dist.example/bundle"
	"dist.example/content"
	"dist.example/fsys"
	"dist.example/gc"
	"dist.example/oci"
	"dist.example/sign"
)

// ReceiptOptions direct WriteReceipt.
type ReceiptOptions struct {
	// Site is what the sender calls this store, "" leaves that to who takes the receipt.
	Site string
	// Key signs the receipt: as SignOptions has it, but "" leaves it unsigned.
	Key        string
	Passphrase sign.Passphrase
	// Output is a file, which appears when it is whole; "-" is Stdout.
	Output string
	Stdout io.Writer
}

// Receipt is a receipt that was written or taken.
type Receipt struct {
	bundle.Receipt
	Digest oci.Digest
	Signed bool
	// Attachments are those of its names that only say what is about another, as the tags
	// of signatures do.
	Attachments int64
}

// IsAttachment says whether name only says what is about another manifest: cosign's tags
// of signatures and the like.
func IsAttachment(name string) bool {
	ref, err := oci.ParseReference(name)
	if err != nil {
		return false
	}
	_, _, is := oci.ParseAttachmentTag(ref.Tag)
	return is
}

// WriteReceipt writes what this store has and goes on having: its names, and the digests
// of what names and leases reach. Nothing in the store changes. Errors:
// ErrInvalid for what is no name of a site; those of the key and of the file.
func (c *Client) WriteReceipt(ctx context.Context, o ReceiptOptions) (out Receipt, err error) {
	if o.Site != "" {
		if err := bundle.CheckSite(o.Site); err != nil {
			return out, err
		}
	}
	s, err := c.Open(ctx)
	if err != nil {
		return out, err
	}
	var signer *sign.Signer
	if o.Key != "" {
		if signer, err = c.signer(ctx, o.Key, o.Passphrase); err != nil {
			return out, err
		}
	}
	if o.Output == "-" {
		return writeReceipt(ctx, s, o.Site, signer, o.Stdout)
	}
	f, err := createOutput(ctx, o.Output)
	if err != nil {
		return out, err
	}
	defer f.abandon()
	if out, err = writeReceipt(ctx, s, o.Site, signer, f); err != nil {
		return out, fsys.Classify(err)
	}
	return out, f.finish()
}

func writeReceipt(ctx context.Context, s *blobstore.Store, site string, signer *sign.Signer, to io.Writer) (out Receipt, err error) {
	reached, err := gc.Reach(ctx, s)
	if err != nil {
		return out, err
	}
	var names []content.Name
	for n, err := range s.Names(ctx, "") {
		if err != nil {
			return out, err
		}
		names = append(names, n)
		if IsAttachment(n.Reference.String()) {
			out.Attachments++
		}
	}
	out.Receipt = bundle.Receipt{
		Store: s.UUID(), Site: site, Serial: reached.Generation, Created: time.Now().UTC().Truncate(time.Second),
		Names: int64(len(names)), SHA256: int64(reached.Digests.Count(oci.SHA256)), SHA512: int64(reached.Digests.Count(oci.SHA512)), Size: reached.Size,
	}
	buffered := bufio.NewWriterSize(to, 256<<10)
	w, err := bundle.NewReceiptWriter(buffered, out.Receipt)
	if err != nil {
		return out, err
	}
	for _, n := range names {
		if err := w.Name(n.Reference.String(), n.Target.Digest); err != nil {
			return out, err
		}
	}
	for raw := range reached.Digests.Raws() {
		if err := w.Object(raw); err != nil {
			return out, err
		}
	}
	if out.Digest, err = w.Finish(); err != nil {
		return out, err
	}
	if signer != nil {
		header, err := json.Marshal(out.Receipt)
		if err != nil {
			return out, err
		}
		data, err := sign.SignReceipt(ctx, signer, out.Digest, header)
		if err == nil {
			err = w.Sign(data)
		}
		if err != nil {
			return out, err
		}
		out.Signed = true
	}
	return out, buffered.Flush()
}

// TakeReceipt lets a site have what a receipt of it says, in place of what was known: all
// of it or, with an error, nothing. One with the serial of the last may come again.
// Errors: ErrNotFound for the site; ErrUntrusted where the site's key has not signed it,
// and should have; ErrConflict for a receipt of another site or of another store than
// before, and, unless allowOlder says so, for one that is older than the last; those of
// bundle.ReadReceipt.
func (c *Client) TakeReceipt(ctx context.Context, site string, r io.Reader, allowOlder bool) (now Site, out Receipt, err error) {
	s, err := c.Open(ctx)
	if err != nil {
		return Site{}, out, err
	}
	was, err := s.Site(ctx, site)
	if err != nil {
		return Site{}, out, err
	}
	w, err := s.NewInventory(ctx)
	if err != nil {
		return Site{}, out, err
	}
	defer func() {
		if err != nil {
			w.Discard(context.WithoutCancel(ctx))
		}
	}()
	seal, err := bundle.ReadReceipt(r, bundle.ReceiptVisitor{
		Begin: func(about bundle.Receipt) error {
			out.Receipt = about
			return comesFrom(was, about, allowOlder)
		},
		Name: func(name string, d oci.Digest) error {
			if IsAttachment(name) {
				out.Attachments++
			}
			return w.AddName(name, d)
		},
		Object: w.AddRaw,
	})
	if err != nil {
		return Site{}, out, err
	}
	out.Digest, out.Signed = seal.Digest, seal.Signature != nil
	if err := c.vouchedReceipt(ctx, s, was, seal); err != nil {
		return Site{}, out, err
	}
	now, err = s.TakeReceipt(ctx, site, seal.Digest, w, func(now *Site) error {
		if !bytes.Equal(now.Key, was.Key) {
			return fmt.Errorf("site %s: %w: it has another key meanwhile", site, content.ErrConflict)
		}
		if err := comesFrom(*now, out.Receipt, allowOlder); err != nil {
			return err
		}
		now.Store, now.Serial, now.Made = out.Store, out.Serial, out.Created
		return nil
	})
	return now, out, err
}

// comesFrom refuses a receipt that is not the next one of a site.
func comesFrom(site Site, r bundle.Receipt, allowOlder bool) error {
	refuse := func(hint, format string, args ...any) error {
		return content.WithHint(fmt.Errorf("site %s: %w: %s", site.Name, content.ErrConflict, fmt.Sprintf(format, args...)), "%s", hint)
	}
	switch {
	case r.Site != "" && r.Site != site.Name:
		return refuse(fmt.Sprintf("`dist site update %s` is for this one", r.Site), "the receipt says that it is of site %s", r.Site)
	case site.Store != "" && r.Store != site.Store:
		return refuse(fmt.Sprintf("where that is right, `dist site forget %s` and `dist site add %s` begin anew", site.Name, site.Name),
			"the receipt is of the store %s, and the last one was of %s", r.Store, site.Store)
	case r.Serial < site.Serial && !allowOlder:
		return refuse("--allow-older takes it all the same, where the store there was put back to an earlier state",
			"the receipt has serial %d, and the last one had %d: it is older", r.Serial, site.Serial)
	}
	return nil
}

// vouchedReceipt holds a receipt to the key of its site. Errors: ErrUntrusted.
func (c *Client) vouchedReceipt(ctx context.Context, s *blobstore.Store, site Site, seal bundle.ReceiptSeal) error {
	key, err := SiteKey(site)
	if err != nil || key == nil {
		return err
	}
	untrusted := func(why string) error {
		return content.WithHint(fmt.Errorf("receipt of site %s: %w: %s", site.Name, content.ErrUntrusted, why),
			"`dist site receipt -k KEY` signs it there; `dist site show %s` tells which key has to", site.Name)
	}
	if seal.Signature == nil {
		return untrusted("it is not signed")
	}
	signed, err := sign.ParseReceipt(seal.Signature)
	if err != nil {
		return untrusted(fmt.Sprintf("its signature cannot be read: %v", err))
	}
	known, err := s.TrustKeys(ctx)
	if err != nil {
		return err
	}
	v := sign.JudgeDocument(&signed, seal.Digest, []sign.Requirement{{Type: sign.SignedBy, Keys: []*sign.PublicKey{key}}}, sign.DocumentFacts{
		Limits: func(k *sign.PublicKey) sign.Limits { return limitsOf(known, k.ID()) }, Now: time.Now(),
	})
	if err := v.Err(); err != nil {
		return content.WithHint(fmt.Errorf("receipt of site %s: %w", site.Name, err), "`dist site show %s` tells which key has to sign it", site.Name)
	}
	return nil
}
