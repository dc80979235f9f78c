package bundle

import (
	"context"
	"encoding/json"
	"fmt"

	"dist.example/content"
	"dist.example/layer"
	"dist.example/oci"
)

// dockerManifest makes the manifest.json for root. It refuses (ErrUnsupported) what
// cannot stand in one: anything but an image of one platform, and with strict what
// Docker would not load.
func dockerManifest(ctx context.Context, from fetch, root oci.Descriptor, name oci.Reference, strict bool) ([]byte, error) {
	i, err := newDockerImage(ctx, from, root, name, strict)
	if err != nil {
		return nil, err
	}
	return json.Marshal([]dockerImage{i})
}

// newDockerImage is the entry of manifest.json for root.
func newDockerImage(ctx context.Context, from fetch, root oci.Descriptor, name oci.Reference, strict bool) (dockerImage, error) {
	m, err := onlyImage(ctx, from, root)
	if err != nil {
		return dockerImage{}, err
	}
	if !oci.IsImageConfig(m.Config.MediaType) {
		return dockerImage{}, unloadable("an artifact of type " + oci.ArtifactType(m))
	}
	i := dockerImage{Config: blobName(m.Config.Digest), Layers: []string{}}
	if name.Tag != "" {
		i.RepoTags = []string{name.String()}
	}
	for _, l := range m.Layers {
		c, isTar := layer.Promised(l.MediaType)
		if !isTar || oci.IsNonDistributable(l.MediaType) || (strict && c == layer.Zstd) {
			return dockerImage{}, unloadable("a layer of type " + l.MediaType)
		}
		i.Layers = append(i.Layers, blobName(l.Digest))
	}
	return i, nil
}

// onlyImage is the one image that root is, or that an index has.
func onlyImage(ctx context.Context, from fetch, root oci.Descriptor) (oci.Manifest, error) {
	data, err := content.ReadAll(ctx, from, root, oci.MaxManifestSize)
	if err != nil {
		return oci.Manifest{}, err
	}
	if oci.IsManifest(root.MediaType) {
		return oci.ParseManifest(root.MediaType, data)
	}
	x, err := oci.ParseIndex(root.MediaType, data)
	if err != nil {
		return oci.Manifest{}, err
	}
	var images []oci.Descriptor
	for _, d := range x.Manifests {
		if d.Platform == nil || d.Platform.OS != "unknown" {
			images = append(images, d)
		}
	}
	if len(images) != 1 || !oci.IsManifest(images[0].MediaType) {
		return oci.Manifest{}, content.WithHint(
			fmt.Errorf("%w in Docker's archives: an index of %d images", content.ErrUnsupported, len(images)),
			"choose one with --platform, or write oci-archive:FILE")
	}
	return onlyImage(ctx, from, images[0])
}
