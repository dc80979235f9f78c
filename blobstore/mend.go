package blobstore

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"

	"dist.example/blobstore/pack"
	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
)

// rewriteHeader writes the header of a pack anew: all of it is known. A pack that
// another process is writing is left for the next time, which done tells.
func (l layout) rewriteHeader(store string, p db.Pack) (done bool, err error) {
	f, err := l.fs.OpenFile(l.packPath(p.ID), os.O_RDWR, 0)
	if err != nil {
		return false, fsys.Classify(err)
	}
	defer f.Close()
	if free, err := f.TryLock(true); !free || err != nil {
		return false, err
	}
	h, err := packHeader(store, p)
	if err != nil {
		return false, err
	}
	if _, err = f.WriteAt(pack.EncodeHeader(h), 0); err == nil {
		err = f.Sync()
	}
	return err == nil, fsys.Classify(err)
}

// packHeader is the header that a pack of this store has.
func packHeader(store string, p db.Pack) (pack.Header, error) {
	h := pack.Header{ID: uint64(p.ID), Created: p.Created}
	_, err := hex.Decode(h.Store[:], []byte(store))
	return h, err
}

// sealPacks ends the growth of packs, so that nothing is written behind damage.
func (s *Store) sealPacks(ctx context.Context, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	return s.db.Write(ctx, func(tx *db.Tx) error { return sealAll(tx, ids) })
}

func sealAll(tx *db.Tx, ids []int64) error {
	for _, id := range ids {
		if err := tx.SealPack(id); err != nil {
			return err
		}
	}
	return nil
}

// encodeNotes are the records of notes, one after the other.
func encodeNotes(notes []pack.Note) (buf []byte, err error) {
	enc := pack.NewEncoder()
	defer enc.Release()
	for _, n := range notes {
		if buf, _, err = enc.AppendNote(buf, n); err != nil {
			return nil, err
		}
	}
	return buf, nil
}

// writeNotes appends notes to an open pack, durably.
func (s *Store) writeNotes(ctx context.Context, notes []pack.Note) error {
	buf, err := encodeNotes(notes)
	if err != nil {
		return err
	}
	return s.appendRecords(ctx, "mend.noted", buf, func(*db.Tx, int64, int64) (live, dead int64, err error) { return 0, 0, nil })
}

// appendRecords appends encoded records to an open pack, durably, and runs within in
// the transaction that makes them part of it. That is told which pack it is and where
// the records begin, and says how many bytes of them count as live and as dead. It may
// be run more than once, each time after everything before was rolled back.
func (s *Store) appendRecords(ctx context.Context, point string, buf []byte, within func(tx *db.Tx, pack, at int64) (live, dead int64, err error)) error {
	for {
		err := s.tryAppend(ctx, point, buf, within)
		if !errors.Is(err, errChanged) {
			return err
		}
	}
}

func (s *Store) tryAppend(ctx context.Context, point string, buf []byte, within func(tx *db.Tx, pack, at int64) (live, dead int64, err error)) error {
	p, spoiled, err := s.takePack(ctx)
	if err != nil {
		return err
	}
	defer p.release()
	if _, err = p.file.WriteAt(buf, p.end); err == nil {
		err = p.file.DataSync()
	}
	if err != nil {
		p.retract(s)
		return fmt.Errorf("write pack %d: %w", p.id, fsys.Classify(err))
	}
	s.hook(point)
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		if err := sealAll(tx, spoiled); err != nil {
			return err
		}
		grown := db.Pack{ID: p.id, State: db.PackOpen, End: p.end + int64(len(buf))}
		if grown.End >= pack.MaxPackSize {
			grown.State = db.PackSealed
		}
		var err error
		if grown.Live, grown.Dead, err = within(tx, p.id, p.end); err != nil {
			return err
		}
		err = tx.GrowPack(grown)
		if errors.Is(err, content.ErrConflict) {
			return errChanged // somebody sealed it: take another
		}
		return err
	})
	if err == nil {
		s.cutTails(ctx, spoiled)
	}
	var unknown *db.CommitError
	if err != nil && !errors.As(err, &unknown) {
		p.retract(s)
	}
	return err
}
