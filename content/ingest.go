package content

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"dist.example/oci"
)

// Doubter is a Source that can have its content from several places. Doubt tells
// it that what it gave last was wrong: it should ask elsewhere for a while.
type Doubter interface {
	Doubt()
}

// Rerouter is a Source that knows several places for one blob.
type Rerouter interface {
	// Reroute lets the next fetch of d begin at another place than the last one. It
	// says false when there is none left.
	Reroute(ctx context.Context, d oci.Digest) bool
}

// Located is a Source that tells where its content came from.
type Located interface {
	// Locator is the place that gave d last, "" when it was not asked for d.
	Locator(d oci.Digest) string
}

// Sourced is a Writer whose provenance can be corrected until Commit: where bytes
// come from may show only while they come.
type Sourced interface {
	SetSource(locator string)
}

// ingest writes desc through a resumable ingest. What turns out wrong at its end
// is fetched once more from nothing: the first part may have been another run's
// trouble, or the bytes were damaged on their way. After that it has to come from
// another place.
func (c *copier) ingest(ctx context.Context, in Ingester, desc oci.Descriptor) error {
	w, err := in.Writer(ctx, IngestOptions{
		Key: desc.Digest.String(), Expected: desc.Digest, Total: desc.Size,
		MediaType: desc.MediaType, Source: c.opts.Origin,
	})
	if errors.Is(err, ErrExists) {
		c.held(desc)
		return nil
	}
	if err != nil {
		return err
	}
	defer w.Close()
	n, err := c.complete(ctx, w, desc)
	for tries := 1; errors.Is(err, ErrCorrupt) && c.worthAnother(ctx, desc, tries); tries++ {
		var m int64
		if err = w.Reset(); err == nil {
			m, err = c.complete(ctx, w, desc)
		}
		n += m
	}
	if err != nil {
		c.movedBytes.Add(n)
		c.event(EventFailed, desc, w.Status().Offset)
		return err
	}
	c.moved(desc, n)
	return nil
}

// worthAnother says whether desc, which came wrong so many times, is to be fetched
// again.
func (c *copier) worthAnother(ctx context.Context, desc oci.Descriptor, tries int) bool {
	if tries == 1 {
		if d, ok := c.src.(Doubter); ok {
			d.Doubt()
		}
		return true
	}
	r, ok := c.src.(Rerouter)
	return ok && r.Reroute(ctx, desc.Digest)
}

func (c *copier) complete(ctx context.Context, w Writer, desc oci.Descriptor) (int64, error) {
	n, err := c.fill(ctx, w, desc)
	if err == nil {
		if s, ok := w.(Sourced); ok {
			s.SetSource(c.origin(desc))
		}
		_, err = w.Commit(ctx)
	}
	return n, err
}

// origin is where desc came from.
func (c *copier) origin(desc oci.Descriptor) string {
	if l, ok := c.src.(Located); ok {
		if place := l.Locator(desc.Digest); place != "" {
			return place
		}
	}
	return c.opts.Origin
}

// fill brings w from its offset to the end and returns the bytes that came from
// the source.
func (c *copier) fill(ctx context.Context, w Writer, desc oci.Descriptor) (int64, error) {
	offset := w.Status().Offset
	if offset > 0 && offset >= desc.Size {
		return 0, nil
	}
	r, err := c.from(ctx, desc, offset)
	if offset > 0 && errors.Is(err, ErrUnsupported) {
		if err = w.Reset(); err != nil {
			return 0, err
		}
		offset = 0
		r, err = c.from(ctx, desc, 0)
	}
	if err != nil {
		return 0, err
	}
	defer r.Close()
	c.event(EventStarted, desc, offset)
	n, err := c.stream(ctx, w, r, desc, offset)
	if m, ok := r.(Mixed); ok {
		held := min(m.Held(), n)
		c.reusedBytes.Add(held)
		n -= held
	}
	return n, err
}

// from opens the source at offset. The Writer verifies the whole, so that a source
// that can spares itself the hashing.
func (c *copier) from(ctx context.Context, desc oci.Descriptor, offset int64) (io.ReadCloser, error) {
	if rf, ok := c.src.(RangeFetcher); ok {
		return rf.FetchFrom(ctx, desc, offset)
	}
	if offset > 0 {
		return nil, fmt.Errorf("fetch %s from %d: %w", desc.Digest, offset, ErrUnsupported)
	}
	return c.src.Fetch(ctx, desc)
}

// stream copies r to w, which may have a place of its own to read to, and tells of
// it.
func (c *copier) stream(ctx context.Context, w io.Writer, r io.Reader, desc oci.Descriptor, offset int64) (int64, error) {
	t := &telling{ctx: ctx, r: r, c: c, desc: desc, offset: offset}
	if rf, ok := w.(io.ReaderFrom); ok {
		return rf.ReadFrom(t)
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	return io.CopyBuffer(struct{ io.Writer }{w}, t, *buf)
}

// telling is the reader of a blob until ctx ends. It tells of every 256 KiB or so.
type telling struct {
	ctx    context.Context //nolint:containedctx // of the copy
	r      io.Reader
	c      *copier
	desc   oci.Descriptor
	offset int64
	told   int64 // how much came since the last event
}

func (t *telling) Read(p []byte) (int, error) {
	if err := t.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := t.r.Read(p)
	t.offset += int64(n)
	if t.told += int64(n); t.told >= 256<<10 {
		t.told = 0
		t.c.event(EventAdvanced, t.desc, t.offset)
	}
	return n, err
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 256<<10); return &b }}
