package client

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"dist.example/content"
	"dist.example/layer"
	"dist.example/oci"
)

// packFrom is the image that another one is made from.
type packFrom struct {
	layer.Base
	digest oci.Digest    // of its manifest
	name   oci.Reference // zero where it was given by its digest
}

// annotations say what the image was made from.
func (f *packFrom) annotations() map[string]string {
	notes := map[string]string{oci.AnnotationBaseDigest: f.digest.String()}
	if f.name != (oci.Reference{}) {
		notes[oci.AnnotationBaseName] = f.name.String()
	}
	return notes
}

// readFrom reads the base, which has to be here with all that it needs.
func (p *packing) readFrom(ctx context.Context) (*packFrom, error) {
	word := p.o.Base
	fail := func(err error) (*packFrom, error) { return nil, fmt.Errorf("base %s: %w", word, err) }
	desc, err := lookup(ctx, p.s, word)
	if err != nil {
		return fail(toPull(err, word, word))
	}
	from := &packFrom{}
	if from.name, err = p.nameOf(ctx, word, desc.Digest); err != nil {
		return fail(err)
	}
	if desc, err = p.baseImage(ctx, desc); err != nil {
		return fail(err)
	}
	hint := hintPull
	if !strings.Contains(word, momentMark) {
		hint = fmt.Sprintf("`dist pull %s` fetches what is missing or damaged", p.pullable(desc))
	}
	if err := p.c.whole(ctx, p.s, word, desc.Digest, hint); err != nil {
		return nil, err
	}
	if err := p.hold(ctx, desc); err != nil {
		return fail(err)
	}
	from.MediaType, from.digest = desc.MediaType, desc.Digest
	if from.Manifest, err = content.ReadAll(ctx, p.s, desc, oci.MaxManifestSize); err != nil {
		return fail(err)
	}
	m, err := oci.ParseManifest(desc.MediaType, from.Manifest)
	if err != nil {
		return fail(err)
	}
	if !oci.IsImageConfig(m.Config.MediaType) {
		return fail(fmt.Errorf("%w: it is an artifact, not an image", content.ErrInvalid))
	}
	if from.Config, err = content.ReadAll(ctx, p.s, m.Config, oci.MaxConfigSize); err != nil {
		return fail(err)
	}
	return from, p.comparePlatform(ctx, m.Config)
}

// nameOf is the name by which word means d, zero where it is no name.
func (p *packing) nameOf(ctx context.Context, word string, d oci.Digest) (oci.Reference, error) {
	ref, err := oci.ParseReference(word)
	if err != nil {
		return oci.Reference{}, nil // a digest
	}
	n, err := p.s.Name(ctx, ref)
	switch {
	case errors.Is(err, content.ErrNotFound):
		return oci.Reference{}, nil // the beginning of a digest
	case err != nil || n.Target.Digest != d:
		return oci.Reference{}, err
	}
	return n.Reference, nil
}

// pullable is what to pull for a base that is not here whole.
func (p *packing) pullable(desc oci.Descriptor) string {
	if desc.Platform == nil {
		return p.o.Base
	}
	return fmt.Sprintf("--platform %s %s", oci.FormatPlatform(desc.Platform), p.o.Base)
}

// baseImage is desc or, where that is an index, its image for the platform.
func (p *packing) baseImage(ctx context.Context, desc oci.Descriptor) (oci.Descriptor, error) {
	if !oci.HasSuccessors(desc.MediaType) {
		return desc, fmt.Errorf("%w: it is %s, not an image", content.ErrInvalid, desc.MediaType)
	}
	if !oci.IsIndex(desc.MediaType) {
		return desc, nil
	}
	chosen, err := selectImage(ctx, p.s, desc, Platforms{Only: p.o.Platform})
	if _, herr := p.s.Info(ctx, chosen.Digest); herr != nil { // the image, or an index that it is in
		return desc, toPull(herr, p.o.Base, p.pullable(chosen))
	}
	return chosen, err
}

// comparePlatform warns of a base for another platform than the one asked for.
func (p *packing) comparePlatform(ctx context.Context, config oci.Descriptor) error {
	if p.o.Platform == nil {
		return nil
	}
	cfg, err := readConfig(ctx, p.s, config)
	if err != nil {
		return err
	}
	own := cfg.Platform
	if own.OS != "" && own.Architecture != "" && !oci.SamePlatform(own, *p.o.Platform) {
		p.c.opts.Warn(fmt.Sprintf("pack %s: the base is for %s, and so is what is made from it, not for %s",
			p.ref, oci.FormatPlatform(&own), oci.FormatPlatform(p.o.Platform)))
	}
	return nil
}
