package client

import (
	"context"
	"fmt"

	"dist.example/bundle"
	"dist.example/oci"
)

// keepCarried keeps what a delta carries although its base is not here. The bundle that
// answers the request has only the rest, and whichever of the two is imported last
// finishes with what the other has brought. What is in volumes is kept in any case.
func (im *imports) keepCarried(ctx context.Context) error {
	if im.stream != nil && im.stream.volumes != nil {
		return nil
	}
	if im.stream == nil {
		if err := im.carry(ctx); err != nil {
			return err
		}
	}
	carried := make([]oci.Digest, 0, len(im.in.Contents.Blobs))
	for _, b := range im.in.Contents.Blobs {
		carried = append(carried, b.Digest)
	}
	if err := im.ses.Flush(ctx); err != nil {
		return err
	}
	if err := im.releaseCarried(ctx); err != nil { // of an earlier try
		return err
	}
	l, err := im.store.Acquire(ctx, im.carriedNote(), keepImported)
	if err == nil {
		err = im.store.Hold(ctx, l.ID, carried...)
	}
	im.c.hook("import.kept")
	return err
}

// carry takes all blobs of a bundle that is read in place.
func (im *imports) carry(ctx context.Context) error {
	if err := im.begin(ctx); err != nil {
		return err
	}
	s := &storing{im: im, taken: map[oci.Digest]bool{}}
	if err := s.fit(ctx, im.in.Contents); err != nil {
		return err
	}
	for _, b := range im.in.Contents.Blobs {
		if err := s.carry(ctx, b); err != nil {
			return fmt.Errorf("import %s: %w", im.places[0], im.found(err))
		}
	}
	return nil
}

func (s *storing) carry(ctx context.Context, b bundle.BlobEntry) error {
	r, err := s.im.in.Fetch(ctx, descriptor(b))
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = s.Blob(ctx, bundle.Coming{BlobEntry: b, Name: b.Digest.String(), Reader: r})
	return err
}

// carriedNote is that of the lease on what came of the bundle without its base.
func (im *imports) carriedNote() string {
	return "import of " + im.in.Index.String() + " without its base"
}

// releaseCarried ends that lease, if there is one.
func (im *imports) releaseCarried(ctx context.Context) error {
	var ids []string
	for l, err := range im.store.AllLeases(ctx) {
		if err != nil {
			return err
		}
		if l.Note == im.carriedNote() {
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
