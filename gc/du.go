package gc

import (
	"context"

	"dist.example/blobstore"
	"dist.example/db"
	"dist.example/oci"
)

// Usage is what a name takes.
type Usage struct {
	Name    string
	Digest  oci.Digest // what it stands for
	Objects int64      // that it reaches and that are here, what is about them included
	Size    int64      // their bytes
	Stored  int64      // and what they take on disk
	// Own is what objects take on disk that no other name reaches, Shared the rest of
	// Stored.
	Own, Shared int64
	// Frees is what a collection would give back in the end if the name went: once what
	// its own history keeps may go, too. Not of it is what leases keep that count now,
	// and what the history of other names does.
	Frees int64
}

// Usages finds what names take, in their order, as of one moment. It walks from each
// name once: the time goes with the sum of what names reach. keepHistory is as in
// Options.
//
// Errors: those of reading the catalog; the cause of ctx.
func Usages(ctx context.Context, s *blobstore.Store, o Options) (found []Usage, err error) {
	err = s.View(ctx, func(tx *db.Tx) error {
		g, err := o.rules(s).readGraph(tx)
		if err != nil {
			return err
		}
		u := newUsages(g)
		if err := u.readNames(tx); err != nil {
			return err
		}
		if err := u.readOthers(tx, o.rules(s)); err != nil {
			return err
		}
		found = u.add()
		return ctx.Err()
	})
	return found, err
}

// holds says by which of many an object is reached: by nothing, by one of them, or by
// more.
type holds int32

const (
	noOne holds = 0 // else the number of the one, from 1 on
	many  holds = -1
)

func (h *holds) by(one holds) {
	switch *h {
	case noOne:
		*h = one
	case one:
	default:
		*h = many
	}
}

// usages is the state of Usages.
type usages struct {
	g      *graph
	at     places // in g.objects
	names  []db.Ref
	number map[string]holds // of each name, in the order of names; others follow
	// named is by which name each object is reached, other by whose history; a lease
	// counts as many. They are by place, as is seen.
	named, other []holds
	seen         []int32 // the walk that was last at an object
	walks        int32
	stack        []int64
}

func newUsages(g *graph) *usages {
	all, n := newBits(g.top), len(g.objects)
	for _, o := range g.objects {
		all.set(o.ID)
	}
	return &usages{
		g: g, at: newPlaces(all), number: map[string]holds{},
		named: make([]holds, n), other: make([]holds, n), seen: make([]int32, n),
	}
}

// walk calls visit once for everything that id reaches, itself included, with its place.
func (u *usages) walk(id int64, visit func(at int)) {
	u.walks++
	meet := func(id int64) {
		if !u.g.here.get(id) {
			return
		}
		if at := u.at.of(id); u.seen[at] != u.walks {
			u.seen[at] = u.walks
			u.stack = append(u.stack, id)
			visit(at)
		}
	}
	for meet(id); len(u.stack) > 0; {
		id := u.stack[len(u.stack)-1]
		u.stack = u.stack[:len(u.stack)-1]
		u.g.held(id, meet)
	}
}

// numberOf gives each name a number.
func (u *usages) numberOf(name string) holds {
	n, ok := u.number[name]
	if !ok {
		n = holds(len(u.number) + 1)
		u.number[name] = n
	}
	return n
}

func (u *usages) readNames(tx *db.Tx) error {
	for r, err := range tx.Refs("") {
		if err != nil {
			return err
		}
		u.names = append(u.names, r)
		one := u.numberOf(r.Name)
		u.walk(r.Object.ID, func(at int) { u.named[at].by(one) })
	}
	return nil
}

// readOthers marks what else keeps objects.
func (u *usages) readOthers(tx *db.Tx, r rules) error {
	err := r.eachLeased(tx, func(id int64) {
		// If it is marked, so is what it reaches.
		if u.g.here.get(id) && u.other[u.at.of(id)] != many {
			u.walk(id, func(at int) { u.other[at] = many })
		}
	})
	if err != nil {
		return err
	}
	return tx.EachUndoableChange(undoable(tx.Now, r.history), func(id int64, e db.LogEntry) {
		one := u.numberOf(e.Name)
		u.walk(id, func(at int) { u.other[at].by(one) })
	})
}

// add adds up what each name reaches.
func (u *usages) add() []Usage {
	found := make([]Usage, len(u.names))
	for i, r := range u.names {
		one := u.number[r.Name]
		use := Usage{Name: r.Name, Digest: r.Object.Digest}
		u.walk(r.Object.ID, func(at int) {
			o := u.g.objects[at]
			use.Objects++
			use.Size += o.Size
			use.Stored += o.Stored
			if u.named[at] != one {
				return
			}
			use.Own += o.Stored
			if u.other[at] == noOne || u.other[at] == one {
				use.Frees += o.Stored
			}
		})
		use.Shared = use.Stored - use.Own
		found[i] = use
	}
	return found
}
