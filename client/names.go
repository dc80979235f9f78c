package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
)

// PlatformState is one platform of an index and whether it is here.
type PlatformState struct {
	Platform string
	Digest   oci.Digest
	Held     bool // with all that it reaches
}

// Image is a name with what it stands for.
type Image struct {
	Name      oci.Reference
	Target    oci.Descriptor
	Platforms []PlatformState // of an index; the one of an image's configuration else
	// Held and Known are the bytes of all that the name reaches, as far as it is
	// here and as far as it is known of.
	Held, Known int64
	UpdatedAt   time.Time
	Pinned      bool
	UsedAt      time.Time // as in content.Name
	// Verified says that the policy in force wants a signature for the name, and that
	// one counts.
	Verified bool
	// Damage, an ErrCorrupt, is why Platforms is empty: the manifest, index or
	// configuration that tells them cannot be read. nil else.
	Damage error
}

// NameFilter says which names are listed.
type NameFilter struct {
	// Prefix is what a name begins with in its full form, "" means all.
	Prefix string
	// All lists names that are there for a tag alone, too: cosign's ALG-HEX.sig and the
	// like. Without, they are listed where Prefix goes into their tag.
	All bool
	// Pinned lists pinned names alone.
	Pinned bool
}

func (f NameFilter) has(n content.Name) bool {
	if f.Pinned && !n.Pinned {
		return false
	}
	_, _, attachment := oci.ParseAttachmentTag(n.Reference.Tag)
	return f.All || !attachment || len(f.Prefix) > len(n.Reference.Name())+len(":")
}

// Names lists names in order. No content is read.
func (c *Client) Names(ctx context.Context, f NameFilter) iter.Seq2[content.Name, error] {
	return func(yield func(content.Name, error) bool) {
		s, err := c.Open(ctx)
		if err != nil {
			yield(content.Name{}, err)
			return
		}
		for n, err := range s.Names(ctx, f.Prefix) {
			if (err != nil || f.has(n)) && !yield(n, err) {
				return
			}
		}
	}
}

// Images is Names with what they stand for. What is damaged of one does not keep
// the others from being listed, see Image. A name that others move meanwhile is listed as
// it is by then, and not at all when it is gone.
func (c *Client) Images(ctx context.Context, f NameFilter) ([]Image, error) {
	s, err := c.Open(ctx)
	if err != nil {
		return nil, err
	}
	var images []Image
	for n, err := range c.Names(ctx, f) {
		if err != nil {
			return nil, err
		}
		img, found, err := c.describeNow(ctx, s, n)
		if err != nil {
			return nil, err
		}
		if found {
			images = append(images, img)
		}
	}
	return images, nil
}

// describeTries bounds how often a name is looked at that others move all the time.
const describeTries = 10

// describeNow describes what a name stands for. What cannot be read is no damage where the
// name has moved since it was read, and a collection took what it stood for: then it is
// looked at anew, and found is false when it is gone.
func (c *Client) describeNow(ctx context.Context, s *blobstore.Store, n content.Name) (img Image, found bool, err error) {
	for range describeTries {
		img, err = describe(ctx, s, n)
		if err == nil {
			img.Verified, err = c.vouchedFor(ctx, s, n)
		}
		if err == nil && img.Damage == nil {
			return img, true, nil
		}
		now, nerr := s.Name(ctx, n.Reference)
		switch {
		case errors.Is(nerr, content.ErrNotFound):
			return Image{}, false, nil
		case nerr != nil:
			return Image{}, false, nerr
		case now.Seq == n.Seq:
			return img, true, err
		}
		n = now
	}
	return img, true, err
}

// describe looks at what a name reaches.
func describe(ctx context.Context, s *blobstore.Store, n content.Name) (Image, error) {
	img := Image{Name: n.Reference, Target: n.Target, UpdatedAt: n.UpdatedAt, Pinned: n.Pinned, UsedAt: n.UsedAt}
	var err error
	if img.Platforms, err = platformsOf(ctx, s, n.Target); err != nil {
		if img.Damage = damage(err); img.Damage == nil && !errors.Is(err, content.ErrUnsupported) {
			return img, err
		}
	}
	img.Held, img.Known, err = s.Reach(ctx, n.Target.Digest)
	return img, err
}

