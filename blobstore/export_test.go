package blobstore

import (
	"context"
	"errors"

	"dist.example/db"
)

// HookCommit lets fn run every COMMIT from now on.
func (s *Store) HookCommit(fn func(commit func() error) error) error {
	err := s.db.Close()
	var oerr error
	s.db, oerr = db.Open(context.Background(), s.dir, db.Options{FS: s.fs, Warn: s.warn, Commit: fn})
	return errors.Join(err, oerr)
}
