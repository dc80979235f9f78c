package pack

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"

	"dist.example/content"
)

// maxWindow bounds the window of the frames written here, and the memory that a
// frame may ask for when it is read.
const maxWindow = 4 << 20

// decoder serves everybody: DecodeAll is safe for concurrent use and keeps at
// most one block's state for each processor. A frame cannot write past the
// capacity it is given, whatever it claims.
var decoder = sync.OnceValue(func() *zstd.Decoder {
	dec, err := zstd.NewReader(
		nil,
		zstd.WithDecoderConcurrency(0),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(MaxRecord),
		zstd.WithDecoderMaxWindow(2*maxWindow),
		zstd.WithDecodeAllCapLimit(true),
	)
	if err != nil {
		panic(err) // only options that contradict each other do that
	}
	return dec
})

// payloads are the buffers that compressed payloads are read into.
var payloads = sync.Pool{New: func() any { return new([]byte) }}

// ReadBlob reads, decodes and verifies the content of a record of any kind: what
// it returns has the size and the digest that loc says. Only Codec, Digest,
// RawSize, StoredSize and Offset of loc count; the header in the file is not
// read again. Anything that does not fit is content.ErrCorrupt, a codec or flag
// of a later version content.ErrUnsupported; a disk's error stays what it is.
// It is safe for concurrent use, and the result is the caller's.
func ReadBlob(r io.ReaderAt, loc Record) ([]byte, error) {
	p, err := readPayload(r, loc)
	if err != nil {
		return nil, fmt.Errorf("read %s at %d: %w", loc.Digest, loc.Offset, err)
	}
	return p, nil
}

func readPayload(r io.ReaderAt, loc Record) ([]byte, error) {
	want, alg, err := rawSum(loc.Digest)
	if err == nil {
		err = readable(loc)
	}
	if err != nil {
		return nil, err
	}
	p, err := decode(r, loc)
	if err != nil {
		return nil, err
	}
	if got := hashOf(alg, p); !bytes.Equal(got.bytes(), want.bytes()) {
		return nil, fmt.Errorf("%w: the bytes hash to %s", content.ErrCorrupt, printDigest(loc.Digest.Algorithm(), got.bytes()))
	}
	return p, nil
}

// readable checks that loc asks for nothing unknown, unbounded or senseless.
func readable(loc Record) error {
	switch {
	case loc.RawSize < 0 || loc.StoredSize < 0 || loc.Offset < 0,
		loc.RawSize > MaxRecord || loc.StoredSize > MaxRecord,
		loc.Codec == CodecRaw && loc.RawSize != loc.StoredSize:
		return fmt.Errorf("%w: a record of %d bytes, stored as %d", content.ErrCorrupt, loc.RawSize, loc.StoredSize)
	case loc.Codec > CodecZstd || loc.Flags != 0:
		return fmt.Errorf("%w: codec %d, flags %#x", content.ErrUnsupported, loc.Codec, loc.Flags)
	}
	return nil
}

func decode(r io.ReaderAt, loc Record) ([]byte, error) {
	if loc.Codec == CodecRaw {
		p := make([]byte, loc.RawSize)
		return p, readFull(r, p, loc.PayloadOffset())
	}
	buf := payloads.Get().(*[]byte)
	defer payloads.Put(buf)
	*buf = grow((*buf)[:0], int(loc.StoredSize))
	if err := readFull(r, *buf, loc.PayloadOffset()); err != nil {
		return nil, err
	}
	p, err := decoder().DecodeAll(*buf, make([]byte, 0, loc.RawSize))
	if err != nil {
		return nil, fmt.Errorf("%w: decompress: %w", content.ErrCorrupt, err)
	}
	if int64(len(p)) != loc.RawSize {
		return nil, fmt.Errorf("%w: %d bytes in place of %d", content.ErrCorrupt, len(p), loc.RawSize)
	}
	return p, nil
}

func hashOf(alg byte, p []byte) (h rawHash) {
	if alg == algSHA512 {
		h.sum, h.n = sha512.Sum512(p), sha512.Size
		return h
	}
	sum := sha256.Sum256(p)
	h.n = copy(h.sum[:], sum[:])
	return h
}
