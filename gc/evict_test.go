package gc_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/gc"
	"dist.example/oci"
)

// plan is what would go to give back lack bytes.
func plan(t testing.TB, s *blobstore.Store, lack int64, spare ...string) (names []string, frees int64) {
	t.Helper()
	o := gc.EvictOptions{}
	for _, name := range spare {
		o.Spare = append(o.Spare, ref(t, name))
	}
	found, frees, err := gc.PlanEviction(ctx, s, o, lack)
	must(t, err)
	for _, n := range found {
		names = append(names, n.Reference.Repository+":"+n.Reference.Tag)
	}
	return names, frees
}

func wantGone(t testing.TB, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%q would go, want %q", got, want)
	}
}

func TestTheNameGoesThatWasNotUsedForLongest(t *testing.T) {
	t.Parallel()
	s := open(t)
	const size = 400_000
	image(t, s, "t/a:1", nil, noise(size, 1))
	image(t, s, "t/b:1", nil, noise(size, 2))
	c := image(t, s, "t/c:1", nil, noise(size, 3))
	must(t, s.SetNames(ctx, content.NameChange{Reference: ref(t, "t/d:1"), Target: c.Digest, Why: "tag"}))
	got, frees := plan(t, s, 1)
	wantGone(t, got, "t/a:1")
	if frees < size || frees > size+2000 {
		t.Errorf("it gives back %d bytes", frees)
	}
	got, _ = plan(t, s, size+10_000)
	wantGone(t, got, "t/a:1", "t/b:1")
	// Two names of one content go together.
	got, _ = plan(t, s, 3*size)
	wantGone(t, got, "t/a:1", "t/b:1", "t/c:1", "t/d:1")
	got, _ = plan(t, s, 1, "t/a:1")
	wantGone(t, got, "t/b:1")
	must(t, s.SetPinned(ctx, true, ref(t, "t/b:1"), ref(t, "t/d:1")))
	got, frees = plan(t, s, 3*size)
	wantGone(t, got, "t/a:1") // c would give nothing back
	if frees > size+2000 {
		t.Errorf("%d bytes come back", frees)
	}
}

func TestWhatIsHeldOtherwiseIsNotGivenUp(t *testing.T) {
	t.Parallel()
	s := open(t)
	a := image(t, s, "t/a:1", nil, noise(400_000, 1))
	image(t, s, "t/b:1", nil, noise(400_000, 2))
	l, err := s.Acquire(ctx, "test", time.Hour)
	must(t, err)
	must(t, s.Hold(ctx, l.ID, a.Digest))
	got, _ := plan(t, s, 1)
	wantGone(t, got, "t/b:1")
	// Nor is what came in within the grace.
	found, _, err := gc.PlanEviction(ctx, s, gc.EvictOptions{Options: gc.Options{Grace: time.Hour}}, 1)
	must(t, err)
	if len(found) > 0 {
		t.Errorf("%v would go", found)
	}
}

func TestAttachmentsGoWithTheirImage(t *testing.T) {
	t.Parallel()
	s := open(t)
	older := image(t, s, "", nil, noise(300_000, 9))
	a := image(t, s, "t/a:1", nil, noise(400_000, 1))
	image(t, s, "t/b:1", nil, noise(400_000, 2))
	sig := func(d oci.Digest) string { return "t/sig:" + oci.AttachmentTag(d, "sig") }
	image(t, s, sig(a.Digest), nil, noise(100, 3))
	image(t, s, sig(older.Digest), nil, noise(100, 4)) // of what nothing else keeps
	must(t, s.SetNames(ctx, content.NameChange{Reference: ref(t, "t/a:2"), Target: a.Digest, Why: "tag"}))
	got, _ := plan(t, s, 1)
	wantGone(t, got, "t/b:1") // a:1 gives nothing back without a:2
	got, _ = plan(t, s, 700_000)
	wantGone(t, got, "t/a:1", "t/b:1", "t/a:2", sig(a.Digest))
}

