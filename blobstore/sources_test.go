package blobstore_test

import (
	"slices"
	"testing"
	"time"

	"dist.example/blobstore"
	"dist.example/oci"
)

// keep puts an image into the store.
func keep(t *testing.T, s *blobstore.Store, im image) {
	t.Helper()
	ses := begin(t, s, blobstore.SessionOptions{Keep: time.Hour})
	im.put(t, ses)
	must(t, ses.Commit(t.Context()))
}

func TestSourcesOfAGraphAreAdded(t *testing.T) {
	s := open(t, empty(t))
	im := newImage(t, []byte("one"), noise(1, 400_000))
	keep(t, s, im)
	ctx := t.Context()
	for range 2 {
		if err := s.AddSources(ctx, "r.example/a", im.manifest().Digest, oci.DigestBytes([]byte("never seen"))); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []oci.Digest{im.manifest().Digest, oci.DigestBytes([]byte("one")), oci.DigestBytes(noise(1, 400_000))} {
		if got, err := s.Sources(ctx, d); err != nil || !slices.Equal(got, []string{"r.example/a"}) {
			t.Errorf("%s is at %v, %v", d, got, err)
		}
	}
}

func TestLooksAreRemembered(t *testing.T) {
	s := open(t, empty(t))
	im := newImage(t, []byte("one"))
	keep(t, s, im)
	root := im.manifest()
	ctx := t.Context()
	if at, err := s.Looked(ctx, root.Digest, "r.example/a"); err != nil || !at.IsZero() {
		t.Errorf("before any look: %v, %v", at, err)
	}
	before := time.Now().Add(-time.Second)
	if err := s.NoteLooks(ctx, "r.example/a", root.Digest); err != nil {
		t.Fatal(err)
	}
	if at, err := s.Looked(ctx, root.Digest, "r.example/a"); err != nil || at.Before(before) {
		t.Errorf("after it: %v, %v", at, err)
	}
	if at, err := s.Looked(ctx, root.Digest, "r.example/b"); err != nil || !at.IsZero() {
		t.Errorf("elsewhere: %v, %v", at, err)
	}
	elsewhere := oci.DigestBytes([]byte("never here"))
	if err := s.NoteLooks(ctx, "r.example/a", elsewhere); err != nil {
		t.Fatal(err)
	}
	if at, err := s.Looked(ctx, elsewhere, "r.example/a"); err != nil || at.Before(before) {
		t.Errorf("of what is not here: %v, %v", at, err)
	}
}
