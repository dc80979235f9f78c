package client

import (
	"context"
	"fmt"
	"io"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"unicode/utf8"

	"dist.example/content"
	"dist.example/layer"
	"dist.example/oci"
)

// DefaultArtifactType is the type of an artifact that nobody gave one.
const DefaultArtifactType = "application/vnd.unknown.artifact.v1"

// Annotations by which a folder in an artifact is unpacked where it is pulled. The
// name is oras's, whose convention it is: the layer is a tar in gzip whose entries
// stand below the title, and the digest is that of the tar.
const (
	annotationUnpack = "io.deis.oras.content.unpack"
	annotationDigest = "io.deis.oras.content.digest"
)

// emptyJSON is the content of the empty descriptor (image-spec, manifest.md).
const emptyJSON = "{}"

// artifact makes an artifact, or adds files to one.
func (p *packing) artifact(ctx context.Context) (Packed, error) {
	config, layers, err := p.artifactWords(ctx)
	if err != nil {
		return Packed{}, err
	}
	var out Packed
	if p.base != nil {
		out.Manifest, out.Descriptor, err = p.grownArtifact(layers)
	} else {
		out.Manifest, out.Descriptor, err = p.newArtifact(ctx, config, layers)
	}
	if err != nil {
		return Packed{}, err
	}
	m, err := oci.ParseManifest(out.Descriptor.MediaType, out.Manifest)
	if err != nil {
		return Packed{}, err
	}
	out.Config, out.Descriptor.ArtifactType = m.Config, oci.ArtifactType(m)
	for _, d := range m.Layers {
		out.Layers = append(out.Layers, layer.LayerInfo{Descriptor: d})
	}
	return out, nil
}

// newArtifact makes the manifest; that of a chart gets the chart's configuration.
// Where there is no configuration, or no layer, the
// empty descriptor stands in: there are registries that ask for both.
func (p *packing) newArtifact(ctx context.Context, config *oci.Descriptor, layers []oci.Descriptor) ([]byte, oci.Descriptor, error) {
	empty := oci.Describe(oci.MediaTypeEmpty, []byte(emptyJSON))
	m := oci.Manifest{
		MediaType: oci.MediaTypeManifest, ArtifactType: p.o.ArtifactType,
		Layers: layers, Annotations: layer.Annotations(p.ref, p.o.Epoch),
	}
	m.SchemaVersion = 2
	if config == nil {
		var err error
		if config, err = p.chartConfig(ctx, layers, m.Annotations); err != nil {
			return nil, oci.Descriptor{}, err
		}
	}
	if config == nil {
		config = &empty
	}
	m.Config = *config
	if m.ArtifactType == "" && slices.ContainsFunc(layers, func(d oci.Descriptor) bool { return oci.IsModelPart(d.MediaType) }) {
		m.ArtifactType = oci.ArtifactTypeModel
	}
	if m.ArtifactType == "" && m.Config.MediaType == oci.MediaTypeEmpty {
		m.ArtifactType = DefaultArtifactType
	}
	if len(layers) == 0 {
		m.Layers = []oci.Descriptor{empty}
	}
	if len(layers) == 0 || m.Config.Digest == empty.Digest {
		if err := p.store(ctx, empty, []byte(emptyJSON)); err != nil {
			return nil, oci.Descriptor{}, err
		}
	}
	return oci.Encode(oci.MediaTypeManifest, m)
}

// grownArtifact is the base with more layers. An empty one that stood in for them
// goes.
func (p *packing) grownArtifact(layers []oci.Descriptor) ([]byte, oci.Descriptor, error) {
	if len(layers) == 0 {
		return p.base.data, p.base.desc, nil
	}
	doc, err := oci.ParseDocument(p.base.data)
	if err != nil {
		return nil, oci.Descriptor{}, err
	}
	if old := p.base.manifest.Layers; len(old) == 1 && old[0].MediaType == oci.MediaTypeEmpty {
		if err := doc.Set("layers", []oci.Descriptor{}); err != nil {
			return nil, oci.Descriptor{}, err
		}
	}
	if err := oci.AppendTo(doc, "layers", layers); err != nil {
		return nil, oci.Descriptor{}, err
	}
	return oci.Encode(p.base.desc.MediaType, doc)
}

// artifactWords stores or finds what the words name.
func (p *packing) artifactWords(ctx context.Context) (config *oci.Descriptor, layers []oci.Descriptor, err error) {
	given, parts, err := p.sources(ctx)
	if err != nil {
		return nil, nil, err
	}
	titles, err := p.titles(parts)
	if err != nil {
		return nil, nil, err
	}
	if given != nil {
		if config, err = p.artifactConfig(ctx, *given); err != nil {
			return nil, nil, err
		}
	}
	for i, src := range parts {
		desc, err := p.part(ctx, src, titles[i])
		if err != nil {
			return nil, nil, err
		}
		layers = append(layers, desc)
	}
	return config, layers, nil
}

// titles are those of parts, "" for none; no two things have the same.
func (p *packing) titles(parts []source) ([]string, error) {
	taken := map[string]bool{}
	if p.base != nil {
		for _, l := range p.base.manifest.Layers {
			taken[l.Annotations[oci.AnnotationTitle]] = true
		}
	}
	titles := make([]string, len(parts))
	for i, src := range parts {
		title, err := src.title()
		if err != nil {
			return nil, err
		}
		if title != "" && taken[title] {
			return nil, content.WithHint(fmt.Errorf("%q: %w: something else has the title %q", src.word.String(), content.ErrInvalid, title),
				"give it a title of its own: TITLE=%s", src.word.Value)
		}
		titles[i], taken[title] = title, true
	}
	return titles, nil
}

