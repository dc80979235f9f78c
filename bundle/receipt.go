package bundle

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// What a receipt may have; a store with more cannot be told of in one.
const (
	maxReceiptHeader    = 4 << 10
	maxReceiptName      = 1 << 10
	maxReceiptNames     = 1 << 22
	maxReceiptObjects   = 1 << 26
	maxReceiptSignature = 64 << 10
)

// receiptMagic is what a receipt begins with; its last character is the version.
const receiptMagic = "DISTRCP1"

// Receipt is how the inventory of a store begins. Names and objects follow, which are
// never all in memory.
type Receipt struct {
	// Store is the id of the store.
	Store string `json:"store"`
	// Site is what the store calls itself, "" for nothing; CheckSite says what it may be.
	Site string `json:"site,omitempty"`
	// Serial grows with every change of the store.
	Serial  int64     `json:"serial"`
	Created time.Time `json:"created"`
	// Names and the objects by algorithm are counted before they come; Size is that of
	// all objects in bytes.
	Names  int64 `json:"names"`
	SHA256 int64 `json:"sha256"`
	SHA512 int64 `json:"sha512,omitempty"`
	Size   int64 `json:"size"`
}

// Objects is how many there are.
func (r Receipt) Objects() int64 { return r.SHA256 + r.SHA512 }

