package blobstore

import (
	"context"
	"fmt"
	"strings"
	"time"

	"dist.example/blobstore/pack"
	"dist.example/content"
	"dist.example/oci"
)

// sink takes finished content: the store at once, or a session with its next
// batch.
type sink interface {
	// take returns what is known of the item by then. Later it is not the caller's
	// to look at.
	take(ctx context.Context, it *item) (content.Info, error)
}

// writer is one ingest. Content that may end in a pack is collected in memory;
// what grows beyond that goes on in an ingest file. With a key the file is there
// from the first byte, so that another run finds it.
type writer struct {
	s    *Store
	ctx  context.Context //nolint:containedctx // of opening: what waits within Write ends with it
	opts content.IngestOptions
	sink sink

	started time.Time
	buf     []byte
	file    *ingest // nil while the content is in memory
	own     bool    // the key is nobody's: nobody can go on with it
	limit   int64   // what grows beyond it goes to a file
	done    bool
	err     error
	batched bool               // a loose blob waits for its batch to be synced
	told    func(content.Info) // once the content is durable, may be nil
}

// memoryLimit is the size up to which content of this type is collected in
// memory: beyond it cannot belong into a pack.
func memoryLimit(mediaType string) int64 {
	if isText(mediaType) {
		return pack.TextBlob
	}
	return pack.SmallBlob
}

func isText(mediaType string) bool {
	return strings.HasSuffix(mediaType, "+json") || mediaType == oci.MediaTypeJSON || strings.HasPrefix(mediaType, "text/")
}

// Write implements io.Writer. An error other than of an overlong write sticks.
func (w *writer) Write(p []byte) (int, error) {
	if w.done {
		return 0, fmt.Errorf("write ingest %s: %w: it is closed", w.opts.Key, content.ErrInvalid)
	}
	if w.err != nil {
		return 0, w.err
	}
	if t := w.opts.Total; t >= 0 && w.offset()+int64(len(p)) > t {
		return 0, fmt.Errorf("ingest %s: %w: more than its %d bytes", w.name(), content.ErrCorrupt, t)
	}
	n, err := w.write(p)
	w.err = err
	return n, err
}

func (w *writer) write(p []byte) (int, error) {
	if w.file == nil {
		if int64(len(w.buf)+len(p)) <= w.limit {
			w.buf = append(w.buf, p...)
			return len(p), nil
		}
		if err := w.spill(); err != nil {
			return 0, err
		}
	}
	return w.file.Write(p)
}

// spill moves what is in memory to an ingest file.
func (w *writer) spill() error {
	f, err := w.s.openIngest(w.ctx, w.opts, true)
	if err != nil {
		return err
	}
	w.file, w.opts.Key = f, f.key
	if err := f.Reset(); err != nil {
		return err
	}
	_, err = f.Write(w.buf)
	w.buf = nil
	return err
}

func (w *writer) offset() int64 {
	if w.file != nil {
		return w.file.size()
	}
	return int64(len(w.buf))
}

// name is what messages call the ingest.
func (w *writer) name() string {
	if w.opts.Expected != "" {
		return w.opts.Expected.String()
	}
	return w.opts.Key
}

// Status implements content.Writer.
func (w *writer) Status() content.Status {
	st := content.Status{
		Key: w.opts.Key, Offset: w.offset(), Total: w.opts.Total, Expected: w.opts.Expected,
		StartedAt: w.started, UpdatedAt: time.Now(), PID: pid,
	}
	if w.file != nil {
		st.StartedAt = w.file.started
	}
	return st
}

// Reset implements content.Writer.
func (w *writer) Reset() error {
	if w.done {
		return fmt.Errorf("reset ingest %s: %w: it is closed", w.name(), content.ErrInvalid)
	}
	w.buf, w.err = w.buf[:0], nil
	if w.file == nil {
		return nil
	}
	return w.file.Reset()
}

// Close implements content.Writer. What was only in memory is gone with it.
func (w *writer) Close() error {
	if w.done {
		return nil
	}
	w.done, w.buf = true, nil
	switch {
	case w.file == nil:
		return nil
	case w.own:
		return w.file.abandon()
	}
	return w.file.Close()
}

// Commit implements content.Writer.
func (w *writer) Commit(ctx context.Context) (content.Info, error) {
	switch {
	case w.done:
		return content.Info{}, fmt.Errorf("commit ingest %s: %w: it is closed", w.name(), content.ErrInvalid)
	case w.err != nil:
		return content.Info{}, w.err
	}
	if t := w.opts.Total; t >= 0 && w.offset() != t {
		return content.Info{}, fmt.Errorf("ingest %s: %w: %d bytes in place of %d", w.name(), content.ErrCorrupt, w.offset(), t)
	}
	it, err := w.finish(ctx)
	if err != nil {
		return content.Info{}, err
	}
	it.done = w.told
	info, err := w.sink.take(ctx, it)
	if err != nil {
		return content.Info{}, err
	}
	w.done = true
	return info, nil
}

// finish turns what was written into an item: verified, and durable where it is
// a file.
func (w *writer) finish(ctx context.Context) (*item, error) {
	if w.file == nil || w.packable() {
		p, err := w.bytes()
		if err != nil {
			return nil, err
		}
		it, err := w.s.smallItem(w.opts, p)
		if err != nil || it != nil {
			if it != nil {
				it.ingest = w.file
			}
			return it, err
		}
		// It does not shrink enough to live in a pack.
		if w.file == nil && w.batched {
			return w.s.batchedItem(w.opts, p)
		}
		if w.file == nil {
			if err := w.spill(); err != nil {
				return nil, err
			}
		}
	}
	return w.s.looseItem(ctx, w.opts, w.file)
}

// packable says whether an ingest that has a file is small enough to end in a
// pack all the same.
func (w *writer) packable() bool { return w.file.size() <= memoryLimit(w.opts.MediaType) }

// bytes is the whole content, for what ends in a pack.
func (w *writer) bytes() ([]byte, error) {
	if w.file == nil {
		return w.buf, nil
	}
	return w.file.bytes()
}
