package blobstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"time"

	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
)

// Status implements content.IngestManager.
func (s *Store) Status(ctx context.Context, key string) (content.Status, error) {
	st, err := s.status(ctx, key)
	if err == nil && !st.Live {
		st, err = s.status(ctx, key) // it may have finished between the row and the file
	}
	return st, err
}

func (s *Store) status(ctx context.Context, key string) (content.Status, error) {
	var (
		row   db.Ingest
		found bool
	)
	err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
		row, found, err = tx.Ingest(key)
		return err
	})
	if err == nil && !found {
		err = fmt.Errorf("ingest %s: %w", key, content.ErrNotFound)
	}
	if err != nil {
		return content.Status{}, err
	}
	return s.statusOf(row), nil
}

// statusOf tells of an ingest by its row and by its file, which is further.
func (s *Store) statusOf(row db.Ingest) content.Status {
	st := content.Status{
		Key: row.Key, Offset: row.Offset, Total: row.Total, Expected: row.Expected, MediaType: row.MediaType,
		StartedAt: row.Started, UpdatedAt: row.Updated, Marked: row.Offset, MarkedAt: row.Updated,
		Live: s.live(s.ingestPath(row.Key), row.PID),
	}
	if st.Live {
		st.PID = row.PID
	}
	if fi, err := s.fs.Stat(s.ingestPath(row.Key)); err == nil {
		st.Offset = max(st.Offset, fi.Size())
		if fi.Size() > 0 && fi.ModTime().After(st.UpdatedAt) { // an empty one may be made by who looks
			st.UpdatedAt = fi.ModTime()
		}
	}
	return st
}

// live says whether an owner has the lock on an ingest's file. The look is so
// short that whoever wants the lock for good only has to try again. Who may not
// open the file goes by the process.
func (s *Store) live(name string, pid int) bool {
	f, err := s.fs.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist) && fsys.ProcessAlive(pid)
	}
	defer f.Close()
	ok, err := f.TryLock(false)
	return err != nil || !ok
}

// Active implements content.IngestManager.
func (s *Store) Active(ctx context.Context) iter.Seq2[content.Status, error] {
	return func(yield func(content.Status, error) bool) {
		var rows []db.Ingest // first: no transaction has to wait for files
		for row, err := range listed(ctx, s, (*db.Tx).Ingests, func(row db.Ingest) db.Ingest { return row }) {
			if err != nil {
				yield(content.Status{}, err)
				return
			}
			rows = append(rows, row)
		}
		for _, row := range rows {
			st, err := s.statusOf(row), error(nil)
			if !st.Live {
				st, err = s.Status(ctx, row.Key)
			}
			if errors.Is(err, content.ErrNotFound) {
				continue // finished meanwhile
			}
			if !yield(st, err) || err != nil {
				return
			}
		}
	}
}

// Abort implements content.IngestManager. The row goes first: a file without one
// is garbage.
func (s *Store) Abort(ctx context.Context, key string) error {
	return s.abort(ctx, key, func(*db.Tx) error { return nil })
}

// abort drops an ingest unless judge has an error. While judge looks, nobody can go on
// with it.
func (s *Store) abort(ctx context.Context, key string, judge func(*db.Tx) error) error {
	if _, err := s.Status(ctx, key); err != nil {
		return err
	}
	f, err := s.openIngestFile(s.ingestPath(key))
	if err != nil {
		return fmt.Errorf("abort ingest %s: %w", key, fsys.Classify(err))
	}
	defer f.Close()
	ok, err := s.lockDead(ctx, f)
	if ok && err == nil {
		// Its owner may have finished, and another one begun the same key.
		ok, err = fsys.SameFile(f, s.ingestPath(key), s.fs)
	}
	if err == nil && !ok {
		err = fmt.Errorf("%w: a process is writing it", content.ErrConflict)
	}
	if err == nil {
		err = s.db.Read(ctx, judge)
	}
	if err != nil {
		return fmt.Errorf("abort ingest %s: %w", key, fsys.Classify(err))
	}
	if fi, err := f.Stat(); err == nil && fi.Mode()&0o200 != 0 {
		// The bytes first: they may be what has filled the disk, which then has no room
		// to forget them. A row that speaks of more than there is counts for nothing.
		_ = f.Truncate(0)
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		return tx.DeleteIngest(key)
	})
	if err != nil {
		return err
	}
	s.hook("abort.forgotten")
	return fsys.Classify(fsys.RemoveHeld(f, s.ingestPath(key), s.fs))
}

// lockDead locks the file of an ingest, which it says no to while an owner has
// it. One who only looks (see live) is gone in a moment.
func (s *Store) lockDead(ctx context.Context, f fsys.File) (bool, error) {
	for {
		if ok, err := f.TryLock(true); ok || err != nil {
			return ok, err
		}
		if ok, err := f.TryLock(false); !ok || err != nil {
			return false, err // it is locked for good
		}
		if err := f.Unlock(); err != nil {
			return false, err
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

// listed lists the rows of one snapshot as something else.
func listed[R, T any](ctx context.Context, s *Store, rows func(*db.Tx) iter.Seq2[R, error], as func(R) T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		err := s.db.Read(ctx, func(tx *db.Tx) error {
			for row, err := range rows(tx) {
				if err != nil {
					return err
				}
				if !yield(as(row), nil) {
					return errStop
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			var none T
			yield(none, err)
		}
	}
}

// errStop ends a read transaction whose reader has seen enough.
var errStop = errors.New("stop")
