package gc

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
)

// DefaultChains is how many chains Why tells of an object.
const DefaultChains = 1000

// WhyOptions direct Why.
type WhyOptions struct {
	// Grace and KeepHistory are as in Options: what they keep depends on them.
	Grace, KeepHistory time.Duration
	// Chains is how many are told of each object, 0 means DefaultChains.
	Chains int
}

// Root is what a chain begins with.
type Root struct {
	Reason Reason
	// Name is the name that reaches the object or, with ByHistory, did so until the
	// change Seq of the time At, made by Why.
	Name string
	Seq  int64
	Why  string
	// At is when it was changed or, with ByGrace, last written.
	At time.Time
	// Lease is that of ByLease, and Alive says that its owner lives.
	Lease db.Lease
	Alive bool
	// Until is when the root ceases to be one; zero for a name.
	Until time.Time
}

// Link is one object of a chain.
type Link struct {
	db.Object
	// Role is what it is to the one before it; RoleSubject says that the one before is
	// what it is about. 0 for the first.
	Role oci.Role
}

// Chain is one way in which a root reaches an object, which is the last link.
type Chain struct {
	Root  Root
	Links []Link
}

// Explanation is what keeps an object: nothing, where it has no chains.
type Explanation struct {
	Object db.Object
	// Chains are sorted: names, leases, history, grace.
	Chains []Chain
	// Snapshots are those that were made of it, if it is a layer, and go with it.
	Snapshots []db.Snapshot
	// More is how many chains there are besides; of very many, some.
	More int64
}

