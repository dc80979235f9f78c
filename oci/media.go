package oci

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Media types of image-spec 1.1.1 and of Docker's image manifest, version 2.
const (
	MediaTypeManifest       = v1.MediaTypeImageManifest
	MediaTypeIndex          = v1.MediaTypeImageIndex
	MediaTypeImageConfig    = v1.MediaTypeImageConfig
	MediaTypeEmpty          = v1.MediaTypeEmptyJSON
	MediaTypeLayer          = v1.MediaTypeImageLayer
	MediaTypeLayerGzip      = v1.MediaTypeImageLayerGzip
	MediaTypeLayerZstd      = v1.MediaTypeImageLayerZstd
	MediaTypeOctets         = "application/octet-stream"
	MediaTypeJSON           = "application/json"
	MediaTypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	MediaTypeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	MediaTypeDockerConfig   = "application/vnd.docker.container.image.v1+json"
	MediaTypeDockerLayer    = "application/vnd.docker.image.rootfs.diff.tar.gzip"

	mediaTypeDockerSchema1       = "application/vnd.docker.distribution.manifest.v1+json"
	mediaTypeDockerSchema1Signed = "application/vnd.docker.distribution.manifest.v1+prettyjws"
)

// shortNames are the words that `put -t` takes in place of a media type.
var shortNames = map[string]string{
	"layer":           MediaTypeLayer,
	"layer+gzip":      MediaTypeLayerGzip,
	"layer+zstd":      MediaTypeLayerZstd,
	"config":          MediaTypeImageConfig,
	"image":           MediaTypeManifest,
	"manifest":        MediaTypeManifest,
	"index":           MediaTypeIndex,
	"empty":           MediaTypeEmpty,
	"json":            MediaTypeJSON,
	"text":            "text/plain",
	"tar":             "application/x-tar",
	"blob":            MediaTypeOctets,
	"docker-manifest": MediaTypeDockerManifest,
	"docker-list":     MediaTypeDockerList,
	"docker-config":   MediaTypeDockerConfig,
	"docker-layer":    MediaTypeDockerLayer,

	"helm":                MediaTypeChart,
	"helm-prov":           MediaTypeChartProvenance,
	"helm-config":         MediaTypeChartConfig,
	"model-weight":        MediaTypeModelWeight,
	"model-weight-config": MediaTypeModelWeightConfig,
	"model-doc":           MediaTypeModelDoc,
	"model-code":          MediaTypeModelCode,
	"model-dataset":       MediaTypeModelDataset,
	"model-config":        MediaTypeModelConfig,
}

// ShortNames are the words that ParseMediaType takes for a media type, in order.
func ShortNames() []string { return slices.Sorted(maps.Keys(shortNames)) }

// isMediaType says whether s is type/subtype without parameters (RFC 6838,
// section 4.2).
func isMediaType(s string) bool {
	t, sub, ok := strings.Cut(s, "/")
	return ok && isRestrictedName(t) && isRestrictedName(sub)
}

// isRestrictedName checks a type or subtype: up to 127 of a few characters, the
// first a letter or digit. Written out, since every process would pay for
// compiling the pattern.
func isRestrictedName(s string) bool {
	if s == "" || len(s) > 127 || strings.IndexByte("!#$&^_.+-", s[0]) >= 0 {
		return false
	}
	for _, c := range []byte(s) {
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && strings.IndexByte("!#$&^_.+-", c) < 0 {
			return false
		}
	}
	return true
}

// ParseMediaType takes a short name (layer, config, image, index, json …) or
// any media type of RFC 6838's grammar, without parameters, and returns the
// media type.
func ParseMediaType(s string) (string, error) {
	if t, ok := shortNames[s]; ok {
		return t, nil
	}
	if isMediaType(s) {
		return s, nil
	}
	if !strings.Contains(s, "/") {
		return "", fmt.Errorf("type %q: %w: neither a media type nor one of %s", s, ErrInvalid,
			strings.Join(ShortNames(), ", "))
	}
	return "", fmt.Errorf("media type %q: %w: want type/subtype (RFC 6838)", s, ErrInvalid)
}

// IsManifest says whether mediaType is an image manifest, in OCI's or Docker's
// spelling.
func IsManifest(mediaType string) bool {
	return mediaType == MediaTypeManifest || mediaType == MediaTypeDockerManifest
}

// IsIndex says whether mediaType is an index or a Docker manifest list.
func IsIndex(mediaType string) bool {
	return mediaType == MediaTypeIndex || mediaType == MediaTypeDockerList
}

// HasSuccessors says whether content of mediaType refers to other content, that
// is, whether it is a manifest or an index.
func HasSuccessors(mediaType string) bool { return IsManifest(mediaType) || IsIndex(mediaType) }

// IsImageConfig says whether mediaType is an image's configuration; a manifest
// whose config is anything else is an artifact.
func IsImageConfig(mediaType string) bool {
	return mediaType == MediaTypeImageConfig || mediaType == MediaTypeDockerConfig
}

// IsNonDistributable says whether mediaType is that of a layer which registries
// need not hold (image-spec, layer.md; Docker's foreign layers).
func IsNonDistributable(mediaType string) bool {
	return strings.HasPrefix(mediaType, "application/vnd.oci.image.layer.nondistributable.v1.tar") ||
		strings.HasPrefix(mediaType, "application/vnd.docker.image.rootfs.foreign.diff.tar")
}

// imageLayers are the types that may stand in the layers of an image: file
// systems, and the attestations and signatures that build tools hang in
// manifests with an image's configuration.
var imageLayers = map[string]bool{
	MediaTypeLayer:       true,
	MediaTypeLayerGzip:   true,
	MediaTypeLayerZstd:   true,
	MediaTypeDockerLayer: true,
	"application/vnd.docker.image.rootfs.diff.tar":              true,
	"application/vnd.docker.image.rootfs.diff.tar.zstd":         true,
	"application/vnd.in-toto+json":                              true,
	"application/vnd.dev.cosign.simplesigning.v1+json":          true,
	"application/vnd.dsse.envelope.v1+json":                     true,
	"application/vnd.dev.sigstore.bundle.v0.3+json":             true,
	"application/vnd.buildkit.cacheconfig.v0":                   true,
	"application/vnd.oci.image.layer.v1.tar+gzip+encrypted":     true,
	"application/vnd.oci.image.layer.v1.tar+encrypted":          true,
	"application/vnd.oci.image.layer.v1.tar+zstd+encrypted":     true,
	"application/vnd.oci.image.layer.v1.erofs":                  true,
	"application/vnd.docker.plugin.v1+json":                     true,
	"application/vnd.docker.image.rootfs.diff.tar.gzip+estargz": true,
}

// IsImageLayer says whether mediaType may stand among the layers of a manifest
// whose configuration is an image's.
func IsImageLayer(mediaType string) bool {
	return imageLayers[mediaType] || IsNonDistributable(mediaType)
}
