package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"dist.example/blobstore"
	"dist.example/bundle"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/sign"
)

// BundleAbout is what a bundle, or an archive of somebody else's, says of itself, and what
// the policy says of it.
type BundleAbout struct {
	Path string
	bundle.Head
	Images     []BundleImage
	Provenance bundle.Provenance
	// Signer is the key that the signature says made it, as far as the user knows it by
	// a label; "" for unknown, or unsigned.
	Signer string
	// Vouchers are the ids of the keys that vouch for the bundle, none where nobody is
	// asked to.
	Vouchers []oci.Digest
	// Refused is what speaks against the bundle, nil for nothing.
	Refused error
}

// BundleImage is an image that a bundle lists.
type BundleImage struct {
	bundle.IncomingImage
	Carried    bool // its manifest is in the bundle, and not only in what it is on top of
	Signatures []Signature
	Verified   bool  // the policy wants a signature for its name, and one counts
	Refused    error // what the policy has against it, nil for nothing
}

// InspectBundle tells of the bundle at bundle:PATH without reading its blobs. What the
// policy does not like is told, and no error. Errors: those of bundle.OpenWhole.
func (c *Client) InspectBundle(ctx context.Context, word string) (BundleAbout, error) {
	path, err := wholePath(word)
	if err != nil {
		return BundleAbout{}, err
	}
	return c.aboutBundle(ctx, path, nil)
}

// IsWholeBundle says whether word is bundle:PATH, without a name of an image in it.
func IsWholeBundle(word string) bool {
	_, whole, err := wholeBundle(word)
	return whole && err == nil
}

func wholePath(word string) (string, error) {
	path, whole, err := wholeBundle(word)
	if err == nil && !whole {
		err = fmt.Errorf("%s: %w: want bundle:PATH", word, content.ErrInvalid)
	}
	return path, err
}