// CheckSite refuses what cannot be a site's name: 1 to 64 letters, digits, dots, hyphens
// and underscores, the first a letter or digit. Errors: ErrInvalid.
func CheckSite(name string) error {
	ok := name != "" && len(name) <= 64 && strings.IndexByte("._-", name[0]) < 0
	for _, c := range []byte(name) {
		ok = ok && ('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("._-", c) >= 0)
	}
	if !ok {
		return fmt.Errorf("site %.80q: %w: want up to 64 letters, digits, dots, hyphens and underscores", name, content.ErrInvalid)
	}
	return nil
}

// check refuses what no receipt says.
func (r Receipt) check() error {
	switch {
	case r.Store == "" || len(r.Store) > maxStoreID:
		return fmt.Errorf("%w: no store has the id %.80q", content.ErrInvalid, r.Store)
	case r.Serial < 0 || r.Size < 0:
		return fmt.Errorf("%w: serial %d, %d bytes", content.ErrInvalid, r.Serial, r.Size)
	case r.Names < 0 || r.Names > maxReceiptNames:
		return fmt.Errorf("%w: %d names, the limit is %d", content.ErrUnsupported, r.Names, maxReceiptNames)
	case min(r.SHA256, r.SHA512) < 0 || max(r.SHA256, r.SHA512) > maxReceiptObjects:
		return fmt.Errorf("%w: %d and %d objects, the limit is %d", content.ErrUnsupported, r.SHA256, r.SHA512, maxReceiptObjects)
	case r.Site != "":
		return CheckSite(r.Site)
	}
	return nil
}

// receiptSection is the objects of one algorithm. They are grouped by their first prefix bytes,
// which are written for none of them: for every prefix in order there is how many have it,
// and the rest of each.
type receiptSection struct {
	alg    byte // as in the raw form
	size   int  // of a hash
	count  int64
	prefix int // bytes
}

// sections are those of a receipt. The more there are, the longer is what a group shares.
func (r Receipt) sections() (all []receiptSection) {
	for _, s := range []receiptSection{{alg: 1, size: 32, count: r.SHA256}, {alg: 2, size: 64, count: r.SHA512}} {
		switch {
		case s.count == 0:
			continue
		case s.count >= 1<<18:
			s.prefix = 2
		case s.count >= 1<<10:
			s.prefix = 1
		}
		all = append(all, s)
	}
	return all
}

// groups is how many prefixes there are.
func (s receiptSection) groups() int { return 1 << (8 * s.prefix) }

// groupOf is the number of the group that a raw digest belongs to.
func (s receiptSection) groupOf(raw []byte) (n int) {
	for _, b := range raw[1 : 1+s.prefix] {
		n = n<<8 | int(b)
	}
	return n
}

// ReceiptWriter writes a receipt: first all names, then all objects, then Finish, and
// Sign for one that is signed. Nothing is held back but a group of objects.
type ReceiptWriter struct {
	w     io.Writer
	sum   receiptSum
	about Receipt

	names int64
	last  string // name, or raw digest

	todo  []receiptSection // the first of them is under way
	group int              // that the objects in held belong to
	held  []byte
	inIt  int64 // objects in held
	had   int64 // objects of the section
}

// NewReceiptWriter begins a receipt. Errors: ErrUnsupported for more than a receipt can
// have; those of w, as from all methods.
func NewReceiptWriter(w io.Writer, about Receipt) (*ReceiptWriter, error) {
	if err := about.check(); err != nil {
		return nil, fmt.Errorf("receipt: %w", err)
	}
	about.Created = about.Created.UTC().Truncate(time.Second)
	header, err := json.Marshal(about)
	if err != nil {
		return nil, err
	}
	rw := &ReceiptWriter{w: w, sum: newReceiptSum(), about: about, todo: about.sections()}
	rw.write(append([]byte(receiptMagic), binary.LittleEndian.AppendUint32(nil, uint32(len(header)))...))
	return rw, rw.write(header)
}

func (w *ReceiptWriter) write(p []byte) error {
	w.sum.Write(p)
	_, err := w.w.Write(p)
	return err
}

// Name adds a name and what it stands for. Names come in the order of their bytes.
func (w *ReceiptWriter) Name(name string, d oci.Digest) error {
	raw, err := oci.RawDigest(d)
	if err != nil {
		return err
	}
	if w.names++; w.names > w.about.Names || name <= w.last || len(name) > maxReceiptName {
		return fmt.Errorf("receipt: %w: name %.80q is too many, too long, or not in order", content.ErrInvalid, name)
	}
	shared := 0
	for shared < min(len(name), len(w.last)) && name[shared] == w.last[shared] {
		shared++
	}
	w.last = name
	p := binary.AppendUvarint(binary.AppendUvarint(nil, uint64(shared)), uint64(len(name)-shared))
	return w.write(append(append(p, name[shared:]...), raw...))
}

// Object adds an object by its digest in the raw form. They come in the order of that.
func (w *ReceiptWriter) Object(raw []byte) error {
	if w.names == w.about.Names && w.had == 0 {
		w.last = ""
	}
	if w.names != w.about.Names || len(w.todo) == 0 || string(raw) <= w.last {
		return fmt.Errorf("receipt: %w: object %x is not in order", content.ErrInvalid, raw)
	}
	s := w.todo[0]
	if raw[0] != s.alg || len(raw) != 1+s.size {
		return fmt.Errorf("receipt: %w: object %x is not in order", content.ErrInvalid, raw)
	}
	if err := w.endGroups(s.groupOf(raw)); err != nil {
		return err
	}
	w.last = string(raw)
	w.held = append(w.held, raw[1+s.prefix:]...)
	w.inIt++
	if w.had++; w.had < s.count {
		return nil
	}
	err := w.endGroups(s.groups())
	w.todo, w.group, w.had = w.todo[1:], 0, 0
	return err
}

// endGroups writes the groups before one.
func (w *ReceiptWriter) endGroups(next int) error {
	for ; w.group < next; w.group++ {
		if err := w.write(binary.AppendUvarint(nil, uint64(w.inIt))); err != nil {
			return err
		}
		if err := w.write(w.held); err != nil {
			return err
		}
		w.held, w.inIt = w.held[:0], 0
	}
	return nil
}

// Finish ends the receipt, and returns the digest by which it is known. Errors:
// ErrInvalid where something that was counted has not come.
func (w *ReceiptWriter) Finish() (oci.Digest, error) {
	if w.names != w.about.Names || len(w.todo) > 0 {
		return "", fmt.Errorf("receipt: %w: names or objects are lacking", content.ErrInvalid)
	}
	d, sum := w.sum.digest()
	_, err := w.w.Write(sum)
	return d, err
}

// Sign adds a signature of what Finish returned, as sign.SignReceipt makes it.
func (w *ReceiptWriter) Sign(signature []byte) error {
	if len(signature) > maxReceiptSignature {
		return tooLarge("signature of a receipt", int64(len(signature)), maxReceiptSignature)
	}
	_, err := w.w.Write(bytes.Join([][]byte{binary.LittleEndian.AppendUint32(nil, uint32(len(signature))), signature}, nil))
	return err
}
