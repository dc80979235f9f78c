package bundle

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"dist.example/content"
	"dist.example/oci"
)

// ReceiptVisitor is told what a receipt says, while it is read. An error of its ends the
// reading. What it was told counts only once ReadReceipt has returned without an error.
type ReceiptVisitor struct {
	Begin  func(Receipt) error
	Name   func(name string, d oci.Digest) error // in order
	Object func(raw []byte) error                // digest in the raw form, in order; only valid during the call
}

// ReceiptSeal is how a receipt ends.
type ReceiptSeal struct {
	// Digest is that by which the receipt is known.
	Digest oci.Digest
	// Signature is that of the digest, nil for none. Nobody has judged it.
	Signature []byte
}

// ReadReceipt reads a receipt, in little memory whatever it has. Errors: ErrInvalid for
// what is none, ErrUnsupported for one of a newer version or with more than can be read,
// ErrCorrupt for one that is damaged or cut off; those of r and of the visitor.
func ReadReceipt(r io.Reader, v ReceiptVisitor) (seal ReceiptSeal, err error) {
	rr := &receiptReader{r: bufio.NewReaderSize(r, 64<<10), sum: newReceiptSum()}
	about, err := rr.begin()
	if err == nil {
		err = v.Begin(about)
	}
	if err == nil {
		err = rr.names(about.Names, v.Name)
	}
	for _, s := range about.sections() {
		if err == nil {
			err = rr.objects(s, v.Object)
		}
	}
	if err == nil {
		seal, err = rr.end()
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("%w: it is cut off", content.ErrCorrupt)
	}
	if err != nil {
		return ReceiptSeal{}, fmt.Errorf("receipt: %w", err)
	}
	return seal, nil
}

// receiptReader hashes what it reads.
type receiptReader struct {
	r   *bufio.Reader
	sum receiptSum
}

func (r *receiptReader) full(p []byte) error {
	_, err := io.ReadFull(r.r, p)
	r.sum.Write(p)
	return err
}

// ReadByte implements io.ByteReader.
func (r *receiptReader) ReadByte() (byte, error) {
	b, err := r.r.ReadByte()
	if err == nil {
		r.sum.Write([]byte{b})
	}
	return b, err
}

// number reads one of at most limit.
func (r *receiptReader) number(what string, limit int64) (int64, error) {
	n, err := binary.ReadUvarint(r)
	if err == nil && n > uint64(limit) {
		err = fmt.Errorf("%w: %s is %d, which cannot be", content.ErrCorrupt, what, n)
	}
	return int64(n), err
}

func (r *receiptReader) begin() (about Receipt, err error) {
	head := make([]byte, len(receiptMagic)+4)
	had, err := io.ReadFull(r.r, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return about, err
	}
	r.sum.Write(head)
	switch last := len(receiptMagic) - 1; {
	case had <= last || string(head[:last]) != receiptMagic[:last]:
		return about, content.WithHint(fmt.Errorf("%w: it does not begin as one", content.ErrInvalid), "`dist site receipt -o FILE` writes one at the receiver")
	case head[last] != receiptMagic[last]:
		return about, fmt.Errorf("%w: version %q, and only %q is read", content.ErrUnsupported, head[last], receiptMagic[last])
	}
	if err != nil {
		return about, err
	}
	n := binary.LittleEndian.Uint32(head[len(receiptMagic):])
	if n > maxReceiptHeader {
		return about, fmt.Errorf("%w: a header of %d bytes", content.ErrCorrupt, n)
	}
	header := make([]byte, n)
	if err := r.full(header); err != nil {
		return about, err
	}
	if err := parseOnce(header, &about); err != nil {
		return about, err
	}
	if err := about.check(); err != nil {
		return about, err
	}
	if again, err := json.Marshal(about); err != nil || !bytes.Equal(again, header) {
		return about, fmt.Errorf("%w: its header is not as one is written", content.ErrCorrupt)
	}
	return about, nil
}