func (c *Client) aboutBundle(ctx context.Context, path string, keys []*sign.PublicKey) (about BundleAbout, err error) {
	in, err := bundle.OpenWhole(ctx, path)
	if err != nil {
		return about, withoutStore(path, err)
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	about = BundleAbout{Path: path, Head: in.Head}
	if about.Provenance, err = in.Provenance(); err != nil {
		return about, err
	}
	s, err := about.judge(ctx, c, keys)
	if err != nil {
		return about, err
	}
	images, err := in.Images(ctx)
	if err != nil {
		return about, err
	}
	for _, im := range images {
		one, err := c.aboutImage(ctx, s, in, im)
		if err != nil {
			return about, err
		}
		about.Images = append(about.Images, one)
	}
	return about, nil
}

// judge holds the bundle itself to keys, or without any to the policy, and says what store
// knows of keys.
func (a *BundleAbout) judge(ctx context.Context, c *Client, keys []*sign.PublicKey) (*blobstore.Store, error) {
	s, err := c.storeIfAny(ctx)
	if err != nil {
		return nil, err
	}
	claim := claimOf(a.Head, false)
	claim.keys = keys
	out, err := c.admitBundle(ctx, s, claim)
	if err != nil && !errors.Is(err, content.ErrUntrusted) {
		return s, err
	}
	a.Refused, a.Vouchers = err, out.vouchers
	if a.Signed {
		a.Signer = c.labelOf(ctx, a.Head)
	}
	return s, nil
}

// labelOf is what the user calls the key that a bundle names.
func (c *Client) labelOf(ctx context.Context, h bundle.Head) string {
	d, err := sign.ParseSigned(h.Member)
	if err != nil {
		return ""
	}
	keys, err := c.Keys(ctx)
	if err != nil {
		return ""
	}
	i := slices.IndexFunc(keys, func(k Key) bool { return k.Public != nil && sign.Verifies(d.Candidate, k.Public) })
	if i < 0 {
		return ""
	}
	return keys[i].Label
}

// aboutImage judges one image of a bundle.
func (c *Client) aboutImage(ctx context.Context, s *blobstore.Store, in *bundle.Incoming, im bundle.IncomingImage) (BundleImage, error) {
	one := BundleImage{IncomingImage: im, Carried: in.Has(im.Target.Digest)}
	if !one.Carried {
		return one, nil
	}
	v, found, err := c.verdict(ctx, s, in, []content.Fetcher{in}, im.Name, im.Target)
	if err != nil {
		return one, err
	}
	if one.Signatures, err = c.outcomes(ctx, v, found); err != nil {
		return one, err
	}
	if _, demanding, err := c.demands(im.Name); err != nil || !demanding {
		return one, err
	}
	if one.Verified = v.Verified; !v.Accepted {
		one.Refused = v.Err()
		if len(found) == 0 {
			one.Refused = fmt.Errorf("%w: it is not signed", content.ErrUntrusted)
		}
	}
	return one, nil
}

// BundleVerified is the outcome of VerifyBundle.
type BundleVerified struct {
	BundleAbout
	bundle.Audit
}

// VerifyBundle reads all of the bundle at bundle:PATH, or of the volumes of it that are
// there, and hashes it; and holds it, and each of its images, to the policy, or the bundle
// to the keys that o names. The outcome is valid with an error of the class ErrUntrusted or
// ErrPartial, too, and with ErrUnsupported where it has a Path.
//
// Errors: ErrCorrupt for what is damaged; ErrPartial where volumes are missing: what is
// there is sound, and no image was judged; ErrUnsupported where the bundle is vouched for,
// and compressed, so that no image was judged; ErrUntrusted for what is refused, and where
// nobody vouches for the bundle, nor for all of its images.
func (c *Client) VerifyBundle(ctx context.Context, word string, o VerifyOptions) (out BundleVerified, err error) {
	path, err := wholePath(word)
	if err != nil {
		return out, err
	}
	var keys []*sign.PublicKey
	for _, k := range o.Keys {
		key, err := c.publicKey(ctx, k)
		if err != nil {
			return out, err
		}
		keys = append(keys, key)
	}
	if out.Audit, err = bundle.AuditPlace(ctx, path, c.opts.Observe); err != nil {
		return out, withoutStore(path, err)
	}
	stream, err := bundle.IsStream(path)
	if err != nil {
		return out, err
	}
	if stream || len(out.Missing) > 0 {
		out.BundleAbout = BundleAbout{Path: path, Head: out.Audit.Head}
		if _, err := out.BundleAbout.judge(ctx, c, keys); err != nil {
			return out, err
		}
	}
	if n := len(out.Missing); n > 0 {
		var words []string
		for _, v := range out.Missing {
			words = append(words, strconv.Itoa(v))
		}
		return out, fmt.Errorf("%w: what is there is sound, and %d of %d volumes are missing: %s", content.ErrPartial,
			n, out.Audit.Volume.Of, joined(words))
	}
	if stream {
		return out, out.inStream()
	}
	if out.BundleAbout, err = c.aboutBundle(ctx, path, keys); err != nil {
		return out, err
	}
	return out, out.vouched()
}

// inStream is what there is to say of a bundle that is compressed, whose images nobody can
// look at in place.
func (a BundleAbout) inStream() error {
	if a.Refused != nil {
		return a.Refused
	}
	class, what := content.ErrUntrusted, "nobody is asked to vouch for it"
	if len(a.Vouchers) > 0 {
		class, what = content.ErrUnsupported, "somebody vouches for it"
	}
	return content.WithHint(fmt.Errorf("%w: it is whole, and %s; its images are not judged, since it is compressed", class, what),
		"decompress it, or `dist import --plan`")
}

// vouched is nil where somebody vouches for the bundle, or for all of its images, and
// nothing is refused.
func (a BundleAbout) vouched() error {
	if a.Refused != nil {
		return a.Refused
	}
	all := len(a.Images) > 0
	for _, im := range a.Images {
		if im.Refused != nil {
			return fmt.Errorf("%s: %w", im.Label(), im.Refused)
		}
		all = all && im.Verified
	}
	if all || len(a.Vouchers) > 0 {
		return nil
	}
	return content.WithHint(fmt.Errorf("%w: it is whole, and nobody is asked to vouch for it", content.ErrUntrusted),
		"give --key KEY, or say it once: `dist trust add KEY --bundle NAME`")
}
