package gc_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/gc"
)

// What a plan counts is what a collection takes off what counts against the quota; what
// else it frees is on the disk alone.
func TestWhatIsCountedIsWhatTheQuotaCounts(t *testing.T) {
	t.Parallel()
	s := open(t)
	image(t, s, "t/kept:1", nil, noise(300_000, 1), noise(20_000, 2))
	image(t, s, "", nil, noise(400_000, 3), noise(50_000, 4))
	lost := image(t, s, "", nil, noise(600_000, 5))
	must(t, s.Delete(ctx, lost.Digest))
	const uncounted = 100_000
	for name, size := range map[string]int{"trash/x": uncounted, "ingest/x": 70_000} {
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(s.Dir(), name)), 0o700))
		must(t, os.WriteFile(filepath.Join(s.Dir(), name), make([]byte, size), 0o600))
	}
	before, err := s.Usage(ctx)
	must(t, err)
	r := run(t, s, gc.Options{Compact: true})
	after, err := s.Usage(ctx)
	must(t, err)
	got, want := before.Total()-after.Total(), r.Plan.Counted
	if got < 1_100_000 || got < want-2000 || got > want+2000 {
		t.Errorf("%d bytes count no more, %d were planned", got, want)
	}
	if more := r.Plan.Frees - want; more != uncounted {
		t.Errorf("%d bytes are freed and were not counted", more)
	}
}

// What somebody is about to go on with is left alone.
func TestAbandonedIngestsThatGoOnStay(t *testing.T) {
	t.Parallel()
	s := open(t)
	ended, err := s.Acquire(ctx, "test", -time.Hour)
	must(t, err)
	must(t, os.Remove(filepath.Join(s.Dir(), "leases", ended.ID))) // its owner is dead
	for _, key := range []string{"a", "b"} {
		w, err := s.Writer(ctx, content.IngestOptions{Key: key, Total: 2 << 20, Lease: ended.ID})
		must(t, err)
		_, err = w.Write(noise(1<<20, 1))
		must(t, err)
		must(t, w.Close())
	}
	r := run(t, s, gc.Options{Resumes: map[string]bool{"b": true}})
	if len(r.Files) == 0 || r.Files[0].Kind != string(blobstore.GarbageAbandoned) || r.Files[0].Count != 1 {
		t.Errorf("%+v went", r.Files)
	}
	st, err := s.Status(ctx, "b")
	if err != nil || st.Offset != 1<<20 {
		t.Errorf("of b %d bytes are here, %v", st.Offset, err)
	}
}