func (r *receiptReader) names(n int64, fn func(string, oci.Digest) error) error {
	last := ""
	for range n {
		shared, err := r.number("a name's beginning", int64(len(last)))
		if err != nil {
			return err
		}
		rest, err := r.number("a name's length", maxReceiptName-shared)
		if err != nil {
			return err
		}
		p := make([]byte, rest)
		if err := r.full(p); err != nil {
			return err
		}
		name := last[:shared] + string(p)
		ref, err := oci.ParseReference(name)
		if err != nil || ref.String() != name || name <= last {
			return fmt.Errorf("%w: %.80q is no name, or not in order", content.ErrCorrupt, name)
		}
		d, err := r.digest()
		if err != nil {
			return err
		}
		if err := fn(name, d); err != nil {
			return err
		}
		last = name
	}
	return nil
}

// digest reads one in the raw form.
func (r *receiptReader) digest() (oci.Digest, error) {
	alg, err := r.ReadByte()
	if err != nil {
		return "", err
	}
	raw := make([]byte, 33)
	if alg == 2 {
		raw = make([]byte, 65)
	}
	raw[0] = alg
	if err := r.full(raw[1:]); err != nil {
		return "", err
	}
	d, err := oci.DigestFromRaw(raw)
	if err != nil {
		err = fmt.Errorf("%w: a digest of algorithm %d", content.ErrCorrupt, alg)
	}
	return d, err
}

// objectsAtOnce are how many objects are read in one piece.
const objectsAtOnce = 512

func (r *receiptReader) objects(s receiptSection, fn func([]byte) error) error {
	var (
		left = s.count
		rest = s.size - s.prefix
		buf  = make([]byte, objectsAtOnce*rest)
		raw  = make([]byte, 1+s.size)
	)
	raw[0] = s.alg
	for group := range s.groups() {
		n, err := r.number("a group", left)
		if err != nil {
			return err
		}
		left -= n
		for i := range s.prefix {
			raw[1+i] = byte(group >> (8 * (s.prefix - 1 - i)))
		}
		for first := true; n > 0; {
			some := buf[:min(n, objectsAtOnce)*int64(rest)]
			if err := r.full(some); err != nil {
				return err
			}
			n -= int64(len(some) / rest)
			for ; len(some) > 0; some = some[rest:] {
				if !first && bytes.Compare(raw[1+s.prefix:], some[:rest]) >= 0 {
					return fmt.Errorf("%w: its objects are not in order", content.ErrCorrupt)
				}
				first = false
				copy(raw[1+s.prefix:], some)
				if err := fn(raw); err != nil {
					return err
				}
			}
		}
	}
	if left != 0 {
		return fmt.Errorf("%w: %d objects are lacking", content.ErrCorrupt, left)
	}
	return nil
}

// end reads what stands behind the objects.
func (r *receiptReader) end() (seal ReceiptSeal, err error) {
	d, sum := r.sum.digest()
	said := make([]byte, len(sum))
	if _, err := io.ReadFull(r.r, said); err != nil {
		return seal, err
	}
	if !bytes.Equal(said, sum) {
		return seal, fmt.Errorf("%w: it hashes to %s, and says sha256:%x", content.ErrCorrupt, d, said)
	}
	seal.Digest = d
	var length [4]byte
	switch _, err := io.ReadFull(r.r, length[:]); {
	case err == io.EOF:
		return seal, nil
	case err != nil:
		return seal, err
	}
	n := binary.LittleEndian.Uint32(length[:])
	if n == 0 || n > maxReceiptSignature {
		return seal, fmt.Errorf("%w: a signature of %d bytes", content.ErrCorrupt, n)
	}
	seal.Signature = make([]byte, n)
	if _, err := io.ReadFull(r.r, seal.Signature); err != nil {
		return seal, err
	}
	if _, err := r.r.ReadByte(); err != io.EOF {
		return seal, fmt.Errorf("%w: something stands behind its signature", content.ErrCorrupt)
	}
	return seal, nil
}

// receiptSum is a sha256 in the making.
type receiptSum struct{ hash.Hash }

func newReceiptSum() receiptSum { return receiptSum{sha256.New()} }

func (h receiptSum) digest() (oci.Digest, []byte) {
	sum := h.Sum(nil)
	return oci.NewDigest(oci.SHA256, h.Hash), sum
}
