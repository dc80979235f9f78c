package layer

import (
	"hash"
	"io"

	"dist.example/oci"
	"github.com/klauspost/compress/zstd"
)

// digester is what a digest's algorithm makes: a hash that knows its name.
type digester interface {
	Hash() hash.Hash
	Digest() oci.Digest
}

// sink counts and hashes what goes through to w.
type sink struct {
	w   io.Writer
	sum digester
	n   int64
}

func newSink(w io.Writer) *sink { return &sink{w: w, sum: oci.SHA256.Digester()} }

func (s *sink) Write(p []byte) (int, error) {
	s.sum.Hash().Write(p)
	n, err := s.w.Write(p)
	s.n += int64(n)
	return n, err
}

func (s *sink) digest() oci.Digest { return s.sum.Digest() }

// keep lets a writer be closed that has nothing to close.
type keep struct{ io.Writer }

func (keep) Close() error { return nil }

// NewCompressor compresses to w. Its Close ends the stream and leaves w open. The bytes
// depend on what is written and on nothing else.
func NewCompressor(w io.Writer, c Compression) (io.WriteCloser, error) {
	switch c {
	case Gzip:
		return newGzipWriter(w), nil
	case Zstd:
		return newZstdWriter(w)
	default:
		return keep{w}, nil
	}
}

// zstdWindow is how far back the encoder looks. Four mebibytes pack real trees
// within 0.1 % of what eight do, in 12 MiB of memory.
const zstdWindow = 4 << 20

// newZstdWriter fixes every setting that would otherwise follow the machine. The
// encoder's cutting of the stream into jobs stays off: it is a third faster on
// two cores, but takes 80 to 150 MB, and its bytes depend on the concurrency.
func newZstdWriter(w io.Writer) (io.WriteCloser, error) {
	return zstd.NewWriter(w,
		zstd.WithEncoderLevel(zstd.SpeedDefault),
		zstd.WithWindowSize(zstdWindow),
		zstd.WithEncoderConcurrency(2),
		zstd.WithConcurrentBlocks(false),
		zstd.WithEncoderCRC(true),
	)
}
