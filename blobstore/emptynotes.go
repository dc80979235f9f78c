package blobstore

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"slices"

	"dist.example/blobstore/pack"
	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/oci"
)

// heldNote is a note, and where it is.
type heldNote struct {
	pack.Note
	entry pack.Entry
}

func (e *emptying) note(ctx context.Context, entry pack.Entry) error {
	n, err := pack.ReadNote(legible{e.file}, entry.Record)
	switch {
	case entry.Salvaged: // it may be part of other content
		e.damaged = true
		return nil
	case errors.Is(err, content.ErrUnsupported):
		e.kept = packNewer
		return nil
	case errors.Is(err, content.ErrCorrupt):
		e.damaged = true
		return nil
	case err != nil:
		return fsys.Classify(err)
	}
	if e.notes = append(e.notes, heldNote{n, entry}); len(e.notes) < copyRecords {
		return nil
	}
	return e.judgeNotes(ctx)
}

func (e *emptying) carryOn(ctx context.Context) error {
	for _, n := range e.newest {
		e.carry = append(e.carry, n.entry)
	}
	slices.SortFunc(e.carry, func(a, b pack.Entry) int { return cmp.Compare(a.Offset, b.Offset) })
	for {
		var buf bytes.Buffer
		for len(e.carry) > 0 && buf.Len() < copyBytes {
			err := e.copy(&buf, e.carry[0], func(r io.ReaderAt, rec pack.Record) error {
				_, err := pack.ReadNote(r, rec)
				return err
			})
			if errors.Is(err, content.ErrCorrupt) { // it was right a moment ago
				e.kept = packDamaged
				return nil
			}
			if err != nil {
				return fsys.Classify(err)
			}
			e.carry = e.carry[1:]
		}
		if buf.Len() == 0 {
			return e.m.s.db.Write(ctx, e.dead)
		}
		err := e.m.s.appendRecords(ctx, "gc.noted", buf.Bytes(), func(tx *db.Tx, _, _ int64) (live, dead int64, err error) {
			if len(e.carry) == 0 {
				err = e.dead(tx)
			}
			return 0, 0, err
		})
		if err == nil {
			e.grown += int64(buf.Len())
		}
		if err != nil || len(e.carry) == 0 {
			return err
		}
	}
}

// judgeNotes finds out which of the notes read so far still count: of a name the
// changes that are in the log, and the newest one, of an object the type that it has,
// of anything else the newest one, also where this version does not know what it is. A
// name that is gone needs the note that says so: an older one may lie in another pack.
func (e *emptying) judgeNotes(ctx context.Context) error {
	notes := e.notes
	e.notes = nil
	return e.m.s.db.Read(ctx, func(tx *db.Tx) error {
		var (
			seqs  []int64
			names []string
			typed []oci.Digest
		)
		for _, n := range notes {
			switch n.Type {
			case pack.NoteRef:
				seqs, names = append(seqs, n.Seq), append(names, n.Name)
			case pack.NoteMedia:
				typed = append(typed, n.Digest)
			}
		}
		log, err := tx.LogAt(seqs)
		if err != nil {
			return err
		}
		last, err := tx.LastChanges(names)
		if err != nil {
			return err
		}
		rows, err := tx.Objects(typed)
		for _, n := range notes {
			_, logged := log[n.Seq]
			switch {
			case n.Type == pack.NoteRef && logged:
				e.carry = append(e.carry, n.entry)
			case n.Type == pack.NoteRef && n.Seq < last[n.Name], n.Type == pack.NoteMedia && !stillTyped(rows[n.Digest], n.Note):
			default:
				if old, ok := e.newest[n.Key()]; !ok || old.Seq < n.Seq || old.Seq == n.Seq && !n.When.Before(old.When) {
					e.newest[n.Key()] = n
				}
			}
		}
		return err
	})
}

// stillTyped says whether an object is here and has the type that a note gives it.
func stillTyped(o db.Object, n pack.Note) bool {
	return o.ID != 0 && o.Loc != db.LocAbsent && o.Loc != db.LocDoomed && o.Media == n.Media
}
