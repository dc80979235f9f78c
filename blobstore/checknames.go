package blobstore

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"dist.example/blobstore/pack"
	"dist.example/db"
	"dist.example/oci"
)

// noted is a note, and whether it was found behind damage.
type noted struct {
	pack.Note
	salvaged bool
}

// nameNotes is the newest note of a name, 0 and "" for none. Notes behind damage
// do not count.
type nameNotes struct {
	seq int64
	now oci.Digest
}

// refNotes takes notes of names, and compares them with the log.
func (c *checker) refNotes(tx *db.Tx, refs []noted) error {
	if len(refs) == 0 {
		return nil
	}
	seqs := make([]int64, len(refs))
	for i, n := range refs {
		seqs[i] = n.Seq
	}
	log, err := tx.LogAt(seqs)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range refs {
		e, logged := log[n.Seq]
		agrees := e.Name == n.Name && e.Old == n.Old && e.New == n.New && e.Why == n.Why
		switch {
		case n.salvaged:
		case logged && !agrees:
			c.disputed = append(c.disputed, dispute{n.Note, e})
		default:
			if logged {
				c.agreed.add(n.Seq)
			}
			if best := c.names[n.Name]; best == nil || best.seq < n.Seq {
				c.names[n.Name] = &nameNotes{n.Seq, n.New}
			}
		}
	}
	return nil
}

// dispute is a change of a name of which note and log say different things.
type dispute struct {
	note pack.Note
	log  db.LogEntry
}

// disputes reports the changes of which no note says what the log does. A note
// beside one that agrees is of an append that was never committed, which a catalog
// made anew could not tell.
func (c *checker) disputes() {
	for _, d := range c.disputed {
		if !c.agreed.has(d.note.Seq) {
			c.complain("change %d of names: the log has %s for %s (%s), its note %s for %s (%s)", d.note.Seq,
				orNothing(d.log.New), d.log.Name, d.log.Why, orNothing(d.note.New), d.note.Name, d.note.Why)
		}
	}
}

func orNothing(d oci.Digest) string {
	if d == "" {
		return "nothing"
	}
	return d.String()
}

// notes compares the names with their notes. One snapshot has both the names and
// how far the packs go, so that exactly the notes of that moment are read; what the
// packs have gained since the first look is little. Where a collection has emptied a
// pack in between, its notes are in another one, and a new snapshot tells.
func (c *checker) notes(ctx context.Context) error {
	refs, err := c.readNotes(ctx)
	for tries := 0; err == nil && c.moved && tries < 10; tries++ {
		refs, err = c.readNotes(ctx)
	}
	if err != nil {
		return err
	}
	c.disputes()
	there := map[string]bool{}
	for _, r := range refs {
		there[r.Name] = true
		if err := c.name(ctx, r); err != nil {
			return err
		}
	}
	for name, note := range c.names {
		if note.now != "" && !there[name] {
			if err := c.name(ctx, db.RefTarget{Name: name}); err != nil {
				return err
			}
		}
	}
	return nil
}

// readNotes reads the names of one snapshot, and the notes that the packs have gained
// by then.
func (c *checker) readNotes(ctx context.Context) (refs []db.RefTarget, err error) {
	c.moved = false
	var packs []db.Pack
	err = c.s.db.Read(ctx, func(tx *db.Tx) (err error) {
		if refs, err = tx.RefTargets(); err != nil {
			return err
		}
		for p, err := range tx.Packs() {
			if err != nil {
				return err
			}
			packs = append(packs, p)
		}
		return nil
	})
	for _, p := range packs {
		if err == nil {
			err = c.pack(ctx, p, false)
		}
	}
	return refs, err
}

// name compares a name with its newest note. The catalog may know of a later change
// than the packs where these have lost records: if its log says the same, the note
// is written again.
func (c *checker) name(ctx context.Context, r db.RefTarget) error {
	note := c.names[r.Name]
	if note == nil {
		note = &nameNotes{}
	}
	if note.seq == r.Seq && note.now == r.Target {
		return nil
	}
	if len(c.report.Newer) > 0 && (r.Seq == 0 || r.Seq > note.seq) {
		return nil // its note may be among what this version does not understand
	}
	if len(c.gaps) > 0 && (r.Seq == 0 || r.Seq > note.seq) {
		later, err := c.laterChange(ctx, r, note.seq)
		if err != nil {
			return err
		}
		if later.Name != "" {
			c.write(later, "the last change of the name %s was lost from a pack", r.Name)
			return nil
		}
	}
	c.complain("name %s: it is %s since change %d, its newest note says %s since change %d",
		r.Name, orNothing(r.Target), r.Seq, orNothing(note.now), note.seq)
	return nil
}

