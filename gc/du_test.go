package gc_test

import (
	"testing"
	"time"

	"dist.example/blobstore"
	"dist.example/gc"
	"dist.example/oci"
)

func usages(t *testing.T, s *blobstore.Store, o gc.Options) map[string]gc.Usage {
	t.Helper()
	found, err := gc.Usages(ctx, s, o)
	must(t, err)
	byName := map[string]gc.Usage{}
	for _, u := range found {
		byName[u.Name] = u
	}
	return byName
}

func stored(t *testing.T, s *blobstore.Store, ds ...oci.Digest) (n int64) {
	t.Helper()
	for _, d := range ds {
		i, err := s.Info(ctx, d)
		must(t, err)
		n += i.Stored
	}
	return n
}

// What a name takes is its own or shared; what its removal frees is what a collection
// then gives back.
func TestUsages(t *testing.T) {
	s := open(t)
	shared, own := noise(300<<10, 1), noise(400<<10, 2)
	a := image(t, s, "example.com/a:1", nil, shared, own)
	image(t, s, "example.com/b:1", nil, shared, noise(500<<10, 3))
	image(t, s, "", &a, noise(1000, 4)) // about a, and so a's
	got := usages(t, s, gc.Options{})
	ua := got["example.com/a:1"]
	if ua.Shared != stored(t, s, oci.DigestBytes(shared)) || ua.Own < stored(t, s, oci.DigestBytes(own), oci.DigestBytes(noise(1000, 4))) {
		t.Errorf("own %d, shared %d", ua.Own, ua.Shared)
	}
	if ua.Objects != 7 || ua.Own+ua.Shared != ua.Stored || ua.Frees != ua.Own {
		t.Errorf("a takes %+v", ua)
	}

	// Neither own history nor an expired lease keeps in the end; a lease and the
	// history of others do.
	lease, err := s.AddLease(ctx, "", time.Hour, oci.DigestBytes(own))
	must(t, err)
	if u := usages(t, s, gc.Options{})["example.com/a:1"]; u.Own != ua.Own || u.Frees != ua.Own-stored(t, s, oci.DigestBytes(own)) {
		t.Errorf("under a lease %+v", u)
	}
	_, err = s.ReleaseLeases(ctx, false, lease.ID)
	must(t, err)
	image(t, s, "example.com/c:1", nil, own)
	remove(t, s, "example.com/c:1")
	if u := usages(t, s, gc.Options{KeepHistory: time.Hour})["example.com/a:1"]; u.Own != ua.Own || u.Frees != ua.Own-stored(t, s, oci.DigestBytes(own)) {
		t.Errorf("beside another's history %+v", u)
	}
	if u := usages(t, s, gc.Options{})["example.com/a:1"]; u != ua {
		t.Errorf("without history %+v, want %+v", u, ua)
	}

	run(t, s, strict())
	before, err := s.Totals(ctx)
	must(t, err)
	remove(t, s, "example.com/a:1")
	run(t, s, strict())
	after, err := s.Totals(ctx)
	must(t, err)
	if freed := allStored(before) - allStored(after); freed != ua.Frees {
		t.Errorf("its removal freed %d, and was to free %d", freed, ua.Frees)
	}
}

// allStored is what everything that is held takes.
func allStored(t blobstore.Totals) (n int64) {
	for _, c := range t.Objects {
		n += c.Stored
	}
	return n
}

func TestPlacesAreInOrder(t *testing.T) {
	for i, at := range gc.PlacesOf([]int64{1, 2, 62, 63, 64, 65, 127, 128, 1000, 1 << 20, 1<<20 + 1}) {
		if at != i {
			t.Errorf("place %d, want %d", at, i)
		}
	}
}
