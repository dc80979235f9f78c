package bundle

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"io"

	"dist.example/layer"
)

// wrapping is a compression that whole archives come in.
type wrapping struct {
	magic, name string
	decoder     func(*bufio.Reader) (io.Reader, func(), error)
}

const (
	zstdMagic = "\x28\xb5\x2f\xfd"
	// zstdSkippable follows the first byte, 0x50 to 0x5f, of a frame that a decoder passes
	// over (RFC 8878, section 3.1.2): pzstd and others begin files with one.
	zstdSkippable = "\x2a\x4d\x18"
)

// wrappings are those that are read.
func wrappings() []wrapping {
	return []wrapping{
		{"\x1f\x8b", "gzip", layer.Gzip.Decoder()},
		{zstdMagic, "zstd", layer.Zstd.Decoder()},
		{xzMagic, "xz", func(r *bufio.Reader) (io.Reader, func(), error) { return newXzReader(r), nil, nil }},
		{"BZh", "bzip2", func(r *bufio.Reader) (io.Reader, func(), error) { return bzip2.NewReader(r), nil, nil }},
	}
}

// wrapped finds the compression of a whole archive by its first bytes.
func wrapped(head []byte) (wrapping, bool) {
	for _, w := range wrappings() {
		if bytes.HasPrefix(head, []byte(w.magic)) {
			return w, true
		}
	}
	if len(head) >= 4 && head[0]&0xf0 == 0x50 && string(head[1:4]) == zstdSkippable {
		return wrapped([]byte(zstdMagic))
	}
	return wrapping{}, false
}

// unwrap gives the plain bytes of an archive that may be compressed as a whole. What that
// may come to is held to the caps of package layer, and the memory that it takes too: 128
// MiB for the window of zstd or the dictionary of xz. Closing what it returns leaves r open.
//
// The reader's errors: ErrCorrupt for a stream that is damaged or ends early,
// ErrUnsupported for one that exceeds a cap. Those of r come back unchanged.
func unwrap(r *bufio.Reader) (io.ReadCloser, error) {
	head, err := r.Peek(len(xzMagic))
	if err != nil && len(head) == 0 && err != io.EOF {
		return nil, err
	}
	w, ok := wrapped(head)
	if !ok {
		return io.NopCloser(r), nil
	}
	return layer.Capped(r, "archive", w.name, w.decoder)
}
