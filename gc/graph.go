package gc

import (
	"cmp"
	mathbits "math/bits"
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

// edges are who holds whom, by holder.
type edges struct {
	holds []db.Hold
	has   bits // the holders
}

// of lists what a holder holds.
func (e *edges) of(holder int64) []db.Hold {
	if !e.has.get(holder) {
		return nil
	}
	from, _ := slices.BinarySearchFunc(e.holds, holder, func(h db.Hold, id int64) int { return cmp.Compare(h.Holder(), id) })
	n := sort.Search(len(e.holds)-from, func(i int) bool { return e.holds[from+i].Holder() > holder })
	return e.holds[from : from+n]
}

// readGraph reads the graph of a snapshot: some 40 bytes an object and 8 an edge. It asks
// for their number first: to move what was read to ever larger places takes as long as
// reading it.
func (r rules) readGraph(tx *db.Tx) (*graph, error) {
	objects, holds, about, err := tx.GraphSize()
	if err != nil {
		return nil, err
	}
	g := &graph{objects: make([]db.GraphObject, 0, objects)}
	g.parents.holds, g.about.holds = make([]db.Hold, 0, holds), make([]db.Hold, 0, about)
	err = tx.GraphObjects(tx.Now.Add(-r.grace), func(o db.GraphObject) {
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
		for _, h := range e.holds {
			g.top = max(g.top, h.Holder(), h.Held())
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
		for _, h := range e.holds {
			e.has.set(h.Holder())
		}
	}
	return g, nil
}

func (e *edges) add(h db.Hold) { e.holds = append(e.holds, h) }

// held calls fn with what id holds.
func (g *graph) held(id int64, fn func(held int64)) {
	for _, h := range g.parents.of(id) {
		fn(h.Held())
	}
	for _, h := range g.about.of(id) {
		fn(h.Held())
	}
}

// reach marks what roots reach, themselves included, beyond what is marked already.
// What is absent or given up is not reached, and reaches nothing.
// visit, which may be nil, is told of each id that is newly marked.
func (g *graph) reach(marked bits, visit func(id int64), roots ...int64) {
	var stack []int64
	meet := func(id int64) {
		if g.here.get(id) && !marked.get(id) {
			marked.set(id)
			if visit != nil {
				visit(id)
			}
			stack = append(stack, id)
		}
	}
	for _, id := range roots {
		meet(id)
	}
	for len(stack) > 0 {
		id := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		g.held(id, meet)
	}
}

// bits is a set of ids, a bit for each up to the highest.
type bits []uint64

func newBits(top int64) bits { return make(bits, top/64+1) }

func (b bits) set(id int64) { b[id/64] |= 1 << (id % 64) }

func (b bits) clear(id int64) { b[id/64] &^= 1 << (id % 64) }

// places numbers the ids of a set by their order, from 0 on, so that what is known of
// each takes room for those that there are and not up to the highest.
type places struct {
	set    bits
	before []int32 // how many are in the words before each
}

func newPlaces(set bits) places {
	p := places{set, make([]int32, len(set))}
	for i := 1; i < len(set); i++ {
		p.before[i] = p.before[i-1] + int32(mathbits.OnesCount64(set[i-1]))
	}
	return p
}

// of is the place of an id, which is in the set.
func (p places) of(id int64) int {
	word := p.set[id/64] & (1<<(id%64) - 1)
	return int(p.before[id/64]) + mathbits.OnesCount64(word)
}

// get is false for an id beyond the set.
func (b bits) get(id int64) bool { return id/64 < int64(len(b)) && b[id/64]&(1<<(id%64)) != 0 }