// damage is err as an ErrCorrupt if it says that what a name stands for is damaged,
// lost or not what its type says; nil for any other.
func damage(err error) error {
	switch {
	case errors.Is(err, content.ErrCorrupt):
		return err
	case errors.Is(err, content.ErrNotFound), errors.Is(err, content.ErrInvalid):
		return content.WithHint(fmt.Errorf("%w: %w", content.ErrCorrupt, err), blobstore.HintDamaged)
	}
	return nil
}

// platformsOf tells of which platforms desc has an image, and which are here.
func platformsOf(ctx context.Context, s *blobstore.Store, desc oci.Descriptor) ([]PlatformState, error) {
	switch {
	case oci.IsIndex(desc.MediaType):
		data, err := content.ReadAll(ctx, s, desc, oci.MaxManifestSize)
		if err != nil {
			return nil, err
		}
		idx, err := oci.ParseIndex(desc.MediaType, data)
		if err != nil {
			return nil, err
		}
		var ps []PlatformState
		for _, m := range idx.Manifests {
			if name := oci.FormatPlatform(m.Platform); name != "" && m.Platform.OS != "unknown" {
				held, err := s.Complete(ctx, m.Digest)
				if err != nil {
					return nil, err
				}
				ps = append(ps, PlatformState{name, m.Digest, held})
			}
		}
		return ps, nil
	case oci.IsManifest(desc.MediaType):
		p, err := imagePlatform(ctx, s, desc)
		if p == "" || err != nil {
			return nil, err
		}
		return []PlatformState{{p, desc.Digest, true}}, nil
	}
	return nil, nil
}

// imagePlatform reads the platform from an image's configuration; "" for what is
// no image, and for a configuration that is not here or tells none.
func imagePlatform(ctx context.Context, s *blobstore.Store, desc oci.Descriptor) (string, error) {
	data, err := content.ReadAll(ctx, s, desc, oci.MaxManifestSize)
	if err != nil {
		return "", err
	}
	m, err := oci.ParseManifest(desc.MediaType, data)
	if errors.Is(err, content.ErrUnsupported) || err == nil && !oci.IsImageConfig(m.Config.MediaType) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	cfg, err := readConfig(ctx, s, m.Config)
	if errors.Is(err, content.ErrNotFound) || errors.Is(err, content.ErrUnsupported) || errors.Is(err, content.ErrInvalid) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return oci.FormatPlatform(&cfg.Platform), nil
}

// Tag lets name stand for an object, by compare-and-set against what it stood for
// when Tag began.
func (c *Client) Tag(ctx context.Context, id, name string) (oci.Reference, oci.Descriptor, error) {
	s, desc, err := c.find(ctx, id)
	if err != nil {
		return oci.Reference{}, desc, err
	}
	ref, err := oci.ParseReference(name)
	if err != nil {
		return ref, desc, err
	}
	if ref.Digest != "" && ref.Digest != desc.Digest {
		return ref, desc, fmt.Errorf("tag %s: %w: the name says another digest than %s", name, content.ErrInvalid, desc.Digest)
	}
	change, err := expectation(ctx, s, ref)
	if err != nil {
		return ref, desc, err
	}
	change.Target, change.Why = desc.Digest, "tag"
	return ref.Local(), desc, s.SetNames(ctx, change)
}

// expectation is a change of ref from what it stands for now.
func expectation(ctx context.Context, s *blobstore.Store, ref oci.Reference) (content.NameChange, error) {
	var old oci.Digest
	n, err := s.Name(ctx, ref)
	if err == nil {
		old = n.Target.Digest
	} else if !errors.Is(err, content.ErrNotFound) {
		return content.NameChange{}, err
	}
	return content.NameChange{Reference: ref, Expect: &old}, nil
}

// Remove drops names, all of them or, with an error, none. The content stays
// until a garbage collection finds that nothing else needs it. A name that is not
// there is ErrNotFound.
func (c *Client) Remove(ctx context.Context, names ...string) ([]content.Name, error) {
	s, err := c.Open(ctx)
	if err != nil {
		return nil, err
	}
	var (
		changes []content.NameChange
		removed []content.Name
	)
	for _, name := range names {
		ref, err := oci.ParseReference(name)
		if err != nil {
			return nil, content.WithHint(err, "`dist remove` takes names (`dist images` lists them)")
		}
		n, err := s.Name(ctx, ref)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(removed, func(r content.Name) bool { return r.Reference == n.Reference }) {
			continue // given twice
		}
		changes = append(changes, content.NameChange{Reference: ref, Expect: &n.Target.Digest, Why: "remove"})
		removed = append(removed, n)
	}
	return removed, s.SetNames(ctx, changes...)
}
