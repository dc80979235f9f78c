package blobstore

import (
	"errors"
	"fmt"
	"slices"

	"dist.example/blobstore/pack"
	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
)

// moves says whether the batch may move names, or changes what is trusted.
func (c *committing) moves() bool {
	return len(c.b.names) > 0 || len(c.b.doomed) > 0 || len(c.b.excluded) > 0 || len(c.b.trust) > 0 || c.b.facts != nil
}

// names moves the names, gives up what is to be deleted, and appends a note for
// each change, whose seq is fixed here under the lock.
func (c *committing) names(tx *db.Tx) error {
	if !c.moves() {
		return nil
	}
	changes, err := refChanges(tx, c.b.names)
	if err != nil {
		return err
	}
	c.s.hook("names.checked")
	removals, err := c.doom(tx)
	if err != nil {
		return err
	}
	left, err := c.exclude(tx)
	if err != nil {
		return err
	}
	notes, err := setRefs(tx, slices.Concat(changes, removals, left))
	if err != nil {
		return err
	}
	facts, err := setTrust(tx, c.b.trust)
	if err != nil {
		return err
	}
	notes = append(notes, facts...)
	if c.b.facts != nil {
		facts, err := c.b.facts(tx)
		if err != nil {
			return err
		}
		notes = append(notes, facts...)
	}
	if err := c.stillThere(tx); err != nil {
		return err
	}
	buf, err := encodeNotes(notes)
	if err != nil {
		return err
	}
	if _, err := c.pack.file.WriteAt(buf, c.end); err != nil {
		return fmt.Errorf("write pack %d: %w", c.pack.id, fsys.Classify(err))
	}
	c.end += int64(len(buf))
	c.s.hook("names.noted")
	return nil
}

// setRefs moves names, and returns the notes that tell of it. With a name its pin goes,
// and comes back where an undo brings back the name.
func setRefs(tx *db.Tx, changes []db.RefChange) (notes []pack.Note, err error) {
	var unpinned, pinned []string
	for _, change := range changes {
		if again, err := pinsAgain(tx, change); err != nil {
			return nil, err
		} else if again {
			pinned = append(pinned, change.Name)
		}
		e, err := tx.SetRef(change)
		if err != nil {
			return nil, err
		}
		if e.Changed() {
			notes = append(notes, pack.Note{
				Type: pack.NoteRef, Seq: e.Seq, When: e.At, Name: e.Name, Old: e.Old, New: e.New, Why: e.Why, Media: e.Media,
			})
		}
		if e.Unpinned {
			unpinned = append(unpinned, e.Name)
		}
	}
	if n := len(notes); n > 1 { // a rebuild takes all of them or none
		for i := range notes {
			notes[i].First, notes[i].Of = notes[0].Seq, int64(n)
		}
	}
	for _, name := range unpinned { // else a rebuild would pin the next one of the name
		n, err := settingNote(tx, pinPrefix+name, "")
		if err != nil {
			return nil, err
		}
		notes = append(notes, n)
	}
	for _, name := range pinned {
		n, err := setPinned(tx, name, true)
		if err != nil {
			return nil, err
		}
		notes = append(notes, n)
	}
	return notes, nil
}

// pinsAgain says whether a change undoes one that a pin went with.
func pinsAgain(tx *db.Tx, change db.RefChange) (bool, error) {
	if _, undoes := parseUndo(change.Why); !undoes || change.New == "" {
		return false, nil
	}
	return tx.WentPinned(change.Name)
}

// packEnd makes what was appended durable and moves the pack's end past it.
func (c *committing) packEnd(tx *db.Tx) error {
	if c.pack == nil {
		return nil
	}
	if !c.synced {
		if err := c.sync(); err != nil {
			return fmt.Errorf("write pack %d: %w", c.pack.id, fsys.Classify(err))
		}
	}
	p := db.Pack{ID: c.pack.id, State: db.PackOpen, End: c.end, Live: c.live, Dead: c.dead}
	if c.end >= pack.MaxPackSize {
		p.State = db.PackSealed
	}
	err := tx.GrowPack(p)
	c.s.hook("pack.grown")
	if errors.Is(err, content.ErrConflict) {
		return errChanged // somebody sealed it: take another
	}
	return err
}
