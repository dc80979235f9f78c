package pack

import (
	"crypto/sha256"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"

	"dist.example/content"
	"dist.example/oci"
)

// When the encoder does without zstd.
const (
	minCompress = 256      // below it the frame's own bytes eat the gain
	probeSize   = 64 << 10 // what does not shrink up to here is taken not to shrink at all
	minSaving   = 6        // per cent
)

// Encoder appends records to buffers and chooses their codec. It is not for
// concurrent use. It holds some hundred KiB from the first zstd on: take it with
// NewEncoder, give it back with Release.
type Encoder struct {
	zstd  *zstd.Encoder
	probe []byte
}

var encoders = sync.Pool{New: func() any { return new(Encoder) }}

// NewEncoder takes an encoder, if there is one from the pool.
func NewEncoder() *Encoder { return encoders.Get().(*Encoder) }

// Release gives the encoder back. It must not be used afterwards.
func (e *Encoder) Release() { encoders.Put(e) }

// AppendBlob appends a record with content p to dst. The caller has hashed p: d
// is its digest and is not checked. The record is raw where p is short, is
// compressed or encrypted already by its media type, or saves less than 6 %,
// else zstd. Record.Offset counts from the beginning of dst.
//
// On an error, for a malformed digest (content.ErrInvalid) or more than
// MaxRecord (content.ErrUnsupported), dst comes back as it was.
func (e *Encoder) AppendBlob(dst []byte, d oci.Digest, mediaType string, p []byte) ([]byte, Record, error) {
	if len(p) > MaxRecord {
		return dst, Record{}, fmt.Errorf("pack %s: %w: %d bytes, a record holds %d", d, content.ErrUnsupported, len(p), MaxRecord)
	}
	hint, _ := MediaHint(mediaType)
	rec := Record{Kind: KindBlob, Digest: d, MediaHint: hint, RawSize: int64(len(p)), Offset: int64(len(dst))}
	at := len(dst)
	if e.worthwhile(mediaType, p) {
		// The header's place is kept, the payload goes right behind it.
		payload := at + int(rec.HeaderLen())
		out := e.encode(grow(dst, payload), p)
		if stored := len(out) - payload; saves(stored, len(p)) {
			rec.Codec, rec.StoredSize = CodecZstd, int64(stored)
			if _, err := rec.appendHeader(out[:at]); err != nil {
				return dst, Record{}, err
			}
			return out, rec, nil
		}
		dst = out[:at]
	}
	rec.Codec, rec.StoredSize = CodecRaw, int64(len(p))
	out, err := rec.appendHeader(dst)
	if err != nil {
		return dst, Record{}, err
	}
	return append(out, p...), rec, nil
}

// AppendNote appends a note, always raw. Record.Digest is the sha256 of its
// JSON. A note that ReadNote would refuse: content.ErrInvalid, and dst comes
// back as it was.
func (e *Encoder) AppendNote(dst []byte, n Note) ([]byte, Record, error) {
	p, err := EncodeNote(n)
	if err != nil {
		return dst, Record{}, err
	}
	sum := sha256.Sum256(p)
	rec := Record{
		Kind: KindNote, Codec: CodecRaw, Digest: printDigest(oci.SHA256, sum[:]),
		RawSize: int64(len(p)), StoredSize: int64(len(p)), Offset: int64(len(dst)),
	}
	out, err := rec.appendHeader(dst)
	if err != nil {
		return dst, Record{}, err
	}
	return append(out, p...), rec, nil
}

// Belongs says whether a blob goes into a pack: it is small, or it is JSON or
// text of up to TextBlob whose beginning shrinks. head is the content's
// beginning, 64 KiB of it or all; it does not matter for small blobs. Where the
// media type says nothing, head tells whether it is text. A size that is not
// known (-1) belongs nowhere.
func Belongs(mediaType string, size int64, head []byte) bool {
	switch {
	case size < 0 || size > TextBlob:
		return false
	case size <= SmallBlob:
		return true
	}
	head = head[:min(len(head), probeSize)]
	if len(head) < minCompress || !isText(mediaType, head) {
		return false
	}
	e := NewEncoder()
	defer e.Release()
	return e.shrinks(head)
}

// worthwhile says whether compressing p is worth the try.
func (e *Encoder) worthwhile(mediaType string, p []byte) bool {
	if len(p) < minCompress || isCompressed(mediaType) {
		return false
	}
	return len(p) <= probeSize || e.shrinks(p[:probeSize])
}

func (e *Encoder) shrinks(p []byte) bool {
	e.probe = e.encode(e.probe[:0], p)
	return saves(len(e.probe), len(p))
}

func saves(stored, raw int) bool { return stored <= raw-(raw*minSaving+99)/100 }

func (e *Encoder) encode(dst, p []byte) []byte {
	if e.zstd == nil {
		e.zstd = newZstdEncoder()
	}
	return e.zstd.EncodeAll(p, dst)
}

// newZstdEncoder makes an encoder for whole buffers. The digest makes a frame's
// own checksum needless.
func newZstdEncoder() *zstd.Encoder {
	enc, err := zstd.NewWriter(
		nil,
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(1),
		zstd.WithLowerEncoderMem(true),
		zstd.WithWindowSize(maxWindow),
		zstd.WithEncoderCRC(false),
	)
	if err != nil {
		panic(err) // only options that contradict each other do that
	}
	return enc
}

// grow makes dst n long; what is new holds anything.
func grow(dst []byte, n int) []byte {
	if n <= cap(dst) {
		return dst[:n]
	}
	out := make([]byte, n, max(n, 2*cap(dst)))
	copy(out, dst)
	return out
}
