package blobstore

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"maps"
	"sync"
	"time"

	"dist.example/blobstore/pack"
	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
)

// When a session's batch is committed without being asked.
const (
	batchBlobs = 10_000
	batchBytes = 32 << 20
	batchAge   = 200 * time.Millisecond
)

// DefaultLease is how long a lease lasts without being renewed.
const DefaultLease = 24 * time.Hour

// SessionOptions say what a session is for.
type SessionOptions struct {
	// Note is shown where leases are listed: the verb, as a rule.
	Note string
	// Keep lets the session's lease outlive it by that long, or until names reach
	// all that it protects. Zero ends it with Commit.
	Keep time.Duration
}

// Session is one command's work on the store: it gathers small blobs into
// batches of one fsync and one transaction each, and keeps all that it wrote or
// found under one lease. It is a content.Target and a content.Ingester, safe for
// concurrent use.
//
// What Put, Push and a Writer's Commit accept is visible and durable only after
// the next Flush or Commit has returned nil. A blob of a known size up to 1 MiB
// has no ingest of its own, whatever its key: it is in memory until its Writer
// commits, and whoever else writes the same key does so beside it. (Ingest has a
// file from the first byte on.)
//
// Lifecycle: Begin → … → Commit, and Close in every case. A session that is
// closed without Commit keeps what it has, under its lease, for the next try.
type Session struct {
	s     *Store
	opts  SessionOptions
	lease *lease
	trust []trustFact // for Commit

	mu    sync.Mutex
	batch *batch
	under *batch // what is being committed, nil for nothing
	timer *time.Timer
	err   error // of a commit in the background

	flushing chan struct{} // holds one token: commits are one after the other
	closed   bool
	ended    bool // no timer any more; under mu
}

// Begin opens a session.
func (s *Store) Begin(ctx context.Context, opts SessionOptions) (*Session, error) {
	if err := errors.Join(s.writable(), context.Cause(ctx)); err != nil {
		return nil, err
	}
	kind, lasts := db.LeaseCommand, DefaultLease
	if opts.Keep > 0 {
		kind, lasts = db.LeasePut, opts.Keep
	}
	l, err := s.newLease(ctx, kind, opts.Note, lasts)
	if err != nil {
		return nil, err
	}
	ses := &Session{s: s, opts: opts, lease: l, flushing: make(chan struct{}, 1)}
	ses.batch = newBatch(l)
	return ses, nil
}

// Blob is content for Put.
type Blob struct {
	Data      []byte // may be reused when Put has returned
	MediaType string
	Source    string
	Expected  oci.Digest // "" when not known
	KeepType  bool       // see content.IngestOptions
	// Done, if set, is told once the blob is durable, in the order of the Puts.
	Done func(content.Info)
}

// Put adds a blob that is in memory. It returns before the blob is durable.
// Errors: content.ErrCorrupt when it is not what was expected,
// content.ErrInvalid for a manifest that is none.
func (ses *Session) Put(ctx context.Context, b Blob) (content.Info, error) {
	o := content.IngestOptions{
		Expected: b.Expected, Total: int64(len(b.Data)), MediaType: b.MediaType, KeepType: b.KeepType, Source: b.Source,
	}
	it, err := ses.s.smallItem(o, b.Data)
	if err != nil {
		return content.Info{}, err
	}
	if it == nil {
		return ses.putLarge(ctx, o, b)
	}
	it.done = b.Done
	return ses.take(ctx, it)
}

// putLarge is Put for content that does not belong into a pack. It is written
// whether it is held or not: whoever has the bytes need not ask.
func (ses *Session) putLarge(ctx context.Context, o content.IngestOptions, b Blob) (content.Info, error) {
	w, err := ses.NewWriter(ctx, o, b.Done)
	if err != nil {
		return content.Info{}, err
	}
	defer w.Close()
	if _, err := w.Write(b.Data); err != nil {
		return content.Info{}, err
	}
	return w.Commit(ctx)
}

// Exists implements content.Pusher; what exists is under the session's lease
// with the next batch.
func (ses *Session) Exists(ctx context.Context, desc oci.Descriptor) (bool, error) {
	return ses.hold(ctx, desc.Digest, desc.MediaType)
}

// Push implements content.Pusher.
func (ses *Session) Push(ctx context.Context, desc oci.Descriptor, r io.Reader) error {
	w, err := ses.Writer(ctx, content.IngestOptions{
		Expected: desc.Digest, Total: desc.Size, MediaType: desc.MediaType,
	})
	if err != nil {
		return ignoreExists(err)
	}
	defer w.Close()
	if _, err := io.Copy(w, content.UntilDone(ctx, r)); err != nil {
		return err
	}
	_, err = w.Commit(ctx)
	return err
}

