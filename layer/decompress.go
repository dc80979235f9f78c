package layer

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"dist.example/content"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// What decompression is held to.
const (
	// MaxPlainSize bounds a layer's tar, in bytes.
	MaxPlainSize = 1 << 40
	// MaxRatio bounds a tar's size over its compressed size, once it is larger than
	// RatioFloor. gzip cannot exceed 1032; zstd can make anything of nothing.
	MaxRatio = 2048
	// RatioFloor is the size, in bytes, up to which the ratio is not looked at:
	// files of zeros are no attack.
	RatioFloor = 1 << 30
	// MaxWindow bounds a zstd frame's window, in bytes: it is what the zstd tool
	// accepts without being asked for more, and the memory that a frame can claim.
	MaxWindow = 128 << 20
)

// limits are the caps, as values so that tests need no terabytes.
type limits struct{ size, ratio, floor int64 }

func defaultLimits() limits { return limits{MaxPlainSize, MaxRatio, RatioFloor} }

// Decompress returns the plain bytes of r, which is compressed with c, under the
// caps of this package. Closing the reader releases what decompression holds and
// leaves r open; r has been read to its end when the reader reports io.EOF.
//
// The reader's errors: ErrCorrupt for a stream that is damaged or ends early,
// ErrUnsupported for one that exceeds a cap. Those of r come back unchanged.
func Decompress(r io.Reader, c Compression) (io.ReadCloser, error) {
	return decompress(r, c, defaultLimits())
}

func decompress(r io.Reader, c Compression, l limits) (io.ReadCloser, error) {
	return capped(r, "layer", c.String(), l, c.decoder)
}

// Capped is Decompress for something else than a layer, which messages call what, in a
// form that decoder reads. What decoder returns may be nil to release nothing. Errors:
// those of Decompress's reader; any other of a decoder is ErrCorrupt.
func Capped(r io.Reader, what, form string, decoder func(*bufio.Reader) (io.Reader, func(), error)) (io.ReadCloser, error) {
	return capped(r, what, form, defaultLimits(), decoder)
}

func capped(r io.Reader, what, form string, l limits, decoder func(*bufio.Reader) (io.Reader, func(), error)) (io.ReadCloser, error) {
	d := &decompressor{in: &source{r: r}, what: what, form: form, limits: l}
	// The decoders read in small steps where they are not given a bufio.Reader.
	out, release, err := decoder(bufio.NewReaderSize(d.in, 64<<10))
	if err == io.EOF { // not even a header is there
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, d.class(err)
	}
	d.out, d.release = out, release
	return d, nil
}

// decoder begins to read what is compressed with c. It may hold memory, and be reading
// ahead, until it is released.
func (c Compression) decoder(r *bufio.Reader) (io.Reader, func(), error) {
	switch c {
	case Gzip:
		zr, err := gzip.NewReader(r)
		if err != nil {
			return nil, nil, err
		}
		return zr, func() { _ = zr.Close() }, nil
	case Zstd:
		zr, err := zstd.NewReader(r,
			zstd.WithDecoderMaxWindow(MaxWindow), zstd.WithDecoderLowmem(true), zstd.WithDecoderConcurrency(2))
		if err != nil {
			return nil, nil, err
		}
		return zr, zr.Close, nil
	}
	return r, nil, nil
}

// Decoder is Compression's for Capped.
func (c Compression) Decoder() func(*bufio.Reader) (io.Reader, func(), error) { return c.decoder }

// source counts what is read and keeps its own error apart from a decoder's. A
// decoder may read it from a goroutine of its own.
type source struct {
	r   io.Reader
	n   atomic.Int64
	err atomic.Pointer[error]
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.n.Add(int64(n))
	if err != nil && !errors.Is(err, io.EOF) {
		s.err.CompareAndSwap(nil, &err)
	}
	return n, err
}

// failure is the first error of the source other than its end.
func (s *source) failure() error {
	if err := s.err.Load(); err != nil {
		return *err
	}
	return nil
}

type decompressor struct {
	in      *source
	out     io.Reader
	what    string // messages call it that
	form    string
	limits  limits
	release func()
	n       int64
	err     error
}

func (d *decompressor) Read(p []byte) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	n, err := d.out.Read(p)
	d.n += int64(n)
	if err == nil {
		err = d.check()
	}
	d.err = d.class(err)
	return n, d.err
}

// check holds the plain bytes so far to the caps.
func (d *decompressor) check() error {
	if d.n > d.limits.size {
		return fmt.Errorf("%s: %w: its tar is larger than %d bytes", d.what, content.ErrUnsupported, d.limits.size)
	}
	if in := d.in.n.Load(); d.n > d.limits.floor && d.n/d.limits.ratio > in {
		return fmt.Errorf("%s: %w: %d bytes expand to more than %d times their size", d.what, content.ErrUnsupported, in, d.limits.ratio)
	}
	return nil
}

// class tells trouble of the source from trouble of the stream.
func (d *decompressor) class(err error) error {
	switch {
	case err == nil, errors.Is(err, content.ErrUnsupported):
		return err
	case d.in.failure() != nil:
		return d.in.failure()
	case err == io.EOF: // a wrapped one is not the end
		return err
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return fmt.Errorf("%s: %w: its zstd window is larger than %d bytes", d.what, content.ErrUnsupported, MaxWindow)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fmt.Errorf("%s: %w: the %s stream ends early", d.what, content.ErrCorrupt, d.form)
	}
	return fmt.Errorf("%s: %w: %s stream: %v", d.what, content.ErrCorrupt, d.form, err)
}

// Close is idempotent.
func (d *decompressor) Close() error {
	if d.release != nil {
		d.release()
		d.release = nil
	}
	if d.err == nil {
		d.err = fmt.Errorf("%s: read after close", d.what)
	}
	return nil
}
