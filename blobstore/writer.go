package blobstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"dist.example/blobstore/pack"
	"dist.example/content"
	"dist.example/fsys"
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
	whole   *[batchedLoose]byte // what buf lies in, nil when that is its own
	file    *ingest             // nil while the content is in memory
	own     bool                // the key is nobody's: nobody can go on with it
	replays bool                // its stream comes from the first byte again, see Session.Ingest
	wrong   bool                // such a stream had certainly the wrong content
	limit   int64               // what grows beyond it goes to a file
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
		err := fmt.Errorf("ingest %s: %w: more than its %d bytes", w.name(), content.ErrCorrupt, t)
		if w.replays {
			w.err, w.wrong = err, true
		}
		return 0, err
	}
	n, err := w.write(p)
	w.err = err
	return n, err
}

func (w *writer) write(p []byte) (int, error) {
	if w.file == nil {
		if int64(len(w.buf)+len(p)) <= w.limit {
			if w.buf == nil && w.opts.Total <= w.limit {
				w.buf = w.buffer()
			}
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
	f, err := w.s.openIngest(w.ctx, w.opts, alone)
	if err != nil {
		return err
	}
	w.file, w.opts.Key = f, f.key
	if err := f.Reset(); err != nil {
		return err
	}
	_, err = f.Write(w.buf)
	w.free()
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
	if w.opts.Expected != "" && !w.replays {
		return w.opts.Expected.String()
	}
	return w.opts.Key
}

// Status implements content.Writer.
func (w *writer) Status() content.Status {
	st := content.Status{
		Key: w.opts.Key, Offset: w.offset(), Total: w.opts.Total, Expected: w.opts.Expected, MediaType: w.opts.MediaType,
		StartedAt: w.started, UpdatedAt: time.Now(), Live: !w.done, MarkedAt: w.started,
	}
	if w.file != nil {
		st.StartedAt, st.Marked, st.MarkedAt = w.file.started, w.file.marked, w.file.markedAt
	}
	if st.Live {
		st.PID = pid
	}
	return st
}

// SetSource implements content.Sourced.
func (w *writer) SetSource(locator string) { w.opts.Source = locator }

// Reset implements content.Writer.
func (w *writer) Reset() error {
	if w.done {
		return fmt.Errorf("reset ingest %s: %w: it is closed", w.name(), content.ErrInvalid)
	}
	w.buf, w.err, w.wrong = w.buf[:0], nil, false
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
	w.done = true
	w.free()
	switch {
	case w.file == nil:
		return nil
	case w.own, w.wrong, w.replays && w.file.remains() == 0:
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
	if err := w.judge(); err != nil {
		return content.Info{}, err
	}
	it, err := w.finish(ctx)
	if err != nil {
		w.wrong = w.wrong || w.replays && errors.Is(err, content.ErrInvalid)
		return content.Info{}, err
	}
	it.done = w.told
	info, err := w.sink.take(ctx, it)
	if err != nil {
		w.s.dropTemp(it) // another try makes another
		return content.Info{}, err
	}
	w.done = true
	w.free()
	return info, nil
}

// judge compares what was written with what was expected, as far as that cannot
// wait for finish. A stream that comes again next time is judged whole, while a
// part that it ended within is still there.
func (w *writer) judge() error {
	got, total := w.offset(), w.opts.Total
	switch {
	case total >= 0 && got != total && w.replays:
		return w.endedEarly(fmt.Sprintf("%d of %d bytes", got, total))
	case total >= 0 && got != total:
		return fmt.Errorf("ingest %s: %w: %d bytes in place of %d", w.name(), content.ErrCorrupt, got, total)
	case !w.replays:
		return nil
	}
	d, err := w.file.sum()
	switch {
	case err != nil:
	case w.opts.Expected == "" || d == w.opts.Expected:
		err = w.file.cut()
	case total < 0:
		return w.endedEarly(fmt.Sprintf("%d bytes, which hash to %s", got, d))
	default:
		w.wrong = true
		err = fmt.Errorf("%w: the bytes hash to %s", content.ErrCorrupt, d)
	}
	if err != nil {
		return fmt.Errorf("ingest %s: %w", w.name(), fsys.Classify(err))
	}
	return nil
}

// endedEarly is the error of a stream that may have more to come next time.
func (w *writer) endedEarly(had string) error {
	kept := w.file.remains()
	switch {
	case kept == 0:
		return fmt.Errorf("ingest %s: %w: it ended early: %s", w.name(), content.ErrCorrupt, had)
	case kept == w.offset():
		had += "; they are kept"
	default:
		had += fmt.Sprintf("; %d bytes of an earlier try are kept", kept)
	}
	return content.WithHint(fmt.Errorf("ingest %s: %w: it ended early: %s", w.name(), content.ErrCorrupt, had),
		"run it again: what comes is compared with what is kept, and goes on behind it")
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
