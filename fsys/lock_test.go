package fsys_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"dist.example/fsys"
)

func lockFiles(t *testing.T, n int) []fsys.File {
	t.Helper()
	name := write(t, filepath.Join(t.TempDir(), "lock"), "")
	files := make([]fsys.File, n)
	for i := range files {
		files[i] = open(t, name, os.O_RDWR)
	}
	return files
}

func mustLock(t *testing.T, f fsys.File, exclusive bool) {
	t.Helper()
	if ok, err := f.TryLock(exclusive); !ok || err != nil {
		t.Fatalf("lock: %v, %v", ok, err)
	}
}

func mustNotLock(t *testing.T, f fsys.File, exclusive bool) {
	t.Helper()
	if ok, err := f.TryLock(exclusive); ok || err != nil {
		t.Fatalf("lock: %v, %v", ok, err)
	}
}

func mustUnlock(t *testing.T, f fsys.File) {
	t.Helper()
	if err := f.Unlock(); err != nil {
		t.Fatal(err)
	}
}

// Locks exclude descriptors, not processes; shared ones live side by side;
// closing releases.
func TestLockBelongsToTheDescriptor(t *testing.T) {
	f := lockFiles(t, 3)
	mustLock(t, f[0], false)
	mustLock(t, f[1], false)
	mustNotLock(t, f[2], true)
	mustUnlock(t, f[0])
	mustNotLock(t, f[2], true)
	if err := f[1].Close(); err != nil {
		t.Fatal(err)
	}
	mustLock(t, f[2], true)
	mustNotLock(t, f[0], false)
}

// Whoever waits gets the lock when it comes free.
func TestLockWaits(t *testing.T) {
	f := lockFiles(t, 2)
	mustLock(t, f[0], true)
	got := make(chan error)
	go func() { got <- f[1].Lock(context.Background(), true) }()
	mustUnlock(t, f[0])
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	mustNotLock(t, f[0], false)
}

// A wait that was given up gives the lock back when it comes, and until then the
// same file neither takes nor loses it.
func TestLockWaitGivenUp(t *testing.T) {
	f := lockFiles(t, 2)
	mustLock(t, f[0], true)
	why := errors.New("changed my mind")
	ctx, cancel := context.WithCancelCause(t.Context())
	got := make(chan error)
	go func() { got <- f[1].Lock(ctx, true) }()
	cancel(why)
	if err := <-got; !errors.Is(err, why) {
		t.Fatalf("lock: %v", err)
	}
	mustNotLock(t, f[1], true)
	short, stop := context.WithTimeout(t.Context(), time.Millisecond)
	defer stop()
	if err := f[1].Lock(short, true); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("lock: %v", err)
	}
	mustUnlock(t, f[0])
	if err := f[1].Lock(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	mustNotLock(t, f[0], true)
	mustUnlock(t, f[1])
	if err := f[0].Lock(t.Context(), true); err != nil {
		t.Fatal(err)
	}
}

// Closing a file whose wait was given up disturbs nobody: the wait ends on its
// own descriptor, not on one that got its number since.
func TestCloseDuringWait(t *testing.T) {
	f := lockFiles(t, 2)
	mustLock(t, f[0], true)
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan error)
	go func() { got <- f[1].Lock(ctx, true) }()
	cancel()
	if err := <-got; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if err := f[1].Close(); err != nil {
		t.Fatal(err)
	}
	others := lockFiles(t, 8)
	for _, o := range others {
		mustLock(t, o, false)
	}
	mustUnlock(t, f[0])
	if err := f[0].Lock(t.Context(), true); err != nil { // after the wait has ended
		t.Fatal(err)
	}
	probe := open(t, others[0].Name(), os.O_RDWR)
	mustNotLock(t, probe, true)
}

func TestLockOfEndedContext(t *testing.T) {
	f := lockFiles(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f[0].Lock(ctx, true); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// Many waiters, some of which give up: one at a time holds the lock, and nobody
// is forgotten.
func TestLockUnderContention(t *testing.T) {
	f := lockFiles(t, 8)
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex // never waited for if the lock works
		failed = make(chan string, 1000)
	)
	for i, file := range f {
		wg.Go(func() {
			for round := range 50 {
				ctx, cancel := context.Background(), context.CancelFunc(func() {})
				if (i+round)%3 == 0 {
					ctx, cancel = context.WithTimeout(ctx, 50*time.Microsecond)
				}
				err := file.Lock(ctx, true)
				cancel()
				if errors.Is(err, context.DeadlineExceeded) {
					continue
				}
				if err != nil {
					failed <- err.Error()
					return
				}
				if !mu.TryLock() {
					failed <- "two hold the lock"
					return
				}
				mu.Unlock()
				if err := file.Unlock(); err != nil {
					failed <- err.Error()
					return
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	for s := range failed {
		t.Error(s)
	}
}
