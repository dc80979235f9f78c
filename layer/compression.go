package layer

import (
	"bytes"
	"fmt"
	"strings"

	"dist.example/content"
	"dist.example/oci"
)

// Compression is how a layer's tar is compressed.
type Compression int

// The compressions that OCI layers have.
const (
	None Compression = iota
	Gzip
	Zstd
)

// ParseCompression reads the word of a flag: none, gzip or zstd.
func ParseCompression(s string) (Compression, error) {
	for _, c := range []Compression{None, Gzip, Zstd} {
		if s == c.String() {
			return c, nil
		}
	}
	return None, fmt.Errorf("compression %q: %w: want gzip, zstd or none", s, content.ErrInvalid)
}

// String is the word that ParseCompression takes.
func (c Compression) String() string {
	switch c {
	case None:
		return "none"
	case Gzip:
		return "gzip"
	case Zstd:
		return "zstd"
	}
	return fmt.Sprintf("compression(%d)", int(c))
}

// MediaType is that of an OCI layer compressed with c.
func (c Compression) MediaType() string {
	switch c {
	case Gzip:
		return oci.MediaTypeLayerGzip
	case Zstd:
		return oci.MediaTypeLayerZstd
	default:
		return oci.MediaTypeLayer
	}
}

// magic numbers of what a file may begin with.
var (
	magicGzip  = []byte{0x1f, 0x8b, 0x08}
	magicZstd  = []byte{0x28, 0xb5, 0x2f, 0xfd}
	magicSkip  = []byte{0x2a, 0x4d, 0x18} // after a byte 0x50 to 0x5f: a zstd frame to be skipped
	magicXz    = []byte{0xfd, '7', 'z', 'X', 'Z', 0}
	magicBzip2 = []byte("BZh")
)

// Detect tells the compression from the first bytes of a layer; four are
// enough. What is neither gzip nor zstd is None, be it a tar or not.
func Detect(head []byte) Compression {
	switch {
	case bytes.HasPrefix(head, magicGzip):
		return Gzip
	case bytes.HasPrefix(head, magicZstd):
		return Zstd
	case len(head) >= 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:4], magicSkip):
		return Zstd
	}
	return None
}

// foreign names a compression that files come in but layers may not.
func foreign(head []byte) string {
	switch {
	case bytes.HasPrefix(head, magicXz):
		return "xz"
	case bytes.HasPrefix(head, magicBzip2):
		return "bzip2"
	}
	return ""
}

// Promised is the compression that a media type promises; the second value is
// false for types that promise none, such as application/octet-stream.
func Promised(mediaType string) (Compression, bool) {
	switch {
	case strings.HasSuffix(mediaType, "+gzip"), strings.HasSuffix(mediaType, ".gzip"), strings.HasSuffix(mediaType, "+estargz"):
		return Gzip, true
	case strings.HasSuffix(mediaType, "+zstd"), strings.HasSuffix(mediaType, ".zstd"):
		return Zstd, true
	case strings.HasSuffix(mediaType, ".tar"), strings.HasSuffix(mediaType, "/x-tar"):
		return None, true
	}
	return None, false
}
