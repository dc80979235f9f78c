package fsys

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"dist.example/content"
)

// ReadCapped reads a small file whole. Errors: those of package os; content.ErrInvalid
// for one of more than limit bytes.
func ReadCapped(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("read %s: %w: larger than %d bytes", path, content.ErrInvalid, limit)
	}
	return data, err
}

// Rewriting says how Rewrite works.
type Rewriting struct {
	FS    FS
	Limit int64       // of the file in bytes, before and after
	Mode  fs.FileMode // of a file that is made
	// KeepMode leaves a file that is there its mode; else that becomes Mode.
	KeepMode bool
}

// lockPatience bounds the wait for another process that changes the same file.
const lockPatience = 30 * time.Second

// Rewrite gives a small file at path, such as a configuration, another content, or
// makes it: change gets what is there, nothing where there is no file. One process at
// a time does so, by a lock on a file beside it, and others find the old content or
// the new one: it is written to a file beside and renamed. Folders that are missing
// are made for their owner alone. A symbolic link stays, and leads to the new content.
// A crash leaves the old file and perhaps the one beside it, FILE.new, which the next
// change replaces.
//
// Errors: what change returns; content.ErrInvalid for more than Limit bytes;
// content.ErrConflict when another process holds on to the file; those of Classify.
func Rewrite(ctx context.Context, path string, o Rewriting, change func([]byte) ([]byte, error)) error {
	path, err := behindLinks(path)
	if err == nil {
		err = o.FS.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err != nil {
		return Classify(err)
	}
	unlock, err := lockBeside(ctx, o.FS, path)
	if err != nil {
		return Classify(err)
	}
	defer unlock()
	old, err := ReadCapped(path, o.Limit)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Classify(err)
	}
	changed, err := change(old)
	if err == nil && int64(len(changed)) > o.Limit {
		err = fmt.Errorf("%w: larger than %d bytes", content.ErrInvalid, o.Limit)
	}
	if err != nil {
		return err
	}
	mode := o.Mode
	if info, err := os.Stat(path); err == nil && o.KeepMode {
		mode = info.Mode().Perm()
	}
	return Classify(replace(o.FS, path, changed, mode))
}

// replace writes a file by way of another one.
func replace(disk FS, path string, data []byte, mode fs.FileMode) error {
	beside := path + ".new"
	if err := disk.Remove(beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	w, err := disk.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	if err == nil {
		err = w.Sync()
	}
	err = errors.Join(err, w.Close())
	if err == nil {
		err = disk.Rename(beside, path)
	}
	if err != nil {
		_ = disk.Remove(beside)
		return err
	}
	return disk.SyncDir(filepath.Dir(path))
}

// lockBeside takes the lock for changing the file at path. The lock's file goes
// with it, so whoever waited for one looks whether it is still there.
func lockBeside(ctx context.Context, disk FS, path string) (unlock func(), err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, lockPatience, fmt.Errorf("%w: another process is changing it", content.ErrConflict))
	defer cancel()
	name := path + ".lock"
	for {
		l, err := disk.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		err = l.Lock(ctx, true)
		var same bool
		if err == nil {
			same, err = SameFile(l, name, disk)
		}
		if err == nil && same {
			return func() {
				_ = disk.Remove(name) // on Windows it stays while somebody has it open
				_ = l.Close()
			}, nil
		}
		_ = l.Close()
		if err != nil {
			return nil, err
		}
	}
}

// behindLinks is where a file lies, or would lie, that path may be a symbolic link
// to.
func behindLinks(path string) (string, error) {
	for range 40 {
		target, err := os.Readlink(path)
		if err != nil {
			return path, nil // no link, or nothing at all
		}
		if !filepath.IsAbs(target) {
			// Its ".." is that of where the folder is, not of the way there.
			dir, err := filepath.EvalSymlinks(filepath.Dir(path))
			if err != nil {
				return path, err
			}
			target = filepath.Join(dir, target)
		}
		path = target
	}
	return path, fmt.Errorf("%w: too many symbolic links", content.ErrInvalid)
}
