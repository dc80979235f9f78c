package layer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// AnnotationName is the manifest annotation that holds an image's name. OCI's
// own org.opencontainers.image.ref.name counts only on the descriptors of a
// layout's index.json, so the name stands under the key that image-spec has for
// a manifest's human-readable title.
const AnnotationName = "org.opencontainers.image.title"

// ImageOptions describe an image for a single platform.
type ImageOptions struct {
	Platform oci.Platform
	// Name goes into the manifest as AnnotationName: host and repository. The tag
	// stays outside, for it is a label that moves: the same content packed under
	// another tag is the same manifest; under another name it is another one. The
	// zero Reference leaves the annotation out.
	Name oci.Reference
	// Created is the instant of SOURCE_DATE_EPOCH. The zero Time means that it is
	// not set: the configuration says 1970 then, and the manifest says nothing.
	Created time.Time
	Layers  []LayerInfo // lowest first
	Config  oci.ImageConfig
	// Annotations go into the manifest; they win over Name and Created.
	Annotations map[string]string
}

// LayerInfo is one layer of an image.
type LayerInfo struct {
	Descriptor oci.Descriptor
	DiffID     oci.Digest
	// CreatedBy is what the history says of the layer's making.
	CreatedBy string
}

// Image makes the configuration and the manifest of an image. Both are indented
// JSON with a line feed at the end, meant to be read, and depend on the options
// alone. Errors: ErrInvalid for a platform without system or processor, and for
// a layer whose type, digests or size are none of a layer.
func Image(o ImageOptions) (config, manifest []byte, configDesc, manifestDesc oci.Descriptor, err error) {
	fail := func(err error) ([]byte, []byte, oci.Descriptor, oci.Descriptor, error) {
		return nil, nil, oci.Descriptor{}, oci.Descriptor{}, err
	}
	if err := o.validate(); err != nil {
		return fail(err)
	}
	if config, configDesc, err = encode(oci.MediaTypeImageConfig, o.config()); err != nil {
		return fail(err)
	}
	if manifest, manifestDesc, err = encode(oci.MediaTypeManifest, o.manifest(configDesc)); err != nil {
		return fail(err)
	}
	// The same check that every reader makes, which also bounds the size.
	if _, err := oci.ParseManifest(oci.MediaTypeManifest, manifest); err != nil {
		return fail(fmt.Errorf("pack image: %w", err))
	}
	return config, manifest, configDesc, manifestDesc, nil
}

func (o ImageOptions) validate() error {
	if o.Platform.OS == "" || o.Platform.Architecture == "" {
		return fmt.Errorf("pack image: %w: platform %q: both system and processor are needed", content.ErrInvalid, oci.FormatPlatform(&o.Platform))
	}
	for i, l := range o.Layers {
		if err := oci.ValidateDescriptor(l.Descriptor); err != nil {
			return fmt.Errorf("pack image: layer %d: %w", i+1, err)
		}
		if !oci.IsImageLayer(l.Descriptor.MediaType) {
			return content.WithHint(
				fmt.Errorf("pack image: layer %d, %s: %w: type %s is not that of a layer", i+1, l.Descriptor.Digest, content.ErrInvalid, l.Descriptor.MediaType),
				"put it with -t layer, layer+gzip or layer+zstd")
		}
		if _, err := oci.ParseDigest(l.DiffID.String()); err != nil {
			return fmt.Errorf("pack image: layer %d: diff_id: %w", i+1, err)
		}
	}
	return nil
}

func (o ImageOptions) created() time.Time {
	if o.Created.IsZero() {
		return time.Unix(0, 0).UTC()
	}
	return o.Created.UTC().Truncate(time.Second)
}

func (o ImageOptions) config() oci.Image {
	created := o.created()
	img := oci.Image{
		Created:  &created,
		Platform: o.Platform,
		Config:   o.Config,
		RootFS:   oci.RootFS{Type: "layers", DiffIDs: []oci.Digest{}},
	}
	for _, l := range o.Layers {
		img.RootFS.DiffIDs = append(img.RootFS.DiffIDs, l.DiffID)
		img.History = append(img.History, oci.History{Created: &created, CreatedBy: l.CreatedBy})
	}
	return img
}

func (o ImageOptions) manifest(config oci.Descriptor) oci.Manifest {
	m := oci.Manifest{
		MediaType:   oci.MediaTypeManifest,
		Config:      config,
		Layers:      []oci.Descriptor{},
		Annotations: o.annotations(),
	}
	m.SchemaVersion = 2
	for _, l := range o.Layers {
		m.Layers = append(m.Layers, l.Descriptor)
	}
	return m
}

func (o ImageOptions) annotations() map[string]string {
	a := map[string]string{}
	if o.Name != (oci.Reference{}) {
		a[AnnotationName] = o.Name.Name()
	}
	if !o.Created.IsZero() {
		a[oci.AnnotationCreated] = o.created().Format(time.RFC3339)
	}
	maps.Copy(a, o.Annotations)
	return a
}

// encode writes v as the bytes that will be stored and describes them. Commands
// in a history read better when & and < are not escaped.
func encode(mediaType string, v any) ([]byte, oci.Descriptor, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil, oci.Descriptor{}, fmt.Errorf("pack image: %s: %w", mediaType, err)
	}
	p := buf.Bytes()
	return p, oci.Descriptor{MediaType: mediaType, Digest: oci.DigestBytes(p), Size: int64(len(p))}, nil
}
