package fsys

import (
	"context"
	"sync"
)

// lockWaits keeps apart the one blocking wait that a descriptor may have left
// behind and the attempts that come after it: both would act on the same lock.
type lockWaits struct {
	mu   sync.Mutex
	left chan struct{} // closed when the wait left behind has ended, nil when there is none
}

// pending is the wait left behind, or nil.
func (w *lockWaits) pending() chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.left != nil {
		select {
		case <-w.left:
			w.left = nil
		default:
		}
	}
	return w.left
}

func (w *lockWaits) leave(done chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left = done
}

func (f *osFile) TryLock(exclusive bool) (bool, error) {
	if f.waits.pending() != nil {
		return false, nil
	}
	var locked bool
	err := f.control("lock", func(fd uintptr) (err error) {
		locked, err = tryLock(fd, exclusive)
		return err
	})
	if locked {
		f.locked.Store(true)
	}
	return locked, err
}

func (f *osFile) Lock(ctx context.Context, exclusive bool) error {
	if left := f.waits.pending(); left != nil {
		select {
		case <-left:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if locked, err := f.TryLock(exclusive); locked || err != nil {
		return err
	}
	return f.wait(ctx, exclusive)
}

// wait blocks for the lock in a goroutine of its own. Whoever comes first to
// decided settles whose the lock is.
func (f *osFile) wait(ctx context.Context, exclusive bool) error {
	done, decided := make(chan struct{}), make(chan bool, 1)
	var lockErr error
	go func() {
		defer close(done)
		lockErr = f.control("lock", func(fd uintptr) error {
			err := lock(fd, exclusive)
			if err != nil {
				return err
			}
			select {
			case decided <- true: // the caller takes it
				f.locked.Store(true)
				return nil
			default: // the caller has left
				return unlock(fd)
			}
		})
	}()
	select {
	case <-done:
		return lockErr
	case <-ctx.Done():
	}
	select {
	case decided <- false:
		f.waits.leave(done)
		return context.Cause(ctx)
	default: // it came in the same moment
		<-done
		if lockErr == nil {
			lockErr = f.Unlock()
		}
		if lockErr != nil {
			return lockErr
		}
		return context.Cause(ctx)
	}
}

func (f *osFile) Unlock() error {
	err := f.control("unlock", unlock)
	if err == nil {
		f.locked.Store(false)
	}
	return err
}

// Close gives a lock back before it closes. A program that is being started in this very
// moment has the descriptor for as long as it takes to become that program, and so would
// hold the lock beyond the closing.
func (f *osFile) Close() error {
	if f.locked.Swap(false) {
		_ = f.control("unlock", unlock) // what closing does anyway, a moment later
	}
	return f.File.Close()
}
