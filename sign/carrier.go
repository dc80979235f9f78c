package sign

import (
	"fmt"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

const annotationContent = "dev.sigstore.bundle.content"

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
			oci.AnnotationPredicate:            oci.PredicateSignature,
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
	config, err := content.AttachmentConfig([]oci.Descriptor{layer})
	if err != nil {
		return Carrier{}, fmt.Errorf("signature's configuration: %w", err)
	}
	c := Carrier{Config: config, ConfigDesc: oci.Describe(oci.MediaTypeImageConfig, config)}
	m := oci.Manifest{MediaType: oci.MediaTypeManifest, Config: c.ConfigDesc, Layers: []oci.Descriptor{layer}}
	m.SchemaVersion = 2
	c.Manifest, c.Descriptor, err = oci.Encode(oci.MediaTypeManifest, m)
	return c, err
}
