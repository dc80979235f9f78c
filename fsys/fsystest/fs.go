package fsystest

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"dist.example/fsys"
)

// Op is a kind of operation.
type Op string

// The kinds, counted and announced to the hook before they are done.
const (
	OpOpen      Op = "open"
	OpRead      Op = "read" // Read and ReadAt
	OpWrite     Op = "write"
	OpTruncate  Op = "truncate" // not that of O_TRUNC
	OpSync      Op = "sync"
	OpDataSync  Op = "datasync"
	OpWriteBack Op = "writeback"
	OpLock      Op = "lock" // TryLock and Lock
	OpClose     Op = "close"
	OpMkdir     Op = "mkdir"
	OpRemove    Op = "remove"
	OpRename    Op = "rename"
	OpLink      Op = "link"
	OpChmod     Op = "chmod"
	OpStat      Op = "stat" // by name
	OpReadDir   Op = "readdir"
	OpSyncDir   Op = "syncdir"
)

// ErrHalted is what every operation after Halt fails with.
var ErrHalted = errors.New("halted")

// FS is the file system under test. It is safe for concurrent use; the hook may
// use all of it.
type FS struct {
	base fsys.FS
	disk *disk

	mu     sync.Mutex
	counts map[Op]int
	fails  map[Op]failure
	hook   func(op Op, name string) error
	room   int64 // bytes that may still be written
	halted bool
}

// failure is an operation that is to fail: the one after so many others.
type failure struct {
	after int
	err   error
}

var _ fsys.FS = (*FS)(nil)

// New lays an FS over base, for what is below root, an existing folder. The rest
// of base can be used through it too, but is not part of Crash.
func New(base fsys.FS, root string) (*FS, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("test file system: %w", err)
	}
	d := newDisk(base, root)
	if err := d.takeOver(); err != nil {
		return nil, fmt.Errorf("test file system over %s: %w", root, err)
	}
	return &FS{base: base, disk: d, counts: map[Op]int{}, fails: map[Op]failure{}, room: math.MaxInt64}, nil
}

// Count is how many operations of one kind were begun, failed ones included.
func (f *FS) Count(op Op) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[op]
}

// Counts is Count of all kinds.
func (f *FS) Counts() map[Op]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.counts)
}

// ResetCounts starts counting anew.
func (f *FS) ResetCounts() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.counts)
}

// FailNth lets the nth operation of a kind from now on, 1 being the next, fail
// with err and have no effect. A second call for the same kind replaces the
// first; n 0 takes it back.
func (f *FS) FailNth(op Op, n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n == 0 {
		delete(f.fails, op)
		return
	}
	f.fails[op] = failure{after: n - 1, err: err}
}

// LimitWrites lets n more bytes be written, to all files together, and then
// every write end short with ENOSPC. A negative n takes the limit away. Removing
// files makes no room.
func (f *FS) LimitWrites(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.room = n; n < 0 {
		f.room = math.MaxInt64
	}
}

// Hook calls fn before every operation, with the file's or folder's name (the
// new one of Rename and Link); an error from fn is the operation's, which then
// has no effect. nil takes it away.
func (f *FS) Hook(fn func(op Op, name string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = fn
}

// Halt lets every operation from now on fail with ErrHalted, as if the process
// were gone. Closing and unlocking still work.
func (f *FS) Halt() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.halted = true
}

// step counts one operation and says whether it may go on.
func (f *FS) step(op Op, name string) error {
	f.mu.Lock()
	f.counts[op]++
	hook, err := f.hook, f.planned(op)
	f.mu.Unlock()
	if err == nil && hook != nil {
		err = hook(op, name)
	}
	if err != nil {
		return &fs.PathError{Op: string(op), Path: name, Err: err}
	}
	return nil
}

// planned is the failure that is due for op, with mu held.
func (f *FS) planned(op Op) error {
	if f.halted && op != OpClose {
		return ErrHalted
	}
	fail, ok := f.fails[op]
	switch {
	case !ok:
		return nil
	case fail.after > 0:
		f.fails[op] = failure{fail.after - 1, fail.err}
		return nil
	}
	delete(f.fails, op)
	return fail.err
}

// take asks for room for n bytes and says how many may be written.
func (f *FS) take(n int) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if int64(n) <= f.room {
		f.room -= int64(n)
		return n, nil
	}
	n, f.room = int(f.room), 0
	return n, syscall.ENOSPC
}

// OpenFile implements fsys.FS. Files below root that are opened for writing can
// be read too: Crash wants their content.
func (f *FS) OpenFile(name string, flag int, perm fs.FileMode) (fsys.File, error) {
	if err := f.step(OpOpen, name); err != nil {
		return nil, err
	}
	return f.disk.open(f, name, flag, perm)
}

// MkdirAll implements fsys.FS.
func (f *FS) MkdirAll(dir string, perm fs.FileMode) error {
	if err := f.step(OpMkdir, dir); err != nil {
		return err
	}
	return f.disk.mkdirAll(dir, perm)
}

// Remove implements fsys.FS.
func (f *FS) Remove(name string) error {
	if err := f.step(OpRemove, name); err != nil {
		return err
	}
	return f.disk.remove(name)
}

// Rename implements fsys.FS, for files.
func (f *FS) Rename(oldName, newName string) error {
	if err := f.step(OpRename, newName); err != nil {
		return err
	}
	return f.disk.rename(oldName, newName)
}

// Link implements fsys.FS.
func (f *FS) Link(oldName, newName string) error {
	if err := f.step(OpLink, newName); err != nil {
		return err
	}
	return f.disk.link(oldName, newName)
}

// Chmod implements fsys.FS.
func (f *FS) Chmod(name string, mode fs.FileMode) error {
	if err := f.step(OpChmod, name); err != nil {
		return err
	}
	return f.disk.chmod(name, mode)
}

// Stat implements fsys.FS.
func (f *FS) Stat(name string) (fs.FileInfo, error) {
	if err := f.step(OpStat, name); err != nil {
		return nil, err
	}
	return f.base.Stat(name)
}

// ReadDir implements fsys.FS.
func (f *FS) ReadDir(dir string) ([]fs.DirEntry, error) {
	if err := f.step(OpReadDir, dir); err != nil {
		return nil, err
	}
	return f.base.ReadDir(dir)
}

// SyncDir implements fsys.FS.
func (f *FS) SyncDir(dir string) error {
	if err := f.step(OpSyncDir, dir); err != nil {
		return err
	}
	return f.disk.syncDir(dir)
}

// Crash writes to dst, a folder that is empty or does not exist, what root would
// hold after a power cut now. It changes nothing, and may be called from the
// hook.
func (f *FS) Crash(dst string, loss Loss) error {
	if err := os.MkdirAll(dst, 0o755); err != nil {
		return fmt.Errorf("crash: %w", err)
	}
	if err := f.disk.crash(dst, loss); err != nil {
		return fmt.Errorf("crash: %w", err)
	}
	return nil
}
