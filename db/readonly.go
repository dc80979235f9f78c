package db

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/schema"
)

// openForReading finds the way in which this catalog can be read. Immutable, that
// is without locks or shared memory, only where nobody writes: the folder is not
// ours to write and there is no WAL or an empty one. Else as one reader among
// others, which needs the shared memory file; where that cannot be had, a private
// copy of catalog and WAL.
func (d *DB) openForReading(ctx context.Context, o Options) error {
	fi, err := d.lookFirst(o)
	if err != nil {
		return err
	}
	if d.walSize(o.FS) == 0 && (o.Glance || !writable(o.FS, d.dir)) {
		d.unchanged = d.stamp(fi)
		return d.openAs(o, "mode=ro", "immutable=1")
	}
	err = d.openAs(o, "mode=ro")
	if err == nil || errors.Is(err, content.ErrNoStore) || errors.Is(err, content.ErrCorrupt) {
		return err
	}
	if d.walSize(o.FS) == 0 {
		return err
	}
	if o.Glance {
		return errors.Join(content.ErrBusy, err)
	}
	if cerr := d.copyAside(ctx, o); cerr != nil {
		return errors.Join(err, cerr)
	}
	return d.openAs(o)
}

// openApart reads a copy of catalog and WAL, brought up to date where it is of an older
// version.
func (d *DB) openApart(ctx context.Context, o Options) error {
	if _, err := d.lookFirst(o); err != nil {
		return err
	}
	if err := d.copyAside(ctx, o); err != nil {
		return err
	}
	own := Options{Store: o.Store, CacheMiB: o.CacheMiB}
	own.setDefaults()
	apart := newDB(filepath.Dir(d.file), own)
	if err := errors.Join(apart.openForWriting(ctx, own), apart.Close()); err != nil {
		return err
	}
	return d.openAs(o)
}

// lookFirst notes the witness and looks whether there is a catalog. The witness comes
// before all else: writers may be at work, and what is read of the catalog after it is
// no older.
func (d *DB) lookFirst(o Options) (fs.FileInfo, error) {
	seen := Witness(o.FS, d.dir)
	d.witness = func() int64 { return seen }
	fi, err := o.FS.Stat(d.file)
	if errors.Is(err, fs.ErrNotExist) || (err == nil && fi.Size() == 0) {
		return nil, content.WithHint(fmt.Errorf("%w: there is no catalog", content.ErrNoStore), "make one with: dist init")
	}
	return fi, fsys.Classify(err)
}

// stamp returns a function that says whether the catalog's file is still the one
// that fi is of. A file that is opened as immutable may be changed by its owner all
// the same: what was read meanwhile is worth nothing then.
func (d *DB) stamp(fi fs.FileInfo) func() error {
	return func() error {
		now, err := d.fs.Stat(d.file)
		if err != nil {
			return fsys.Classify(err)
		}
		if now.Size() == fi.Size() && now.ModTime().Equal(fi.ModTime()) {
			return nil
		}
		return content.WithHint(fmt.Errorf("read the catalog: %w: its owner has written it meanwhile", content.ErrConflict), "run it again")
	}
}

// errOlder says that a catalog has to be brought up to date before it is read.
var errOlder = fmt.Errorf("%w", content.ErrNoStore)

// openAs opens the catalog with SQLite's parameters and checks that it is one.
func (d *DB) openAs(o Options, params ...string) (err error) {
	if d.pool != nil {
		d.pool.close()
	}
	d.params = params
	if d.pool, err = newPool(dsn(d.file, o.CacheMiB, params...)); err != nil {
		return err
	}
	v, err := d.version()
	if err != nil {
		return err
	}
	switch {
	case v == 0:
		return content.WithHint(fmt.Errorf("%w: the catalog is empty", content.ErrNoStore), "make one with: dist init")
	case v < schema.Version:
		return content.WithHint(fmt.Errorf("%w: the catalog has version %d, this program reads %d", errOlder, v, schema.Version),
			"a command that may write to the store brings it up to date")
	}
	return nil
}

// writable says whether this process could be a writer, or another one of the
// same user.
func writable(fsys fsys.FS, dir string) bool {
	f, err := fsys.OpenFile(filepath.Join(dir, lockName), os.O_RDWR, 0)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// walSize is the WAL's length in bytes, 0 when there is none.
func (d *DB) walSize(fsys fsys.FS) int64 {
	fi, err := fsys.Stat(d.file + "-wal")
	if err != nil {
		return 0
	}
	return fi.Size()
}

// copyAside copies catalog and WAL to a private folder. SQLite could not open the
// file here, so this process holds no lock on it that closing might drop.
func (d *DB) copyAside(ctx context.Context, o Options) error {
	tmp, err := os.MkdirTemp("", "dist-catalog-")
	if err != nil {
		return err
	}
	d.cleanup = func() error { return os.RemoveAll(tmp) }
	// No writer may write the WAL back between the two copies. Where the lock's file
	// cannot even be read there is no writer to be expected either.
	if lock, err := o.FS.OpenFile(filepath.Join(d.dir, lockName), os.O_RDONLY, 0); err == nil {
		defer lock.Close()
		ctx, cancel := context.WithTimeout(ctx, o.LockWait)
		defer cancel()
		if err := lock.Lock(ctx, true); err != nil {
			return err
		}
	}
	file := filepath.Join(tmp, catalogName)
	for _, suffix := range []string{"", "-wal"} {
		err := copyFile(o.FS, file+suffix, d.file+suffix)
		if err != nil && (suffix == "" || !errors.Is(err, content.ErrNotFound)) { // there may be no WAL
			return err
		}
	}
	d.file = file
	return nil
}

func copyFile(from fsys.FS, dst, src string) error {
	in, err := from.OpenFile(src, os.O_RDONLY, 0)
	if err != nil {
		return fsys.Classify(err)
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return fsys.Classify(errors.Join(err, out.Close()))
}
