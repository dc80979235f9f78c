package oci

import v1 "github.com/opencontainers/image-spec/specs-go/v1"

// Descriptor says what content is and where to find it: media type, digest and
// size, perhaps a platform and annotations (image-spec, descriptor.md).
type Descriptor = v1.Descriptor

// Manifest is an image manifest, or an artifact's (image-spec, manifest.md).
type Manifest = v1.Manifest

// Index lists manifests, one for each platform as a rule (image-spec,
// image-index.md).
type Index = v1.Index

// Image is an image's configuration (image-spec, config.md).
type Image = v1.Image

// ImageConfig is the part of Image that says how to run it.
type ImageConfig = v1.ImageConfig

// RootFS lists the diff_ids of an image's layers.
type RootFS = v1.RootFS

// History is one step of an image's making.
type History = v1.History

// Annotation keys of image-spec, annotations.md.
const (
	AnnotationTitle   = v1.AnnotationTitle
	AnnotationCreated = v1.AnnotationCreated
	AnnotationRefName = v1.AnnotationRefName
	AnnotationVersion = v1.AnnotationVersion
	// What an image was made from: its reference, and the digest of its manifest.
	AnnotationBaseName   = v1.AnnotationBaseImageName
	AnnotationBaseDigest = v1.AnnotationBaseImageDigest
)

// ArtifactType is what kind of artifact m is: its artifactType or, where that is
// missing, the type of its configuration (image-spec, manifest.md). It is "" for an
// image.
func ArtifactType(m Manifest) string {
	if m.ArtifactType != "" || IsImageConfig(m.Config.MediaType) {
		return m.ArtifactType
	}
	return m.Config.MediaType
}
