package gc

import (
	"time"

	"dist.example/db"
)

// Reason is why an object is kept, in the order in which that is asked.
type Reason int

// The reasons.
const (
	ByName    Reason = iota // a name reaches it
	ByLease                 // an object under a lease does
	ByHistory               // what a name stood for a short while ago does
	ByGrace                 // it, or what reaches it, was written just now
	reasons
)

// String is the reason in a word.
func (r Reason) String() string {
	return [...]string{"names", "leases", "history", "grace"}[r]
}

// roots are the ids that a collection marks from, by reason.
type roots [reasons][]int64

// rules say how long what is not named is kept.
type rules struct {
	grace, history time.Duration
	alive          func(lease string) bool // whether a lease's owner lives
}

// undoable is since when changes of names can be undone. Of two that are made within a
// millisecond the second has the next one: it does not count for longer than the first.
func undoable(now time.Time, history time.Duration) time.Time {
	return now.Add(time.Millisecond - history)
}

// readRoots finds the roots of a snapshot.
func (r rules) readRoots(tx *db.Tx, g *graph) (found roots, err error) {
	if err = tx.EachRefObject(func(id int64) { found[ByName] = append(found[ByName], id) }); err != nil {
		return found, err
	}
	if err = r.eachLeased(tx, func(id int64) { found[ByLease] = append(found[ByLease], id) }); err != nil {
		return found, err
	}
	err = tx.EachUndoableChange(undoable(tx.Now, r.history), func(id int64, _ db.LogEntry) { found[ByHistory] = append(found[ByHistory], id) })
	for _, o := range g.objects {
		if o.Young && o.Loc != db.LocDoomed {
			found[ByGrace] = append(found[ByGrace], o.ID)
		}
	}
	return found, err
}

// lease is one that counts; alive says that its owner lives.
type lease struct {
	db.Lease
	alive bool
}

// leases are those that count, by creation.
func (r rules) leases(tx *db.Tx) (found []lease, err error) {
	for l, err := range tx.Leases() {
		if err != nil {
			return nil, err
		}
		if alive := r.alive(l.ID); l.Counts(tx.Now, alive) {
			found = append(found, lease{l, alive})
		}
	}
	return found, nil
}

// eachLeased calls fn for everything that is under a lease that counts.
func (r rules) eachLeased(tx *db.Tx, fn func(id int64)) error {
	leases, err := r.leases(tx)
	for _, l := range leases {
		held, err := tx.LeaseObjects(l.ID)
		if err != nil {
			return err
		}
		for _, id := range held {
			fn(id)
		}
	}
	return err
}
