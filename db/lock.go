package db

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"dist.example/content"
	"dist.example/fsys"
)

// patience is how long a writer waits before it says for whom.
const patience = 5 * time.Second

// writeLock is a mutex inside the process, then the lock on write.lock between
// processes. The file's content is the process id of its last holder, in 20 bytes,
// and the witness, see readWitness.
type writeLock struct {
	mutex    chan struct{} // holds one token while locked
	file     fsys.File
	wait     time.Duration
	patience time.Duration
	warn     func(string)
}

func openWriteLock(o Options, dir string) (*writeLock, error) {
	f, err := o.FS.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, fsys.Classify(err)
	}
	return &writeLock{make(chan struct{}, 1), f, o.LockWait, patience, o.Warn}, nil
}

// lock waits until ctx ends or the lock's patience does.
func (l *writeLock) lock(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, l.wait, errLockWait)
	defer cancel()
	notice := time.AfterFunc(l.patience, func() {
		l.warn(fmt.Sprintf("waiting for process %s, which is writing to the store", l.holder()))
	})
	defer notice.Stop()
	select {
	case l.mutex <- struct{}{}:
	default:
		select {
		case l.mutex <- struct{}{}:
		case <-ctx.Done():
			return l.gaveUp(ctx)
		}
	}
	if err := l.lockFile(ctx); err != nil {
		<-l.mutex
		if errors.Is(err, errLockWait) {
			return l.gaveUp(ctx)
		}
		return fsys.Classify(err)
	}
	return nil
}

func (l *writeLock) lockFile(ctx context.Context) error {
	ok, err := l.file.TryLock(true)
	if err == nil && !ok {
		err = l.file.Lock(ctx, true)
	}
	if err != nil {
		return err
	}
	// For messages only: a disk that refuses this refuses the transaction too.
	l.file.WriteAt(fmt.Appendf(nil, "%-19d\n", os.Getpid()), 0)
	return nil
}

var errLockWait = errors.New("waited long enough")

func (l *writeLock) gaveUp(ctx context.Context) error {
	if cause := context.Cause(ctx); !errors.Is(cause, errLockWait) {
		return cause
	}
	err := fmt.Errorf("write to the store: %w: process %s has held its lock for %s", content.ErrBusy, l.holder(), l.wait)
	return content.WithHint(err, "try again when that process has ended")
}

func (l *writeLock) unlock() error {
	err := l.file.Unlock()
	<-l.mutex
	return err
}

// holder is the process id in the lock file, "?" when it cannot be read.
func (l *writeLock) holder() string {
	var b [holderLength]byte
	n, _ := l.file.ReadAt(b[:], 0)
	pid := strings.TrimSpace(string(b[:n]))
	if _, err := strconv.Atoi(pid); err != nil {
		return "?"
	}
	return pid
}
