package fsystest

import (
	"context"
	"io"
	"io/fs"
	"os"

	"dist.example/fsys"
)

// file is an open file of an FS. node is nil where Crash does not care: outside
// root, or opened for reading what came about without the FS.
type file struct {
	fsys.File
	fs       *FS
	node     *node
	writable bool
}

func (f *file) Read(p []byte) (int, error) {
	if err := f.fs.step(OpRead, f.Name()); err != nil {
		return 0, err
	}
	return f.File.Read(p)
}

func (f *file) ReadAt(p []byte, off int64) (int, error) {
	if err := f.fs.step(OpRead, f.Name()); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *file) Write(p []byte) (int, error) {
	return f.write(p, func(p []byte) (int, error) {
		n, err := f.File.Write(p)
		// Only afterwards is it certain where they went: the file may be in append mode.
		if end, seekErr := f.Seek(0, io.SeekCurrent); seekErr == nil {
			f.fs.disk.touch(f.node, end-int64(n), end)
		}
		return n, err
	})
}

func (f *file) WriteAt(p []byte, off int64) (int, error) {
	return f.write(p, func(p []byte) (int, error) {
		n, err := f.File.WriteAt(p, off)
		f.fs.disk.touch(f.node, off, off+int64(n))
		return n, err
	})
}

func (f *file) write(p []byte, do func([]byte) (int, error)) (int, error) {
	if err := f.fs.step(OpWrite, f.Name()); err != nil {
		return 0, err
	}
	room, full := f.fs.take(len(p))
	n, err := do(p[:room])
	if err == nil && full != nil {
		err = &fs.PathError{Op: "write", Path: f.Name(), Err: full}
	}
	return n, err
}

func (f *file) Truncate(size int64) error {
	if err := f.fs.step(OpTruncate, f.Name()); err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil {
		err = f.File.Truncate(size)
	}
	if err == nil {
		f.fs.disk.resize(f.node, info.Size(), size)
	}
	return err
}

func (f *file) Sync() error     { return f.sync(OpSync, f.File.Sync) }
func (f *file) DataSync() error { return f.sync(OpDataSync, f.File.DataSync) }

func (f *file) sync(op Op, do func() error) error {
	if err := f.fs.step(op, f.Name()); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return f.fs.disk.synced(f.node, f.File)
}

func (f *file) WriteBack(off, n int64) error {
	if err := f.fs.step(OpWriteBack, f.Name()); err != nil {
		return err
	}
	return f.File.WriteBack(off, n)
}

func (f *file) TryLock(exclusive bool) (bool, error) {
	if err := f.fs.step(OpLock, f.Name()); err != nil {
		return false, err
	}
	return f.File.TryLock(exclusive)
}

func (f *file) Lock(ctx context.Context, exclusive bool) error {
	if err := f.fs.step(OpLock, f.Name()); err != nil {
		return err
	}
	return f.File.Lock(ctx, exclusive)
}

func (f *file) Close() error {
	err := f.fs.step(OpClose, f.Name())
	if closeErr := f.File.Close(); err == nil {
		err = closeErr
	}
	return err
}

// OS gives the file out of sight: until its next sync anything in it may be new.
func (f *file) OS() *os.File {
	if f.writable {
		f.fs.disk.touchAll(f.node)
	}
	return f.File.OS()
}