// Tag implements content.Tagger: it flushes and lets ref name desc.
func (ses *Session) Tag(ctx context.Context, desc oci.Descriptor, ref oci.Reference) error {
	if err := ses.Flush(ctx); err != nil {
		return err
	}
	return ses.s.SetNames(ctx, content.NameChange{Reference: ref, Target: desc.Digest, Why: ses.opts.Note})
}

// Fetch implements content.Fetcher over what the store holds and what is still to
// be committed.
func (ses *Session) Fetch(ctx context.Context, desc oci.Descriptor) (io.ReadCloser, error) {
	encoded, record := ses.queued(desc.Digest)
	if encoded == nil {
		return ses.s.Fetch(ctx, desc)
	}
	p, err := pack.ReadBlob(bytes.NewReader(encoded), record)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(p)), nil
}

// queued is the record of a small blob that is not committed yet, nil for all others.
func (ses *Session) queued(d oci.Digest) ([]byte, pack.Record) {
	ses.mu.Lock()
	defer ses.mu.Unlock()
	for b := range ses.uncommitted() {
		if i, ok := b.index[d]; ok {
			return b.items[i].encoded, b.items[i].record
		}
	}
	return nil, pack.Record{}
}

// uncommitted ranges over what the catalog does not tell of yet: the next batch, and
// the one that is being committed. The session's lock is held.
func (ses *Session) uncommitted() iter.Seq[*batch] {
	return func(yield func(*batch) bool) {
		if yield(ses.batch) && ses.under != nil {
			yield(ses.under)
		}
	}
}

// take implements sink: the item goes with the next batch.
func (ses *Session) take(ctx context.Context, it *item) (content.Info, error) {
	info := it.info() // a flush may work on it as soon as it is queued
	for {
		ses.mu.Lock()
		if err := ses.err; err != nil {
			ses.mu.Unlock()
			return info, err
		}
		full := len(ses.batch.items) >= batchBlobs || ses.batch.bytes >= batchBytes
		if !full {
			ses.add(it)
			ses.mu.Unlock()
			return info, nil
		}
		ses.mu.Unlock()
		if err := ses.flushBehind(ctx); err != nil {
			return info, err
		}
	}
}

// flushBehind commits a full batch in the background, so that the next one can be
// gathered meanwhile. One commit runs at a time: a second full batch waits here.
// An error comes out at the next call.
func (ses *Session) flushBehind(ctx context.Context) error {
	if err := ses.turn(ctx); err != nil {
		return err
	}
	b, err := ses.cut()
	if err != nil || b.empty() {
		<-ses.flushing
		return err
	}
	go func() {
		defer func() { <-ses.flushing }()
		ctx, cancel := context.WithTimeout(context.Background(), 2*lockWait)
		defer cancel()
		err := ses.s.commit(ctx, b)
		ses.settle(b, err)
		if err != nil {
			ses.fail(err)
		}
	}()
	return nil
}

// turn waits until no other commit of this session runs. Whoever got it gives it
// back by receiving from flushing.
func (ses *Session) turn(ctx context.Context) error {
	select {
	case ses.flushing <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// fail keeps the error of a commit that nobody waited for.
func (ses *Session) fail(err error) {
	ses.mu.Lock()
	defer ses.mu.Unlock()
	ses.err = err
}

// add queues it; the session's lock is held. A digest that is in the batch
// already is one object: the second copy is dropped, and told of all the same. A
// manifest takes the place of the same bytes under another type, for its edges.
func (ses *Session) add(it *item) {
	b := ses.batch
	if i, twice := b.index[it.desc.Digest]; twice {
		first := b.items[i]
		if oci.HasSuccessors(it.desc.MediaType) && !oci.HasSuccessors(first.desc.MediaType) {
			first, it = it, first
			b.items[i] = first
		}
		if it.done != nil {
			first.done = both(first.done, it.done)
		}
		first.spare = append(first.spare, it.ingests()...)
		first.repos = append(first.repos, it.repos...)
		ses.s.dropTemp(it)
		return
	}
	b.index[it.desc.Digest] = len(b.items)
	b.items = append(b.items, it)
	b.bytes += int64(len(it.encoded))
	if it.tempFile != nil { // else its bytes are durable, and only its row waits
		b.bytes += it.desc.Size
	}
	ses.wake()
}

// wake lets the batch be committed when it has become old. The session's lock is
// held.
func (ses *Session) wake() {
	if ses.timer == nil && !ses.ended {
		ses.timer = time.AfterFunc(ses.s.batchAge, ses.flushLate)
	}
}

func both(a, b func(content.Info)) func(content.Info) {
	if a == nil {
		return b
	}
	return func(i content.Info) { a(i); b(i) }
}

// flushLate commits a batch that has become old. Its error comes out at the next
// call.
func (ses *Session) flushLate() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*lockWait)
	defer cancel()
	err := ses.turn(ctx)
	if err == nil {
		defer func() { <-ses.flushing }() // after its error is kept
		err = ses.commitNow(ctx, nil, false)
	}
	if err != nil {
		ses.fail(err)
	}
}

