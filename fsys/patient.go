package fsys

import (
	"context"
	"io/fs"
	"os"
	"time"
)

// OpenPatiently opens a file with the flag of os.OpenFile, os.O_RDONLY or os.O_WRONLY. To
// open a named pipe waits until somebody has its other end: ctx ends that, and from then on
// reading and writing of what is no regular file, too. Errors: those of os.OpenFile, and
// the cause of ctx.
func OpenPatiently(ctx context.Context, name string, flag int) (*os.File, error) {
	fi, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if fi.Mode().IsRegular() {
		return os.OpenFile(name, flag, 0)
	}
	f, err := openAsSoonAs(ctx, name, flag, fi.Mode())
	if err == nil {
		context.AfterFunc(ctx, func() { _ = f.SetDeadline(time.Now()) })
	}
	return f, err
}

func openAsSoonAs(ctx context.Context, name string, flag int, mode fs.FileMode) (*os.File, error) {
	if mode&fs.ModeNamedPipe == 0 {
		return os.OpenFile(name, flag, 0)
	}
	type opened struct {
		f   *os.File
		err error
	}
	done := make(chan opened)
	go func() {
		f, err := os.OpenFile(name, flag, 0)
		select {
		case done <- opened{f, err}:
		case <-ctx.Done():
			f.Close() // nobody waits any more
		}
	}()
	select {
	case o := <-done:
		return o.f, o.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