// artifactConfig stores or finds a configuration.
func (p *packing) artifactConfig(ctx context.Context, src source) (*oci.Descriptor, error) {
	if src.folder {
		return nil, fmt.Errorf("config %s: %w: it is a folder", src, content.ErrInvalid)
	}
	desc, err := p.blob(ctx, src)
	if err != nil {
		return nil, err
	}
	if oci.IsImageConfig(desc.MediaType) {
		return nil, content.WithHint(fmt.Errorf("config %s: %w: a manifest with the configuration of an image is an image", src, content.ErrInvalid),
			"pack it with -t image, or give the configuration another type: PATH:TYPE")
	}
	return &desc, nil
}

// part is one layer of an artifact.
func (p *packing) part(ctx context.Context, src source, title string) (oci.Descriptor, error) {
	var (
		desc  oci.Descriptor
		notes map[string]string
		err   error
	)
	if src.folder {
		desc, notes, err = p.packedFolder(ctx, src, title)
	} else {
		desc, err = p.blob(ctx, src)
	}
	if err != nil || title == "" {
		return desc, err
	}
	desc.Annotations = map[string]string{oci.AnnotationTitle: title}
	if oci.IsModelPart(desc.MediaType) {
		desc.Annotations[oci.AnnotationModelPath] = title
	}
	maps.Copy(desc.Annotations, notes)
	return desc, nil
}

// blob is an object, or a file as it is.
func (p *packing) blob(ctx context.Context, src source) (oci.Descriptor, error) {
	desc := src.desc
	if src.path != "" {
		f, err := openInput(ctx, src.path)
		if err != nil {
			return desc, err
		}
		defer f.Close()
		t := &told{w: io.Discard, observe: p.c.opts.Observe, name: src.path, total: sizeOf(f, 0)}
		// The file is told of here, however small.
		one := &putting{p.ses, PutOptions{Type: src.kind, keepType: true}, func(content.Event) {}}
		err = t.during(func() error {
			info, err := one.put(ctx, src.path, io.TeeReader(f, t), nil)
			desc = info.Descriptor()
			return err
		})
		if err != nil {
			return desc, fmt.Errorf("%s: %w", src.path, err)
		}
	} else if err := p.hold(ctx, desc); err != nil {
		return desc, err
	}
	if oci.HasSuccessors(desc.MediaType) {
		return desc, content.WithHint(fmt.Errorf("%s: %w: it is a manifest, and registries take none for a layer", src, content.ErrInvalid),
			"an index (-t index) lists manifests")
	}
	return desc, nil
}

// packedFolder packs a folder in the form in which it is unpacked by itself where
// it is pulled.
func (p *packing) packedFolder(ctx context.Context, src source, title string) (oci.Descriptor, map[string]string, error) {
	fail := func(err error) (oci.Descriptor, map[string]string, error) { return oci.Descriptor{}, nil, err }
	mediaType := oci.MediaTypeLayerGzip
	if src.kind != "" && src.kind != wordLayer {
		var err error
		if mediaType, err = src.mediaType(nil); err != nil {
			return fail(err)
		}
		if mediaType != src.kind { // a word, which says what it is and not in which form
			mediaType = oci.ModelFolder(mediaType)
		}
		if c, ok := layer.Promised(mediaType); ok && c != layer.Gzip {
			return fail(fmt.Errorf("%s: %w: type %s says compression %s: folders in artifacts are gzip", src.path, content.ErrInvalid, mediaType, c))
		}
	}
	res, err := p.write(ctx, src.path, mediaType, func(w io.Writer) (layer.Result, error) {
		return layer.Write(ctx, w, src.path, layer.Options{
			Compression: layer.Gzip, Epoch: p.o.Epoch, Prefix: title, OmitParents: true,
			FollowLinks: p.o.FollowLinks, Exclude: []string{p.s.Dir()},
		})
	})
	if err != nil {
		return fail(err)
	}
	res.MediaType = mediaType
	return res.Descriptor(), map[string]string{annotationUnpack: "true", annotationDigest: res.DiffID.String()}, nil
}

// title is the name under which a part of an artifact comes back, with slashes:
// the key; else the path, if it stays below the folder where it is given, or its
// last component. An object has none of its own.
func (s source) title() (string, error) {
	title := s.word.Key
	switch {
	case title != "":
		title = path.Clean(title)
	case s.path == "":
		return "", nil
	default:
		var err error
		if title, err = titleOf(s.path); err != nil {
			return "", err
		}
	}
	if !utf8.ValidString(title) {
		return "", fmt.Errorf("%q: %w: a title has to be UTF-8", title, content.ErrInvalid)
	}
	if !filepath.IsLocal(filepath.FromSlash(title)) || title == "." && !s.folder {
		return "", content.WithHint(fmt.Errorf("%q: %w: no title to be unpacked by", title, content.ErrInvalid),
			"a title is a path below the folder that it is pulled to: TITLE=%s", s.word.Value)
	}
	return title, nil
}

func titleOf(name string) (string, error) {
	if clean := filepath.Clean(name); filepath.IsLocal(clean) {
		return filepath.ToSlash(clean), nil
	}
	// A path may end in dots: then only the whole one has a last component.
	abs, err := filepath.Abs(name)
	return filepath.Base(abs), err
}
