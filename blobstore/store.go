package blobstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/oci"
)

const (
	// lockWait bounds the wait for the write lock, and for work in the background.
	lockWait = 30 * time.Second
	// waitNotice is when a wait is told of.
	waitNotice = 5 * time.Second
	// lookAgain is how often a process that waits to be alone looks whether it still
	// has to be.
	lookAgain = 50 * time.Millisecond
)

// Options direct Open. The zero value opens a store that exists.
type Options struct {
	// Create makes the store if there is none.
	Create bool
	// ReadOnly opens a store for reading alone, whoever may write to it: nothing in it is
	// changed, nor brought up to date.
	ReadOnly bool
	// Apart is ReadOnly for a store as it is now: its catalog is read from a private copy,
	// and may be of an older version. It need not be on a local disk.
	Apart bool
	// Glance is ReadOnly for a look that is not worth a wait: content.ErrBusy where the
	// store is locked for maintenance, or where its catalog had to be copied to be read.
	Glance bool
	// FS is the file system, nil for the operating system's.
	FS fsys.FS
	// FreeBytes is asked how much room there is for this user on the file system of a
	// folder, nil for fsys.FreeBytes. Only tests set it.
	FreeBytes func(dir string) (uint64, error)
	// Warn is told, in a line each, of what a person should know while the store
	// goes on; nil drops it.
	Warn func(string)
	// Hook is called at the named points of the protocols. Only tests set it: to
	// stop a process there, or to look at what it has left.
	Hook func(point string)
}

// Store is an open store. It is safe for concurrent use.
type Store struct {
	layout
	head     head
	db       *db.DB
	lock     fsys.File // shared, as long as the store is open
	readOnly bool
	boot     string
	// The constants, but for tests.
	batchAge        time.Duration
	checkpoints     int64
	checkpointPause time.Duration
	warn            func(string)
	hook            func(string)

	uses      uses
	room      room
	freeBytes func(dir string) (uint64, error)
	closed    atomic.Bool
	mu        sync.Mutex
	healer    Healer // nil for none
	leases    map[string]*lease
	packs     packFiles
}

// Open opens the store in folder dir. A folder that this user cannot write gives
// a read-only store: all that reads works there, all that writes is
// content.ErrDenied. The caller closes the store.
//
// Errors: content.ErrNoStore when there is none (and Create is false), when it is
// of a newer format; content.ErrCorrupt when its catalog or store.json is lost or
// cannot be trusted, and content is there; content.ErrUnsupported on a network file
// system, whose locks cannot be trusted; the cause of ctx when that ends while the
// store is locked for maintenance.
func Open(ctx context.Context, dir string, o Options) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	s := &Store{
		layout: layout{dir, o.FS}, warn: o.Warn, hook: o.Hook, freeBytes: freeSpace(o),
		packs: packFiles{files: map[int64]fsys.File{}}, leases: map[string]*lease{}, readOnly: o.ReadOnly || o.Apart || o.Glance,
	}
	s.defaults()
	if err := fsys.CheckLocal(dir); err != nil && !o.Apart {
		return nil, err
	}
	if s.head, err = s.readHead(); errors.Is(err, content.ErrNoStore) && o.Create && !s.readOnly {
		if s.absentHead() {
			if err := s.create(s.hook); err != nil {
				return nil, err
			}
		}
		s.head, err = s.readHead() // another process may have made it in this moment
	}
	if err != nil {
		return nil, err
	}
	if err := s.attach(ctx, o); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Store) defaults() {
	if s.fs == nil {
		s.fs = fsys.OS()
	}
	if s.warn == nil {
		s.warn = func(string) {}
	}
	if s.hook == nil {
		s.hook = func(string) {}
	}
	s.boot, s.batchAge, s.checkpoints, s.checkpointPause = fsys.BootID(), batchAge, checkpointEvery, checkpointPause
}

