package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/layer"
	"dist.example/oci"
)

// createdBy is what the history of an image says of layers from here.
const createdBy = "dist pack"

// image makes an image, or puts layers on top of one.
func (p *packing) image(ctx context.Context) (Packed, error) {
	if p.o.Base != "" {
		var err error
		if p.from, err = p.readFrom(ctx); err != nil {
			return Packed{}, err
		}
	}
	layers, config, err := p.imageWords(ctx)
	if err != nil {
		return Packed{}, err
	}
	var (
		made                     Packed
		configData               []byte
		configDesc, manifestDesc oci.Descriptor
	)
	if p.base != nil {
		configData, made.Manifest, configDesc, manifestDesc, err = p.grown(ctx, layers)
	} else {
		configData, made.Manifest, configDesc, manifestDesc, err = layer.Image(p.imageOptions(layers, config))
	}
	if err == nil && !p.o.Settings.IsZero() {
		configData, made.Manifest, configDesc, manifestDesc, err = layer.Configure(
			layer.Base{MediaType: manifestDesc.MediaType, Manifest: made.Manifest, Config: configData}, p.o.Settings)
	}
	if err != nil {
		return Packed{}, err
	}
	if err := p.store(ctx, configDesc, configData); err != nil {
		return Packed{}, err
	}
	made.Descriptor, made.Config = manifestDesc, configDesc
	return made, made.parseImage(configData)
}

// givenConfig is a configuration made elsewhere.
type givenConfig struct {
	data      []byte
	mediaType string
}

func (p *packing) imageOptions(layers []layer.LayerInfo, config *givenConfig) layer.ImageOptions {
	o := layer.ImageOptions{Platform: oci.DefaultPlatform(), Name: p.ref, Created: p.o.Epoch, Layers: layers}
	if p.o.Platform != nil {
		o.Platform = *p.o.Platform
	}
	if config != nil {
		o.Document, o.ConfigType = config.data, config.mediaType
	}
	if p.from != nil {
		o.Base, o.Annotations = &p.from.Base, p.from.annotations()
	}
	return o
}

// grown is the base with layers on top; without any it is as it was.
func (p *packing) grown(ctx context.Context, layers []layer.LayerInfo) (config, manifest []byte, configDesc, manifestDesc oci.Descriptor, err error) {
	old, err := content.ReadAll(ctx, p.s, p.base.manifest.Config, oci.MaxConfigSize)
	if err != nil {
		return nil, nil, configDesc, manifestDesc, err
	}
	if len(layers) == 0 {
		return old, p.base.data, p.base.manifest.Config, p.base.desc, nil
	}
	return layer.Append(layer.Base{MediaType: p.base.desc.MediaType, Manifest: p.base.data, Config: old}, layers, p.o.Epoch)
}

// parseImage lists the layers of the image that was made.
func (out *Packed) parseImage(config []byte) error {
	m, err := oci.ParseManifest(out.Descriptor.MediaType, out.Manifest)
	if err != nil {
		return err
	}
	var img oci.Image
	if err := json.Unmarshal(config, &img); err != nil {
		return fmt.Errorf("configuration %s: %w: %v", out.Config.Digest, content.ErrInvalid, err)
	}
	steps := layerSteps(img.History)
	for i, desc := range m.Layers {
		l := layer.LayerInfo{Descriptor: desc}
		if i < len(img.RootFS.DiffIDs) {
			l.DiffID = img.RootFS.DiffIDs[i]
		}
		if len(steps) == len(m.Layers) { // else nobody knows which is whose
			l.CreatedBy = steps[i].CreatedBy
		}
		out.Layers = append(out.Layers, l)
	}
	return nil
}

// layerSteps are the steps of a history that made a layer.
func layerSteps(history []oci.History) []oci.History {
	var steps []oci.History
	for _, step := range history {
		if !step.EmptyLayer {
			steps = append(steps, step)
		}
	}
	return steps
}

// imageWords makes the layers and reads the configuration that the words name.
func (p *packing) imageWords(ctx context.Context) (layers []layer.LayerInfo, config *givenConfig, err error) {
	for _, w := range p.words {
		if w.Key != "" && w.Key != "layer" && w.Key != "config" {
			return nil, nil, wrongKey(w, "layer and config")
		}
	}
	given, parts, err := p.sources(ctx)
	if err != nil {
		return nil, nil, err
	}
	if given != nil {
		if config, err = p.imageConfig(ctx, *given); err != nil {
			return nil, nil, err
		}
	}
	for _, src := range parts {
		info, err := p.layer(ctx, src)
		if err != nil {
			return nil, nil, err
		}
		layers = append(layers, info)
	}
	return layers, config, nil
}

