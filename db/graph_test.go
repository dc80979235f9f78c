package db

import (
	"errors"
	"slices"
	"testing"

	"dist.example/content"
	"dist.example/oci"
)

// image makes a manifest m with config m+1 and layers m+2 and m+3.
func (g *graph) image(m int) {
	g.tb.Helper()
	g.held(m, m+1, m+2, m+3)
	g.edge(m, oci.RoleConfig, m+1, "")
	g.edge(m, oci.RoleLayer, m+2, "")
	g.edge(m, oci.RoleLayer, m+3, "")
}

func (g *graph) doom(ns ...int) {
	g.tb.Helper()
	write(g.tb, g.d, func(tx *Tx) error { return tx.Doom(g.idsOf(ns...)) })
}

func TestReach(t *testing.T) {
	g := newGraph(t)
	g.image(10)
	g.image(20)
	g.held(1)
	g.edge(1, oci.RoleManifest, 10, "")
	g.edge(1, oci.RoleManifest, 20, "")
	g.edge(1, oci.RoleManifest, 30, "") // a platform that was left out
	g.held(40)
	g.edge(40, oci.RoleSubject, 50, "") // a signature of what is not here
	g.edge(20, oci.RoleLayer, 24, "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")
	reach := func(n int) (reached, missing []int) {
		read(t, g.d, func(tx *Tx) error {
			r, m, err := tx.Reach(g.idsOf(n))
			for _, o := range m {
				missing = append(missing, g.numbers([]int64{o.ID})...)
			}
			reached = g.numbers(r)
			return err
		})
		slices.Sort(reached)
		slices.Sort(missing)
		return reached, missing
	}
	for _, c := range []struct {
		doom             []int
		from             int
		reached, missing []int
	}{
		{nil, 1, []int{1, 10, 11, 12, 13, 20, 21, 22, 23}, nil},
		{nil, 40, []int{40}, nil},
		{[]int{12}, 1, []int{1, 10, 11, 13, 20, 21, 22, 23}, []int{12}},
		{[]int{21}, 20, []int{20, 22, 23}, []int{21}},
		{[]int{10}, 1, []int{1, 20, 22, 23}, []int{21}}, // manifests may be left out, their parts are no matter then
		{[]int{1}, 1, nil, []int{1}},
	} {
		g.doom(c.doom...)
		reached, missing := reach(c.from)
		if !slices.Equal(reached, c.reached) || !slices.Equal(missing, c.missing) {
			t.Errorf("from %d without %v: reached %v, missing %v, want %v and %v", c.from, c.doom, reached, missing, c.reached, c.missing)
		}
	}
	err := g.d.Read(t.Context(), func(tx *Tx) error { _, _, err := tx.Reach([]int64{999}); return err })
	if !errors.Is(err, content.ErrNotFound) {
		t.Errorf("an unknown id: %v", err)
	}
}

func TestNeighbours(t *testing.T) {
	g := newGraph(t)
	g.image(10)
	g.held(40, 41)
	g.edge(40, oci.RoleSubject, 10, "")
	g.edge(41, oci.RoleSubject, 10, "")
	g.doom(41)
	read(t, g.d, func(tx *Tx) error {
		children, err := tx.Children(g.ids[10])
		check(t, err)
		if len(children) != 3 || children[0].Role != oci.RoleConfig || children[0].Digest != digest(11) {
			t.Errorf("children %+v", children)
		}
		parents, err := tx.Parents(g.ids[12])
		check(t, err)
		if len(parents) != 1 || parents[0].ID != g.ids[10] || parents[0].Role != oci.RoleLayer {
			t.Errorf("parents %+v", parents)
		}
		referrers, err := tx.Referrers(g.ids[10])
		if len(referrers) != 1 || referrers[0].ID != g.ids[40] {
			t.Errorf("referrers %+v", referrers)
		}
		return err
	})
}

func TestEdgesAreWrittenOnce(t *testing.T) {
	g := newGraph(t)
	g.held(1)
	g.edge(1, oci.RoleLayer, 2, "")
	g.edge(1, oci.RoleLayer, 2, "")
	g.edge(1, oci.RoleConfig, 2, "")
	read(t, g.d, func(tx *Tx) error {
		children, err := tx.Children(g.ids[1])
		if len(children) != 2 {
			t.Errorf("%d edges, want 2", len(children))
		}
		return err
	})
}

// Whoever deletes in the order of AllObjects never meets a holder.
func TestAllObjectsListsHoldersFirst(t *testing.T) {
	g := newGraph(t)
	// In the order opposite to that of deletion, so that ids do not help.
	g.held(5)
	g.image(10)
	g.held(1)
	g.edge(1, oci.RoleManifest, 10, "")
	g.held(40)
	g.edge(40, oci.RoleSubject, 10, "") // 10 holds its signature
	g.edge(40, oci.RoleLayer, 41, "")
	g.held(41)
	g.edge(1, oci.RoleManifest, 99, "") // absent: not listed
	g.edge(1, oci.RoleLayer, 13, "")    // held from two depths
	var order []int
	read(t, g.d, func(tx *Tx) error {
		for o, err := range tx.AllObjects() {
			check(t, err)
			order = append(order, g.numbers([]int64{o.ID})...)
		}
		return nil
	})
	if want := []int{5, 1, 10, 11, 12, 13, 40, 41}; !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
}

