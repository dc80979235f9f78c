package layer

import (
	"fmt"
	"strings"

	"dist.example/content"
	"dist.example/oci"
)

// onBase is the configuration of an image that is made from another, and the layers
// of that one.
func (o ImageOptions) onBase() (config []byte, desc oci.Descriptor, under []oci.Descriptor, err error) {
	fail := func(err error) ([]byte, oci.Descriptor, []oci.Descriptor, error) {
		return nil, oci.Descriptor{}, nil, fmt.Errorf("base image: %w", err)
	}
	m, err := oci.ParseManifest(o.Base.MediaType, o.Base.Manifest)
	if err != nil {
		return fail(err)
	}
	doc, err := parseConfig(o.Base.Config)
	if err == nil {
		err = doc.fits(m)
	}
	if err != nil {
		return fail(err)
	}
	if err := doc.setPlatform(o.Platform); err != nil {
		return fail(err)
	}
	if !o.Created.IsZero() {
		if err := doc.Set("created", instant(o.Created)); err != nil {
			return fail(err)
		}
	}
	if err := doc.extend(o.Layers, o.Created); err != nil {
		return fail(err)
	}
	if config, desc, err = oci.Encode(oci.MediaTypeImageConfig, doc); err != nil {
		return fail(err)
	}
	for _, l := range m.Layers {
		l.MediaType = ociLayer(l.MediaType)
		under = append(under, l)
	}
	return config, desc, under, nil
}

// fits holds the diff_ids against the layers of the manifest by their number: what
// they are of is known to those who read the layers.
func (d *configDocument) fits(m oci.Manifest) error {
	if len(d.diffIDs) == len(m.Layers) {
		return nil
	}
	return fmt.Errorf("%w: its configuration lists %d diff_ids, its manifest %d layers", content.ErrInvalid, len(d.diffIDs), len(m.Layers))
}

// ociLayer is OCI's type for a layer of Docker's; the bytes are the same.
func ociLayer(mediaType string) string {
	switch mediaType {
	case dockerLayerPlain:
		return oci.MediaTypeLayer
	case dockerLayerGzip:
		return oci.MediaTypeLayerGzip
	case dockerLayerPlain + ".zstd":
		return oci.MediaTypeLayerZstd
	}
	const docker, ours = "application/vnd.docker.image.rootfs.foreign.diff.tar", "application/vnd.oci.image.layer.nondistributable.v1.tar"
	if rest, ok := strings.CutPrefix(mediaType, docker); ok {
		return ours + strings.Replace(rest, ".", "+", 1)
	}
	return mediaType
}
