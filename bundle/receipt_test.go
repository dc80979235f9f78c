package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/iotest"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// saidIn is what a receipt says, all of it in memory.
type saidIn struct {
	about Receipt
	names []string
	of    []oci.Digest
	raws  []string
	seal  ReceiptSeal
}

func readTold(data []byte) (t saidIn, err error) {
	t.seal, err = ReadReceipt(iotest.OneByteReader(bytes.NewReader(data)), ReceiptVisitor{
		Begin: func(r Receipt) error { t.about = r; return nil },
		Name: func(name string, d oci.Digest) error {
			t.names, t.of = append(t.names, name), append(t.of, d)
			return nil
		},
		Object: func(raw []byte) error { t.raws = append(t.raws, string(raw)); return nil },
	})
	return t, err
}

// writeTold writes it again.
func writeTold(t saidIn) ([]byte, error) {
	var b bytes.Buffer
	w, err := NewReceiptWriter(&b, t.about)
	if err != nil {
		return nil, err
	}
	for i, name := range t.names {
		err = errors.Join(err, w.Name(name, t.of[i]))
	}
	for _, raw := range t.raws {
		err = errors.Join(err, w.Object([]byte(raw)))
	}
	if _, ferr := w.Finish(); ferr != nil {
		err = errors.Join(err, ferr)
	}
	if t.seal.Signature != nil {
		err = errors.Join(err, w.Sign(t.seal.Signature))
	}
	return b.Bytes(), err
}

// someReceipt tells of so many objects of each algorithm, and of as many names up to a hundred.
func someReceipt(sha256, sha512 int) saidIn {
	t := saidIn{about: Receipt{Store: "u", Site: "plant-1", Serial: 7, Created: time.Unix(1_700_000_000, 0).UTC(), Size: 12}}
	for i := range sha256 + sha512 {
		text := fmt.Appendf(nil, "%d", i)
		d := oci.DigestBytes(text)
		if i >= sha256 {
			d = oci.SHA512.FromBytes(text)
		}
		raw, err := oci.RawDigest(d)
		if err != nil {
			panic(err)
		}
		if t.raws = append(t.raws, string(raw)); i < 100 {
			t.names, t.of = append(t.names, fmt.Sprintf("registry.example/team/app:v%03d", i)), append(t.of, d)
		}
	}
	slices.Sort(t.raws)
	t.about.Names, t.about.SHA256, t.about.SHA512 = int64(len(t.names)), int64(sha256), int64(sha512)
	return t
}

func TestReceiptsSayWhatWasWritten(t *testing.T) {
	for _, n := range [][2]int{{0, 0}, {1, 0}, {0, 1}, {3, 2}, {1023, 5}, {1024, 0}, {5000, 1024}} {
		want := someReceipt(n[0], n[1])
		for _, signature := range [][]byte{nil, []byte("signature")} {
			want.seal.Signature = signature
			data, err := writeTold(want)
			if err != nil {
				t.Fatal(err)
			}
			got, err := readTold(data)
			if err != nil {
				t.Fatalf("%v: %v", n, err)
			}
			if got.about != want.about || !slices.Equal(got.names, want.names) || !slices.Equal(got.of, want.of) || !slices.Equal(got.raws, want.raws) {
				t.Errorf("%v: it says something else", n)
			}
			if !bytes.Equal(got.seal.Signature, signature) || got.seal.Digest == "" {
				t.Errorf("%v: sealed by %+v", n, got.seal)
			}
		}
	}
}

// What a million objects take is little more than what their hashes have in them: the
// first two bytes of each are known by its place.
func TestReceiptsAreSmall(t *testing.T) {
	many := someReceipt(1<<18, 0)
	many.names, many.of, many.about.Names = nil, nil, 0
	data, err := writeTold(many)
	if err != nil {
		t.Fatal(err)
	}
	if each := float64(len(data)) / (1 << 18); each > 30.3 {
		t.Errorf("%.2f bytes an object", each)
	}
	got, err := readTold(data)
	if err != nil || !slices.Equal(got.raws, many.raws) {
		t.Errorf("it is read otherwise: %v", err)
	}
}

