package memory

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"os"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// ingest is content under way. Its data is appended to by the one live writer
// alone, so that this writer may read it without the lock.
type ingest struct {
	status content.Status
	lease  string
	repo   string
	data   []byte
	fresh  bool // made without a key: gone when its writer is closed
	// free is closed when the live writer lets go; nil while there is none.
	free chan struct{}
}

// Writer implements content.Ingester.
func (s *Store) Writer(ctx context.Context, opts content.IngestOptions) (content.Writer, error) {
	fresh := opts.Key == ""
	if fresh {
		opts.Key = "memory-" + rand.Text()
	}
	for {
		w, busy, err := s.open(ctx, opts, fresh)
		if busy == nil {
			return w, err
		}
		select {
		case <-busy:
		case <-ctx.Done():
		}
	}
}

// open tries once to open an ingest. A channel means that another writer has
// the key, and is closed when that one lets go.
func (s *Store) open(ctx context.Context, opts content.IngestOptions, fresh bool) (content.Writer, <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkLease(opts.Lease); err != nil {
		return nil, nil, fmt.Errorf("ingest %q: %w", opts.Key, err)
	}
	if err := s.exists(opts); err != nil {
		return nil, nil, fmt.Errorf("ingest %q: %w", opts.Key, err)
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, fmt.Errorf("ingest %q: %w", opts.Key, err)
	}
	ing, ok := s.ingests[opts.Key]
	if !ok {
		now := time.Now()
		ing = &ingest{fresh: fresh, status: content.Status{Key: opts.Key, Total: -1, StartedAt: now, UpdatedAt: now}}
	}
	if err := ing.adopt(opts); err != nil {
		return nil, nil, fmt.Errorf("ingest %q: %w", opts.Key, err)
	}
	if ing.free != nil {
		return nil, ing.free, nil
	}
	s.ingests[opts.Key] = ing
	ing.free = make(chan struct{})
	st := &ing.status
	st.Live, st.PID, st.Marked, st.MarkedAt = true, os.Getpid(), st.Offset, time.Now()
	return &writer{s: s, ing: ing}, nil, nil
}

// exists reports ErrExists when the expected content is held and need not come
// again; it is now under the lease that was asked for.
func (s *Store) exists(opts content.IngestOptions) error {
	o, ok := s.objects[opts.Expected]
	if !ok || opts.Again {
		return nil
	}
	if oci.HasSuccessors(opts.MediaType) && !oci.HasSuccessors(o.info.MediaType) {
		doc, err := parse(opts.MediaType, o.data)
		if err != nil {
			return err
		}
		s.used += o.info.Size // add takes it off again
		s.add(opts.Expected, opts.MediaType, o.data, doc)
	}
	s.hold(opts.Lease, opts.Expected)
	return fmt.Errorf("%s: %w", opts.Expected, content.ErrExists)
}

// adopt takes over what opts know more than the ingest, and refuses what
// contradicts it.
func (i *ingest) adopt(opts content.IngestOptions) error {
	st := &i.status
	if opts.Expected != "" && st.Expected != "" && opts.Expected != st.Expected {
		return fmt.Errorf("%w: it was begun for %s, not for %s", content.ErrConflict, st.Expected, opts.Expected)
	}
	if opts.Total >= 0 && st.Total >= 0 && opts.Total != st.Total {
		return fmt.Errorf("%w: it was begun for %d bytes, not for %d", content.ErrConflict, st.Total, opts.Total)
	}
	if opts.Total >= 0 && opts.Total < st.Offset {
		return fmt.Errorf("%w: it has %d bytes already, more than %d", content.ErrConflict, st.Offset, opts.Total)
	}
	if i.free != nil {
		return nil // what it is becomes clear when its writer lets go
	}
	if opts.Expected != "" {
		st.Expected = opts.Expected
	}
	if opts.Total >= 0 {
		st.Total = opts.Total
	}
	if opts.MediaType != "" {
		st.MediaType = opts.MediaType
	}
	if opts.Lease != "" {
		i.lease = opts.Lease
	}
	if opts.Repository != "" {
		i.repo = opts.Repository
	}
	return nil
}

// errDone is what a Writer answers after its end.
var errDone = errors.New("writer is closed or committed")

type writer struct {
	s    *Store
	ing  *ingest
	done bool
}