// Why finds what keeps objects, as of one moment: every chain from a root. Of what holds
// itself in a circle, one way round is left out, and the chains that lead through it.
//
// Errors: content.ErrNotFound for what is not here.
func Why(ctx context.Context, s *blobstore.Store, o WhyOptions, digests ...oci.Digest) ([]Explanation, error) {
	if o.Chains == 0 {
		o.Chains = DefaultChains
	}
	found := make([]Explanation, len(digests))
	err := s.View(ctx, func(tx *db.Tx) error {
		for i, d := range digests {
			obj, ok, err := tx.Object(d)
			if err != nil {
				return err
			}
			if !ok || obj.Loc == db.LocAbsent || obj.Loc == db.LocDoomed {
				return fmt.Errorf("blob %s: %w in this store", d, content.ErrNotFound)
			}
			w := &why{tx: tx, o: o, rules: rules{o.Grace, o.KeepHistory, s.LeaseAlive}}
			if found[i], err = w.explain(obj); err != nil {
				return err
			}
			if found[i].Snapshots, err = tx.SnapshotsOf(d); err != nil {
				return err
			}
			found[i].Snapshots = slices.DeleteFunc(found[i].Snapshots, func(s db.Snapshot) bool { return s.Damaged })
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// why looks upwards from one object.
type why struct {
	tx    *db.Tx
	o     WhyOptions
	rules rules
	nodes map[int64]*node // what is at or above the object
	order []int64         // of nodes, as they were met
}

// node is an object that reaches the one that is explained.
type node struct {
	id      int64
	since   int64 // see db.Holding
	holders []holder
	roots   [reasons][]Root
	// above counts, by reason, the chains that lead here from a root; at is where the
	// walk that counts stands.
	above [reasons]int64
	at    progress
}

type holder struct {
	*node
	role oci.Role // of what is held
}

type progress int

const (
	unseen progress = iota
	walking
	done
)

// manyChains is where counting ends.
const manyChains = 1 << 40

func (w *why) explain(obj db.Object) (Explanation, error) {
	e := Explanation{Object: obj}
	target, err := w.climb(obj)
	if err == nil {
		err = w.findRoots()
	}
	if err != nil {
		return e, err
	}
	target.count()
	for reason := range reasons {
		told := w.chains(target, reason, w.o.Chains-len(e.Chains))
		e.Chains = append(e.Chains, told...)
		e.More = min(e.More+target.above[reason]-int64(len(told)), manyChains)
	}
	return e, w.describe(e.Chains)
}

// climb finds everything that reaches an object.
func (w *why) climb(obj db.Object) (*node, error) {
	target := &node{id: obj.ID, since: max(milli(obj.Committed), milli(obj.Used))}
	w.nodes, w.order = map[int64]*node{obj.ID: target}, []int64{obj.ID}
	for from := 0; from < len(w.order); {
		ids := w.order[from:]
		from = len(w.order)
		err := w.tx.EachHolding(ids, func(h db.Holding) {
			above, ok := w.nodes[h.Holder]
			if !ok {
				above = &node{id: h.Holder, since: h.Since}
				w.nodes[h.Holder] = above
				w.order = append(w.order, h.Holder)
			}
			held := w.nodes[h.Held]
			held.holders = append(held.holders, holder{above, h.Role})
		})
		if err != nil {
			return nil, err
		}
	}
	return target, nil
}

func milli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// findRoots notes on the nodes what makes them roots.
func (w *why) findRoots() error {
	add := func(id int64, r Root) {
		if n, ok := w.nodes[id]; ok {
			n.roots[r.Reason] = append(n.roots[r.Reason], r)
		}
	}
	err := w.tx.EachNameOf(w.order, func(id int64, name string) { add(id, Root{Reason: ByName, Name: name}) })
	if err != nil {
		return err
	}
	if err := w.findLeases(add); err != nil {
		return err
	}
	now := w.tx.Now
	err = w.tx.EachUndoableOf(w.order, undoable(now, w.o.KeepHistory), func(id int64, e db.LogEntry) {
		add(id, Root{Reason: ByHistory, Name: e.Name, Seq: e.Seq, Why: e.Why, At: e.At, Until: e.At.Add(w.o.KeepHistory)})
	})
	young := now.Add(-w.o.Grace).UnixMilli()
	for _, n := range w.nodes {
		if n.since > young {
			at := time.UnixMilli(n.since).UTC()
			add(n.id, Root{Reason: ByGrace, At: at, Until: at.Add(w.o.Grace)})
		}
	}
	return err
}

func (w *why) findLeases(add func(int64, Root)) error {
	counting, err := w.rules.leases(w.tx)
	if err != nil {
		return err
	}
	leases, alive := make([]db.Lease, len(counting)), map[string]bool{}
	for i, l := range counting {
		leases[i], alive[l.ID] = l.Lease, l.alive
	}
	return w.tx.EachLeaseOf(w.order, leases, func(id int64, l db.Lease) {
		add(id, Root{Reason: ByLease, Lease: l, Alive: alive[l.ID], Until: l.Expires})
	})
}

// count counts the chains that lead to n, and takes out the edges that close a circle.
func (n *node) count() {
	n.at = walking
	n.holders = slices.DeleteFunc(n.holders, func(h holder) bool {
		if h.at == unseen {
			h.count()
		}
		return h.at == walking
	})
	slices.SortFunc(n.holders, func(a, b holder) int { return cmp.Compare(a.id, b.id) })
	for reason := range reasons {
		n.above[reason] = int64(len(n.roots[reason]))
		for _, h := range n.holders {
			n.above[reason] = min(n.above[reason]+h.above[reason], manyChains)
		}
	}
	n.at = done
}

// chains lists up to limit chains that lead from roots of one kind to target, as ids
// and roles alone. The shorter ones come first, and are sorted by what they begin with.
func (w *why) chains(target *node, reason Reason, limit int) []Chain {
	var (
		found []Chain
		path  []Link // from target upwards; each has the role of what is below it
	)
	var walk func(n *node)
	walk = func(n *node) {
		path = append(path, Link{Object: db.Object{ID: n.id}})
		for _, r := range n.roots[reason] {
			if len(found) < limit {
				found = append(found, Chain{r, downwards(path)})
			}
		}
		for _, h := range n.holders {
			if h.above[reason] > 0 && len(found) < limit {
				path[len(path)-1].Role = h.role
				walk(h.node)
			}
		}
		path = path[:len(path)-1]
	}
	walk(target)
	slices.SortStableFunc(found, func(a, b Chain) int {
		return cmp.Or(cmp.Compare(len(a.Links), len(b.Links)), cmp.Compare(a.Root.Name, b.Root.Name), a.Root.Until.Compare(b.Root.Until))
	})
	return found
}

// downwards turns a path round. The top of it is nothing's child.
func downwards(path []Link) []Link {
	links := slices.Clone(path)
	links[len(links)-1].Role = 0
	slices.Reverse(links)
	return links
}

// describe looks up the objects of chains.
func (w *why) describe(chains []Chain) error {
	var ids []int64
	for _, c := range chains {
		for _, l := range c.Links {
			ids = append(ids, l.ID)
		}
	}
	slices.Sort(ids)
	objects, err := w.tx.ObjectsByID(slices.Compact(ids))
	for _, c := range chains {
		for i, l := range c.Links {
			c.Links[i].Object = objects[l.ID]
		}
	}
	return err
}
