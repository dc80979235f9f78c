package blobstore

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
)

// Status implements content.IngestManager.
func (s *Store) Status(ctx context.Context, key string) (content.Status, error) {
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
	return s.statusOf(row), err
}

// statusOf tells of an ingest by its row and by its file, which is further.
func (s *Store) statusOf(row db.Ingest) content.Status {
	st := content.Status{
		Key: row.Key, Offset: row.Offset, Total: row.Total, Expected: row.Expected,
		StartedAt: row.Started, UpdatedAt: row.Updated, PID: row.PID,
	}
	if fi, err := s.fs.Stat(s.ingestPath(row.Key)); err == nil {
		st.Offset = max(st.Offset, fi.Size())
		if fi.ModTime().After(st.UpdatedAt) {
			st.UpdatedAt = fi.ModTime()
		}
	}
	return st
}

// Active implements content.IngestManager.
func (s *Store) Active(ctx context.Context) iter.Seq2[content.Status, error] {
	return listed(ctx, s, func(tx *db.Tx) iter.Seq2[db.Ingest, error] { return tx.Ingests() }, s.statusOf)
}

// Abort implements content.IngestManager. The row goes first: a file without one
// is garbage.
func (s *Store) Abort(ctx context.Context, key string) error {
	if _, err := s.Status(ctx, key); err != nil {
		return err
	}
	f, err := s.openIngestFile(s.ingestPath(key))
	if err != nil {
		return fmt.Errorf("abort ingest %s: %w", key, fsys.Classify(err))
	}
	defer f.Close()
	ok, err := f.TryLock(true)
	if ok && err == nil {
		// Its owner may have finished, and another one begun the same key.
		ok, err = fsys.SameFile(f, s.ingestPath(key), s.fs)
	}
	if !ok || err != nil {
		return errors.Join(err, fmt.Errorf("abort ingest %s: %w: a process is writing it", key, content.ErrConflict))
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		return tx.DeleteIngest(key)
	})
	if err != nil {
		return err
	}
	return fsys.Classify(s.fs.Remove(s.ingestPath(key)))
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
