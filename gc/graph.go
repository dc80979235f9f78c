package gc

import (
	"slices"
	"sort"

	"dist.example/db"
)

// graph is who holds whom in a store, at one moment.
type graph struct {
	objects []db.GraphObject // what has bytes, by id
	parents edges            // parents and what they refer to
	about   edges            // subjects and their referrers
	here    bits             // those of them that are not given up
	top     int64            // the highest id
}

// edges are pairs of ids, by holder.
type edges struct {
	holders, held []int64
	has           bits // the holders
}

func (e *edges) add(holder, held int64) {
	e.holders, e.held = append(e.holders, holder), append(e.held, held)
}

// of lists what a holder holds.
func (e *edges) of(holder int64) []int64 {
	if !e.has.get(holder) {
		return nil
	}
	from, _ := slices.BinarySearch(e.holders, holder)
	n := sort.Search(len(e.holders)-from, func(i int) bool { return e.holders[from+i] > holder })
	return e.held[from : from+n]
}

// readGraph reads the graph of a snapshot: some 50 bytes an object and 16 an edge.
func (r rules) readGraph(tx *db.Tx) (*graph, error) {
	g := new(graph)
	err := tx.GraphObjects(tx.Now.Add(-r.grace), func(o db.GraphObject) {
		g.objects = append(g.objects, o)
		g.top = o.ID
	})
	if err != nil {
		return nil, err
	}
	if err := tx.GraphHolds(g.parents.add, g.about.add); err != nil {
		return nil, err
	}
	for _, e := range []*edges{&g.parents, &g.about} {
		for i, id := range e.holders {
			g.top = max(g.top, id, e.held[i])
		}
	}
	g.here = newBits(g.top)
	for _, o := range g.objects {
		if o.Loc != db.LocDoomed {
			g.here.set(o.ID)
		}
	}
	for _, e := range []*edges{&g.parents, &g.about} {
		e.has = newBits(g.top)
		for _, id := range e.holders {
			e.has.set(id)
		}
	}
	return g, nil
}

// reach marks what roots reach, themselves included, beyond what is marked already.
// What is absent or given up is not reached, and reaches nothing.
// visit, which may be nil, is told of each id that is newly marked.
func (g *graph) reach(marked bits, visit func(id int64), roots ...int64) {
	var stack []int64
	meet := func(ids []int64) {
		for _, id := range ids {
			if g.here.get(id) && !marked.get(id) {
				marked.set(id)
				if visit != nil {
					visit(id)
				}
				stack = append(stack, id)
			}
		}
	}
	meet(roots)
	for len(stack) > 0 {
		id := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		meet(g.parents.of(id))
		meet(g.about.of(id))
	}
}

// bits is a set of ids, a bit for each up to the highest.
type bits []uint64

func newBits(top int64) bits { return make(bits, top/64+1) }

func (b bits) set(id int64) { b[id/64] |= 1 << (id % 64) }

func (b bits) clear(id int64) { b[id/64] &^= 1 << (id % 64) }

// get is false for an id beyond the set.
func (b bits) get(id int64) bool { return id/64 < int64(len(b)) && b[id/64]&(1<<(id%64)) != 0 }
