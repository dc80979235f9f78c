package gc_test

import (
	"testing"
	"time"

	"dist.example/blobstore"
	"dist.example/gc"
	"dist.example/oci"
)

// What Unreferenced lists is what the collection takes, holders first.
func TestUnreferenced(t *testing.T) {
	s := open(t)
	shared := noise(1000, 1)
	image(t, s, "example.com/a:1", nil, shared)
	lost := image(t, s, "", nil, shared, noise(1000, 2))
	image(t, s, "", &lost, noise(1000, 3))
	list := func(o gc.Options) (ds []oci.Digest) {
		for i, err := range gc.Unreferenced(ctx, s, o) {
			must(t, err)
			ds = append(ds, i.Digest)
		}
		return ds
	}
	if got := list(gc.Options{Grace: time.Hour}); len(got) != 0 {
		t.Errorf("within the grace %v", got)
	}
	got := list(gc.Options{})
	if len(got) != 5 || got[0] != lost.Digest {
		t.Fatalf("%d unreferenced, the first of them %v; want 5, %s first", len(got), got, lost.Digest)
	}
	must(t, s.Delete(ctx, got[:1]...)) // nothing holds the first
	run(t, s, strict())
	for _, d := range got {
		if held(t, s, d) {
			t.Errorf("%s is still here", d)
		}
	}
	if rest := list(gc.Options{}); len(rest) != 0 {
		t.Errorf("after the collection %v", rest)
	}
}

// No snapshot waits for who takes the list: what goes meanwhile is not listed any more.
func TestUnreferencedIsReadAsItIsTaken(t *testing.T) {
	s := open(t)
	ses, err := s.Begin(ctx, blobstore.SessionOptions{})
	must(t, err)
	defer ses.Close()
	const all = 600
	for i := range all {
		put(t, ses, oci.MediaTypeOctets, noise(10, uint64(i)))
	}
	must(t, ses.Commit(ctx))
	listed := 0
	for _, err := range gc.Unreferenced(ctx, s, strict()) {
		must(t, err)
		if listed++; listed == 1 {
			run(t, s, strict())
		}
	}
	if listed == 0 || listed == all {
		t.Errorf("%d of %d listed", listed, all)
	}
}
