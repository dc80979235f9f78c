package sign

import (
	"encoding/json"
	"fmt"
	"time"

	"dist.example/oci"
)

const (
	annotationContent   = "dev.sigstore.bundle.content"
	annotationPredicate = "dev.sigstore.bundle.predicateType"
)

// Carrier is a manifest that carries signatures, with its configuration.
type Carrier struct {
	Descriptor oci.Descriptor
	Manifest   []byte
	Config     []byte
	ConfigDesc oci.Descriptor
}

// CarryBundle makes the referrer of subject that carries one bundle. It is the same
// for the same time.
func CarryBundle(subject, layer oci.Descriptor, created time.Time) (Carrier, error) {
	c := Carrier{Config: []byte("{}")}
	c.ConfigDesc = oci.Describe(oci.MediaTypeEmpty, c.Config)
	m := oci.Manifest{
		MediaType: oci.MediaTypeManifest, ArtifactType: MediaTypeBundle,
		Config: c.ConfigDesc, Layers: []oci.Descriptor{layer},
		Subject: &oci.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size},
		Annotations: map[string]string{
			"org.opencontainers.image.created": created.UTC().Format(time.RFC3339),
			annotationContent:                  "dsse-envelope",
			annotationPredicate:                predicateSign,
		},
	}
	m.SchemaVersion = 2
	var err error
	c.Manifest, c.Descriptor, err = oci.Encode(oci.MediaTypeManifest, m)
	c.Descriptor.ArtifactType = MediaTypeBundle
	return c, err
}

// CarryPayload makes the manifest that carries one payload, for the tag ALG-HEX.sig.
// Whoever sets the tag joins it with what has the tag already.
func CarryPayload(layer oci.Descriptor) (Carrier, error) {
	const epoch = "0001-01-01T00:00:00Z" // cosign's
	type history struct {
		Created string `json:"created"`
	}
	type rootfs struct {
		Type    string       `json:"type"`
		DiffIDs []oci.Digest `json:"diff_ids"`
	}
	config, err := json.Marshal(struct {
		Architecture string    `json:"architecture"`
		Created      string    `json:"created"`
		History      []history `json:"history"`
		OS           string    `json:"os"`
		RootFS       rootfs    `json:"rootfs"`
		Config       struct{}  `json:"config"`
	}{Created: epoch, History: []history{{epoch}}, RootFS: rootfs{"layers", []oci.Digest{layer.Digest}}})
	if err != nil {
		return Carrier{}, fmt.Errorf("signature's configuration: %w", err)
	}
	c := Carrier{Config: config, ConfigDesc: oci.Describe(oci.MediaTypeImageConfig, config)}
	m := oci.Manifest{MediaType: oci.MediaTypeManifest, Config: c.ConfigDesc, Layers: []oci.Descriptor{layer}}
	m.SchemaVersion = 2
	c.Manifest, c.Descriptor, err = oci.Encode(oci.MediaTypeManifest, m)
	return c, err
}
