package pages

import (
	"cmp"
	"strings"

	"dist.example/oci"
)

// kind is what a manifest is, in a word for people.
type kind string

const (
	kindImage       kind = "image"
	kindIndex       kind = "index"
	kindChart       kind = "chart"
	kindSignature   kind = "signature"
	kindSBOM        kind = "SBOM"
	kindAttestation kind = "attestation"
	kindArtifact    kind = "artifact"
)

// chartConfig is the type of a Helm chart's configuration.
const chartConfig = "application/vnd.cncf.helm.config.v1+json"

// types are media types and what content of them is, by their beginnings. The list
// is of what tools of today write.
var types = []struct {
	prefix string
	kind   kind
}{
	{chartConfig, kindChart},
	{"application/vnd.cncf.helm.chart", kindChart},
	{"application/vnd.dev.cosign.artifact.sig.", kindSignature},
	{"application/vnd.dev.cosign.simplesigning.", kindSignature},
	{"application/vnd.dev.sigstore.bundle", kindSignature},
	{"application/vnd.cncf.notary.signature", kindSignature},
	{"application/spdx", kindSBOM},
	{"text/spdx", kindSBOM},
	{"application/vnd.cyclonedx", kindSBOM},
	{"application/vnd.syft", kindSBOM},
	{"application/vnd.dev.cosign.artifact.sbom.", kindSBOM},
	{"application/vnd.in-toto", kindAttestation},
	{"application/vnd.dsse.envelope", kindAttestation},
	{"application/vnd.dev.cosign.artifact.att.", kindAttestation},
}

// ofType is the kind that a media or artifact type stands for, "" when it is none
// of those known.
func ofType(mediaType string) kind {
	for _, t := range types {
		if strings.HasPrefix(mediaType, t.prefix) {
			return t.kind
		}
	}
	return ""
}

// kindOf tells by the types of a manifest and its blobs what it is.
func kindOf(m oci.Manifest) kind {
	if k := ofType(oci.ArtifactType(m)); k != "" {
		return k
	}
	for _, l := range m.Layers {
		if k := ofType(l.MediaType); k != "" && k != kindChart {
			return k
		}
	}
	if oci.IsImageConfig(m.Config.MediaType) {
		return kindImage
	}
	return kindArtifact
}

// isAttestation says whether an index lists d as a statement about another of its
// manifests, as BuildKit does.
func isAttestation(d oci.Descriptor) bool {
	return d.Annotations["vnd.docker.reference.type"] == "attestation-manifest" ||
		(d.Platform != nil && d.Platform.OS == "unknown" && d.Platform.Architecture == "unknown")
}

// suffixes are the ends of tags that tools give to what is about a digest, where a
// registry has no list of referrers.
var suffixes = []struct {
	end  string
	kind kind
}{{".sig", kindSignature}, {".att", kindAttestation}, {".sbom", kindSBOM}}

// aboutTag is the beginning of such tags.
func aboutTag(d oci.Digest) string {
	return d.Algorithm().String() + "-" + d.Encoded()
}

// tally counts things by their kind, as "2 signatures, 1 SBOM".
func tally(kinds []kind) string {
	n := map[kind]int{}
	for _, k := range kinds {
		n[k]++
	}
	var words []string
	for _, k := range []kind{kindSignature, kindSBOM, kindAttestation, kindChart, kindImage, kindIndex, kindArtifact} {
		if n[k] > 0 {
			words = append(words, count(n[k], string(k)))
		}
	}
	return strings.Join(words, ", ")
}

// word is k where it begins a sentence or a cell.
func (k kind) word() string {
	return cmp.Or(map[kind]string{
		kindImage: "Image", kindIndex: "Index", kindChart: "Chart", kindSignature: "Signature",
		kindAttestation: "Attestation", kindArtifact: "Artifact",
	}[k], string(k))
}

// platforms are those that an index lists, each manifest once, attestations left out.
func (d *document) platforms() []child {
	var all []child
	seen := map[oci.Digest]bool{}
	for _, c := range d.children {
		if !c.attestation && !seen[c.Digest] {
			all = append(all, c)
		}
		seen[c.Digest] = true
	}
	return all
}
