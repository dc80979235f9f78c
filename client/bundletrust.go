package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"dist.example/blobstore"
	"dist.example/bundle"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/sign"
)

// bundleClaim is a bundle that is to be taken in, which the policy may refuse.
type bundleClaim struct {
	// contents are what it says of itself, the zero Contents for an archive that says
	// nothing.
	contents bundle.Contents
	// signed is bundle.SignedFile, nil for a bundle that nobody has signed.
	signed []byte
	// index is the SHA-256 of its index.json.
	index oci.Digest
	// allowRollback takes a bundle that is older than one that was accepted, or that has
	// expired.
	allowRollback bool
	// keys, one of which has to vouch, count in the policy's place where there are any.
	keys []*sign.PublicKey
}

// claimOf is what a bundle says of itself.
func claimOf(h bundle.Head, allowRollback bool) bundleClaim {
	claim := bundleClaim{index: h.Index, allowRollback: allowRollback}
	if h.Contents != nil {
		claim.contents = *h.Contents
	}
	if h.Signed {
		claim.signed = h.Member
	}
	return claim
}

// admittedBundle is what came of a bundleClaim.
type admittedBundle struct {
	marks []blobstore.TrustMark // for the transaction that gives the names
	// vouchers are the ids of the keys that vouch, none where nobody has to.
	vouchers []oci.Digest
}

// admitBundle holds a bundle to the policy in force, before anything of it is taken: to
// what it asks for the name that the bundle says it has. Where the policy does not speak
// of bundles, nothing is asked. What is known of keys and serials is in s, which may be
// nil. Errors: ErrUntrusted, with what speaks against it; ErrCorrupt for a signed
// statement that is malformed or about another index.json; those of the policy.
func (c *Client) admitBundle(ctx context.Context, s *blobstore.Store, b bundleClaim) (out admittedBundle, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", b, err)
		}
	}()
	var signed *sign.Document
	if b.signed != nil {
		d, err := sign.ParseSigned(b.signed)
		if err == nil && d.Index != b.index {
			err = fmt.Errorf("%w: what is signed is about another index.json", content.ErrCorrupt)
		}
		if err != nil {
			return out, err
		}
		signed = &d
	}
	facts, now, err := bundleFacts(ctx, s, b)
	if err != nil {
		return out, err
	}
	scope, reqs, demanded, err := c.bundleDemands(b)
	if err != nil {
		return out, err
	}
	if demanded {
		v := sign.JudgeDocument(signed, b.index, reqs, facts)
		v.Scope = scope
		if err := v.Err(); err != nil {
			return out, b.refused(v, err)
		}
		out.vouchers = vouchers(v)
	}
	if err := b.expired(now); err != nil {
		return out, err
	}
	at := now
	if made := b.contents.Created; made.After(now) && made.Before(time.Now().Add(maxAhead)) { // else each could take it a day further
		at = made
	}
	for _, id := range out.vouchers {
		out.marks = append(out.marks, blobstore.TrustMark{
			Kind: blobstore.MarkBundle, Name: b.contents.Name, Key: id, Serial: b.contents.Serial, Digest: b.index,
			At: at, Lower: b.allowRollback,
		})
	}
	return out, nil
}

// bundleDemands are what the keys that are given, else the policy, ask of a bundle.
func (c *Client) bundleDemands(b bundleClaim) (scope string, reqs []sign.Requirement, demanded bool, err error) {
	if len(b.keys) > 0 {
		return "", []sign.Requirement{{Type: sign.SignedBy, Keys: b.keys}}, true, nil
	}
	policy, err := c.inForce()
	if err != nil || policy == nil {
		return "", nil, false, err
	}
	scope, reqs, demanded = policy.ForBundle(b.contents.Name)
	return scope, reqs, demanded, nil
}

// String names the bundle for people.
func (b bundleClaim) String() string {
	if b.contents.Name == "" {
		return "a bundle without a name"
	}
	return fmt.Sprintf("bundle %s, serial %d", b.contents.Name, b.contents.Serial)
}

// refused adds what to do about a verdict.
func (b bundleClaim) refused(v sign.Verdict, err error) error {
	ask := "--bundle " + b.contents.Name
	if b.contents.Name == "" {
		ask = "--bundle ''"
	}
	older := func(o sign.Outcome) bool { return o.Reason == sign.ReasonOlder }
	switch {
	case b.signed == nil:
		return content.WithHint(err, "`dist export --sign --name NAME` signs a bundle; `dist trust show %s` says whose signature counts", ask)
	case len(b.keys) > 0:
		return err
	case slices.ContainsFunc(v.Others(), older):
		return content.WithHint(err, "ask for the newest one; --allow-rollback takes this one all the same, and it counts from then on")
	}
	return content.WithHint(err, "`dist trust show %s` says whose signature counts, and `dist key list` which keys are known here", ask)
}

// expired refuses a bundle that says of itself that its time is over.
func (b bundleClaim) expired(now time.Time) error {
	end := b.contents.Expires
	if end.IsZero() || now.Before(end) || b.allowRollback {
		return nil
	}
	return content.WithHint(fmt.Errorf("%w: it was good until %s", content.ErrUntrusted, end.UTC().Format(time.RFC3339)),
		"ask for a newer one; --allow-rollback takes it all the same")
}

// bundleFacts are what the store knows, and the time that it counts by.
func bundleFacts(ctx context.Context, s *blobstore.Store, b bundleClaim) (f sign.DocumentFacts, now time.Time, err error) {
	f.Now = time.Now()
	if s == nil {
		return f, f.Now, nil
	}
	keys, err := s.TrustKeys(ctx)
	if err != nil {
		return f, f.Now, err
	}
	f.Limits = func(k *sign.PublicKey) sign.Limits { return limitsOf(keys, k.ID()) }
	marks, at, err := s.BundleMarks(ctx, b.contents.Name)
	if err != nil {
		return f, f.Now, err
	}
	if at.After(f.Now) {
		f.Now = at
	}
	if !b.allowRollback {
		f.Serial = func(k *sign.PublicKey) int64 {
			for _, m := range marks {
				if m.Key == k.ID() && m.Digest != b.index {
					return m.Serial
				}
			}
			return 0
		}
	}
	return f, f.Now, nil
}

// signBundle signs what a bundle says of itself, with the key that o names. index is the
// SHA-256 of its index.json. Errors: ErrInvalid for a bundle without a name; those of the
// key.
func (c *Client) signBundle(ctx context.Context, o SignOptions, contents bundle.Contents, index oci.Digest) ([]byte, error) {
	if contents.Name == "" {
		return nil, content.WithHint(fmt.Errorf("sign a bundle: %w: it has no name", content.ErrInvalid), "--name says what its receivers know it by, for example site-b/weekly")
	}
	key, err := c.signer(ctx, o.Key, o.Passphrase)
	if err == nil && key == nil {
		err = errNoKey()
	}
	if err != nil {
		return nil, err
	}
	data, err := contents.Encode()
	if err != nil {
		return nil, err
	}
	data, err = sign.SignContents(ctx, key, index, data)
	if err != nil && errors.Is(err, content.ErrInvalid) {
		err = content.WithHint(err, "export fewer images at a time")
	}
	return data, err
}
