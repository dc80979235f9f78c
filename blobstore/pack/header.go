package pack

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"time"

	"dist.example/content"
)

// Sizes, in bytes.
const (
	// HeaderSize is the length of a file's header, and so the offset of its first
	// record.
	HeaderSize = 64
	// MaxPackSize is where a store goes on to a new pack. Readers take any size.
	MaxPackSize = 256 << 20
	// SmallBlob is the size up to which every blob goes into a pack.
	SmallBlob = 256 << 10
	// TextBlob is the size up to which JSON and text does if it shrinks.
	TextBlob = 4 << 20
	// MaxRecord bounds the payload of a record and what it decodes to; a header
	// that claims more is damaged.
	MaxRecord = 16 << 20
	// MaxNote bounds a note's JSON.
	MaxNote = 256 << 10
)

const fileMagic = "DISTPK01"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Header says whose a pack is.
type Header struct {
	Store   [16]byte  // uuid of the store
	ID      uint64    // of the pack in that store, never used again
	Created time.Time // in whole seconds, UTC
}

// EncodeHeader returns the HeaderSize bytes that a pack begins with. A time
// before 1970 is written as 1970.
func EncodeHeader(h Header) []byte {
	p := make([]byte, HeaderSize)
	copy(p, fileMagic)
	copy(p[8:], h.Store[:])
	binary.LittleEndian.PutUint64(p[24:], h.ID)
	binary.LittleEndian.PutUint64(p[32:], uint64(max(0, h.Created.Unix())))
	seal(p)
	return p
}

// ReadHeader reads a pack's header. A file that is too short, is no pack or
// whose header is damaged: content.ErrCorrupt. A pack of a later format:
// content.ErrUnsupported.
func ReadHeader(r io.ReaderAt) (Header, error) {
	p := make([]byte, HeaderSize)
	if err := readFull(r, p, 0); err != nil {
		return Header{}, fmt.Errorf("read pack header: %w", err)
	}
	if !sealed(p) || string(p[:6]) != fileMagic[:6] {
		return Header{}, fmt.Errorf("read pack header: %w: not a pack, or damaged", content.ErrCorrupt)
	}
	if string(p[:8]) != fileMagic {
		return Header{}, fmt.Errorf("read pack header: %w: format %q, this program reads %q", content.ErrUnsupported, p[:8], fileMagic)
	}
	created := binary.LittleEndian.Uint64(p[32:])
	if created > math.MaxInt64 || !bytes.Equal(p[40:60], make([]byte, 20)) {
		return Header{}, fmt.Errorf("read pack header: %w: its fields make no sense", content.ErrCorrupt)
	}
	h := Header{ID: binary.LittleEndian.Uint64(p[24:]), Created: time.Unix(int64(created), 0).UTC()}
	copy(h.Store[:], p[8:])
	return h, nil
}

// seal writes the checksum of p into its last four bytes, sealed checks it.
func seal(p []byte) {
	body := len(p) - 4
	binary.LittleEndian.PutUint32(p[body:], crc32.Checksum(p[:body], castagnoli))
}

func sealed(p []byte) bool {
	body := len(p) - 4
	return binary.LittleEndian.Uint32(p[body:]) == crc32.Checksum(p[:body], castagnoli)
}

// readFull fills p from off. A file that ends before is damaged; other errors
// are the disk's and stay what they are.
func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	switch {
	case n == len(p):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return fmt.Errorf("%w: the file ends at %d, before %d", content.ErrCorrupt, off+int64(n), off+int64(len(p)))
	}
	return err
}
