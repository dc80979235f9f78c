package bundle

import (
	"bytes"
	"encoding/json"
	"slices"
	"testing"

	"dist.example/content"
	"dist.example/oci"
)

func TestAboutListIsCompactAndExact(t *testing.T) {
	one, two := oci.DigestBytes([]byte("one")), oci.SHA512.FromBytes([]byte("two"))
	l := AboutList{{Digest: one}, {Digest: two}, {Digest: one, Suffix: oci.SuffixSBOM, Subject: two}, {Digest: two, Suffix: oci.SuffixSignature, Subject: one}}
	data, err := json.Marshal(Base{About: l})
	if err != nil {
		t.Fatal(err)
	}
	var b Base
	if err := json.Unmarshal(data, &b); err != nil || !slices.Equal(b.About, l) {
		t.Errorf("%s became %+v, %v", data, b.About, err)
	}
	if text, _ := (AboutList{{Digest: one}, {Digest: one}, {Digest: one}}).MarshalText(); len(text) != 3*34*4/3 {
		t.Errorf("three digests take %d characters", len(text))
	}
	if data, err = json.Marshal(Base{}); err != nil || bytes.Contains(data, []byte("about")) {
		t.Errorf("nothing is %s, %v", data, err)
	}
}

func FuzzAboutList(f *testing.F) {
	f.Add([]byte("AAE="))
	f.Add([]byte("!"))
	f.Add([]byte("BAE="))
	if text, err := (AboutList{{Digest: oci.DigestBytes(nil)}, {Digest: oci.DigestBytes(nil), Suffix: oci.SuffixSignature, Subject: oci.SHA512.FromBytes(nil)}}).MarshalText(); err == nil {
		f.Add(text)
		f.Add(text[:len(text)-4])
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var l AboutList
		if err := l.UnmarshalText(text); err != nil {
			if !isAny(err, content.ErrInvalid) {
				t.Errorf("%v", err)
			}
			return
		}
		again, err := l.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var other AboutList
		if err := other.UnmarshalText(again); err != nil || !slices.Equal(other, l) {
			t.Errorf("%q became %q: %v", text, again, err)
		}
	})
}
