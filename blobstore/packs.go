package blobstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"dist.example/blobstore/pack"
	"dist.example/db"
	"dist.example/fsys"
)

// openPack is a pack this goroutine may append to: it holds the lock on the file,
// and nobody else will write there until release.
type openPack struct {
	id    int64
	file  fsys.File
	end   int64 // recorded; the next record goes here
	fresh bool  // its row does not exist yet
}

// takePack finds an open pack that nobody is writing, or makes one. Packs found
// with bytes past their recorded end are returned too: their last writer died or
// its commit was lost, nothing may be written over those bytes, and the caller's
// transaction seals them.
func (s *Store) takePack(ctx context.Context) (p *openPack, spoiled []int64, err error) {
	rows, err := s.openPackRows(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, row := range rows {
		p, bad, err := s.tryPack(ctx, row.ID)
		if err != nil {
			return nil, nil, err
		}
		if bad {
			spoiled = append(spoiled, row.ID)
		}
		if p != nil {
			return p, spoiled, nil
		}
	}
	p, err = s.newPack(ctx)
	return p, spoiled, err
}

func (s *Store) openPackRows(ctx context.Context) (rows []db.Pack, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		rows, err = tx.OpenPacks()
		return err
	})
	return rows, err
}

// tryPack locks a pack's file and, holding it, looks again: that the name still
// leads to this file, and in a new snapshot that the pack is open. nil when it is
// not to be had.
func (s *Store) tryPack(ctx context.Context, id int64) (p *openPack, spoiled bool, err error) {
	f, err := s.fs.OpenFile(s.packPath(id), os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.EISDIR) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("open pack %d: %w", id, fsys.Classify(err))
	}
	defer func() {
		if p == nil {
			f.Close()
		}
	}()
	if ok, err := f.TryLock(true); !ok || err != nil {
		return nil, false, err
	}
	if same, err := fsys.SameFile(f, s.packPath(id), s.fs); !same || err != nil {
		return nil, false, err
	}
	row, open, err := s.packRow(ctx, id)
	if !open || err != nil {
		return nil, false, err
	}
	fi, err := f.Stat()
	if err != nil {
		return nil, false, err
	}
	if fi.Size() != row.End {
		return nil, true, nil
	}
	return &openPack{id: id, file: f, end: row.End}, false, nil
}

func (s *Store) packRow(ctx context.Context, id int64) (row db.Pack, open bool, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		var found bool
		row, found, err = tx.Pack(id)
		open = found && row.State == db.PackOpen
		return err
	})
	return row, open, err
}

// newPack makes a pack's file, header and all, durably and locked. Its row comes
// with the first commit. An id is never used twice: a file that has the next one
// was left by a crash or belongs to a process that is quicker.
func (s *Store) newPack(ctx context.Context) (*openPack, error) {
	var id int64
	err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
		id, err = tx.LastPackID()
		return err
	})
	if err != nil {
		return nil, err
	}
	for {
		id++
		f, err := s.fs.OpenFile(s.packPath(id), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("new pack: %w", fsys.Classify(err))
		}
		s.hook("pack.made")
		ours, err := s.claim(f, s.packPath(id))
		if err == nil && !ours { // a collection took it for what a crash has left
			f.Close()
			continue
		}
		if err == nil {
			err = s.initPack(f, id)
		}
		if err != nil {
			fsys.RemoveHeld(f, s.packPath(id), s.fs)
			return nil, fmt.Errorf("new pack %d: %w", id, fsys.Classify(err))
		}
		return &openPack{id: id, file: f, end: pack.HeaderSize, fresh: true}, nil
	}
}

// claim locks a file that was made just now, and says whether it still has its name
// then: until it is locked, a collection may take it for what a crash has left behind.
func (s *Store) claim(f fsys.File, name string) (bool, error) {
	if ok, err := f.TryLock(true); !ok || err != nil {
		return false, err
	}
	return fsys.SameFile(f, name, s.fs)
}

func (s *Store) initPack(f fsys.File, id int64) error {
	h, err := packHeader(s.head.UUID, db.Pack{ID: id, Created: time.Now()})
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(pack.EncodeHeader(h), 0); err != nil {
		return err
	}
	s.hook("pack.created")
	if err := f.Sync(); err != nil {
		return err
	}
	err = s.fs.SyncDir(s.path(packsDir))
	s.hook("pack.durable")
	return err
}

// cutTails takes away what writers that died left behind the ends of packs, once
// these are sealed and that is durable: a rebuild without the catalog could not tell
// it from what was committed. What cannot be cut now is left to a collection.
func (s *Store) cutTails(ctx context.Context, sealed []int64) {
	for _, id := range sealed {
		s.cutTail(ctx, id)
	}
}

// cutTail says whether it has cut something off.
func (s *Store) cutTail(ctx context.Context, id int64) bool {
	f, err := s.fs.OpenFile(s.packPath(id), os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	if ok, err := f.TryLock(true); !ok || err != nil {
		return false
	}
	if same, err := fsys.SameFile(f, s.packPath(id), s.fs); !same || err != nil {
		return false
	}
	row, _, err := s.packRow(ctx, id)
	fi, serr := f.Stat()
	if err != nil || serr != nil || row.State != db.PackSealed || fi.Size() <= row.End {
		return false
	}
	err = f.Truncate(row.End)
	s.hook("pack.cut")
	return err == nil
}

// retract takes back bytes whose transaction was given up for certain. Not after
// a COMMIT that returned an error: that one may have happened.
func (p *openPack) retract(s *Store) {
	if p.fresh {
		fsys.RemoveHeld(p.file, s.packPath(p.id), s.fs)
		return
	}
	p.file.Truncate(p.end)
}

// release lets others write the pack.
func (p *openPack) release() { p.file.Close() }
