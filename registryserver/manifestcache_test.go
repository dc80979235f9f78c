package registryserver

import (
	"io"
	"testing"

	"dist.example/blobstore/memory"
	"dist.example/content"
	"dist.example/content/contenttest"
	"dist.example/oci"
)

func TestTheManifestCacheIsBounded(t *testing.T) {
	var m manifestCache
	for i := range 40 {
		p := make([]byte, cacheOne)
		p[0] = byte(i)
		m.keep(oci.DigestBytes(p), p)
		m.keep(oci.DigestBytes(p), p)
	}
	if n := len(m.kept) * cacheOne; n != cacheSize || m.size != n {
		t.Errorf("%d bytes are kept, counted as %d, want %d", n, m.size, cacheSize)
	}
	p := make([]byte, cacheOne+1)
	m.keep(oci.DigestBytes(p), p)
	if _, ok := m.kept[oci.DigestBytes(p)]; ok {
		t.Error("one that is too large is kept")
	}
}

func TestTheManifestCacheReadsOnce(t *testing.T) {
	store, p := memory.New(), []byte("{}")
	var m manifestCache
	desc := contenttest.Put(t, store, "", oci.MediaTypeJSON, p)
	for _, from := range []content.Fetcher{store, memory.New()} { // the second one has nothing
		r, err := m.open(t.Context(), from, desc)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || string(got) != string(p) {
			t.Errorf("%q, %v", got, err)
		}
	}
}
