package bundle

import (
	"context"
	"errors"
	"fmt"
	"os"

	"dist.example/content"
	"dist.example/oci"
)

// InPlace is the transport of `bundle:PATH[:NAME]`: images in whatever OpenLibrary
// opens, read where they stand. It is not written to. The zero value is ready to be
// used.
type InPlace struct{}

var _ content.Transport = InPlace{}

// Source implements content.Transport, as OCIArchive.Source.
func (InPlace) Source(ctx context.Context, at string) (content.ImageSource, error) {
	p, err := parsePlace(at)
	if err == nil {
		err = noPipe(p)
	}
	if err != nil {
		return nil, err
	}
	sh, err := openPlace(ctx, p.path)
	if err != nil {
		return nil, err
	}
	return newSource(p, sh)
}

// Target implements content.Transport: ErrUnsupported.
func (InPlace) Target(_ context.Context, at string) (content.ImageTarget, error) {
	return nil, content.WithHint(fmt.Errorf("write to bundle:%s: %w: bundles are written whole", at, content.ErrUnsupported),
		"`dist export` writes one")
}

// openPlace opens the layout, the archive or the volumes at path.
func openPlace(ctx context.Context, path string) (shelf, error) {
	if fi, err := os.Stat(path); err == nil && fi.IsDir() {
		return openFolder(path)
	}
	all, err := openTars(ctx, path)
	if err != nil {
		return nil, err
	}
	sh, err := together(ctx, all)
	if err != nil {
		closeTars(all)
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return sh, nil
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

// Listed is an image as index.json lists it.
type Listed struct {
	// Reference is its name in full, the zero Reference where it has none.
	Reference oci.Reference
	// Place names it alone, for InPlace.Source.
	Place string
	oci.Descriptor
}

// ListImages lists what the index.json of the place at path does, in that order, what is
// about others left out. Errors: as InPlace.Source.
func ListImages(ctx context.Context, path string) (images []Listed, err error) {
	sh, err := openPlace(ctx, path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, sh.Close()) }()
	entries, err := readListing(sh)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	for _, e := range plain(entries) {
		l := Listed{Reference: e.full, Place: path + "@" + e.Digest.String(), Descriptor: e.Descriptor}
		switch {
		case e.full != (oci.Reference{}):
			l.Place = path + ":" + e.full.String()
		case e.tag != "":
			l.Place = path + ":" + e.tag
		}
		images = append(images, l)
	}
	return images, nil
}
