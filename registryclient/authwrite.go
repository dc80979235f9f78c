package registryclient

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"dist.example/content"
	"dist.example/fsys"
)

// lockPatience bounds the wait for another process that changes the same file.
const lockPatience = 30 * time.Second

// rewrite gives the auth file at path another content, or makes it: change gets
// what is there, nothing where there is no file. One process at a time does so, by
// a lock on a file beside it, and others find the old content or the new one: it is
// written to a file beside, which only its owner may read, and renamed. A symbolic
// link stays, and leads to the new content. A crash leaves the old file and perhaps
// the one beside it, FILE.new, which the next change replaces.
func (f *credentialFiles) rewrite(ctx context.Context, path string, change func([]byte) ([]byte, error)) error {
	path, err := behindLinks(path)
	if err == nil {
		err = f.disk.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err != nil {
		return fmt.Errorf("auth file %s: %w", path, fsys.Classify(err))
	}
	unlock, err := lockBeside(ctx, f.disk, path)
	if err != nil {
		return fmt.Errorf("auth file %s: %w", path, fsys.Classify(err))
	}
	defer unlock()
	old, err := readCapped(path, maxConfigBytes)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("auth file %s: %w", path, fsys.Classify(err))
	}
	changed, err := change(old)
	if err == nil && len(changed) > maxConfigBytes {
		err = fmt.Errorf("%w: larger than %d bytes", content.ErrInvalid, maxConfigBytes)
	}
	if err == nil {
		err = fsys.Classify(replace(f.disk, path, changed))
	}
	if err != nil {
		return fmt.Errorf("auth file %s: %w", path, err)
	}
	return nil
}

// replace writes a file by way of another one.
func replace(disk fsys.FS, path string, data []byte) error {
	beside := path + ".new"
	if err := disk.Remove(beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	w, err := disk.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
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
func lockBeside(ctx context.Context, disk fsys.FS, path string) (unlock func(), err error) {
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
			same, err = fsys.SameFile(l, name, disk)
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
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return path, fmt.Errorf("%w: too many symbolic links", content.ErrInvalid)
}
