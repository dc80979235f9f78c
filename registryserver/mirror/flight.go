package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// flight is one blob on its way into the store, and those who read it meanwhile.
type flight struct {
	m      *Mirror
	key    string        // of its ingest
	repo   oci.Reference // that it comes from
	desc   oci.Descriptor
	cancel context.CancelFunc

	mu      sync.Mutex
	room    int64 // bytes that room was made for, and
	came    int64 // those of them that have come
	askers  int
	timer   *time.Timer   // ends a flight that nobody waits for
	coming  bool          // bytes come, or have ended
	changed chan struct{} // closed whenever there may be more, and made anew
	done    bool
	err     error // of a flight that is done
}

// flightKey is the key of the ingest of a blob. It has the registry in it: who asks one
// must not read what another one is bringing, nor wait for it.
func flightKey(repo oci.Reference, d oci.Digest) string {
	return "mirror-" + repo.Registry + "@" + d.String()
}

// join gets a seat in the flight of desc, which begins with it. The caller leaves.
func (m *Mirror) join(repo oci.Reference, desc oci.Descriptor) (*flight, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, fmt.Errorf("mirror: %w: it is closed", content.ErrUnavailable)
	}
	key := flightKey(repo, desc.Digest)
	f := m.flights[key]
	if f == nil {
		ctx, cancel := context.WithCancel(m.ctx)
		f = &flight{m: m, key: key, repo: repo, desc: desc, cancel: cancel, changed: make(chan struct{})}
		m.flights[key] = f
		m.running.Add(1)
		go f.run(ctx)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.askers++
	if f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
	return f, nil
}

// leave gives a seat back.
func (f *flight) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.askers--; f.askers == 0 && !f.done {
		f.timer = time.AfterFunc(alone, f.cancel)
	}
}

// run brings the blob into the store. Whatever waited for it settles before those
// who read it are told, so that they find what they have pulled.
func (f *flight) run(ctx context.Context) {
	defer f.m.running.Done()
	defer f.cancel()
	err := f.fetch(ctx)
	if err == nil {
		if err = f.m.include(ctx, f.repo, f.desc.Digest); err == nil {
			f.m.arrived(ctx, f.desc.Digest)
		}
	}
	f.m.mu.Lock()
	delete(f.m.flights, f.key)
	f.m.mu.Unlock()
	if errors.Is(err, content.ErrNoSpace) {
		f.m.unkept.put(blobKey(f.repo, f.desc.Digest), err, 1, f.m.o.Now())
	}
	if err != nil {
		f.m.refuse(f.repo.Registry, blobKey(f.repo, f.desc.Digest), err)
		f.m.o.Log.LogAttrs(ctx, slog.LevelWarn, "blob could not be mirrored",
			slog.String("repository", f.repo.Name()), slog.String("digest", f.desc.Digest.String()), slog.Any("error", err))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.coming, f.done, f.err = true, true, err
	if f.timer != nil {
		f.timer.Stop()
	}
	close(f.changed)
}

// fetch copies the blob. What is wrong twice is not kept.
func (f *flight) fetch(ctx context.Context) error {
	if err := f.m.slots.Acquire(ctx, 1); err != nil {
		return fmt.Errorf("fetch %s: %w", f.desc.Digest, err)
	}
	defer f.m.slots.Release(1)
	if err := f.m.makeRoom(ctx, f); err != nil {
		return fmt.Errorf("fetch %s: %w", f.desc.Digest, err)
	}
	lease, done, err := f.m.keep.use(ctx)
	if err != nil {
		return err
	}
	defer done()
	_, err = content.Copy(ctx, &landing{f, lease}, f.m.o.Open(f.repo), f.desc, content.CopyOptions{
		Jobs: 1, Origin: f.repo.Name(), Observe: f.observe,
	})
	if errors.Is(err, content.ErrCorrupt) || errors.Is(err, content.ErrNoSpace) {
		_ = f.m.store.Abort(ctx, f.key) // else the next one begins anew, or nobody goes on with it
	}
	return err
}

// observe is told of the copy: before it has started nothing can come.
func (f *flight) observe(e content.Event) {
	if e.Kind == content.EventStarted || e.Kind == content.EventAdvanced {
		f.mu.Lock()
		f.came = e.Offset
		f.mu.Unlock()
		f.advance(true)
	}
}

// advance tells all readers to look again. coming is that there are bytes.
func (f *flight) advance(coming bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.done {
		return
	}
	f.coming = f.coming || coming
	close(f.changed)
	f.changed = make(chan struct{})
}

// state is how far the flight is, and a channel that is closed when that may have
// changed.
func (f *flight) state() (coming, done bool, changed <-chan struct{}, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.coming, f.done, f.changed, f.err
}

// wait returns when enough has come to the flight.
func (f *flight) wait(ctx context.Context, enough func(coming, done bool) bool) error {
	for {
		coming, done, changed, err := f.state()
		if enough(coming, done) {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// lookEvery is how often it is looked how far another process is with a blob.
const lookEvery = 50 * time.Millisecond

// landing is the store as Copy sees it: where a flight ends.
type landing struct {
	f     *flight
	lease string
}

// Writer implements content.Ingester. What the store has from elsewhere is written
// again; that another process has brought it from here shows only once that has let go.
func (l *landing) Writer(ctx context.Context, opts content.IngestOptions) (content.Writer, error) {
	opts.Key, opts.Lease, opts.KeepType, opts.Repository = l.f.key, l.lease, true, l.f.repo.Name()
	opts.Again = true
	w, err := l.open(ctx, opts)
	if err != nil {
		return nil, err
	}
	vouched, err := l.f.m.vouched(ctx, l.f.repo, l.f.desc.Digest)
	if err == nil && !vouched {
		return w, nil
	}
	w.Close()
	if err != nil {
		return nil, err
	}
	_ = l.f.m.store.Abort(ctx, l.f.key) // others may have it, and find the same
	opts.Again = false
	return l.open(ctx, opts)
}

// open opens the ingest. While another process has it, readers follow that.
func (l *landing) open(ctx context.Context, opts content.IngestOptions) (content.Writer, error) {
	opened := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() { l.follow(ctx, opts.Key, opened) })
	w, err := l.f.m.store.Writer(ctx, opts)
	close(opened)
	others.Wait()
	return w, err
}

func (l *landing) follow(ctx context.Context, key string, opened <-chan struct{}) {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			st, err := l.f.m.store.Status(ctx, key)
			l.f.advance(err == nil && st.Live && st.Offset > 0)
		case <-opened:
			return
		}
	}
}

// Exists implements content.Pusher.
func (l *landing) Exists(ctx context.Context, desc oci.Descriptor) (bool, error) {
	return l.f.m.vouched(ctx, l.f.repo, desc.Digest)
}

// Push implements content.Pusher; a flight has a blob alone, which comes by Writer.
func (l *landing) Push(_ context.Context, desc oci.Descriptor, _ io.Reader) error {
	return fmt.Errorf("push %s: %w", desc.Digest, content.ErrUnsupported)
}