// Write implements content.Writer.
func (w *writer) Write(p []byte) (int, error) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	st := &w.ing.status
	if w.done {
		return 0, fmt.Errorf("ingest %q: %w", st.Key, errDone)
	}
	if st.Total >= 0 && st.Offset+int64(len(p)) > st.Total {
		return 0, fmt.Errorf("ingest %q: %w: more than its %d bytes", st.Key, content.ErrCorrupt, st.Total)
	}
	if err := w.s.reserve(int64(len(p))); err != nil {
		return 0, fmt.Errorf("ingest %q: %w", st.Key, err)
	}
	w.ing.data = append(w.ing.data, p...)
	st.Offset += int64(len(p))
	st.UpdatedAt = time.Now()
	return len(p), nil
}

// Status implements content.Writer.
func (w *writer) Status() content.Status {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	return w.ing.status
}

// Reset implements content.Writer.
func (w *writer) Reset() error {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if w.done {
		return fmt.Errorf("ingest %q: %w", w.ing.status.Key, errDone)
	}
	w.s.used -= w.ing.status.Offset
	w.ing.data, w.ing.status.Offset = nil, 0
	w.ing.status.UpdatedAt = time.Now()
	w.ing.status.Marked, w.ing.status.MarkedAt = 0, time.Now()
	return nil
}

// Close implements content.Writer.
func (w *writer) Close() error {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if !w.done && w.ing.fresh {
		w.s.drop(w.ing)
	}
	w.release()
	return nil
}

// drop forgets an ingest and its bytes. The store's lock is held.
func (s *Store) drop(ing *ingest) {
	s.used -= ing.status.Offset
	delete(s.ingests, ing.status.Key)
}

// release lets the next writer of the key in. The store's lock is held.
func (w *writer) release() {
	if w.done {
		return
	}
	w.done = true
	w.ing.status.Live, w.ing.status.PID = false, 0
	close(w.ing.free)
	w.ing.free = nil
}

// Commit implements content.Writer.
func (w *writer) Commit(ctx context.Context) (content.Info, error) {
	info, err := w.commit(ctx)
	if err != nil {
		return content.Info{}, fmt.Errorf("commit %q: %w", w.ing.status.Key, err)
	}
	return info, nil
}

func (w *writer) commit(ctx context.Context) (content.Info, error) {
	if w.done {
		return content.Info{}, errDone
	}
	d, err := w.verify()
	if err != nil {
		return content.Info{}, err
	}
	doc, err := parse(w.ing.status.MediaType, w.ing.data)
	if err != nil {
		return content.Info{}, err
	}
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return content.Info{}, err
	}
	if err := w.s.checkLease(w.ing.lease); err != nil {
		return content.Info{}, err
	}
	info := w.s.add(d, w.ing.status.MediaType, w.ing.data, doc)
	w.s.hold(w.ing.lease, d)
	w.s.push(w.ing.repo, d)
	delete(w.s.ingests, w.ing.status.Key)
	w.release()
	return info, nil
}

// verify compares the bytes with what was expected and returns their digest.
func (w *writer) verify() (oci.Digest, error) {
	st := w.ing.status
	if st.Total >= 0 && st.Offset != st.Total {
		return "", fmt.Errorf("%w: %d bytes in place of %d", content.ErrCorrupt, st.Offset, st.Total)
	}
	alg := oci.SHA256
	if st.Expected != "" {
		alg = st.Expected.Algorithm()
	}
	got := alg.FromBytes(w.ing.data)
	if st.Expected != "" && got != st.Expected {
		return "", fmt.Errorf("%w: the bytes hash to %s, not to %s", content.ErrCorrupt, got, st.Expected)
	}
	return got, nil
}

// Status implements content.IngestManager.
func (s *Store) Status(ctx context.Context, key string) (content.Status, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return content.Status{}, fmt.Errorf("ingest %q: %w", key, err)
	}
	ing, ok := s.ingests[key]
	if !ok {
		return content.Status{}, fmt.Errorf("ingest %q: %w", key, content.ErrNotFound)
	}
	return ing.status, nil
}

// Active implements content.IngestManager.
func (s *Store) Active(ctx context.Context) iter.Seq2[content.Status, error] {
	return list(ctx, func() []content.Status {
		var all []content.Status
		for _, ing := range sorted(s.ingests, func(i *ingest) string { return i.status.Key }) {
			all = append(all, ing.status)
		}
		return all
	}, &s.mu)
}

// Abort implements content.IngestManager.
func (s *Store) Abort(ctx context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("abort %q: %w", key, err)
	}
	ing, ok := s.ingests[key]
	if !ok {
		return fmt.Errorf("abort %q: %w", key, content.ErrNotFound)
	}
	if ing.free != nil {
		return fmt.Errorf("abort %q: %w: it is being written", key, content.ErrConflict)
	}
	s.drop(ing)
	return nil
}
