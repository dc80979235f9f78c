package bundle

import (
	"context"
	"fmt"

	"dist.example/content"
	"dist.example/oci"
)

// InPlace is the transport of `bundle:PATH[:NAME]`: images in whatever OpenLibrary
// opens, read where they stand. It is not written to. The zero value is ready to be
// used.
type InPlace struct{}

var _ content.Transport = InPlace{}

// Source implements content.Transport, as OCIArchive.Source. The source is an InBundle.
func (InPlace) Source(ctx context.Context, at string) (content.ImageSource, error) {
	p, err := parsePlace(at)
	if err == nil {
		err = noPipe(p)
	}
	if err != nil {
		return nil, err
	}
	in, err := OpenWhole(ctx, p.path)
	if err != nil {
		return nil, err
	}
	return InBundle{in, p, in.Close}, nil
}

// InBundle is one image of a bundle, as a source.
type InBundle struct {
	*Incoming
	at    place
	close func() error
}

// Image implements content.ImageSource.
func (s InBundle) Image(ctx context.Context) (oci.Reference, oci.Descriptor, error) {
	return s.image(ctx, s.at)
}

// Close implements io.Closer.
func (s InBundle) Close() error { return s.close() }

// At is the image that a place in the bundle names, as InPlace.Source has it. Closing it
// leaves the bundle open. Errors: ErrInvalid.
func (in *Incoming) At(at string) (InBundle, error) {
	p, err := parsePlace(at)
	return InBundle{in, p, func() error { return nil }}, err
}

// Target implements content.Transport: ErrUnsupported.
func (InPlace) Target(_ context.Context, at string) (content.ImageTarget, error) {
	return nil, content.WithHint(fmt.Errorf("write to bundle:%s: %w: bundles are written whole", at, content.ErrUnsupported),
		"`dist export` writes one")
}

// OpenWhole is OpenIncoming for all that there is of a bundle: at names any of its volumes,
// and the others are found by their names. Errors: also ErrNotFound for a volume that is
// missing.
func OpenWhole(ctx context.Context, at string) (*Incoming, error) {
	in, err := OpenIncoming(ctx, at)
	if err != nil || in.Volume == nil {
		return in, err
	}
	_ = in.Close() // nothing was read from it
	all, err := openTars(ctx, at)
	if err != nil {
		return nil, err
	}
	in, err = wholeOf(ctx, at, all)
	if err != nil {
		closeTars(all)
	}
	return in, err
}

// wholeOf holds all volumes of a bundle to its contents.
func wholeOf(ctx context.Context, at string, all []tarred) (*Incoming, error) {
	r := NewReception(scanner{})
	for _, t := range all {
		if err := r.ReceiveFile(ctx, t.path, t.r, t.info.Size()); err != nil {
			return nil, err
		}
	}
	err := r.Complete()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	sh, err := together(ctx, all)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", at, err)
	}
	return newIncoming(at, sh, r.head, r.docs)
}

// Place is what `bundle:PATH[:NAME][@DIGEST]` says behind its first colon.
type Place struct {
	Path string
	// One says that the place names one image, by a name or a digest.
	One bool
}

// ParsePlace reads such a place. Errors: ErrInvalid.
func ParsePlace(s string) (Place, error) {
	p, err := parsePlace(s)
	return Place{p.path, p.name != "" || p.digest != ""}, err
}

// Place names the image alone, for InPlace.Source, in the place at path.
func (i IncomingImage) Place(path string) string {
	switch {
	case i.Name != (oci.Reference{}):
		return path + ":" + i.Name.String()
	case i.Tag != "":
		return path + ":" + i.Tag
	}
	return path + "@" + i.Target.Digest.String()
}