func (s *Store) absentHead() bool {
	_, err := s.fs.Stat(s.path(headFile))
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// attach takes the shared lock and opens the catalog.
func (s *Store) attach(ctx context.Context, o Options) error {
	if !s.readOnly {
		f, err := s.fs.OpenFile(s.path(lockFile), os.O_RDWR|os.O_CREATE, 0o644)
		switch {
		case err == nil:
			s.lock = f
		case errors.Is(fsys.Classify(err), content.ErrDenied):
			s.readOnly = true
		default:
			return fmt.Errorf("open store %s: %w", s.dir, fsys.Classify(err))
		}
	}
	if s.readOnly {
		// Whoever cannot write here cannot keep out who can: the lock is a courtesy.
		s.lock, _ = s.fs.OpenFile(s.path(lockFile), os.O_RDONLY, 0)
	}
	if s.lock != nil {
		if err := s.share(ctx, o.Glance); err != nil {
			return fmt.Errorf("open store %s: %w", s.dir, err)
		}
	}
	if err := s.refuseLostCatalog(); err != nil {
		return err
	}
	var err error
	s.db, err = db.Open(ctx, s.dir, db.Options{
		FS: s.fs, ReadOnly: s.readOnly, Apart: o.Apart, Glance: o.Glance, Warn: s.warn, Store: s.head.UUID, Hook: s.hook,
		Exclusive: func(migrate func() error, needed func() bool) error { return s.alone(ctx, migrate, needed) },
	})
	if err != nil {
		return fmt.Errorf("open store %s: %w", s.dir, err)
	}
	return nil
}

// share takes the shared lock, and waits for who has the store alone, but at a glance.
func (s *Store) share(ctx context.Context, glance bool) error {
	if ok, err := s.lock.TryLock(false); ok || err != nil {
		return err
	}
	if glance {
		return fmt.Errorf("%w: it is locked for maintenance", content.ErrBusy)
	}
	t := time.AfterFunc(waitNotice, func() { s.warn("waiting for maintenance of the store " + s.dir) })
	defer t.Stop()
	return s.lock.Lock(ctx, false)
}

// alone runs fn while no other process has the store open, unless another does it
// first: this one gives its shared lock back, takes the exclusive one, and shares
// again.
func (s *Store) alone(ctx context.Context, fn func() error, needed func() bool) (err error) {
	t := time.AfterFunc(waitNotice, func() {
		s.warn("waiting for the other processes that use the store " + s.dir + ": it has to be brought up to date")
	})
	defer t.Stop()
	if err := s.lock.Unlock(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.lock.Lock(ctx, false)) }()
	for needed() {
		ok, err := s.lock.TryLock(true)
		if err != nil {
			return err
		}
		if ok {
			return errors.Join(fn(), s.lock.Unlock())
		}
		select {
		case <-time.After(lookAgain):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// refuseLostCatalog keeps an empty catalog from being made where content lies
// that the lost one knew: everything in it would be garbage from then on.
func (s *Store) refuseLostCatalog() error {
	lost := func() bool {
		fi, err := s.fs.Stat(s.path(catalogFile))
		return errors.Is(err, fs.ErrNotExist) || err == nil && fi.Size() == 0
	}
	if !lost() || !s.holdsContent() || !lost() { // twice: it may be in the making
		return nil
	}
	return content.WithHint(
		fmt.Errorf("open store %s: %w: it holds content, but its catalog (%s) is lost", s.dir, content.ErrCorrupt, catalogFile),
		db.HintRebuild)
}

// Close ends the store's use. Leases acquired and not released stay for their
// time. Idempotent.
func (s *Store) Close() error {
	s.uses.end()
	s.closed.Store(true)
	errs := s.packs.end()
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, l := range s.leases {
		l.close()
		delete(s.leases, id)
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
		s.lock = nil
	}
	return errors.Join(errs...)
}

// Dir is the absolute name of the store's folder.
func (s *Store) Dir() string { return s.dir }

// ReadOnly says whether the store can only be read.
func (s *Store) ReadOnly() bool { return s.readOnly }

// UUID is the store's identity, 32 hex digits.
func (s *Store) UUID() string { return s.head.UUID }

func (s *Store) writable() error {
	if s.closed.Load() {
		return fmt.Errorf("store %s: %w: it is closed", s.dir, content.ErrInvalid)
	}
	if s.readOnly {
		return fmt.Errorf("store %s: %w: it is open for reading only", s.dir, content.ErrDenied)
	}
	return nil
}

// Writer implements content.Ingester: what its Commit accepts is durable and
// visible at once.
func (s *Store) Writer(ctx context.Context, opts content.IngestOptions) (content.Writer, error) {
	for {
		if err := s.absent(ctx, opts); err != nil {
			return nil, err
		}
		w, err := s.openWriter(ctx, opts, s, resuming)
		if err == nil {
			return w, nil
		}
		if !errors.Is(err, content.ErrExists) { // else it came in while this waited
			return nil, err
		}
	}
}

// absent returns ErrExists when the expected content is held, after putting it
// under the lease.
func (s *Store) absent(ctx context.Context, opts content.IngestOptions) error {
	exists := s.missing(ctx, opts)
	if opts.Lease == "" || !errors.Is(exists, content.ErrExists) {
		return exists
	}
	err := s.Hold(ctx, opts.Lease, opts.Expected)
	switch {
	case err == nil:
		return exists
	case errors.Is(err, content.ErrNotFound) && s.missing(ctx, opts) == nil:
		return nil // the object went in this moment; else it is the lease that is gone
	}
	return err
}

// missing returns ErrExists when the expected content is held, and need not come
// again.
func (s *Store) missing(ctx context.Context, opts content.IngestOptions) error {
	if opts.Expected == "" || opts.Again {
		return nil
	}
	held, err := s.has(ctx, opts.Expected, opts.MediaType)
	if err != nil || !held {
		return err
	}
	return fmt.Errorf("ingest %s: %w", opts.Expected, content.ErrExists)
}

// has says whether d is held and not known to be damaged. A manifest that is held
// as something else does not count: it has to come again, for its edges.
func (s *Store) has(ctx context.Context, d oci.Digest, mediaType string) (bool, error) {
	o, found, err := s.db.Object(ctx, d)
	return found && o.Loc.Held() && (o.Media == mediaType || !oci.HasSuccessors(mediaType)), err
}

// openWriter checks what is asked and opens the ingest of a key at once, of none
// when it grows.
func (s *Store) openWriter(ctx context.Context, opts content.IngestOptions, to sink, how opening) (*writer, error) {
	if err := s.writable(); err != nil {
		return nil, err
	}
	if opts.Expected != "" {
		if _, err := oci.ParseDigest(opts.Expected.String()); err != nil {
			return nil, err
		}
	}
	if opts.MediaType == "" {
		opts.MediaType = oci.MediaTypeOctets
	}
	w := &writer{s: s, ctx: ctx, opts: opts, sink: to, started: time.Now(), limit: memoryLimit(opts.MediaType)}
	if opts.Key == "" {
		w.opts.Key, w.own = freshKey(), true
	} else {
		f, err := s.openIngest(ctx, opts, how)
		if err != nil {
			return nil, err
		}
		w.file, w.replays = f, how == comparing
	}
	return w, nil
}

// take implements sink: the item is committed at once.
func (s *Store) take(ctx context.Context, it *item) (content.Info, error) {
	b := newBatch(nil)
	b.items = append(b.items, it)
	err := s.commit(ctx, b)
	return it.info(), err
}

func ignoreExists(err error) error {
	if errors.Is(err, content.ErrExists) {
		return nil
	}
	return err
}
