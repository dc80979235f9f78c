package content

import (
	"context"
	"io"
	"os"
	"time"

	"dist.example/oci"
)

// Backed is implemented by a ReaderAt whose content is, unchanged, a stretch of
// a file. The file belongs to the ReaderAt and lives until its Close.
type Backed interface {
	File() (f *os.File, offset, length int64)
}

// send streams desc from the source into a target that is no Ingester. Content
// that lies in a file of its own is handed over as that file, so that the kernel
// can move it (sendfile) and a broken upload can be replayed; the receiver
// verifies it. What comes from a source that can start in the middle is verified
// on the way and can be replayed as well; everything else is verified and sent
// once.
func (c *copier) send(ctx context.Context, desc oci.Descriptor) error {
	if p, ok := c.src.(Provider); ok {
		ra, err := p.ReaderAt(ctx, desc)
		if err != nil {
			return err
		}
		defer ra.Close()
		if f := wholeFile(ra); f != nil {
			stop := c.watch(f, desc)
			defer stop()
			return c.dst.Push(ctx, desc, f)
		}
		return c.dst.Push(ctx, desc, io.NewSectionReader(ra, 0, ra.Size()))
	}
	if rf, ok := c.src.(RangeFetcher); ok && desc.Size >= 0 {
		return c.relay(ctx, rf, desc)
	}
	r, err := c.src.Fetch(ctx, desc)
	if err != nil {
		return err
	}
	defer r.Close()
	return c.dst.Push(ctx, desc, &counted{r: r, c: c, desc: desc})
}

// wholeFile is ra's file if all of it is ra's content.
func wholeFile(ra ReaderAt) *os.File {
	b, ok := ra.(Backed)
	if !ok {
		return nil
	}
	f, offset, length := b.File()
	if f == nil || offset != 0 {
		return nil
	}
	if fi, err := f.Stat(); err != nil || fi.Size() != length {
		return nil
	}
	return f
}

// watch tells of a transfer that the kernel does, by the file's position. The
// returned function ends it and waits until it has ended.
func (c *copier) watch(f *os.File, desc oci.Descriptor) func() {
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		t := time.NewTicker(100 * time.Millisecond)
		defer t.Stop()
		for {
			select {
			case <-stop:
				return
			case <-t.C:
				if pos, err := f.Seek(0, io.SeekCurrent); err == nil {
					c.event(EventAdvanced, desc, pos)
				}
			}
		}
	}()
	return func() { close(stop); <-ended }
}

// counted tells of progress while it is read.
type counted struct {
	r    io.Reader
	c    *copier
	desc oci.Descriptor
	n    int64
}

func (r *counted) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.n += int64(n)
	if n > 0 {
		r.c.event(EventAdvanced, r.desc, r.n)
	}
	return n, err
}
