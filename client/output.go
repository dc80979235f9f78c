package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"dist.example/content"
	"dist.example/fsys"
)

// realOutput says where what is to be written to path goes: into a regular file, which
// links lead to if path is one, and which is replaced whole; or, with stream, as it comes
// into what is there and is none: a named pipe, a device, or a descriptor of this process
// such as /dev/stdout, whatever that is of.
func realOutput(path string) (real string, stream bool) {
	if fi, err := os.Stat(path); err == nil && !fi.Mode().IsRegular() && !fi.IsDir() {
		return path, true
	}
	if fi, err := os.Lstat(path); err != nil || fi.Mode()&fs.ModeSymlink == 0 {
		return path, false
	}
	if at, err := filepath.Abs(path); err == nil && isDescriptor(at) {
		return path, true
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real, false
	}
	return path, false
}

// isDescriptor says whether the link at path, which is absolute, is the system's name of a
// descriptor. Other folders of /dev, such as /dev/shm, have files like any folder.
func isDescriptor(path string) bool {
	dir := filepath.Dir(path)
	return dir == "/dev" || dir == "/dev/fd" || strings.HasPrefix(path, "/proc/")
}

// output is a file on its way: beside its place until it is finished, or the stream that
// is there.
type output struct {
	*os.File
	place  string // "" for a stream
	placed bool
}

// createOutput begins a file in path's place. To open a pipe takes somebody who reads it,
// or the end of ctx.
func createOutput(ctx context.Context, path string) (*output, error) {
	real, stream := realOutput(path)
	if stream {
		f, err := fsys.OpenPatiently(ctx, path, os.O_WRONLY|os.O_APPEND)
		return &output{File: f}, fsys.Classify(err)
	}
	f, err := createBeside(real)
	return &output{File: f, place: real}, err
}

// finish makes what was written durable and gives it its place.
func (o *output) finish() error {
	if o.place == "" {
		return fsys.Classify(o.Close())
	}
	err := errors.Join(o.Sync(), o.Close())
	if err == nil {
		err = os.Rename(o.Name(), o.place)
	}
	o.placed = err == nil
	return fsys.Classify(err)
}

// abandon leaves nothing of what was not finished, or could not be.
func (o *output) abandon() {
	_ = o.Close()
	if o.place != "" && !o.placed {
		_ = os.Remove(o.Name())
	}
}

// replaceFile puts data in path's place in one step.
func replaceFile(ctx context.Context, path string, data []byte) error {
	f, err := createOutput(ctx, path)
	if err != nil {
		return err
	}
	defer f.abandon()
	if _, err := f.Write(data); err != nil {
		return fsys.Classify(err)
	}
	return f.finish()
}

// canCreate refuses a path in whose place nothing can be written, before a long piece of
// work that ends there.
func canCreate(path string) error {
	real, stream := realOutput(path)
	if stream {
		return nil
	}
	fi, err := os.Stat(filepath.Dir(real))
	if err != nil {
		return fmt.Errorf("write %s: %w", path, fsys.Classify(err))
	}
	if at, err := os.Stat(real); !fi.IsDir() || err == nil && at.IsDir() {
		return fmt.Errorf("write %s: %w: it is no place for a file", path, content.ErrInvalid)
	}
	return nil
}
