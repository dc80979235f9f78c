package client

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"dist.example/content"
	"dist.example/layer"
	"dist.example/oci"
)

// index makes an index, or adds manifests to one.
func (p *packing) index(ctx context.Context) (Packed, error) {
	list := &manifestList{}
	if p.base != nil {
		list.old = p.base.index.Manifests
	}
	for _, w := range p.words {
		m, err := p.manifest(ctx, w)
		if err == nil {
			err = list.add(m)
		}
		if err != nil {
			return Packed{}, err
		}
	}
	out := Packed{}
	var err error
	if out.Manifests, err = p.parts(ctx, list); err != nil {
		return Packed{}, err
	}
	if p.base != nil {
		out.Manifest, out.Descriptor, err = p.grownIndex(list.added)
	} else {
		x := oci.Index{
			MediaType: oci.MediaTypeIndex, Manifests: list.added, Annotations: layer.Annotations(p.ref, p.o.Epoch),
		}
		x.SchemaVersion = 2
		out.Manifest, out.Descriptor, err = oci.Encode(oci.MediaTypeIndex, x)
	}
	return out, err
}

// parts lists the manifests. Of those that were there before, some may be
// platforms left out on purpose.
func (p *packing) parts(ctx context.Context, list *manifestList) (parts []Part, err error) {
	for i, d := range slices.Concat(list.old, list.added) {
		held := i >= len(list.old)
		if !held {
			if held, err = p.s.Complete(ctx, d.Digest); err != nil {
				return nil, err
			}
		}
		parts = append(parts, Part{Descriptor: d, Role: oci.RoleManifest, Held: held})
	}
	return parts, nil
}

// grownIndex is the base with more manifests.
func (p *packing) grownIndex(more []oci.Descriptor) ([]byte, oci.Descriptor, error) {
	if len(more) == 0 { // all of them are in it
		return p.base.data, p.base.desc, nil
	}
	if p.base.desc.MediaType == oci.MediaTypeDockerList {
		for i, d := range more {
			more[i].ArtifactType = "" // the format has none
			if d.MediaType != oci.MediaTypeDockerManifest && d.MediaType != oci.MediaTypeDockerList {
				return nil, oci.Descriptor{}, content.WithHint(
					fmt.Errorf("%s: %w: type %s in a list of Docker's format", d.Digest, content.ErrUnsupported, d.MediaType),
					"make an index of its images: dist pack -t index NAME ID…")
			}
		}
	}
	doc, err := oci.ParseDocument(p.base.data)
	if err != nil {
		return nil, oci.Descriptor{}, err
	}
	if err := oci.AppendTo(doc, "manifests", more); err != nil {
		return nil, oci.Descriptor{}, err
	}
	return oci.Encode(p.base.desc.MediaType, doc)
}

// indexed is a manifest on its way into an index.
type indexed struct {
	oci.Descriptor
	word packWord
	said bool // the platform was given with it
}

// manifest finds what a word of an index names, and describes it.
func (p *packing) manifest(ctx context.Context, w packWord) (indexed, error) {
	m := indexed{word: w, said: w.Key != ""}
	var given oci.Platform
	if m.said {
		var err error
		if given, err = oci.ParsePlatform(w.Key); err != nil {
			return m, wrongKey(w, "platforms, as linux/arm64 is")
		}
	}
	src, err := p.find(ctx, w)
	if err != nil {
		return m, err
	}
	data, err := p.manifestData(ctx, src, &m.Descriptor)
	if err != nil {
		return m, err
	}
	if err := p.describe(ctx, &m.Descriptor, data); err != nil {
		return m, fmt.Errorf("%s: %w", src, err)
	}
	return m, p.place(&m, given)
}

