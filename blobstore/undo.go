package blobstore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
)

// Undo is how names become again what they were before some changes.
type Undo struct {
	// Changes are those that are undone, the newest first: each is all that one
	// transaction moved, the newest first.
	Changes [][]Change
	// Moves are the names that become something else by it, in order. Where changes
	// cancel each other out there may be none.
	Moves []Move
}

// Move is what a name stands for and is to stand for, "" for nothing.
type Move struct {
	Name     string
	Old, New oci.Digest
}

// PlanUndo finds the newest n changes of names that can be undone, and what undoing all
// of them comes to. One change is everything that one transaction moved. Undos are no
// such changes, nor is what was undone before: from one undo to the next it goes
// further back. Evictions are none either: what made room is not kept. Nothing is changed; SetNames with what Undo.NameChanges returns does it.
//
// Errors: content.ErrNotFound when there are fewer changes within the time for which the
// store's settings keep history; *MissingError when what a
// name would stand for is not here with all that it reaches; content.ErrConflict when a
// name is not what the changes have made of it.
func (s *Store) PlanUndo(ctx context.Context, n int) (u Undo, err error) {
	told, err := s.Settings(ctx)
	if err != nil {
		return u, err
	}
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		f := undoing{want: n, keep: told.KeepHistory, evicted: map[string]time.Time{}}
		if err := f.find(tx); err != nil {
			return err
		}
		u.Changes = f.found
		if u.Moves, err = f.moves(tx); err != nil {
			return err
		}
		for _, m := range u.Moves {
			if m.New == "" {
				continue
			}
			if _, err := reachable(tx, m.Name, m.New); err != nil {
				return err
			}
		}
		return nil
	})
	return u, err
}

// NameChanges are the moves for SetNames, each by compare-and-set. Why they are made
// says what was undone, in the form that PlanUndo reads: nothing else tells it which
// changes those were, in a rebuilt catalog either.
func (u Undo) NameChanges() ([]content.NameChange, error) {
	var changes []content.NameChange
	why := undoWhy(u.Changes)
	for _, m := range u.Moves {
		ref, err := oci.ParseReference(m.Name)
		if err != nil {
			return nil, fmt.Errorf("name %q in the catalog: %w: %v", m.Name, content.ErrCorrupt, err)
		}
		changes = append(changes, content.NameChange{Reference: ref, Expect: &m.Old, Target: m.New, Why: why})
	}
	return changes, nil
}

// span is a stretch of the log, by the seqs of its first and its last change.
type span struct{ first, last int64 }

const undoPrefix = "undo "

// undoWhy says "undo FIRST-LAST": all between these numbers that could be undone was.
func undoWhy(changes [][]Change) string {
	if len(changes) == 0 {
		return ""
	}
	oldest := changes[len(changes)-1]
	return fmt.Sprintf("%s%d-%d", undoPrefix, oldest[len(oldest)-1].Seq, changes[0][0].Seq)
}

// parseUndo reads what undoWhy has written.
func parseUndo(why string) (s span, ok bool) {
	rest, ok := strings.CutPrefix(why, undoPrefix)
	first, last, dash := strings.Cut(rest, "-")
	if !ok || !dash {
		return s, false
	}
	var err1, err2 error
	s.first, err1 = strconv.ParseInt(first, 10, 64)
	s.last, err2 = strconv.ParseInt(last, 10, 64)
	return s, err1 == nil && err2 == nil && s.first > 0 && s.first <= s.last
}

// undoing gathers changes from the log, which it is shown newest first.
type undoing struct {
	want    int
	keep    time.Duration // how long a change can be undone
	found   [][]Change
	undone  []span
	evicted map[string]time.Time // names that made room, last at
	group   []Change             // of one transaction, so far
}

func (u *undoing) find(tx *db.Tx) error {
	old := false
	for c, err := range tx.Log("") {
		if err != nil {
			return err
		}
		if !u.continues(c) {
			u.close()
		}
		if len(u.found) == u.want {
			return nil
		}
		if old = !c.At.After(tx.Now.Add(-u.keep)); old {
			break // a collection may have forgotten, and given up, anything from here on
		}
		u.group = append(u.group, c)
	}
	u.close()
	var err error
	switch got := len(u.found); {
	case got == u.want:
		return nil
	case got == 0:
		err = fmt.Errorf("undo: %w: there is no change of a name to undo", content.ErrNotFound)
	default:
		err = fmt.Errorf("undo %d changes: %w: there are %d to undo", u.want, content.ErrNotFound, got)
	}
	if old {
		err = content.WithHint(err, "a change can be undone for as long as keep-history says, which is %s: `dist log` lists older ones", u.keep)
	}
	return err
}

// continues says whether c is of the transaction that is being gathered: those of one
// have one time, which that of the next is not, and numbers without a gap.
func (u *undoing) continues(c Change) bool {
	n := len(u.group)
	return n > 0 && u.group[n-1].At.Equal(c.At) && u.group[n-1].Seq == c.Seq+1
}

// close judges the transaction that was gathered.
func (u *undoing) close() {
	g := u.group
	if u.group = nil; len(g) == 0 {
		return
	}
	if g[0].Why == whyEvict {
		for _, c := range g {
			if u.evicted[c.Name].IsZero() {
				u.evicted[c.Name] = c.At
			}
		}
		return
	}
	if s, ok := parseUndo(g[0].Why); ok {
		u.undone = append(u.undone, s)
		return
	}
	if !slices.ContainsFunc(u.undone, func(s span) bool { return s.first <= g[0].Seq && g[0].Seq <= s.last }) {
		u.found = append(u.found, g)
	}
}

// moves follows changes back from what names stand for now.
func (u *undoing) moves(tx *db.Tx) (out []Move, err error) {
	names := map[string]*Move{}
	for _, c := range slices.Concat(u.found...) {
		m := names[c.Name]
		if m == nil {
			now, _, err := tx.Ref(c.Name)
			if err != nil {
				return nil, err
			}
			m = &Move{Name: c.Name, Old: now.Object.Digest, New: now.Object.Digest}
			names[c.Name] = m
		}
		if at := u.evicted[c.Name]; m.New != c.New && m.New == "" && !at.IsZero() {
			return nil, content.WithHint(fmt.Errorf("name %s: %w: it made room on %s, and change %d, which is to be undone, made it %s",
				c.Name, content.ErrConflict, at.Format(time.DateOnly), c.Seq, c.New), "what it stood for is to be pulled again")
		}
		if m.New != c.New {
			return nil, fmt.Errorf("name %s: %w: it is %s, and change %d, which is to be undone, made it %s",
				c.Name, content.ErrConflict, orNothing(m.New), c.Seq, orNothing(c.New))
		}
		m.New = c.Old
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if m := names[name]; m.Old != m.New {
			out = append(out, *m)
		}
	}
	return out, nil
}
