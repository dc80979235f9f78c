package oci

import "testing"

func TestKinds(t *testing.T) {
	t.Parallel()
	empty, bundle := MediaTypeEmpty, "application/vnd.dev.sigstore.bundle.v0.3+json"
	for name, tc := range map[string]struct {
		artifact, config, layer, predicate string
		want                               Kind
	}{
		"an image":                    {"", MediaTypeImageConfig, MediaTypeLayerGzip, "", KindImage},
		"a chart":                     {"", MediaTypeChartConfig, "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "", KindChart},
		"a signature by a tag":        {"", MediaTypeImageConfig, "application/vnd.dev.cosign.simplesigning.v1+json", "", KindSignature},
		"a signature that refers":     {"", "application/vnd.dev.cosign.artifact.sig.v1+json", "application/octet-stream", "", KindSignature},
		"a bundle":                    {bundle, empty, bundle, PredicateSignature, KindSignature},
		"a bundle told by its layer":  {"", empty, bundle, "", KindSignature},
		"a bundle of another kind":    {bundle, empty, bundle, "https://slsa.dev/provenance/v1", KindAttestation},
		"an attestation":              {"", MediaTypeImageConfig, "application/vnd.in-toto+json", "", KindAttestation},
		"a list of contents":          {"application/spdx+json", empty, empty, "", KindSBOM},
		"another":                     {"application/vnd.cyclonedx+json", empty, empty, "", KindSBOM},
		"a thing that nobody knows":   {"application/vnd.example", empty, empty, "", KindArtifact},
		"a predicate of what is none": {"application/vnd.example", empty, empty, "https://slsa.dev/provenance/v1", KindArtifact},
	} {
		m := Manifest{ArtifactType: tc.artifact, Config: Descriptor{MediaType: tc.config}, Layers: []Descriptor{{MediaType: tc.layer}}}
		m.Annotations = map[string]string{AnnotationPredicate: tc.predicate}
		if got := KindOf(m); got != tc.want {
			t.Errorf("%s is %s, want %s", name, got, tc.want)
		}
	}
}
