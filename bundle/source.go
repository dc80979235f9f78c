package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"dist.example/content"
	"dist.example/oci"
)

// shelf is what holds the parts of a layout: a folder, or a tar.
type shelf interface {
	// document reads a file of the layout whole, at most limit bytes of it. Errors:
	// ErrNotFound, ErrUnsupported for one that is larger.
	document(name string, limit int64) ([]byte, error)
	// blob opens a blob. Errors: ErrNotFound.
	blob(d oci.Digest) (content.ReaderAt, error)
	// size is how long a blob is that is there, without opening it. Errors:
	// ErrNotFound.
	size(d oci.Digest) (int64, error)
	// unlisted names blobs that may be manifests which index.json, with these entries,
	// does not list.
	unlisted(entries []entry) []oci.Digest
	io.Closer
}

// source reads an image from a shelf.
type source struct {
	place   place
	shelf   shelf
	entries []entry

	finding sync.Mutex
	found   *findings // nil before it has been looked for
}

var (
	_ content.ImageSource      = (*source)(nil)
	_ content.RangeFetcher     = (*source)(nil)
	_ content.Provider         = (*source)(nil)
	_ content.ReferrerLister   = (*source)(nil)
	_ content.AttachmentLister = (*source)(nil)
)

// newSource reads what the layout on sh lists. sh is closed when it fails.
func newSource(p place, sh shelf) (*source, error) {
	entries, err := readListing(sh)
	if err != nil {
		_ = sh.Close()
		return nil, fmt.Errorf("read %s: %w", p.path, err)
	}
	return &source{place: p, shelf: sh, entries: entries}, nil
}

func readListing(sh shelf) ([]entry, error) {
	// A layout without its version is read as what it else looks like; it is empty
	// while somebody makes a new one.
	data, err := sh.document("oci-layout", maxLayoutFile)
	if len(data) > 0 {
		err = checkLayout(data)
	}
	if err != nil && !errors.Is(err, content.ErrNotFound) {
		return nil, err
	}
	data, err = sh.document("index.json", oci.MaxManifestSize)
	if errors.Is(err, content.ErrNotFound) {
		return nil, fmt.Errorf("index.json: %w: no OCI layout is here", content.ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	return parseListing(data)
}

// Image implements content.ImageSource.
func (s *source) Image(ctx context.Context) (oci.Reference, oci.Descriptor, error) {
	return s.image(ctx, s.place)
}

// image is the one that p names.
func (s *source) image(ctx context.Context, p place) (oci.Reference, oci.Descriptor, error) {
	if err := context.Cause(ctx); err != nil {
		return oci.Reference{}, oci.Descriptor{}, err
	}
	if p.digest != "" {
		return s.byDigest(ctx, p)
	}
	e, err := pick(s.entries, p)
	if err != nil {
		return oci.Reference{}, oci.Descriptor{}, err
	}
	d := e.Descriptor
	d.Annotations = nil // they say where it is listed, not what it is
	return e.full, d, nil
}

// byDigest finds a manifest whether it is listed or not.
func (s *source) byDigest(ctx context.Context, p place) (oci.Reference, oci.Descriptor, error) {
	var name oci.Reference
	for _, e := range s.entries {
		if e.Digest == p.digest && name == (oci.Reference{}) {
			name = e.full
		}
	}
	desc, _, err := s.manifest(ctx, p.digest)
	if err != nil {
		return name, desc, fmt.Errorf("image in %s: %w", p.path, err)
	}
	return name, desc, nil
}

// manifest reads the manifest with digest d, of which nothing else is known.
// Errors: ErrUnsupported for what is none.
func (s *source) manifest(ctx context.Context, d oci.Digest) (oci.Descriptor, []byte, error) {
	desc := oci.Descriptor{Digest: d}
	ra, err := s.shelf.blob(d)
	if err != nil {
		return desc, nil, err
	}
	desc.Size = ra.Size()
	if err := ra.Close(); err != nil {
		return desc, nil, err
	}
	data, err := content.ReadAll(ctx, s, desc, oci.MaxManifestSize)
	if err != nil {
		return desc, nil, err
	}
	if desc.MediaType = oci.DetectManifest(data); !oci.HasSuccessors(desc.MediaType) {
		return desc, nil, fmt.Errorf("%s: %w: neither manifest nor index", d, content.ErrUnsupported)
	}
	return desc, data, nil
}

// ReaderAt implements content.Provider.
func (s *source) ReaderAt(ctx context.Context, desc oci.Descriptor) (content.ReaderAt, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if _, err := oci.ParseDigest(desc.Digest.String()); err != nil {
		return nil, err
	}
	ra, err := s.shelf.blob(desc.Digest)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.place.path, err)
	}
	return ra, nil
}

// Fetch implements content.Fetcher.
func (s *source) Fetch(ctx context.Context, desc oci.Descriptor) (io.ReadCloser, error) {
	rc, err := s.FetchFrom(ctx, desc, 0)
	if err != nil {
		return nil, err
	}
	return content.VerifyCloser(rc, desc), nil
}

// FetchFrom implements content.RangeFetcher; it can start anywhere.
func (s *source) FetchFrom(ctx context.Context, desc oci.Descriptor, offset int64) (io.ReadCloser, error) {
	ra, err := s.ReaderAt(ctx, desc)
	if err != nil {
		return nil, err
	}
	size := ra.Size()
	switch {
	case desc.Size >= 0 && size != desc.Size:
		err = fmt.Errorf("%s: %s: %w: %d bytes in place of %d", s.place.path, desc.Digest, content.ErrCorrupt, size, desc.Size)
	case offset < 0 || offset > size:
		err = fmt.Errorf("%s: %s from byte %d: %w: it has %d bytes", s.place.path, desc.Digest, offset, content.ErrInvalid, size)
	}
	if err != nil {
		_ = ra.Close()
		return nil, err
	}
	return &stretch{content.UntilDone(ctx, io.NewSectionReader(ra, offset, size-offset)), ra}, nil
}

// stretch reads a part of a blob.
type stretch struct {
	io.Reader
	io.Closer
}

// Close implements io.Closer; it is idempotent.
func (s *source) Close() error { return s.shelf.Close() }

// section is a blob that lies within something else, which lives on.
type section struct{ *io.SectionReader }

func sectionOf(r io.ReaderAt, off, n int64) section { return section{io.NewSectionReader(r, off, n)} }

func sectionOfBytes(p []byte) section { return sectionOf(bytes.NewReader(p), 0, int64(len(p))) }

// Close implements io.Closer.
func (section) Close() error { return nil }
