package client

import (
	"context"
	"fmt"
	"slices"

	"dist.example/bundle"
	"dist.example/oci"
)

// fit finds out whether what has to come fits into the store, before any of it comes.
func (im *imports) fit(ctx context.Context) error {
	all := newComing(im.store)
	for _, i := range im.images {
		o := im.options()
		o.Observe = nil
		if err := all.add(ctx, im.in, i.Target, o); err != nil {
			return fmt.Errorf("import %s: %w", i.Label(), im.found(err))
		}
	}
	return im.c.makeRoom(ctx, all, im.ses, im.o.Evict, im.references())
}

// references are the names that the images get.
func (im *imports) references() (names []oci.Reference) {
	for _, i := range im.images {
		if i.name != (oci.Reference{}) {
			names = append(names, i.name)
		}
	}
	return names
}

// keepNameless puts images that have no name under a lease, before that of the session ends.
func (im *imports) keepNameless(ctx context.Context) error {
	for _, i := range im.images {
		if i.name != (oci.Reference{}) {
			continue
		}
		if err := im.ses.Flush(ctx); err != nil {
			return err
		}
		if _, err := im.store.AddLease(ctx, "import", keepImported, i.Target.Digest); err != nil {
			return err
		}
	}
	return nil
}

// remember notes what goes with names that were given. That is no more than notes: a
// failure is told of.
func (im *imports) remember(ctx context.Context) {
	im.store.Use(ctx, im.references()...)
	im.tellShares()
	for _, i := range im.images {
		if i.name == (oci.Reference{}) {
			im.c.opts.Warn(fmt.Sprintf("%s has no name, and is kept for a week; `dist tag %s NAME` gives it one", i.Label(), oci.ShortDigest(i.Target.Digest)))
			continue
		}
		im.c.noteSignatures(ctx, im.store, i.name, i.Target.Digest)
	}
	if err := im.noteProvenance(ctx); err != nil {
		im.c.opts.Warn(fmt.Sprintf("where the content came from is not noted: %v", err))
	}
	if c := im.in.Contents; c != nil {
		if err := im.c.recordImport(ctx, im.store, *c, im.in.Index, len(im.images)); err != nil {
			im.c.opts.Warn(fmt.Sprintf("that the bundle came is not noted: %v", err))
		}
		if err := im.finished(ctx); err != nil {
			im.c.opts.Warn(fmt.Sprintf("the leases on what came before stay until they expire: %v", err))
		}
	}
	if im.stream != nil && im.stream.volumes != nil {
		if err := im.stream.volumes.release(ctx); err != nil {
			im.c.opts.Warn(fmt.Sprintf("the leases of the volumes stay until they expire: %v", err))
		}
	}
	im.c.hook("import.noted")
}

// noteProvenance adds the places that the bundle tells of to the sources of the store: all
// of them where the policy vouches for the bundle, else those of the registries that the
// bundle's names are of.
func (im *imports) noteProvenance(ctx context.Context) error {
	p, err := im.in.Provenance()
	if err != nil {
		return err
	}
	for _, s := range p.Sources {
		if !im.believes(s) {
			continue
		}
		digests := make([]oci.Digest, 0, len(s.Objects))
		for _, o := range s.Objects {
			if _, ok := im.in.Contents.Blob(o.Digest); ok {
				digests = append(digests, o.Digest)
			}
		}
		if err := im.store.AddSources(ctx, s.Locator, digests...); err != nil {
			return err
		}
	}
	return nil
}

func (im *imports) believes(s bundle.SourceEntry) bool {
	ref, err := oci.ParseRepository(s.Locator)
	if err != nil || ref.Name() != s.Locator {
		return false
	}
	return len(im.bundle.vouchers) > 0 || slices.ContainsFunc(im.images, func(i *imported) bool {
		return i.Name != (oci.Reference{}) && i.Name.Registry == ref.Registry
	})
}
