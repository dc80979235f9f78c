package blobstore

import (
	"context"
	"maps"
	"os"
	"slices"
	"time"

	"dist.example/blobstore/pack"
	"dist.example/db"
)

// dropHalves drops the changes that were to be committed together with one whose
// number another change was given later: none of them was. (Where a note is only
// missing, its fellows count.)
func (r *rebuilder) dropHalves() {
	type together struct{ first, of, when int64 }
	of := func(n pack.Note) together { return together{n.First, n.Of, n.When.UnixNano()} }
	seqs := slices.Sorted(maps.Keys(r.changes))
	half := map[together]bool{} // of each that was looked at
	for _, n := range r.changes {
		if _, known := half[of(n)]; known || n.Of == 0 {
			continue
		}
		half[of(n)] = false
		at, _ := slices.BinarySearch(seqs, n.First)
		for ; at < len(seqs) && seqs[at]-n.First < n.Of; at++ {
			if of(r.changes[seqs[at]]) != of(n) {
				half[of(n)] = true
				break
			}
		}
	}
	for seq, n := range r.changes {
		if half[of(n)] {
			delete(r.changes, seq)
		}
	}
}

// removeLost notes that the names whose objects are not here have gone: with the
// newest note of a name and the catalog at odds, every check would find fault.
func (r *rebuilder) removeLost(ctx context.Context, lost []pack.Note) error {
	if len(lost) == 0 {
		return nil
	}
	var gone []pack.Note
	seq, now := r.highest, time.Now().UTC().Truncate(time.Millisecond)
	for _, n := range lost {
		seq++
		r.changes[seq] = pack.Note{Type: pack.NoteRef, Seq: seq, When: now, Name: n.Name, Old: n.New, Why: "rebuild"}
		gone = append(gone, r.changes[seq])
		if pin, ok := r.unpin(n.Name, now); ok {
			gone = append(gone, pin)
		}
	}
	buf, err := encodeNotes(gone)
	if err != nil {
		return err
	}
	r.highest = seq
	p, err := r.appendNotes(buf)
	if err != nil {
		return err
	}
	return r.db.Write(ctx, func(tx *db.Tx) error { return tx.GrowPack(p) })
}

// unpin is the note that a name is pinned no more; false where it is not.
func (r *rebuilder) unpin(name string, now time.Time) (pack.Note, bool) {
	pin, ok := r.settings[pinPrefix+name]
	if !ok || len(pin.Value) == 0 {
		return pin, false
	}
	pin.Value, pin.When = nil, now
	for _, n := range r.settings {
		pin.Seq = max(pin.Seq, n.Seq+1)
	}
	r.settings[pin.Name] = pin
	return pin, true
}

// appendNotes writes notes behind the end of an open pack, or to a new one, and
// returns what GrowPack is to be told.
func (r *rebuilder) appendNotes(buf []byte) (db.Pack, error) {
	for _, p := range r.packs {
		if p.State == db.PackOpen {
			err := r.writePack(p.ID, buf, p.End)
			return db.Pack{ID: p.ID, State: db.PackOpen, End: p.End + int64(len(buf))}, err
		}
	}
	p := db.Pack{State: db.PackOpen, Created: time.Now()}
	last, err := r.lastPack()
	if err != nil {
		return p, err
	}
	p.ID = last + 1
	h, err := packHeader(r.head.UUID, p)
	if err != nil {
		return p, err
	}
	buf = append(pack.EncodeHeader(h), buf...)
	p.End = int64(len(buf))
	if err := r.writePack(p.ID, buf, 0); err != nil {
		return p, err
	}
	return p, r.fs.SyncDir(r.path(packsDir))
}

// writePack writes to a pack, durably.
func (r *rebuilder) writePack(id int64, p []byte, off int64) error {
	f, err := r.fs.OpenFile(r.packPath(id), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteAt(p, off); err != nil {
		return err
	}
	return f.Sync()
}
