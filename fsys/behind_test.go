package fsys_test

import (
	"cmp"
	"errors"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dist.example/fsys"
)

// slowDisk is a file whose syncs take a second, if nothing else is said, and fail from one
// on.
type slowDisk struct {
	fsys.File
	hinted  int64
	syncs   atomic.Int32
	running atomic.Int32
	failing int32 // the number of the first that fails, 0 for none
	once    bool  // and none after it, as systems have it
	takes   time.Duration
}

var errBroken = errors.New("broken")

func (d *slowDisk) WriteBack(off, n int64) error {
	if off != d.hinted {
		return errors.New("a gap between two hints")
	}
	d.hinted += n
	return nil
}

func (d *slowDisk) DataSync() error {
	if d.running.Add(1) > 1 {
		return errors.New("two at once")
	}
	defer d.running.Add(-1)
	n := d.syncs.Add(1)
	time.Sleep(cmp.Or(d.takes, time.Second))
	if d.failing > 0 && n >= d.failing && (n == d.failing || !d.once) {
		return errBroken
	}
	return nil
}

// onLinux is for what Behind does there only.
func onLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("nothing is synced in the background here")
	}
}

// A file is synced while it is written, by one sync at a time, and is free after Wait.
func TestWhatIsWrittenIsSyncedBehind(t *testing.T) {
	onLinux(t)
	synctest.Test(t, func(t *testing.T) {
		d := &slowDisk{}
		b := fsys.NewBehind(d, 0, 0)
		for range 64 { // 64 MiB in 4 seconds
			if err := b.Wrote(1 << 20); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second / 16)
		}
		if err := b.Wait(); err != nil {
			t.Error(err)
		}
		if n := d.syncs.Load(); n < 3 || n > 4 || d.running.Load() != 0 {
			t.Errorf("%d syncs, %d still running", n, d.running.Load())
		}
		if d.hinted != 64<<20 {
			t.Errorf("hints for %d bytes", d.hinted)
		}
	})
}

// The first syncs come early, so that a file of some MiB has not all of it left for the end.
func TestTheFirstSyncsBehindComeEarly(t *testing.T) {
	onLinux(t)
	synctest.Test(t, func(t *testing.T) {
		d := &slowDisk{hinted: 1 << 30, takes: time.Nanosecond}
		b := fsys.NewBehind(d, 1<<30, 4<<20)
		var at []int
		for n := range 64 {
			was := d.syncs.Load()
			if err := b.Wrote(1 << 20); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Microsecond)
			if d.syncs.Load() > was {
				at = append(at, n+1)
			}
		}
		if want := []int{4, 8, 16, 32, 48, 64}; !slices.Equal(at, want) {
			t.Errorf("synced at %d MiB in place of %d", at, want)
		}
	})
}

// What is short has its sync at the end, and no other.
func TestNothingSmallIsSyncedBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &slowDisk{hinted: 100}
		b := fsys.NewBehind(d, 100, 0)
		for range 3 {
			if err := b.Wrote(5 << 20); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Wait(); err != nil || d.syncs.Load() != 0 {
			t.Errorf("%d syncs, %v", d.syncs.Load(), err)
		}
	})
}

// The error of a sync comes out, and no sync after it can make it good.
func TestASyncBehindThatFails(t *testing.T) {
	onLinux(t)
	synctest.Test(t, func(t *testing.T) {
		d := &slowDisk{failing: 2}
		b := fsys.NewBehind(d, 0, 0)
		var err error
		for n := 0; err == nil && n < 100; n++ {
			err = b.Wrote(16 << 20)
			time.Sleep(time.Second)
		}
		if !errors.Is(err, errBroken) || d.syncs.Load() != 2 {
			t.Fatalf("after %d syncs: %v", d.syncs.Load(), err)
		}
		if err := b.Wrote(100 << 20); !errors.Is(err, errBroken) || d.syncs.Load() != 2 {
			t.Errorf("after %d syncs: %v", d.syncs.Load(), err)
		}
		if err := b.Wait(); !errors.Is(err, errBroken) {
			t.Error(err)
		}

		d = &slowDisk{failing: 1} // and where nobody writes any more
		b = fsys.NewBehind(d, 0, 0)
		if err := errors.Join(b.Wrote(20<<20), b.Wrote(1)); err != nil {
			t.Error(err)
		}
		if err := b.Wait(); !errors.Is(err, errBroken) {
			t.Error(err)
		}
	})
}

// Of several syncs the system tells one that something was lost. Whoever asks for another
// is told, too, also while one runs in the background.
func TestAnErrorOfOneSyncIsThatOfAll(t *testing.T) {
	onLinux(t)
	d := &slowDisk{failing: 1, once: true, takes: time.Millisecond}
	b := fsys.NewBehind(d, 0, 0)
	if err := b.Wrote(20 << 20); err != nil {
		t.Fatal(err)
	}
	for d.syncs.Load() == 0 {
		runtime.Gosched()
	}
	for range 2 {
		if err := b.Sync(); !errors.Is(err, errBroken) {
			t.Errorf("a sync says %v", err)
		}
	}
	if err := b.Wait(); !errors.Is(err, errBroken) {
		t.Error(err)
	}
}
