package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"dist.example/bundle"
	"dist.example/content"
	"dist.example/oci"
)

// findBase finds out what the images reach and is neither in the bundle nor here. Images
// of an index that the sender left out, or an archive of somebody else's does not have,
// may be missing. Errors: ErrBase, when what came is kept and a Request was written;
// ErrCorrupt for an archive that lacks something; those of keeping.
func (im *imports) findBase(ctx context.Context) error {
	b := &baseWalk{im: im, seen: map[oci.Digest]bool{}, lacking: map[oci.Digest]oci.Descriptor{}}
	if im.in.Contents != nil {
		b.absent = im.in.Contents.Absent
	}
	for _, i := range im.images {
		if err := b.walk(ctx, i.Target); err != nil {
			return fmt.Errorf("import %s: %w", i.Label(), err)
		}
	}
	if err := b.about(ctx); err != nil {
		return fmt.Errorf("import %s: %w", im.places[0], err)
	}
	im.warnOfAbsent()
	if len(b.lacking) == 0 {
		return nil
	}
	var words []string
	for _, d := range slices.Sorted(maps.Keys(b.lacking)) {
		words = append(words, d.String())
	}
	if im.in.Contents == nil {
		return fmt.Errorf("import %s: %w: the archive lacks %s", im.places[0], content.ErrCorrupt, fewOf(words))
	}
	err := fmt.Errorf("import %s: %w%s: neither in the bundle nor here %s: %s",
		im.places[0], content.ErrBase, im.madeFor(), areSome(len(words), "blob"), fewOf(words))
	if im.plans {
		return err
	}
	if err := im.keep(ctx); err != nil {
		return err
	}
	return im.writeRequest(ctx, b.lacking, err)
}

// madeFor says what the bundle is on top of, as far as it tells.
func (im *imports) madeFor() string {
	base := im.in.Contents.Base
	switch {
	case base == nil:
		return ""
	case base.Site != "" && base.Store != "" && im.store != nil && base.Store != im.store.UUID():
		return fmt.Sprintf(", and the bundle was made for site %s, whose store is another", base.Site)
	case base.Site != "":
		return fmt.Sprintf(", and the bundle was made for site %s", base.Site)
	case base.Name != "":
		return fmt.Sprintf(", and the bundle is on top of bundle %s, serial %d", base.Name, base.Serial)
	}
	return ""
}

// areSome is n things that are.
func areSome(n int, thing string) string {
	if n == 1 {
		return "is 1 " + thing
	}
	return "are " + howMany(n, thing)
}

// howMany is n things in words.
func howMany(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// baseWalk goes over all that the images reach.
type baseWalk struct {
	im      *imports
	seen    map[oci.Digest]bool
	absent  []oci.Digest // as the contents say
	lacking map[oci.Digest]oci.Descriptor
}

func (b *baseWalk) walk(ctx context.Context, root oci.Descriptor) error {
	for queue := []oci.Descriptor{root}; len(queue) > 0; {
		desc := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		if b.seen[desc.Digest] {
			continue
		}
		b.seen[desc.Digest] = true
		if err := oci.ValidateDescriptor(desc); err != nil {
			return fmt.Errorf("%w: %w", content.ErrCorrupt, err)
		}
		here, err := b.has(ctx, desc)
		if err != nil {
			return err
		}
		if !here {
			b.lacking[desc.Digest] = oci.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: desc.Size}
			continue
		}
		if !oci.HasSuccessors(desc.MediaType) {
			continue
		}
		below, err := b.below(ctx, desc)
		if err != nil {
			return err
		}
		queue = append(queue, below...)
	}
	return nil
}

// about looks at what comes about the images: all that it lists is to be here, too. So is
// what the sender has left out of it, since we have that.
func (b *baseWalk) about(ctx context.Context) error {
	if b.im.in.Contents == nil {
		return nil
	}
	if base := b.im.in.Contents.Base; base != nil {
		for _, a := range base.About {
			if err := b.baseAbout(ctx, a); err != nil {
				return err
			}
		}
	}
	for _, r := range b.im.in.Contents.Referrers {
		if carried, ok := b.im.in.Contents.Blob(r.Digest); ok {
			if err := b.walk(ctx, descriptor(carried)); err != nil {
				return err
			}
		}
	}
	return nil
}

