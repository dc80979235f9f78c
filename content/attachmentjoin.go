package content

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"dist.example/oci"
)

// MaxJoined is how many layers an attachment may get by being joined with another.
const MaxJoined = 64

// joined is what becomes of two attachments for one tag.
type joined struct {
	nothingNew bool           // the target's has all layers of the source's
	data       []byte         // the manifest with the layers of both, nil when the source's has them
	desc       oci.Descriptor // the same, described
	configData []byte
	config     oci.Descriptor
}

// joinAttachments joins the attachment that a target has with desc, whose bytes are
// data. A layer is the same where digest and annotations are. Errors: why it cannot
// be done.
func joinAttachments(at tagging, desc oci.Descriptor, data []byte) (joined, error) {
	theirs, err := cosignManifest(at.old, at.data)
	if err != nil {
		return joined{}, err
	}
	ours, err := cosignManifest(desc, data)
	if err != nil {
		return joined{}, err
	}
	missing := without(ours.Layers, theirs.Layers)
	switch {
	case len(missing) == 0:
		return joined{nothingNew: true}, nil
	case len(without(theirs.Layers, ours.Layers)) == 0:
		return joined{}, nil
	case at.suffix == oci.SuffixSBOM:
		return joined{}, fmt.Errorf("%w: an SBOM is one document, and the two differ", ErrUnsupported)
	case len(theirs.Layers)+len(missing) > MaxJoined:
		return joined{}, fmt.Errorf("%w: together they would have more than %d layers", ErrUnsupported, MaxJoined)
	}
	return joinLayers(at.data, append(theirs.Layers, missing...), missing)
}

// cosignManifest reads a manifest that has the form of cosign's attachments: an
// image's, about nothing by itself.
func cosignManifest(desc oci.Descriptor, data []byte) (oci.Manifest, error) {
	m, err := oci.ParseManifest(desc.MediaType, data)
	if err == nil && (desc.MediaType != oci.MediaTypeManifest || m.Subject != nil || m.ArtifactType != "" || m.Config.MediaType != oci.MediaTypeImageConfig) {
		err = ErrUnsupported
	}
	if err != nil {
		return m, fmt.Errorf("%s has not the form of cosign's: %w", desc.Digest, err)
	}
	return m, nil
}

// without are the layers that are not among others.
func without(layers, others []oci.Descriptor) (rest []oci.Descriptor) {
	for _, l := range layers {
		same := func(o oci.Descriptor) bool { return o.Digest == l.Digest && maps.Equal(o.Annotations, l.Annotations) }
		if !slices.ContainsFunc(others, same) && !slices.ContainsFunc(rest, same) {
			rest = append(rest, l)
		}
	}
	return rest
}

// joinLayers adds layers to a manifest, and gives it the configuration for all of
// them. The rest stays as it is.
func joinLayers(data []byte, all, more []oci.Descriptor) (j joined, err error) {
	if j.configData, err = AttachmentConfig(all); err != nil {
		return j, err
	}
	j.config = oci.Describe(oci.MediaTypeImageConfig, j.configData)
	doc, err := oci.ParseDocument(data)
	if err == nil {
		err = oci.AppendTo(doc, "layers", more)
	}
	if err == nil {
		err = doc.Set("config", j.config)
	}
	if err != nil {
		return j, err
	}
	if j.data, j.desc, err = oci.Encode(oci.MediaTypeManifest, doc); err != nil {
		return j, err
	}
	if len(j.data) > oci.MaxManifestSize {
		return j, fmt.Errorf("%w: together they would have more than %d bytes", ErrUnsupported, oci.MaxManifestSize)
	}
	return j, nil
}

// AttachmentConfig is the configuration of an attachment as cosign writes it: that of
// an image whose layers are not compressed. What is joined must have the same.
func AttachmentConfig(layers []oci.Descriptor) ([]byte, error) {
	type history struct {
		Created time.Time `json:"created"`
	}
	type rootFS struct {
		Type    string       `json:"type"`
		DiffIDs []oci.Digest `json:"diff_ids"`
	}
	config := struct {
		Architecture string    `json:"architecture"`
		Created      time.Time `json:"created"`
		History      []history `json:"history"`
		OS           string    `json:"os"`
		RootFS       rootFS    `json:"rootfs"`
		Config       struct{}  `json:"config"`
	}{History: []history{{}}, RootFS: rootFS{Type: "layers"}}
	for _, l := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, l.Digest)
	}
	return json.Marshal(config)
}