// sources finds what all words mean, before the first of them is packed: the
// configuration, nil for none, and everything else.
func (p *packing) sources(ctx context.Context) (config *source, parts []source, err error) {
	for _, w := range p.words {
		src, err := p.find(ctx, w)
		switch {
		case err != nil:
			return nil, nil, err
		case w.Key != "config":
			parts = append(parts, src)
		case p.base != nil:
			return nil, nil, fmt.Errorf("%q: %w: what is appended to keeps its configuration", w.String(), content.ErrInvalid)
		case p.o.Base != "":
			return nil, nil, fmt.Errorf("%q: %w: the configuration is that of the base", w.String(), content.ErrInvalid)
		case config != nil:
			return nil, nil, fmt.Errorf("%q: %w: there is a configuration already", w.String(), content.ErrInvalid)
		default:
			config = &src
		}
	}
	return config, parts, nil
}

// imageConfig reads a configuration.
func (p *packing) imageConfig(ctx context.Context, src source) (*givenConfig, error) {
	data, mediaType, err := p.document(ctx, src, oci.MaxConfigSize)
	if err != nil {
		return nil, err
	}
	switch {
	case mediaType == oci.MediaTypeOctets || mediaType == oci.MediaTypeJSON:
		mediaType = oci.MediaTypeImageConfig // what nobody gave a type of its own
	case !oci.IsImageConfig(mediaType):
		return nil, content.WithHint(fmt.Errorf("config %s: %w: type %s is not that of an image's configuration", src, content.ErrInvalid, mediaType),
			"an artifact (-t artifact) may have any configuration")
	}
	return &givenConfig{data, mediaType}, nil
}

// document reads an object or a file of at most limit bytes into memory.
func (p *packing) document(ctx context.Context, src source, limit int64) (data []byte, mediaType string, err error) {
	if src.path == "" {
		data, err = content.ReadAll(ctx, p.s, src.desc, limit)
		return data, src.desc.MediaType, err
	}
	f, err := openInput(ctx, src.path)
	if err != nil {
		return nil, "", err
	}
	defer f.Close()
	if data, err = io.ReadAll(io.LimitReader(content.UntilDone(ctx, f), limit+1)); err != nil {
		return nil, "", fsys.Classify(err)
	}
	if int64(len(data)) > limit {
		return nil, "", fmt.Errorf("%s: %w: more than %d bytes", src.path, content.ErrUnsupported, limit)
	}
	mediaType, err = src.mediaType(data)
	return data, mediaType, err
}

// layer makes or finds one layer.
func (p *packing) layer(ctx context.Context, src source) (info layer.LayerInfo, err error) {
	switch {
	case src.path == "":
		info, err = p.object(ctx, src.desc)
	case src.folder:
		info, err = p.folder(ctx, src)
	default:
		info, err = p.file(ctx, src)
	}
	if err != nil && src.path == "" {
		err = fmt.Errorf("%s: %w", src, err)
	}
	return info, err
}

// object is a layer that was put before; its plain bytes are read for their
// digest.
func (p *packing) object(ctx context.Context, desc oci.Descriptor) (layer.LayerInfo, error) {
	if desc.MediaType != oci.MediaTypeOctets && !oci.IsImageLayer(desc.MediaType) {
		return layer.LayerInfo{}, notALayer(desc.MediaType, "put it with -t layer, layer+gzip or layer+zstd")
	}
	if err := p.hold(ctx, desc); err != nil {
		return layer.LayerInfo{}, err
	}
	info, err := p.readObject(ctx, desc)
	if errors.Is(err, content.ErrCorrupt) && p.c.mendedBelow(ctx, p.s, desc.Digest) {
		info, err = p.readObject(ctx, desc)
	}
	return info, err
}

