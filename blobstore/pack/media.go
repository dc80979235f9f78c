package pack

import (
	"strings"
	"unicode/utf8"

	"dist.example/oci"
)

// mediaHints is frozen: a number once given out keeps its meaning, and new types
// take new numbers. docs/FORMATS.md lists them.
var mediaHints = map[uint32]string{
	1:  oci.MediaTypeOctets,
	2:  oci.MediaTypeJSON,
	3:  "text/plain",
	4:  "application/x-tar",
	5:  "application/gzip",
	6:  "application/zstd",
	16: oci.MediaTypeManifest,
	17: oci.MediaTypeIndex,
	18: oci.MediaTypeImageConfig,
	19: oci.MediaTypeEmpty,
	20: oci.MediaTypeLayer,
	21: oci.MediaTypeLayerGzip,
	22: oci.MediaTypeLayerZstd,
	23: "application/vnd.oci.image.layer.nondistributable.v1.tar",
	24: "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
	25: "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
	32: oci.MediaTypeDockerManifest,
	33: oci.MediaTypeDockerList,
	34: oci.MediaTypeDockerConfig,
	35: oci.MediaTypeDockerLayer,
	36: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
	37: "application/vnd.docker.image.rootfs.diff.tar",
	38: "application/vnd.docker.image.rootfs.diff.tar.zstd",
	39: "application/vnd.docker.plugin.v1+json",
	48: "application/vnd.in-toto+json",
	49: "application/vnd.dsse.envelope.v1+json",
	50: "application/vnd.dev.cosign.simplesigning.v1+json",
	51: "application/vnd.dev.sigstore.bundle.v0.3+json",
	52: "application/spdx+json",
	53: "text/spdx+json",
	54: "application/vnd.cyclonedx+json",
	55: "application/vnd.cncf.helm.config.v1+json",
	56: "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
	57: "application/wasm",
	58: "application/vnd.buildkit.cacheconfig.v0",
}

var hintOf = func() map[string]uint32 {
	m := make(map[string]uint32, len(mediaHints))
	for hint, mediaType := range mediaHints {
		m[mediaType] = hint
	}
	return m
}()

// MediaHint is the number that stands for mediaType in a record's header. 0 and
// false mean that there is none: a note of type NoteMedia has to say it. Of ""
// there is nothing to say: 0 and true.
func MediaHint(mediaType string) (hint uint32, ok bool) {
	if mediaType == "" {
		return 0, true
	}
	hint, ok = hintOf[mediaType]
	return hint, ok
}

// MediaOfHint is the inverse of MediaHint. False means that a note may tell: the
// hint is 0, or one of a later version.
func MediaOfHint(hint uint32) (mediaType string, ok bool) {
	mediaType, ok = mediaHints[hint]
	return mediaType, ok
}

// isCompressed says whether content of mediaType will not shrink any more.
func isCompressed(mediaType string) bool {
	for _, suffix := range []string{"gzip", "zstd", "encrypted", "bzip2", "xz", "+zip", "/zip", "estargz"} {
		if strings.HasSuffix(mediaType, suffix) {
			return true
		}
	}
	kind, rest, _ := strings.Cut(mediaType, "/")
	return kind == "video" || kind == "audio" || kind == "image" && !strings.HasSuffix(rest, "+xml")
}

// isText says whether content of mediaType, beginning with head, is JSON or text.
func isText(mediaType string, head []byte) bool {
	kind, rest, _ := strings.Cut(mediaType, "/")
	switch {
	case isCompressed(mediaType):
		return false
	case kind == "text", strings.HasSuffix(rest, "json"), strings.HasSuffix(rest, "xml"), strings.HasSuffix(rest, "yaml"):
		return true
	case mediaType == "", mediaType == oci.MediaTypeOctets:
		return looksText(head)
	}
	return false
}

// looksText says whether head is UTF-8 without control characters. A character
// that the end of head cuts in two does not count against it.
func looksText(head []byte) bool {
	for i := 0; i < len(head); {
		r, n := utf8.DecodeRune(head[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			return !utf8.FullRune(head[i:])
		case r < ' ' && r != '\n' && r != '\r' && r != '\t' && r != '\f':
			return false
		}
		i += n
	}
	return len(head) > 0
}
