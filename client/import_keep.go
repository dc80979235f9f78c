package client

import (
	"context"
	"fmt"
	"strings"

	"dist.example/bundle"
	"dist.example/content"
	"dist.example/oci"
)

// fitContents finds out whether what contents list fits into the store.
func (im *imports) fitContents(ctx context.Context, c *bundle.Contents) error {
	all := newComing(im.store)
	for _, b := range c.Blobs {
		desc := descriptor(b)
		im.c.opts.Observe(content.Event{Kind: content.EventPlanned, Descriptor: desc, Total: b.Size})
		here, err := all.Exists(ctx, desc)
		if err != nil {
			return err
		}
		if here {
			all.held = append(all.held, desc)
			continue
		}
		part, err := all.Partial(ctx, b.Digest)
		if err != nil {
			return err
		}
		if part > 0 {
			all.parts[b.Digest.String()] = true
		}
		all.bytes += max(b.Size-part, 0)
	}
	return im.c.makeRoom(ctx, all, im.ses, im.o.Evict, nil)
}

// keep takes what a delta carries that cannot be finished, and keeps it for the bundle
// that will finish it. No name is given, and nothing is said of whom the store trusts.
func (im *imports) keep(ctx context.Context) error {
	if im.stream == nil { // else it has come already
		if err := im.takeAll(ctx); err != nil {
			return fmt.Errorf("import %s: %w", im.places[0], im.found(err))
		}
	}
	if err := im.ses.Flush(ctx); err != nil {
		return err
	}
	if err := im.holdAll(ctx); err != nil {
		return err
	}
	im.c.hook("import.kept")
	if im.stream != nil && im.stream.volumes != nil {
		if err := im.stream.volumes.release(ctx); err != nil {
			return err
		}
	}
	return im.ses.Commit(ctx)
}

// takeAll takes all blobs of a bundle that is read in place.
func (im *imports) takeAll(ctx context.Context) error {
	if err := im.begin(ctx); err != nil {
		return err
	}
	if err := im.fitContents(ctx, im.in.Contents); err != nil {
		return err
	}
	to := &storing{im: im, taken: map[oci.Digest]bool{}}
	for _, b := range im.in.Contents.Blobs {
		if err := im.takeOne(ctx, to, b); err != nil {
			return err
		}
	}
	return nil
}

func (im *imports) takeOne(ctx context.Context, to *storing, b bundle.BlobEntry) error {
	r, err := im.in.Fetch(ctx, descriptor(b))
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = to.Blob(ctx, bundle.Coming{BlobEntry: b, Name: b.Digest.String(), Reader: r})
	return err
}

// holdAll puts all blobs of the bundle under a lease, in place of the one that an earlier
// try has left.
func (im *imports) holdAll(ctx context.Context) error {
	var digests []oci.Digest
	for _, b := range im.in.Contents.Blobs {
		digests = append(digests, b.Digest)
	}
	if len(digests) == 0 {
		return nil
	}
	note := "import of " + oci.DigestBytes(im.in.Member).String() + keptFor(im.in.Index)
	l, err := im.store.AddLease(ctx, note, keepImported, digests...)
	if err != nil {
		return err
	}
	return im.releaseKept(ctx, func(other content.Lease) bool { return other.Note == note && other.ID != l.ID })
}

// keptFor ends the note of a lease on what came for the images of an index.json.
func keptFor(index oci.Digest) string { return " for " + index.String() + " without its base" }

// releaseKept ends leases.
func (im *imports) releaseKept(ctx context.Context, which func(content.Lease) bool) error {
	var ids []string
	for l, err := range im.store.AllLeases(ctx) {
		if err != nil {
			return err
		}
		if which(l) {
			ids = append(ids, l.ID)
		}
	}
	for _, id := range ids {
		if err := im.store.Release(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// finished ends the leases on what came before for the same images, and for those of the
// bundle that this one answers a request of.
func (im *imports) finished(ctx context.Context) error {
	c := im.in.Contents
	return im.releaseKept(ctx, func(l content.Lease) bool {
		return strings.HasPrefix(l.Note, "import of ") && (strings.HasSuffix(l.Note, keptFor(im.in.Index)) ||
			c.Base != nil && c.Base.Request != "" && c.Base.Bundle != "" && strings.HasSuffix(l.Note, keptFor(c.Base.Bundle)))
	})
}
