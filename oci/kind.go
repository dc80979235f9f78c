package oci

import "strings"

// Kind is what a manifest is, in a word for people.
type Kind string

// The kinds. All that nobody knows better is an artifact.
const (
	KindImage       Kind = "image"
	KindIndex       Kind = "index"
	KindChart       Kind = "chart"
	KindSignature   Kind = "signature"
	KindSBOM        Kind = "SBOM"
	KindAttestation Kind = "attestation"
	KindArtifact    Kind = "artifact"
)

const (
	// MediaTypeBundles begins the types of sigstore's bundles, whatever their version.
	MediaTypeBundles = "application/vnd.dev.sigstore.bundle"
	// AnnotationPredicate is where a manifest with a bundle of sigstore's says what kind
	// of statement that makes.
	AnnotationPredicate = "dev.sigstore.bundle.predicateType"
	// PredicateSignature is that of cosign's signatures.
	PredicateSignature = "https://sigstore.dev/cosign/sign/v1"
)

// KindOfType is the kind that a media or artifact type stands for, by its beginning; ""
// when it is none of those known, which are what tools of today write.
func KindOfType(mediaType string) Kind {
	for _, t := range []struct {
		prefix string
		kind   Kind
	}{
		{MediaTypeChartConfig, KindChart},
		{"application/vnd.cncf.helm.chart", KindChart},
		{"application/vnd.dev.cosign.artifact.sig.", KindSignature},
		{"application/vnd.dev.cosign.simplesigning.", KindSignature},
		{MediaTypeBundles, KindSignature},
		{"application/vnd.cncf.notary.signature", KindSignature},
		{"application/spdx", KindSBOM},
		{"text/spdx", KindSBOM},
		{"application/vnd.cyclonedx", KindSBOM},
		{"application/vnd.syft", KindSBOM},
		{"application/vnd.dev.cosign.artifact.sbom.", KindSBOM},
		{"application/vnd.in-toto", KindAttestation},
		{"application/vnd.dsse.envelope", KindAttestation},
		{"application/vnd.dev.cosign.artifact.att.", KindAttestation},
	} {
		if strings.HasPrefix(mediaType, t.prefix) {
			return t.kind
		}
	}
	return ""
}

// KindOf tells by the types of a manifest and its blobs what it is. A bundle of
// sigstore's is a signature or, where its manifest names another predicate, an
// attestation.
func KindOf(m Manifest) Kind {
	kind := KindOfType(ArtifactType(m))
	for _, l := range m.Layers {
		if k := KindOfType(l.MediaType); kind == "" && k != KindChart {
			kind = k
		}
	}
	predicate := m.Annotations[AnnotationPredicate]
	switch {
	case kind == KindSignature && predicate != "" && predicate != PredicateSignature:
		return KindAttestation
	case kind != "":
		return kind
	case IsImageConfig(m.Config.MediaType):
		return KindImage
	}
	return KindArtifact
}
