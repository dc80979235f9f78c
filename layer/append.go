package layer

import (
	"encoding/json"
	"fmt"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

const (
	dockerLayerPlain = "application/vnd.docker.image.rootfs.diff.tar"
	dockerLayerGzip  = oci.MediaTypeDockerLayer
)

// Base is an image that more layers go onto.
type Base struct {
	MediaType string // of the manifest
	Manifest  []byte
	Config    []byte
}

// Append puts layers on top of an image: the manifest's list, the diff_ids and the
// history grow, everything else in both documents stays, fields that are not known
// here too. A manifest in Docker's format stays in it, and its layers get Docker's
// types. epoch is as in ImageOptions.Created; it counts for the history.
//
// Errors: ErrInvalid for a base whose manifest and configuration do not fit each
// other, and for layers as in Image; ErrUnsupported for a layer that Docker's format
// has no type for.
func Append(b Base, layers []LayerInfo, epoch time.Time) (config, manifest []byte, configDesc, manifestDesc oci.Descriptor, err error) {
	fail := func(err error) ([]byte, []byte, oci.Descriptor, oci.Descriptor, error) {
		return nil, nil, oci.Descriptor{}, oci.Descriptor{}, fmt.Errorf("append to image: %w", err)
	}
	m, doc, layers, err := b.parse(layers)
	if err != nil {
		return fail(err)
	}
	if err := doc.extend(layers, epoch); err != nil {
		return fail(err)
	}
	if config, manifest, configDesc, manifestDesc, err = b.renew(m, doc.Document, len(m.Layers), layers); err != nil {
		return fail(err)
	}
	return config, manifest, configDesc, manifestDesc, nil
}

// parse reads both documents, and gives layers that are to go into them the types of
// their format.
func (b Base) parse(layers []LayerInfo) (m oci.Manifest, doc *configDocument, fit []LayerInfo, err error) {
	if err := validateLayers(layers); err != nil {
		return m, nil, nil, err
	}
	if m, err = oci.ParseManifest(b.MediaType, b.Manifest); err != nil {
		return m, nil, nil, err
	}
	if b.MediaType == oci.MediaTypeDockerManifest {
		if layers, err = dockerLayers(layers); err != nil {
			return m, nil, nil, err
		}
	}
	if doc, err = parseConfig(b.Config); err != nil {
		return m, nil, nil, err
	}
	return m, doc, layers, doc.fits(m)
}

// renew encodes a configuration in the place of that of m, b's manifest, and the
// manifest as relist makes it.
func (b Base) renew(m oci.Manifest, doc *oci.Document, keep int, layers []LayerInfo) (config, manifest []byte, configDesc, manifestDesc oci.Descriptor, err error) {
	if config, configDesc, err = oci.Encode(m.Config.MediaType, doc); err == nil {
		manifest, manifestDesc, err = b.relist(configDesc, keep, layers)
	}
	return config, manifest, configDesc, manifestDesc, err
}

// relist is the manifest with another configuration, the first of its layers, and more
// of them.
func (b Base) relist(config oci.Descriptor, keep int, layers []LayerInfo) ([]byte, oci.Descriptor, error) {
	doc, err := oci.ParseDocument(b.Manifest)
	if err != nil {
		return nil, oci.Descriptor{}, err
	}
	var raw json.RawMessage
	if _, err := doc.Get("config", &raw); err != nil {
		return nil, oci.Descriptor{}, err
	}
	desc, err := oci.ParseDocument(raw)
	if err != nil {
		return nil, oci.Descriptor{}, err
	}
	// What was said of where the old one is, or what it is, is not true of the new.
	desc.Delete("urls")
	desc.Delete("data")
	for key, v := range map[string]any{"digest": config.Digest, "size": config.Size} {
		if err := desc.Set(key, v); err != nil {
			return nil, oci.Descriptor{}, err
		}
	}
	if err := doc.Set("config", desc); err != nil {
		return nil, oci.Descriptor{}, err
	}
	var kept []json.RawMessage
	if _, err := doc.Get("layers", &kept); err != nil {
		return nil, oci.Descriptor{}, err
	}
	if err := doc.Set("layers", kept[:keep]); err != nil {
		return nil, oci.Descriptor{}, err
	}
	more := make([]oci.Descriptor, len(layers))
	for i, l := range layers {
		more[i] = l.Descriptor
	}
	if err := oci.AppendTo(doc, "layers", more); err != nil {
		return nil, oci.Descriptor{}, err
	}
	return oci.Encode(b.MediaType, doc)
}

// dockerLayers gives layers the types of Docker's format.
func dockerLayers(layers []LayerInfo) ([]LayerInfo, error) {
	out := make([]LayerInfo, len(layers))
	for i, l := range layers {
		out[i] = l
		switch l.Descriptor.MediaType {
		case oci.MediaTypeLayer:
			out[i].Descriptor.MediaType = dockerLayerPlain
		case oci.MediaTypeLayerGzip:
			out[i].Descriptor.MediaType = dockerLayerGzip
		case dockerLayerPlain, dockerLayerGzip:
		default:
			return nil, content.WithHint(
				fmt.Errorf("layer %s: %w: type %s in a manifest of Docker's format", l.Descriptor.Digest, content.ErrUnsupported, l.Descriptor.MediaType),
				"layers of such an image are plain or gzip: --compress gzip")
		}
	}
	return out, nil
}