// laterChange is the note of the newest change of a name, if the log has one after
// seq that led to where the name is now.
func (c *checker) laterChange(ctx context.Context, r db.RefTarget, seq int64) (n pack.Note, err error) {
	err = c.s.db.Read(ctx, func(tx *db.Tx) error {
		for e, err := range tx.Log(r.Name) {
			if err != nil {
				return err
			}
			if e.Seq > seq && e.New == r.Target && (r.Seq == 0 || r.Seq == e.Seq) {
				n = pack.Note{Type: pack.NoteRef, Seq: e.Seq, When: e.At, Name: e.Name, Old: e.Old, New: e.New, Why: e.Why}
			}
			break // the newest alone counts
		}
		return nil
	})
	return n, err
}

// missing finds what names should reach and is not here. What is damaged is
// reported already.
func (c *checker) missing(ctx context.Context) error {
	var names []string
	err := c.s.db.Read(ctx, func(tx *db.Tx) error {
		refs, err := tx.RefTargets()
		for _, r := range refs {
			names = append(names, r.Name)
		}
		return err
	})
	if err != nil {
		return err
	}
	c.report.Names = int64(len(names))
	lacking := map[oci.Digest]*Damage{}
	for some := range slices.Chunk(names, nameBatch) {
		err := c.s.db.Read(ctx, func(tx *db.Tx) error {
			var refs []db.Ref
			for _, name := range some {
				r, found, err := tx.Ref(name)
				if err != nil {
					return err
				}
				if found {
					refs = append(refs, r)
				}
			}
			return reachNames(tx, refs, nil, func(o db.Object, name string) {
				if o.Loc != db.LocDamaged {
					lack(lacking, o, name)
				}
			})
		})
		if err != nil {
			return err
		}
	}
	for _, d := range lacking {
		c.report.Damaged = append(c.report.Damaged, *d)
	}
	return nil
}

// reachNames walks from what names stand for. found, which may be nil, gets the ids of
// what is there, and lacks each thing that should be and is not, with the name. It walks
// from all at once, and from each name only where something is missing.
func reachNames(tx *db.Tx, names []db.Ref, found func(ids []int64), lacks func(o db.Object, name string)) error {
	roots := make([]int64, len(names))
	for i, n := range names {
		roots[i] = n.Object.ID
	}
	ids, missing, err := tx.Reach(roots)
	if err != nil {
		return err
	}
	if found != nil {
		found(ids)
	}
	if len(missing) == 0 {
		return nil
	}
	for _, n := range names {
		_, missing, err := tx.Reach([]int64{n.Object.ID})
		if err != nil {
			return err
		}
		for _, o := range missing {
			lacks(o, n.Name)
		}
	}
	return nil
}

// nameBatch is how many names are walked from at once.
const nameBatch = 500

// write has a note written again.
func (c *checker) write(n pack.Note, why string, args ...any) {
	c.rewrite = append(c.rewrite, n)
	c.losses = append(c.losses, fmt.Sprintf(why, args...))
}

// mend writes again what packs have lost and the catalog still knows: what a
// rebuilt catalog would lack.
func (c *checker) mend(ctx context.Context) error {
	defer func() { slices.Sort(c.report.Mended) }()
	for _, p := range c.headers {
		if c.allGone(p) {
			continue
		}
		done, err := c.mendHeader(p)
		if err != nil {
			return fmt.Errorf("write the header of pack %d: %w", p.ID, err)
		}
		c.mended(done, fmt.Sprintf("the header of pack %d was damaged", p.ID))
	}
	if !c.s.readOnly {
		if err := c.s.sealPacks(ctx, slices.Collect(maps.Keys(c.gaps))); err != nil {
			return err
		}
		if len(c.rewrite) > 0 {
			if err := c.s.writeNotes(ctx, c.rewrite); err != nil {
				return err
			}
		}
	}
	for _, loss := range c.losses {
		c.mended(!c.s.readOnly, loss)
	}
	return nil
}

func (c *checker) mendHeader(p db.Pack) (done bool, err error) {
	if c.s.readOnly {
		return false, nil
	}
	c.s.hook("mend.header")
	return c.s.rewriteHeader(c.s.head.UUID, p)
}

// mended reports what was wrong with the packs and what became of it.
func (c *checker) mended(done bool, what string) {
	switch {
	case done:
		what += "; it was written again"
	case c.s.readOnly:
		what += "; the owner's next check puts it right"
	default:
		what += "; it is in use, the next check puts it right"
	}
	c.report.Mended = append(c.report.Mended, what)
}

// allGone says whether a pack has no record left.
func (c *checker) allGone(p db.Pack) bool {
	return slices.Contains(c.gaps[p.ID], gap{pack.HeaderSize, p.End})
}