func (p *packing) readObject(ctx context.Context, desc oci.Descriptor) (layer.LayerInfo, error) {
	r, err := p.s.Fetch(ctx, desc)
	if err != nil {
		return layer.LayerInfo{}, err
	}
	defer r.Close()
	if desc.MediaType == oci.MediaTypeOctets {
		res, err := layer.Inspect(ctx, r)
		desc.MediaType = res.MediaType
		return layer.LayerInfo{Descriptor: desc, DiffID: res.DiffID, CreatedBy: createdBy}, err
	}
	diffID, _, err := layer.DiffID(ctx, r, desc.MediaType)
	return layer.LayerInfo{Descriptor: desc, DiffID: diffID, CreatedBy: createdBy}, err
}

func notALayer(mediaType, hint string) error {
	return content.WithHint(fmt.Errorf("%w: type %s is not that of a layer", content.ErrInvalid, mediaType), "%s", hint)
}

// layerType is the type given with a path, which must be a layer's; "" says that
// the bytes decide.
func (s source) layerType() (string, error) {
	if s.kind == "" || s.kind == wordLayer {
		return "", nil
	}
	t, err := s.mediaType(nil)
	if err == nil && !oci.IsImageLayer(t) {
		err = fmt.Errorf("%s: %w", s.path, notALayer(t, "images have layers only; an artifact (-t artifact) may have anything"))
	}
	return t, err
}

// folder packs a folder; the store, if it lies in there, stays out. A type that
// promises a compression chooses it.
func (p *packing) folder(ctx context.Context, src source) (layer.LayerInfo, error) {
	mediaType, err := src.layerType()
	if err != nil {
		return layer.LayerInfo{}, err
	}
	compression := p.o.compression()
	if mediaType != "" {
		promised, ok := layer.Promised(mediaType)
		if !ok {
			return layer.LayerInfo{}, fmt.Errorf("%s: %w: a folder becomes a tar, and type %s is none", src.path, content.ErrInvalid, mediaType)
		}
		compression = promised
	}
	if p.base != nil {
		if err := suitsFormat(p.base.desc.MediaType, compression); err != nil {
			return layer.LayerInfo{}, fmt.Errorf("%s: %w", src.path, err)
		}
	}
	if mediaType == "" {
		mediaType = compression.MediaType()
	}
	res, err := p.write(ctx, src.path, mediaType, func(w io.Writer) (layer.Result, error) {
		return layer.Write(ctx, w, src.path, layer.Options{
			Compression: compression, Epoch: p.o.Epoch, Prefix: p.o.Prefix,
			FollowLinks: p.o.FollowLinks, Exclude: []string{p.s.Dir()},
		})
	})
	res.MediaType = mediaType
	return layer.LayerInfo{Descriptor: res.Descriptor(), DiffID: res.DiffID, CreatedBy: createdBy}, err
}

// suitsFormat refuses a compression that layers in a manifest of that type cannot have.
func suitsFormat(manifestType string, c layer.Compression) error {
	if manifestType == oci.MediaTypeDockerManifest && c == layer.Zstd {
		return content.WithHint(fmt.Errorf("%w: zstd in an image of Docker's format", content.ErrUnsupported),
			"use --compress gzip")
	}
	return nil
}

// file takes a layer as it is.
func (p *packing) file(ctx context.Context, src source) (layer.LayerInfo, error) {
	mediaType, err := src.layerType()
	if err != nil {
		return layer.LayerInfo{}, err
	}
	f, err := openInput(ctx, src.path)
	if err != nil {
		return layer.LayerInfo{}, err
	}
	defer f.Close()
	r := bufio.NewReaderSize(f, 64<<10)
	head, err := r.Peek(8)
	if err != nil && !errors.Is(err, io.EOF) {
		return layer.LayerInfo{}, fsys.Classify(err)
	}
	inspect := func(r io.Reader) (layer.Result, error) { return layer.InspectAs(ctx, r, mediaType) }
	stored := mediaType
	if mediaType == "" {
		inspect = func(r io.Reader) (layer.Result, error) { return layer.Inspect(ctx, r) }
		stored = layer.Detect(head).MediaType()
	}
	res, err := p.write(ctx, src.path, stored, func(w io.Writer) (layer.Result, error) { return inspect(io.TeeReader(r, w)) })
	if err != nil {
		err = fmt.Errorf("%s: %w", src.path, err)
		if mediaType != "" && errors.Is(err, content.ErrInvalid) {
			err = content.WithHint(err, "leave out :%s, then the bytes decide", src.kind)
		}
	}
	return layer.LayerInfo{Descriptor: res.Descriptor(), DiffID: res.DiffID, CreatedBy: createdBy}, err
}
