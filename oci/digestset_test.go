package oci

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
)

func TestDigestSetHasWhatWasAdded(t *testing.T) {
	var (
		set  DigestSet
		raws [][]byte
		in   []Digest
	)
	for i := range 1000 {
		text := fmt.Appendf(nil, "%d", i)
		d := DigestBytes(text)
		if i%3 == 0 {
			d = SHA512.FromBytes(text)
		}
		raw, err := RawDigest(d)
		if err != nil {
			t.Fatal(err)
		}
		raws, in = append(raws, raw), append(in, d)
	}
	slices.SortFunc(raws, bytes.Compare)
	for _, raw := range raws {
		if err := set.AppendRaw(raw); err != nil {
			t.Fatal(err)
		}
	}
	if set.Len() != 1000 {
		t.Errorf("%d digests", set.Len())
	}
	var all [][]byte
	for raw := range set.Raws() {
		all = append(all, raw)
	}
	if !slices.EqualFunc(all, raws, bytes.Equal) || set.Count(SHA512) != 334 || set.Count(SHA256) != 666 {
		t.Errorf("it yields %d digests, %d of sha512", len(all), set.Count(SHA512))
	}
	for raw := range set.Raws() {
		if !bytes.Equal(raw, raws[0]) {
			t.Errorf("it does not begin with the first")
		}
		break
	}
	for _, d := range in {
		if !set.Has(d) {
			t.Errorf("%s is not there", d)
		}
	}
	for _, d := range []Digest{"", DigestBytes([]byte("other")), SHA512.FromBytes([]byte("1"))} {
		if set.Has(d) {
			t.Errorf("%q is there", d)
		}
	}
}

func TestDigestSetRefusesDisorder(t *testing.T) {
	raw := func(b byte) []byte { return append([]byte{1}, bytes.Repeat([]byte{b}, 32)...) }
	for name, block := range map[string][]byte{
		"equal":     slices.Concat(raw(5), raw(5)),
		"falling":   slices.Concat(raw(6), raw(5)),
		"before":    raw(4),
		"again":     raw(0x40),
		"short":     raw(9)[:32],
		"algorithm": append([]byte{3}, raw(9)[1:]...),
		"mixed":     slices.Concat(raw(0x50), append([]byte{2}, raw(0x51)[1:]...)),
	} {
		var set DigestSet
		if err := set.AppendRaw(raw(0x40)); err != nil {
			t.Fatal(err)
		}
		if err := set.AppendRaw(block); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
