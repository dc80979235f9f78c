package blobstore_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
)

// leaveUnder leaves an ingest of a lease behind.
func leaveUnder(t *testing.T, s *blobstore.Store, key, lease string) {
	t.Helper()
	w, err := s.Writer(t.Context(), content.IngestOptions{Key: key, Total: 1 << 20, Expected: oci.DigestBytes([]byte(key)), Lease: lease})
	must(t, err)
	_, err = w.Write(make([]byte, 300<<10))
	must(t, err)
	must(t, w.Close())
}

func abandoned(t *testing.T, s *blobstore.Store) map[string]bool {
	t.Helper()
	got := map[string]bool{}
	for left, err := range s.Leftovers(t.Context()) {
		must(t, err)
		got[left.Key] = left.Abandoned
	}
	return got
}

// A part that nobody writes is kept while its lease counts; abandoned is what a lease
// held that has expired.
func TestAbandonedIngests(t *testing.T) {
	t.Parallel()
	dir := empty(t)
	s := open(t, dir)
	ctx := context.Background()
	lasting, err := s.Acquire(ctx, "test", time.Hour)
	must(t, err)
	short, err := s.Acquire(ctx, "test", time.Millisecond)
	must(t, err)
	leaveUnder(t, s, "none", "")
	leaveUnder(t, s, "lasting", lasting.ID)
	leaveUnder(t, s, "short", short.ID)
	live, err := s.Writer(ctx, content.IngestOptions{Key: "live", Total: 1 << 20, Lease: short.ID})
	must(t, err)
	defer live.Close()
	time.Sleep(2 * time.Millisecond) // the lease expires

	if got := abandoned(t, s); len(got) != 3 || got["short"] || got["lasting"] || got["none"] {
		t.Errorf("while the owner of the leases lives: %v", got)
	}
	// The owner dies: its lock is all that tells.
	must(t, os.Remove(filepath.Join(dir, "leases", short.ID)))
	must(t, os.Remove(filepath.Join(dir, "leases", lasting.ID)))
	if got := abandoned(t, s); len(got) != 3 || !got["short"] || got["lasting"] || got["none"] {
		t.Errorf("after the owner's death: %v", got)
	}
	var keys []string
	for st, err := range s.Abandoned(ctx) {
		must(t, err)
		keys = append(keys, st.Key)
	}
	if len(keys) != 1 || keys[0] != "short" {
		t.Errorf("abandoned are %v", keys)
	}
	for key, want := range map[string]bool{"none": false, "lasting": false, "live": false, "short": true, "unknown": false} {
		dropped, err := s.AbortAbandoned(ctx, key)
		must(t, err)
		if dropped != want {
			t.Errorf("%s is dropped: %v", key, dropped)
		}
	}
	if got := abandoned(t, s); len(got) != 2 {
		t.Errorf("left are %v", got)
	}
}

// An ingest whose lease is gone is kept for a day after its last byte.
func TestIngestOfALeaseThatIsGone(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	leaveUnder(t, s, "gone", "0123456789abcdef01234567")
	for left, err := range s.Leftovers(t.Context()) {
		must(t, err)
		if day := left.Expires.Sub(left.UpdatedAt); left.Abandoned || day != blobstore.DefaultLease {
			t.Errorf("abandoned %v, kept for %v", left.Abandoned, day)
		}
	}
}
