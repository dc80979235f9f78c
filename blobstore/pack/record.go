package pack

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"dist.example/content"
	"dist.example/oci"
)

// Kind says what a record holds. The set is open.
type Kind uint8

// The kinds given out.
const (
	KindBlob Kind = 1
	KindNote Kind = 2
)

// Codec says how a payload is stored. The set is open.
type Codec uint8

// The codecs given out.
const (
	CodecRaw  Codec = 0
	CodecZstd Codec = 1 // one or more frames of RFC 8878, no dictionary
)

// The algorithm bytes, the same as in oci.RawDigest.
const (
	algSHA256 = 1
	algSHA512 = 2
)

const (
	recordMagic  = "\xd1PKR"
	headerSHA256 = 64
	headerSHA512 = 96
	digestOffset = 24
	maxHeader    = headerSHA512
	minRecord    = headerSHA256
)

// Record is what a record's header says, and where it is. To read a payload,
// Codec, Digest, RawSize, StoredSize and Offset are enough: the catalog can make
// one from its row.
type Record struct {
	Kind       Kind
	Codec      Codec
	Flags      uint8
	Digest     oci.Digest // of the content, that is, of the decoded payload
	MediaHint  uint32     // see MediaOfHint, 0 where it says nothing
	RawSize    int64      // of the content
	StoredSize int64      // of the payload
	Offset     int64      // of the header in its file
}

// HeaderLen is the length of the record's header.
func (r Record) HeaderLen() int64 {
	if strings.HasPrefix(string(r.Digest), "sha512:") {
		return headerSHA512
	}
	return headerSHA256
}

// Len is the length of the whole record.
func (r Record) Len() int64 { return r.HeaderLen() + r.StoredSize }

// PayloadOffset is where the payload begins in the file.
func (r Record) PayloadOffset() int64 { return r.Offset + r.HeaderLen() }

// End is where the next record begins.
func (r Record) End() int64 { return r.Offset + r.Len() }

// appendHeader appends r's header. The digest must be well formed.
func (r Record) appendHeader(dst []byte) ([]byte, error) {
	sum, alg, err := rawSum(r.Digest)
	if err != nil {
		return dst, err
	}
	at := len(dst)
	dst = append(dst, recordMagic...)
	dst = append(dst, byte(r.Kind), alg, byte(r.Codec), r.Flags)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.RawSize))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.StoredSize))
	dst = append(dst, sum.bytes()...)
	dst = binary.LittleEndian.AppendUint32(dst, r.MediaHint)
	dst = append(dst, 0, 0, 0, 0)
	seal(dst[at:])
	return dst, nil
}

// ReadRecord reads the header at off and nothing of the payload. A header that
// is damaged, cut off, or not there: content.ErrCorrupt. A kind, codec or flag
// that this version does not know is no error here.
func ReadRecord(r io.ReaderAt, off int64) (Record, error) {
	p := make([]byte, maxHeader)
	n, err := r.ReadAt(p, off)
	rec, ok := parseRecord(p[:n], off)
	switch {
	case ok:
		return rec, nil
	case err == nil || errors.Is(err, io.EOF):
		err = fmt.Errorf("%w: no sound record header", content.ErrCorrupt)
	}
	return Record{}, fmt.Errorf("read record at %d: %w", off, err)
}

// parseRecord parses the header that p begins with, and says whether it is one:
// magic, checksum, algorithm and sizes have to be right. p may be longer.
func parseRecord(p []byte, off int64) (Record, bool) {
	if len(p) < minRecord || string(p[:4]) != recordMagic {
		return Record{}, false
	}
	size, alg := headerSHA256, oci.SHA256
	switch p[5] {
	case algSHA256:
	case algSHA512:
		size, alg = headerSHA512, oci.SHA512
	default:
		return Record{}, false
	}
	if len(p) < size || !sealed(p[:size]) {
		return Record{}, false
	}
	raw, stored := binary.LittleEndian.Uint64(p[8:]), binary.LittleEndian.Uint64(p[16:])
	codec := Codec(p[6])
	if raw > MaxRecord || stored > MaxRecord || codec == CodecRaw && raw != stored {
		return Record{}, false
	}
	return Record{
		Kind:       Kind(p[4]),
		Codec:      codec,
		Flags:      p[7],
		Digest:     printDigest(alg, p[digestOffset:size-8]),
		MediaHint:  binary.LittleEndian.Uint32(p[size-8:]),
		RawSize:    int64(raw),
		StoredSize: int64(stored),
		Offset:     off,
	}, true
}

// rawHash is the hash of a digest, without allocating.
type rawHash struct {
	sum [64]byte
	n   int
}

func (h *rawHash) bytes() []byte { return h.sum[:h.n] }

// rawSum takes a digest apart, into its hash and the byte for its algorithm.
func rawSum(d oci.Digest) (h rawHash, alg byte, err error) {
	const prefix = len("sha256:") // as long as that of sha512
	switch {
	case len(d) == prefix+64 && d[:prefix] == "sha256:":
		alg, h.n = algSHA256, 32
	case len(d) == prefix+128 && d[:prefix] == "sha512:":
		alg, h.n = algSHA512, 64
	default:
		return h, 0, fmt.Errorf("digest %q: %w", string(d), content.ErrInvalid)
	}
	for i := range h.n {
		hi, lo := nibble(d[prefix+2*i]), nibble(d[prefix+2*i+1])
		if hi > 15 || lo > 15 {
			return h, 0, fmt.Errorf("digest %q: %w", string(d), content.ErrInvalid)
		}
		h.sum[i] = hi<<4 | lo
	}
	return h, alg, nil
}

// nibble is the value of a lower-case hex digit, or more than 15.
func nibble(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}

func printDigest(alg oci.Algorithm, sum []byte) oci.Digest {
	var buf [len("sha512:") + 128]byte
	p := append(buf[:0], alg...)
	p = append(p, ':')
	return oci.Digest(hex.AppendEncode(p, sum))
}
