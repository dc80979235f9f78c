package bundle

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dist.example/content"
)

// OCIArchive is the transport of `oci-archive:FILE[:NAME]`: an OCI layout in a tar.
// A target replaces FILE. The zero value is ready to be used.
type OCIArchive struct {
	// Epoch is the instant of SOURCE_DATE_EPOCH, which all members get; the zero
	// Time stands for 1970.
	Epoch time.Time
}

// DockerArchive is the transport of `docker-archive:FILE[:NAME]`: what `docker save`
// writes, in its old form and in its new one, which is an OCI layout at the same
// time. A target writes the new one and replaces FILE. The zero value is ready to be
// used.
type DockerArchive struct {
	// Epoch is as in OCIArchive.
	Epoch time.Time
}

var (
	_ content.Transport = OCIArchive{}
	_ content.Transport = DockerArchive{}
)

// Source implements content.Transport. The source is a content.RangeFetcher, a
// content.Provider and a content.ReferrerLister. Errors: ErrInvalid for a file that
// is no tar, ErrNotFound, ErrDenied, ErrCorrupt, ErrUnsupported for a compressed one.
func (OCIArchive) Source(ctx context.Context, at string) (content.ImageSource, error) {
	return archiveSource(ctx, at, ociShelf)
}

// Target implements content.Transport. The target is for concurrent use.
func (t OCIArchive) Target(ctx context.Context, at string) (content.ImageTarget, error) {
	return newArchiveTarget(ctx, at, t.Epoch, false)
}

// Source implements content.Transport, as OCIArchive.Source. Of an archive of the old
// form, manifests are made: the layers are what is there, not compressed as a rule.
func (DockerArchive) Source(ctx context.Context, at string) (content.ImageSource, error) {
	return archiveSource(ctx, at, dockerOrOCIShelf)
}

// Target implements content.Transport. The target is for concurrent use. It refuses
// what `docker load` would: zstd layers, an index of several platforms, and what is
// no image (ErrUnsupported).
func (t DockerArchive) Target(ctx context.Context, at string) (content.ImageTarget, error) {
	return newArchiveTarget(ctx, at, t.Epoch, true)
}

// archiveSource opens an archive in the form that as makes of it.
func archiveSource(ctx context.Context, at string, as func(context.Context, *archive) (shelf, error)) (content.ImageSource, error) {
	p, err := parsePlace(at)
	if err == nil {
		err = noPipe(p)
	}
	if err != nil {
		return nil, err
	}
	a, err := openArchive(ctx, p.path)
	if err != nil {
		return nil, err
	}
	sh, err := as(ctx, a)
	if err != nil {
		_ = a.Close()
		return nil, fmt.Errorf("%s: %w", p.path, err)
	}
	return newSource(p, sh)
}

func ociShelf(_ context.Context, a *archive) (shelf, error) {
	if _, _, err := a.find("index.json"); !errors.Is(err, content.ErrNotFound) {
		return a, nil
	}
	err := fmt.Errorf("%w: it has no index.json", content.ErrNotFound)
	if _, ok := a.members["manifest.json"]; ok {
		return nil, content.WithHint(err, "it is an archive of Docker's: read it as docker-archive:FILE")
	}
	return nil, err
}

func dockerOrOCIShelf(ctx context.Context, a *archive) (shelf, error) {
	if _, _, err := a.find("index.json"); !errors.Is(err, content.ErrNotFound) {
		return a, nil
	}
	return openDocker(ctx, a)
}

// noPipe refuses what elsewhere stands for a pipe.
func noPipe(p place) error {
	if p.path == "-" {
		return content.WithHint(fmt.Errorf("archive %q: %w: archives are files here, not pipes", p.path, content.ErrUnsupported),
			"a file of that name is ./-")
	}
	return nil
}
