package memory_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"dist.example/blobstore/memory"
	"dist.example/content"
	"dist.example/oci"
)

// put stores data; class is what its error must be, nil for none.
func put(t *testing.T, s *memory.Store, opts content.IngestOptions, data []byte, class error) content.Info {
	t.Helper()
	w, err := s.Writer(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	var info content.Info
	if _, err = w.Write(data); err == nil {
		info, err = w.Commit(t.Context())
	}
	if !errors.Is(err, class) {
		t.Fatalf("got %v, want %v", err, class)
	}
	return info
}

func TestTheLimitCountsBlobsAndIngests(t *testing.T) {
	s := memory.NewLimited(1000)
	fresh := content.IngestOptions{Total: -1}
	one := put(t, s, fresh, make([]byte, 400), nil)
	put(t, s, fresh, make([]byte, 400), nil) // the same: counted once
	w, err := s.Writer(t.Context(), content.IngestOptions{Key: "part", Total: -1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, 500)); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	put(t, s, fresh, make([]byte, 101), content.ErrNoSpace)
	put(t, s, fresh, make([]byte, 100), nil)
	if err := s.Abort(t.Context(), "part"); err != nil {
		t.Fatal(err)
	}
	put(t, s, fresh, make([]byte, 499), nil)
	put(t, s, fresh, make([]byte, 300), content.ErrNoSpace)
	if err := s.Delete(t.Context(), one.Digest); err != nil {
		t.Fatal(err)
	}
	put(t, s, fresh, make([]byte, 300), nil)
}

func TestALeaseHoldsUntilItIsReleased(t *testing.T) {
	s := memory.New()
	expired, err := s.Acquire(t.Context(), "", -time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	info := put(t, s, content.IngestOptions{Total: -1, Lease: expired.ID}, []byte("x"), nil)
	if err := s.Delete(t.Context(), info.Digest); !errors.Is(err, content.ErrConflict) {
		t.Errorf("what a lease of a living process holds was deleted: %v", err)
	}
	if err := s.Release(t.Context(), expired.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.Delete(t.Context(), info.Digest); err != nil {
		t.Error(err)
	}
	if _, err := s.Writer(t.Context(), content.IngestOptions{Total: -1, Lease: "none"}); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("a lease that does not exist is taken: %v", err)
	}
}

// An index may list its own subject: each holds the other then.
func TestAKnotCanBeListedAndDeleted(t *testing.T) {
	s := memory.New()
	store := func(v any) oci.Descriptor {
		t.Helper()
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return put(t, s, content.IngestOptions{Total: -1, MediaType: oci.MediaTypeIndex}, data, nil).Descriptor()
	}
	x := oci.Index{MediaType: oci.MediaTypeIndex, Manifests: []oci.Descriptor{}}
	x.SchemaVersion = 2
	inner := store(x)
	x.Manifests, x.Subject = []oci.Descriptor{inner}, &inner
	outer := store(x)
	n := 0
	for _, err := range s.All(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 2 {
		t.Errorf("All lists %d objects, want 2", n)
	}
	for _, d := range []oci.Digest{inner.Digest, outer.Digest} {
		if err := s.Delete(t.Context(), d); !errors.Is(err, content.ErrConflict) {
			t.Errorf("one end of a knot was deleted alone: %v", err)
		}
	}
	if err := s.Delete(t.Context(), inner.Digest, outer.Digest); err != nil {
		t.Error(err)
	}
}