func TestReceiptsAreWrittenInOrder(t *testing.T) {
	some := someReceipt(3, 1)
	for what, spoil := range map[string]func(*saidIn){
		"names fall":          func(r *saidIn) { slices.Reverse(r.names) },
		"a name too many":     func(r *saidIn) { r.about.Names-- },
		"a name is lacking":   func(r *saidIn) { r.about.Names++ },
		"objects fall":        func(r *saidIn) { slices.Reverse(r.raws) },
		"an object twice":     func(r *saidIn) { r.raws[1] = r.raws[0] },
		"an object too many":  func(r *saidIn) { r.about.SHA256-- },
		"an object lacks":     func(r *saidIn) { r.about.SHA512++ },
		"too many are said":   func(r *saidIn) { r.about.SHA256 = 1 << 40 },
		"the store has no id": func(r *saidIn) { r.about.Store = "" },
		"a site with a blank": func(r *saidIn) { r.about.Site = "a b" },
	} {
		r := some
		r.names, r.raws = slices.Clone(some.names), slices.Clone(some.raws)
		spoil(&r)
		if _, err := writeTold(r); !errors.Is(err, content.ErrInvalid) && !errors.Is(err, content.ErrUnsupported) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Whatever is changed in a receipt, or cut off, is noticed.
func TestReceiptsAreWholeOrRefused(t *testing.T) {
	some := someReceipt(20, 2)
	some.seal.Signature = []byte("signature")
	data, err := writeTold(some)
	if err != nil {
		t.Fatal(err)
	}
	unsigned := len(data) - len("signature") - 4
	for n := range data {
		_, err := readTold(data[:n])
		if n == unsigned {
			if err != nil {
				t.Errorf("without its signature: %v", err)
			}
			continue
		}
		if !errors.Is(err, content.ErrCorrupt) && !(n < 8 && errors.Is(err, content.ErrInvalid)) {
			t.Errorf("of %d bytes: %v", n, err)
		}
	}
	for i := range unsigned {
		flipped := slices.Clone(data)
		flipped[i] ^= 0x10
		if _, err := readTold(flipped); err == nil {
			t.Errorf("byte %d is another", i)
		}
	}
	if _, err := readTold(append(slices.Clone(data), 0)); !errors.Is(err, content.ErrCorrupt) {
		t.Errorf("with a byte more: %v", err)
	}
	newer := slices.Clone(data)
	newer[7] = '2'
	if _, err := readTold(newer); !errors.Is(err, content.ErrUnsupported) {
		t.Errorf("of a newer version: %v", err)
	}
}

func TestReceiptVisitorsEndTheReading(t *testing.T) {
	data, err := writeTold(someReceipt(3, 0))
	if err != nil {
		t.Fatal(err)
	}
	enough := errors.New("enough")
	good := ReceiptVisitor{
		Begin: func(Receipt) error { return nil }, Name: func(string, oci.Digest) error { return nil }, Object: func([]byte) error { return nil },
	}
	for _, spoil := range []func(*ReceiptVisitor){
		func(v *ReceiptVisitor) { v.Begin = func(Receipt) error { return enough } },
		func(v *ReceiptVisitor) { v.Name = func(string, oci.Digest) error { return enough } },
		func(v *ReceiptVisitor) { v.Object = func([]byte) error { return enough } },
	} {
		v := good
		spoil(&v)
		if _, err := ReadReceipt(bytes.NewReader(data), v); !errors.Is(err, enough) {
			t.Error(err)
		}
	}
}

// Whatever is read as a receipt is written again as it was.
func FuzzReceipt(f *testing.F) {
	for _, n := range [][2]int{{0, 0}, {3, 2}, {1100, 0}} {
		some := someReceipt(n[0], n[1])
		some.seal.Signature = []byte("s")
		data, err := writeTold(some)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data[8:len(data)-37], true)
		f.Add(data, false)
	}
	f.Fuzz(func(t *testing.T, data []byte, seal bool) {
		if seal { // else nothing but what was added has the right sum
			sum := newReceiptSum()
			data = append([]byte(receiptMagic), data...)
			sum.Write(data)
			_, p := sum.digest()
			data = append(data, p...)
		}
		got, err := readTold(data)
		if err != nil {
			return
		}
		again, err := writeTold(got)
		if err != nil {
			t.Fatalf("%+v: %v", got.about, err)
		}
		if more, err := readTold(again); err != nil || more.about != got.about || !slices.Equal(more.raws, got.raws) || !slices.Equal(more.names, got.names) {
			t.Fatalf("it reads otherwise: %v", err)
		}
	})
}