func TestAllObjectsListsACircleLast(t *testing.T) {
	g := newGraph(t)
	g.held(1, 2, 3)
	g.edge(1, oci.RoleManifest, 2, "")
	g.edge(1, oci.RoleSubject, 2, "") // an index of its own subject
	n := 0
	read(t, g.d, func(tx *Tx) error {
		for o, err := range tx.AllObjects() {
			check(t, err)
			if n++; n == 1 && o.ID != g.ids[3] {
				t.Errorf("first is %v", g.numbers([]int64{o.ID}))
			}
		}
		return nil
	})
	if n != 3 {
		t.Errorf("%d objects of 3", n)
	}
}

// The first that nothing holds, which are found by themselves, are those that the whole
// order begins with.
func TestFirstUnheldBeginTheOrder(t *testing.T) {
	g := newGraph(t)
	g.held(1)
	g.image(10)
	g.edge(1, oci.RoleManifest, 10, "")
	g.held(40, 5, 50)
	g.edge(40, oci.RoleSubject, 10, "")
	g.edge(50, oci.RoleSubject, 99, "") // of what is not here
	g.held(2)
	g.edge(2, oci.RoleLayer, 60, "")
	g.held(60)
	g.doom(2)    // holds nothing any more
	g.held(3, 4) // a circle
	g.edge(3, oci.RoleManifest, 4, "")
	g.edge(3, oci.RoleSubject, 4, "")
	read(t, g.d, func(tx *Tx) error {
		first, err := tx.firstUnheld()
		check(t, err)
		order, err := tx.deletionOrder()
		check(t, err)
		if got := g.numbers(first); !slices.Equal(got, []int{1, 5, 50, 60}) || !slices.Equal(first, order[:len(first)]) {
			t.Errorf("first %v, all %v", got, g.numbers(order))
		}
		return nil
	})
}

func TestStreamsEndEarly(t *testing.T) {
	g := newGraph(t)
	g.held(1, 2, 3)
	read(t, g.d, func(tx *Tx) error {
		for range tx.AllObjects() {
			break
		}
		for _, err := range tx.Refs("") {
			check(t, err)
			break
		}
		_, _, err := tx.Object(digest(1))
		return err
	})
}

func TestJudge(t *testing.T) {
	type held struct {
		object, via int
		by          string
	}
	everyLease := func(l Lease) bool { return l.Kind == LeaseUser }
	for _, c := range []struct {
		name  string
		build func(g *graph)
		set   []int
		names []string
		held  []held
	}{
		{"nothing holds it", func(g *graph) { g.image(10) }, []int{10}, nil, nil},
		{"its own name goes too", func(g *graph) { g.image(10); g.name("a.io/a:1", 10) }, []int{10}, []string{"a.io/a:1"}, nil},
		{
			"a name above it",
			func(g *graph) { g.image(10); g.name("a.io/a:1", 10) },
			[]int{12},
			nil,
			[]held{{12, 10, "a.io/a:1"}},
		},
		{"root and part together", func(g *graph) { g.image(10); g.name("a.io/a:1", 10) }, []int{12, 10}, []string{"a.io/a:1"}, nil},
		{
			"a chain from a root in the set through what is not in it",
			func(g *graph) { g.held(1); g.image(10); g.edge(1, oci.RoleManifest, 10, ""); g.name("a.io/a:1", 1) },
			[]int{1, 12},
			[]string{"a.io/a:1"},
			nil,
		},
		{
			"a second image with the same layer",
			func(g *graph) { g.image(10); g.held(20); g.edge(20, oci.RoleLayer, 12, ""); g.name("a.io/b:1", 20) },
			[]int{10, 12},
			nil,
			[]held{{12, 20, "a.io/b:1"}},
		},
		{
			"a parent that nothing holds",
			func(g *graph) { g.image(10) },
			[]int{12},
			nil,
			[]held{{12, 10, "parent"}},
		},
		{
			"a subject holds its signature",
			func(g *graph) { g.image(10); g.name("a.io/a:1", 10); g.held(40); g.edge(40, oci.RoleSubject, 10, "") },
			[]int{40},
			nil,
			[]held{{40, 10, "a.io/a:1"}},
		},
		{
			"a signature does not hold its subject",
			func(g *graph) { g.image(10); g.held(40); g.edge(40, oci.RoleSubject, 10, ""); g.name("a.io/s:1", 40) },
			[]int{10},
			nil, nil,
		},
		{
			"a lease made by hand",
			func(g *graph) { g.image(10); g.lease("mine", LeaseUser, 10) },
			[]int{10},
			nil,
			[]held{{10, 10, "mine"}},
		},
		{"a lease that put left", func(g *graph) { g.held(5); g.lease("left", LeasePut, 5) }, []int{5}, nil, nil},
		{"what is absent holds nothing", func(g *graph) { g.image(10); g.doom(10) }, []int{12}, nil, nil},
		{"what is gone already is left out", func(g *graph) { g.image(10); g.doom(12) }, []int{12}, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGraph(t)
			c.build(g)
			var j Judgement
			read(t, g.d, func(tx *Tx) (err error) {
				j, err = tx.Judge(g.idsOf(c.set...), everyLease)
				return err
			})
			var names []string
			for _, r := range j.Names {
				names = append(names, r.Name)
			}
			var holders []held
			for _, h := range j.Holders {
				by := h.Name + h.Lease.ID
				if h.Parent {
					by += "parent"
				}
				holders = append(holders, held{g.numbers([]int64{h.Object.ID})[0], g.numbers([]int64{h.Via.ID})[0], by})
			}
			if !slices.Equal(names, c.names) || !slices.Equal(holders, c.held) {
				t.Errorf("names %v, holders %v, want %v and %v", names, holders, c.names, c.held)
			}
		})
	}
}