// baseAbout looks for something about an image that the sender takes to be here. An
// attachment may have become another here, which has what that one had.
func (b *baseWalk) baseAbout(ctx context.Context, a bundle.BaseAbout) error {
	unknown := oci.Descriptor{Digest: a.Digest, Size: -1}
	if b.im.store == nil {
		b.lacking[a.Digest] = unknown
		return nil
	}
	if a.Suffix != "" {
		for held, err := range b.im.store.Attachments(ctx, a.Subject) {
			if err != nil {
				return err
			}
			if held.Suffix == a.Suffix {
				return b.walk(ctx, held.Descriptor)
			}
		}
		b.lacking[a.Digest] = unknown
		return nil
	}
	info, err := b.im.store.Info(ctx, a.Digest)
	if errors.Is(err, content.ErrNotFound) {
		b.lacking[a.Digest] = unknown
		return nil
	}
	if err != nil {
		return err
	}
	return b.walk(ctx, oci.Descriptor{MediaType: info.MediaType, Digest: a.Digest, Size: info.Size})
}

// has says whether desc is in the bundle, or here and sound.
func (b *baseWalk) has(ctx context.Context, desc oci.Descriptor) (bool, error) {
	if b.im.in.Has(desc.Digest) {
		return true, nil
	}
	return b.im.holds(ctx, desc)
}

// holds says whether the store has desc, sound.
func (im *imports) holds(ctx context.Context, desc oci.Descriptor) (bool, error) {
	if im.store == nil {
		return false, nil
	}
	return content.HeldBy(im.store).Exists(ctx, desc)
}

// below is what a manifest needs, without what may be absent.
func (b *baseWalk) below(ctx context.Context, desc oci.Descriptor) (below []oci.Descriptor, err error) {
	data, err := b.im.read(ctx, desc)
	if err != nil {
		return nil, err
	}
	edges, err := oci.Successors(desc.MediaType, data)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w: %v", desc.Digest, content.ErrCorrupt, err)
	}
	some := 0
	var missing []oci.Descriptor
	for _, e := range edges {
		if e.Role == oci.RoleSubject || oci.IsNonDistributable(e.MediaType) {
			continue
		}
		here := true
		if e.Role == oci.RoleManifest {
			if here, err = b.has(ctx, e.Descriptor); err != nil {
				return nil, err
			}
		}
		switch {
		case here:
			some++
			below = append(below, e.Descriptor)
		case slices.Contains(b.absent, e.Digest):
			b.im.absent[e.Digest] = true
		default:
			missing = append(missing, e.Descriptor)
		}
	}
	// Others save indexes of which they have only the images of one platform.
	if b.im.in.Contents == nil && some > 0 {
		for _, d := range missing {
			b.im.absent[d.Digest] = true
		}
		return below, nil
	}
	return append(below, missing...), nil
}

// read reads a manifest, from the bundle if it is there.
func (im *imports) read(ctx context.Context, desc oci.Descriptor) ([]byte, error) {
	if im.in.Has(desc.Digest) {
		data, err := content.ReadAll(ctx, im.in, desc, oci.MaxManifestSize)
		if !errors.Is(err, content.ErrNotFound) || im.store == nil {
			return data, im.found(err)
		}
	}
	return content.ReadAll(ctx, im.store, desc, oci.MaxManifestSize)
}

// warnOfAbsent says of how many images only the index is there.
func (im *imports) warnOfAbsent() {
	if n := len(im.absent); n > 0 {
		im.c.opts.Warn(howMany(n, "image") + " of the indexes did not come along; recorded as absent")
	}
}

// writeRequest writes what is lacking for the sender, and adds to err where that is.
func (im *imports) writeRequest(ctx context.Context, lacking map[oci.Digest]oci.Descriptor, err error) error {
	c := im.in.Contents
	r := bundle.Request{Bundle: im.in.Index, Name: c.Name, Serial: c.Serial, Store: im.store.UUID()}
	for _, i := range im.images {
		name := ""
		if i.Name != (oci.Reference{}) {
			name = i.Name.String()
		}
		r.Images = append(r.Images, bundle.RequestedImage{Name: name, Digest: i.Target.Digest, MediaType: i.Target.MediaType})
	}
	for _, d := range slices.Sorted(maps.Keys(lacking)) {
		r.Missing = append(r.Missing, bundle.BlobEntry{Digest: d, Size: lacking[d].Size, MediaType: lacking[d].MediaType})
	}
	data, eerr := r.Encode()
	path := im.requestPath()
	if eerr == nil {
		eerr = replaceFile(ctx, path, data)
	}
	if eerr != nil {
		return content.WithHint(errors.Join(err, fmt.Errorf("request %s: %w", path, eerr)),
			"what came is kept for a week: import it again with --request FILE, where that can be written")
	}
	return content.WithHint(err, "what came is kept for a week; %s tells the sender what is missing: `dist export --request %s` there answers it, and importing the answer finishes this", path, filepath.Base(path))
}

// requestPath is where the request goes.
func (im *imports) requestPath() string {
	switch place := im.places[0]; {
	case im.o.Request != "":
		return im.o.Request
	case place == "-":
		return "bundle.request.json"
	default:
		return strings.TrimSuffix(filepath.Clean(place), string(filepath.Separator)) + ".request.json"
	}
}
