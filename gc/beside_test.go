package gc_test

import (
	"encoding/json"
	"path/filepath"
	"testing"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/gc"
	"dist.example/oci"
)

// Where more is linked than one transaction can take in, it is marked before the next
// one, with all that it holds.
func TestMuchChangesAfterTheMarks(t *testing.T) {
	var late func()
	s, err := blobstore.Open(ctx, filepath.Join(t.TempDir(), "store"), blobstore.Options{Create: true, Hook: func(point string) {
		if point == "gc.dooming" && late != nil {
			then := late
			late = nil
			then()
		}
	}})
	must(t, err)
	defer s.Close()
	layers := make([][]byte, 2500)
	for i := range layers {
		layers[i] = noise(20, uint64(i))
	}
	wide := image(t, s, "", nil, layers...)
	late = func() {
		must(t, s.SetNames(ctx, content.NameChange{Reference: ref(t, "example.com/late:1"), Target: wide.Digest, Why: "test"}))
	}
	r := run(t, s, gc.Options{})
	if ok, err := s.Complete(ctx, wide.Digest); !ok || err != nil || r.Doomed.Objects != 0 {
		t.Errorf("the image is whole: %v, %v; given up %+v", ok, err, r.Doomed)
	}
}

// A lease that had ended when the marks were made, and was renewed since, holds.
func TestALeaseIsRenewedAfterTheMarks(t *testing.T) {
	var (
		s    *blobstore.Store
		late func()
		err  error
	)
	s, err = blobstore.Open(ctx, filepath.Join(t.TempDir(), "store"), blobstore.Options{Create: true, Hook: func(point string) {
		if point == "gc.marked" && late != nil {
			late()
		}
	}})
	must(t, err)
	defer s.Close()
	kept := image(t, s, "", nil, noise(1000, 1))
	l, err := s.AddLease(ctx, "test", time.Millisecond, kept.Digest)
	must(t, err)
	time.Sleep(2 * time.Millisecond)
	late = func() {
		_, err := s.Renew(ctx, l.ID, time.Hour)
		must(t, err)
	}
	run(t, s, gc.Options{})
	if !held(t, s, kept.Digest) {
		t.Error("what the lease holds is gone")
	}
}

// What somebody roots, links or writes again after the marks were made is kept, with
// all that it holds, whatever the marks say.
func TestWhatChangesAfterTheMarksIsKept(t *testing.T) {
	layer := noise(300<<10, 1)
	name := func(t *testing.T, s *blobstore.Store, d oci.Digest) {
		must(t, s.SetNames(ctx, content.NameChange{Reference: ref(t, "example.com/late:1"), Target: d, Why: "test"}))
	}
	for what, change := range map[string]func(t *testing.T, s *blobstore.Store, image oci.Descriptor){
		"a name": func(t *testing.T, s *blobstore.Store, image oci.Descriptor) { name(t, s, image.Digest) },
		"a lease": func(t *testing.T, s *blobstore.Store, image oci.Descriptor) {
			l, err := s.Acquire(ctx, "test", time.Hour)
			must(t, err)
			must(t, s.Hold(ctx, l.ID, image.Digest))
		},
		"an index above it": func(t *testing.T, s *blobstore.Store, image oci.Descriptor) {
			ses, err := s.Begin(ctx, blobstore.SessionOptions{Note: "test"})
			must(t, err)
			defer ses.Close()
			x := oci.Index{MediaType: oci.MediaTypeIndex, Manifests: []oci.Descriptor{image}}
			x.SchemaVersion = 2
			p, err := json.Marshal(x)
			must(t, err)
			d := put(t, ses, oci.MediaTypeIndex, p)
			must(t, ses.Commit(ctx, content.NameChange{Reference: ref(t, "example.com/late:1"), Target: d.Digest, Why: "test"}))
		},
	} {
		t.Run(what, func(t *testing.T) {
			var late func()
			s, err := blobstore.Open(ctx, filepath.Join(t.TempDir(), "store"), blobstore.Options{Create: true, Hook: func(point string) {
				if point == "gc.marked" && late != nil {
					then := late
					late = nil
					then()
				}
			}})
			must(t, err)
			defer s.Close()
			lost := image(t, s, "example.com/other:1", nil, noise(2000, 2))
			kept := image(t, s, "example.com/goes:1", nil, layer, noise(1000, 3))
			about := image(t, s, "", &kept, noise(500, 4))
			remove(t, s, "example.com/other:1")
			remove(t, s, "example.com/goes:1")
			late = func() { change(t, s, kept) }
			r := run(t, s, gc.Options{Compact: true})
			for _, d := range []oci.Digest{kept.Digest, about.Digest, oci.DigestBytes(layer), oci.DigestBytes(noise(1000, 3))} {
				if !held(t, s, d) {
					t.Errorf("%s is gone: %+v", d, r.Doomed)
				}
			}
			if held(t, s, lost.Digest) {
				t.Error("what nobody wanted is here")
			}
		})
	}
}
