package layer

import (
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
	// Document is a configuration made elsewhere, nil for none; Config does not
	// count beside it. If it lists diff_ids they must be those of Layers, and it is
	// the image's to the byte. If it lists none, they are filled in, and so are its
	// history and, where it lacks system or processor, Platform; all else in it
	// stays, fields that are not known here too. ConfigType is its media type, "" is
	// OCI's.
	Document   []byte
	ConfigType string
	// Base is an image that this one is made from, nil for none: its layers come
	// first, and its configuration is the beginning of this one's, which replaces
	// Document and Config. Types of Docker's become those of OCI; nothing else of its
	// manifest comes along.
	Base *Base
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
// alone. Errors: ErrInvalid for a platform without system or processor, for a
// layer whose type, digests or size are none of a layer, and for a Document or a
// Base that is no configuration of these layers.
func Image(o ImageOptions) (config, manifest []byte, configDesc, manifestDesc oci.Descriptor, err error) {
	fail := func(err error) ([]byte, []byte, oci.Descriptor, oci.Descriptor, error) {
		return nil, nil, oci.Descriptor{}, oci.Descriptor{}, err
	}
	if err := o.validate(); err != nil {
		return fail(fmt.Errorf("pack image: %w", err))
	}
	var under []oci.Descriptor
	if o.Base != nil {
		config, configDesc, under, err = o.onBase()
	} else {
		config, configDesc, err = o.configuration()
	}
	if err != nil {
		return fail(err)
	}
	if manifest, manifestDesc, err = oci.Encode(oci.MediaTypeManifest, o.manifest(configDesc, under)); err != nil {
		return fail(fmt.Errorf("pack image: %w", err))
	}
	return config, manifest, configDesc, manifestDesc, nil
}

func (o ImageOptions) validate() error {
	if o.Platform.OS == "" || o.Platform.Architecture == "" {
		return fmt.Errorf("%w: platform %q: both system and processor are needed", content.ErrInvalid, oci.FormatPlatform(&o.Platform))
	}
	return validateLayers(o.Layers)
}

func validateLayers(layers []LayerInfo) error {
	for i, l := range layers {
		if err := oci.ValidateDescriptor(l.Descriptor); err != nil {
			return fmt.Errorf("layer %d: %w", i+1, err)
		}
		if !oci.IsImageLayer(l.Descriptor.MediaType) {
			return content.WithHint(
				fmt.Errorf("layer %d, %s: %w: type %s is not that of a layer", i+1, l.Descriptor.Digest, content.ErrInvalid, l.Descriptor.MediaType),
				"put it with -t layer, layer+gzip or layer+zstd")
		}
		if _, err := oci.ParseDigest(l.DiffID.String()); err != nil {
			return fmt.Errorf("layer %d: diff_id: %w", i+1, err)
		}
	}
	return nil
}

// instant is an epoch as documents say it: 1970 where none is set.
func instant(epoch time.Time) time.Time {
	if epoch.IsZero() {
		return time.Unix(0, 0).UTC()
	}
	return epoch.UTC().Truncate(time.Second)
}

func (o ImageOptions) config() oci.Image {
	created := instant(o.Created)
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

func (o ImageOptions) manifest(config oci.Descriptor, under []oci.Descriptor) oci.Manifest {
	m := oci.Manifest{
		MediaType:   oci.MediaTypeManifest,
		Config:      config,
		Layers:      []oci.Descriptor{},
		Annotations: o.annotations(),
	}
	m.SchemaVersion = 2
	m.Layers = append(m.Layers, under...)
	for _, l := range o.Layers {
		m.Layers = append(m.Layers, l.Descriptor)
	}
	return m
}

func (o ImageOptions) annotations() map[string]string {
	a := Annotations(o.Name, o.Created)
	maps.Copy(a, o.Annotations)
	return a
}

// Annotations are those that every manifest and index made here has: its name (see
// ImageOptions.Name) and, where SOURCE_DATE_EPOCH is set, the time of its making.
func Annotations(name oci.Reference, created time.Time) map[string]string {
	a := map[string]string{}
	if name != (oci.Reference{}) {
		a[AnnotationName] = name.Name()
	}
	if !created.IsZero() {
		a[oci.AnnotationCreated] = instant(created).Format(time.RFC3339)
	}
	return a
}