func TestEvictionGivesBackWhatIsLacking(t *testing.T) {
	t.Parallel()
	s := open(t)
	for i, name := range []string{"t/a:1", "t/b:1", "t/c:1"} {
		image(t, s, name, nil, noise(400_000, uint64(i)))
	}
	lack := func(quota int64) func(context.Context) (int64, error) {
		return func(ctx context.Context) (int64, error) {
			used, err := s.Usage(ctx)
			return used.Total() - quota, err
		}
	}
	report, err := gc.Evict(ctx, s, gc.EvictOptions{Lack: lack(1000)})
	must(t, err)
	if len(report.Evicted) > 0 { // the notes alone take more
		t.Errorf("%d names went in vain", len(report.Evicted))
	}
	report, err = gc.Evict(ctx, s, gc.EvictOptions{Lack: lack(900_000)})
	must(t, err)
	if len(report.Evicted) != 1 || report.Freed < 400_000 {
		t.Errorf("%+v", report)
	}
	if left, err := lack(900_000)(ctx); left > 0 || err != nil {
		t.Errorf("%d bytes are lacking still, %v", left, err)
	}
	found, err := s.CheckAll(ctx, blobstore.CheckOptions{})
	must(t, err)
	if !found.Clean() {
		t.Errorf("%+v", found)
	}
}

func TestPackedBytesCountOnceTheirPackIsEmptied(t *testing.T) {
	t.Parallel()
	s := open(t)
	const size = 20_000
	name := func(i int) string { return fmt.Sprintf("t/a:%02d", i) }
	for i := range 30 {
		image(t, s, name(i), nil, noise(size, uint64(i)))
	}
	got, frees := plan(t, s, 1)
	wantGone(t, got, name(0), name(1)) // one is less than a twentieth
	if frees < 2*size || frees > 2*size+5000 {
		t.Errorf("they give back %d bytes", frees)
	}
	for i := 1; i < 30; i++ {
		must(t, s.SetPinned(ctx, true, ref(t, name(i))))
	}
	if got, frees = plan(t, s, 1); len(got) > 0 || frees != 0 {
		t.Errorf("%q would go for %d bytes that do not come back", got, frees)
	}
	must(t, s.SetPinned(ctx, false, ref(t, name(1))))
	before, err := s.Usage(ctx)
	must(t, err)
	_, frees = plan(t, s, 1)
	lack := func(ctx context.Context) (int64, error) {
		used, err := s.Usage(ctx)
		return 1 + used.Total() - before.Total(), err
	}
	report, err := gc.Evict(ctx, s, gc.EvictOptions{Lack: lack})
	must(t, err)
	after, err := s.Usage(ctx)
	must(t, err)
	if got := before.Total() - after.Total(); len(report.Evicted) != 2 || got < frees-8000 || got > frees+8000 {
		t.Errorf("%d names and %d bytes went, %d were planned", len(report.Evicted), got, frees)
	}
}

// A name whose content lies in a pack that nothing empties gives nothing back, and does
// not go before one that does.
func TestNoNameGoesForNothing(t *testing.T) {
	t.Parallel()
	s := open(t)
	image(t, s, "t/small:1", nil, noise(1000, 1))
	image(t, s, "t/other:1", nil, noise(200_000, 2)) // which keeps the pack
	must(t, s.SetPinned(ctx, true, ref(t, "t/other:1")))
	image(t, s, "t/large:1", nil, noise(400_000, 3))
	got, _ := plan(t, s, 300_000)
	wantGone(t, got, "t/large:1")
}

// What cannot be removed does not keep names from making room.
func TestAStuckFileDoesNotKeepNamesFromGoing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := blobstore.Open(ctx, filepath.Join(dir, "store"), blobstore.Options{Create: true})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	image(t, s, "t/a:1", nil, noise(400_000, 1))
	stuck := filepath.Join(dir, "store", "trash", "0011223344556677")
	must(t, os.MkdirAll(filepath.Join(stuck, "within"), 0o755))
	must(t, os.WriteFile(filepath.Join(stuck, "within", "file"), nil, 0o644))
	report, err := gc.Evict(ctx, s, gc.EvictOptions{Partly: true, Lack: func(ctx context.Context) (int64, error) {
		used, err := s.Usage(ctx)
		return used.Total() - 100_000, err
	}})
	if err == nil || len(report.Evicted) != 1 {
		t.Errorf("%d names went, and the error is %v", len(report.Evicted), err)
	}
}