// Flush makes everything accepted so far durable and visible: one fsync of the
// pack and one transaction.
func (ses *Session) Flush(ctx context.Context) error {
	return ses.commit(ctx, nil, false)
}

// Commit flushes, moves names and ends the session's lease (unless it is kept),
// all in one transaction. On an error no name has moved, what was accepted is
// kept, and the session can go on: with content.ErrNotFound something that a name
// reaches is missing (see MissingError), with content.ErrConflict an expectation of a
// NameChange did not hold.
func (ses *Session) Commit(ctx context.Context, names ...content.NameChange) error {
	return ses.commit(ctx, names, true)
}

func (ses *Session) commit(ctx context.Context, names []content.NameChange, last bool) error {
	if err := ses.turn(ctx); err != nil {
		return err
	}
	defer func() { <-ses.flushing }()
	return ses.commitNow(ctx, names, last)
}

// commitNow is commit for who has the turn.
func (ses *Session) commitNow(ctx context.Context, names []content.NameChange, last bool) error {
	b, err := ses.cut()
	if err != nil {
		return err
	}
	b.names, b.release = names, last && ses.opts.Keep == 0
	if last {
		b.trust = ses.trust
	}
	if b.empty() && len(names) == 0 && len(b.trust) == 0 && !(b.release && ses.lease.isStored()) {
		return nil
	}
	err = ses.s.commit(ctx, b)
	ses.settle(b, err)
	return err
}

// cut takes the batch for a commit and begins a new one. What it took counts as
// there until settle says what became of it. Who calls it has the turn.
func (ses *Session) cut() (*batch, error) {
	ses.mu.Lock()
	defer ses.mu.Unlock()
	if ses.timer != nil {
		ses.timer.Stop()
		ses.timer = nil
	}
	if err := ses.err; err != nil {
		ses.err = nil
		return nil, err
	}
	b := ses.batch
	ses.batch = newBatch(ses.lease)
	if !b.empty() {
		ses.under = b
	}
	return b, nil
}

// settle ends what cut began: the catalog tells of the batch, or its transaction has
// failed with err. Then the batch is put back, save what cannot be trusted any more
// and what was not held after all: that is missing from now on, as who needs it will
// find.
func (ses *Session) settle(b *batch, err error) {
	ses.mu.Lock()
	defer ses.mu.Unlock()
	ses.under = nil
	if err == nil {
		return
	}
	var missing *MissingError
	if errors.As(err, &missing) { // and so is to be asked for again
		for _, d := range missing.Digests {
			delete(b.held, d)
		}
	}
	later := ses.batch
	ses.batch = newBatch(ses.lease)
	for _, it := range append(b.items, later.items...) {
		if it.lost {
			ses.s.dropTemp(it)
			continue
		}
		ses.add(it)
	}
	maps.Copy(ses.batch.held, b.held)
	maps.Copy(ses.batch.held, later.held)
	ses.wake()
}

// Close ends the session. Without Commit before it, what was accepted is
// committed, as far as that is possible, and stays under the lease for the next
// try. Idempotent.
func (ses *Session) Close() error {
	if ses.closed {
		return nil
	}
	ses.closed = true
	ctx, cancel := context.WithTimeout(context.Background(), 2*lockWait)
	defer cancel()
	err := ses.turn(ctx)
	if err == nil {
		ses.fail(nil) // what failed is tried again
		err = ses.commitNow(ctx, nil, false)
		<-ses.flushing
	}
	ses.drop()
	ses.lease.close()
	return err
}

// drop lets go of the ingests of what could not be committed; their files stay.
func (ses *Session) drop() {
	ses.mu.Lock()
	defer ses.mu.Unlock()
	ses.ended = true
	if ses.timer != nil {
		ses.timer.Stop()
	}
	for _, it := range ses.batch.items {
		for _, in := range it.ingests() {
			in.Close()
		}
		ses.s.dropTemp(it)
	}
	ses.batch = newBatch(ses.lease)
}
