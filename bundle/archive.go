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
	p, a, err := archiveAt(ctx, at)
	if err != nil {
		return nil, err
	}
	if _, _, err := a.find("index.json"); errors.Is(err, content.ErrNotFound) {
		_ = a.Close()
		err := fmt.Errorf("%s: %w: it has no index.json", p.path, content.ErrNotFound)
		if _, ok := a.members["manifest.json"]; ok {
			return nil, content.WithHint(err, "it is an archive of Docker's: docker-archive:%s", p.path)
		}
		return nil, err
	}
	return newSource(p, a)
}

// Target implements content.Transport. The target is for concurrent use.
func (t OCIArchive) Target(ctx context.Context, at string) (content.ImageTarget, error) {
	return newArchiveTarget(ctx, at, t.Epoch, false)
}

// Source implements content.Transport, as OCIArchive.Source. Of an archive of the old
// form, manifests are made: the layers are what is there, not compressed as a rule.
func (DockerArchive) Source(ctx context.Context, at string) (content.ImageSource, error) {
	p, a, err := archiveAt(ctx, at)
	if err != nil {
		return nil, err
	}
	if _, _, err := a.find("index.json"); !errors.Is(err, content.ErrNotFound) {
		return newSource(p, a)
	}
	s, err := openDocker(ctx, a)
	if err != nil {
		_ = a.Close()
		return nil, fmt.Errorf("%s: %w", p.path, err)
	}
	return newSource(p, s)
}

// Target implements content.Transport. The target is for concurrent use. It refuses
// what `docker load` would: zstd layers, an index of several platforms, and what is
// no image (ErrUnsupported).
func (t DockerArchive) Target(ctx context.Context, at string) (content.ImageTarget, error) {
	return newArchiveTarget(ctx, at, t.Epoch, true)
}

func archiveAt(ctx context.Context, at string) (place, *archive, error) {
	p, err := parsePlace(at)
	if err == nil {
		err = noPipe(p)
	}
	if err != nil {
		return p, nil, err
	}
	a, err := openArchive(ctx, p.path)
	return p, a, err
}

// noPipe refuses what elsewhere stands for a pipe.
func noPipe(p place) error {
	if p.path == "-" {
		return content.WithHint(fmt.Errorf("archive %q: %w: archives are files here, not pipes", p.path, content.ErrUnsupported),
			"a file of that name is ./-")
	}
	return nil
}
