package blobstore

import (
	"context"
	"errors"
	"time"

	"dist.example/db"
)

// HoldBatches lets no batch be committed for its age: a test that looks at what a
// batch does must not depend on how fast the machine is.
func (s *Store) HoldBatches() { s.batchAge = time.Hour }

// CheckpointEvery lets ingests record how far they are every n bytes: a test that
// loses them must not need files of many MiB, nor time.
func (s *Store) CheckpointEvery(n int64) { s.checkpoints, s.checkpointPause = n, 0 }

// BootedAs lets the machine have been started anew.
func (s *Store) BootedAs(id string) { s.boot = id }

// HookCommit lets fn run every COMMIT from now on.
func (s *Store) HookCommit(fn func(commit func() error) error) error {
	err := s.db.Close()
	var oerr error
	s.db, oerr = db.Open(context.Background(), s.dir, db.Options{FS: s.fs, Warn: s.warn, Commit: fn})
	return errors.Join(err, oerr)
}

// WriteUses writes the uses that were noted in the background, now.
func (s *Store) WriteUses() { s.writeDue() }

// LookForPacks looks, now, for packs that are gone, and says whether there will be another
// look, and how many packs are open.
func (s *Store) LookForPacks() (again bool, open int) {
	s.letGoPacks()
	return s.packs.look != nil, len(s.packs.open())
}
