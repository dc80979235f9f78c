package oci

import "strings"

// Media types of artifacts that others have conventions for: charts of Helm, and
// models as CNCF's ModelPack has them.
const (
	MediaTypeChart           = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
	MediaTypeChartProvenance = "application/vnd.cncf.helm.chart.provenance.v1.prov"
	MediaTypeChartConfig     = "application/vnd.cncf.helm.config.v1+json"

	ArtifactTypeModel          = modelPrefix + "manifest.v1+json"
	MediaTypeModelConfig       = modelPrefix + "config.v1+json"
	MediaTypeModelWeight       = modelPrefix + "weight.v1" + modelRaw
	MediaTypeModelWeightConfig = modelPrefix + "weight.config.v1" + modelRaw
	MediaTypeModelDoc          = modelPrefix + "doc.v1" + modelRaw
	MediaTypeModelCode         = modelPrefix + "code.v1" + modelRaw
	MediaTypeModelDataset      = modelPrefix + "dataset.v1" + modelRaw

	// AnnotationModelPath is the path of a part of a model.
	AnnotationModelPath = "org.cncf.model.filepath"

	modelPrefix = "application/vnd.cncf.model."
	modelRaw    = ".raw"
)

// IsModelPart says whether mediaType is that of a part of a model: weights, what
// configures them, documents, code, data.
func IsModelPart(mediaType string) bool {
	return strings.HasPrefix(mediaType, modelPrefix) && mediaType != MediaTypeModelConfig && mediaType != ArtifactTypeModel
}

// ModelFolder is the type of a part of a model that is the tar of a folder in gzip,
// given the type that it has as one file. Any other type is the same.
func ModelFolder(mediaType string) string {
	if kind, ok := strings.CutSuffix(mediaType, modelRaw); ok && IsModelPart(mediaType) {
		return kind + ".tar+gzip"
	}
	return mediaType
}
