package pages

import (
	"cmp"
	"strings"

	"dist.example/oci"
)

// kind is what a manifest is, in a word for people.
type kind oci.Kind

const (
	kindImage       = kind(oci.KindImage)
	kindIndex       = kind(oci.KindIndex)
	kindChart       = kind(oci.KindChart)
	kindSignature   = kind(oci.KindSignature)
	kindSBOM        = kind(oci.KindSBOM)
	kindAttestation = kind(oci.KindAttestation)
	kindArtifact    = kind(oci.KindArtifact)
)

// chartConfig is the type of a Helm chart's configuration.
const chartConfig = oci.MediaTypeChartConfig

func ofType(mediaType string) kind { return kind(oci.KindOfType(mediaType)) }

func kindOf(m oci.Manifest) kind { return kind(oci.KindOf(m)) }

// isAttestation says whether an index lists d as a statement about another of its
// manifests, as BuildKit does.
func isAttestation(d oci.Descriptor) bool {
	return d.Annotations["vnd.docker.reference.type"] == "attestation-manifest" ||
		oci.IsAttestation(d)
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