// place settles the platform of a manifest, given or its own.
func (p *packing) place(m *indexed, given oci.Platform) error {
	own := m.Platform
	known := own != nil && own.OS != "" && own.Architecture != ""
	switch {
	case m.said:
		m.Platform = &given
		if known && !oci.SamePlatform(*own, given) {
			p.c.opts.Warn(fmt.Sprintf("pack %s: %q goes in for %s, and says itself that it is for %s", p.ref, m.word.Value,
				oci.FormatPlatform(&given), oci.FormatPlatform(own)))
		}
	case own != nil && !known:
		return content.WithHint(fmt.Errorf("%q: %w: its configuration says no platform", m.word.Value, content.ErrInvalid),
			"give it: OS/ARCH=%s", m.word.Value)
	}
	return nil
}

// manifestData reads a manifest and stores it when it is a file.
func (p *packing) manifestData(ctx context.Context, src source, desc *oci.Descriptor) ([]byte, error) {
	notAManifest := func(what string) error {
		return content.WithHint(fmt.Errorf("%s: %w: %s, and an index lists manifests", src, content.ErrInvalid, what),
			"pack it into an image or an artifact first, under a name of its own")
	}
	switch {
	case src.folder:
		return nil, notAManifest("it is a folder")
	case src.path == "" && !oci.HasSuccessors(src.desc.MediaType):
		return nil, notAManifest("it is " + src.desc.MediaType)
	case src.path == "":
		*desc = src.desc
		if err := p.hold(ctx, src.desc); err != nil {
			return nil, err
		}
		return content.ReadAll(ctx, p.s, src.desc, oci.MaxManifestSize)
	}
	data, mediaType, err := p.document(ctx, src, oci.MaxManifestSize)
	if errors.Is(err, content.ErrUnsupported) {
		return nil, notAManifest("it is too large for a manifest")
	}
	if err != nil {
		return nil, err
	}
	if src.kind == "" {
		mediaType = oci.DetectManifest(data)
	}
	if !oci.HasSuccessors(mediaType) {
		return nil, notAManifest("it is no manifest")
	}
	*desc = oci.Describe(mediaType, data)
	return data, p.store(ctx, *desc, data)
}

// describe adds to desc what an index says of a manifest: an image's platform, an
// artifact's type.
func (p *packing) describe(ctx context.Context, desc *oci.Descriptor, data []byte) error {
	if oci.IsIndex(desc.MediaType) {
		x, err := oci.ParseIndex(desc.MediaType, data)
		desc.ArtifactType = x.ArtifactType
		return err
	}
	m, err := oci.ParseManifest(desc.MediaType, data)
	if err != nil {
		return err
	}
	desc.ArtifactType = oci.ArtifactType(m)
	if !oci.IsImageConfig(m.Config.MediaType) {
		return nil
	}
	cfg, err := readConfig(ctx, p.s, m.Config)
	if err != nil {
		return err
	}
	desc.Platform = &cfg.Platform
	return nil
}

// manifestList is an index in the making.
type manifestList struct {
	old   []oci.Descriptor // of the index that is appended to
	added []oci.Descriptor
}

// add adds m, unless it is there. Of two images for one platform nobody would ever
// get the second.
func (l *manifestList) add(m indexed) error {
	for _, d := range slices.Concat(l.old, l.added) {
		same := m.Platform != nil && d.Platform != nil && oci.SamePlatform(*m.Platform, *d.Platform)
		switch {
		case d.Digest == m.Digest && (same || !m.said):
			return nil
		case d.Digest == m.Digest:
			return fmt.Errorf("%q: %w: it is listed already, for %s", m.word.String(), content.ErrInvalid, platformList([]oci.Descriptor{d}))
		case same && d.Platform.OS != "unknown" && (m.ArtifactType == "" || d.ArtifactType == ""):
			return content.WithHint(
				fmt.Errorf("%q: %w: there is one for %s already, %s", m.word.String(), content.ErrInvalid, oci.FormatPlatform(d.Platform), d.Digest),
				"name the platform that it is for: OS/ARCH=%s", m.word.Value)
		}
	}
	l.added = append(l.added, m.Descriptor)
	return nil
}
