package db

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

func TestSetRefComparesAndLogs(t *testing.T) {
	g := newGraph(t)
	g.held(1, 2)
	g.edge(1, oci.RoleLayer, 3, "")
	none, one, two := oci.Digest(""), digest(1), digest(2)
	for _, c := range []struct {
		why    string
		expect *oci.Digest
		to     oci.Digest
		err    error
		seq    int64
	}{
		{"not there to remove", nil, none, content.ErrNotFound, 0},
		{"expected but not there", &one, one, content.ErrConflict, 0},
		{"absent target", nil, digest(3), content.ErrNotFound, 0},
		{"unknown target", nil, digest(99), content.ErrNotFound, 0},
		{"new", &none, one, nil, 1},
		{"not new any more", &none, two, content.ErrConflict, 0},
		{"the same", nil, one, nil, 1},
		{"moved from elsewhere", &two, two, content.ErrConflict, 0},
		{"move", &one, two, nil, 2},
		{"remove", &two, none, nil, 3},
	} {
		var e LogEntry
		err := g.d.Write(t.Context(), func(tx *Tx) (err error) {
			e, err = tx.SetRef(RefChange{Name: "a.io/a:1", Expect: c.expect, New: c.to, Why: c.why})
			return err
		})
		if !errors.Is(err, c.err) || e.Seq != c.seq {
			t.Errorf("%s: seq %d, %v, want %d, %v", c.why, e.Seq, err, c.seq, c.err)
		}
		if c.why == "the same" && e.Changed() {
			t.Error("the same counts as changed")
		}
	}
	var whys []string
	read(t, g.d, func(tx *Tx) error {
		for e, err := range tx.Log("a.io/a:1") {
			check(t, err)
			whys = append(whys, e.Why)
			if !e.Keeps || e.At.IsZero() {
				t.Errorf("%+v", e)
			}
			if e.Why == "move" && (e.Old != one || e.New != two) || e.Why == "remove" && e.New != "" {
				t.Errorf("%+v", e)
			}
		}
		_, found, err := tx.Ref("a.io/a:1")
		if found {
			t.Error("the name is still there")
		}
		return err
	})
	if want := []string{"remove", "move", "new"}; !slices.Equal(whys, want) {
		t.Errorf("log %v, want %v", whys, want)
	}
}

func TestRefsByPrefix(t *testing.T) {
	g := newGraph(t)
	g.held(1)
	for _, name := range []string{"b.io/x:1", "a.io/x:1", "a.io/x:2", "a.io/xy:1", "a.io/\xff:1"} {
		g.name(name, 1)
	}
	for prefix, want := range map[string][]string{
		"":           {"a.io/x:1", "a.io/x:2", "a.io/xy:1", "a.io/\xff:1", "b.io/x:1"},
		"a.io/x:":    {"a.io/x:1", "a.io/x:2"},
		"a.io/\xff":  {"a.io/\xff:1"},
		"c":          nil,
		"a.io/x:1":   {"a.io/x:1"},
		"\xff\xff":   nil,
		"a.io/x:1\n": nil,
	} {
		var got []string
		read(t, g.d, func(tx *Tx) error {
			for r, err := range tx.Refs(prefix) {
				check(t, err)
				got = append(got, r.Name)
				if r.Object.Digest != digest(1) {
					t.Errorf("%+v", r)
				}
			}
			return nil
		})
		if !slices.Equal(got, want) {
			t.Errorf("prefix %q: %q, want %q", prefix, got, want)
		}
		read(t, g.d, func(tx *Tx) error {
			if any, err := tx.AnyRef(prefix); err != nil || any != (len(want) > 0) {
				t.Errorf("prefix %q: any is %v, %v", prefix, any, err)
			}
			return nil
		})
	}
}

func TestHostsAreListedOnceEach(t *testing.T) {
	g := newGraph(t)
	hosts := func() (hosts []string) {
		read(t, g.d, func(tx *Tx) (err error) {
			hosts, err = tx.Hosts()
			return err
		})
		return hosts
	}
	if got := hosts(); len(got) != 0 {
		t.Errorf("without names there are %q", got)
	}
	g.held(1)
	for _, name := range []string{"a.io/x:1", "a.io/y:1", "a.io:5000/x:1", "a.io-b/x:1", "a.io.b/x:1", "a.io0/x:1", "A.io/x:1", "[::1]:80/x:1"} {
		g.name(name, 1)
	}
	// In the order of their names: what comes before '/', and what comes after it.
	if got, want := hosts(), []string{"A.io", "[::1]:80", "a.io-b", "a.io.b", "a.io", "a.io0", "a.io:5000"}; !slices.Equal(got, want) {
		t.Errorf("hosts are %q, want %q", got, want)
	}
	g.name("no host", 1) // in no catalog that is sound
	if got := hosts(); len(got) != 8 || got[7] != "" {
		t.Errorf("with a name that has none they are %q", got)
	}
}

func TestLeases(t *testing.T) {
	g := newGraph(t)
	g.held(1, 2)
	g.lease("a", LeaseCommand, 1, 2, 1)
	g.lease("b", LeasePut, 2)
	read(t, g.d, func(tx *Tx) error {
		l, found, err := tx.Lease("a")
		if !found || l.Kind != LeaseCommand || !l.Expires.Equal(l.Created.Add(time.Hour)) {
			t.Errorf("%+v", l)
		}
		check(t, err)
		ids, err := tx.LeaseObjects("a")
		if !slices.Equal(ids, g.idsOf(1, 2)) {
			t.Errorf("a holds %v", ids)
		}
		check(t, err)
		return nil
	})
	write(t, g.d, func(tx *Tx) error {
		l, err := tx.RenewLease("a", tx.Now.Add(2*time.Hour))
		if !l.Expires.Equal(tx.Now.Add(2 * time.Hour)) {
			t.Errorf("renewed to %v", l.Expires)
		}
		check(t, err)
		if _, err := tx.RenewLease("none", tx.Now); !errors.Is(err, content.ErrNotFound) {
			t.Errorf("renew none: %v", err)
		}
		if err := tx.HoldObjects("none", g.idsOf(1)); !errors.Is(err, content.ErrNotFound) {
			t.Errorf("hold under none: %v", err)
		}
		check(t, tx.ReleaseLease("none"))
		return tx.ReleaseLease("a")
	})
	read(t, g.d, func(tx *Tx) error {
		var left []string
		for l, err := range tx.Leases() {
			check(t, err)
			left = append(left, l.ID)
		}
		if !slices.Equal(left, []string{"b"}) {
			t.Errorf("left %v", left)
		}
		held, err := tx.LeaseObjects("a")
		if len(held) != 0 {
			t.Errorf("a, which is gone, holds %v", held)
		}
		return err
	})
}

func TestWhenALeaseCounts(t *testing.T) {
	now := time.Unix(1700000000, 0)
	at := func(created, expires time.Duration) Lease {
		return Lease{Created: now.Add(created), Expires: now.Add(expires)}
	}
	for _, c := range []struct {
		name  string
		lease Lease
		lives bool
		want  bool
	}{
		{"running", at(-1, 1), false, true},
		{"expired", at(-2, -1), false, false},
		{"expired, its owner lives", at(-2, -1), true, true},
		{"from the future", at(1, 2), false, true},
	} {
		if got := c.lease.Counts(now, c.lives); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestPutLeasesEndWhenANameReachesTheirObjects(t *testing.T) {
	g := newGraph(t)
	g.held(1, 2, 3)
	g.lease("one", LeasePut, 1)
	g.lease("both", LeasePut, 2, 3)
	g.lease("command", LeaseCommand, 1)
	var ended []string
	write(t, g.d, func(tx *Tx) (err error) {
		ended, err = tx.EndPutLeases(g.idsOf(1, 2))
		return err
	})
	if !slices.Equal(ended, []string{"one"}) {
		t.Errorf("ended %v, want one", ended)
	}
	read(t, g.d, func(tx *Tx) error {
		for id, want := range map[string][]int64{"both": g.idsOf(3), "command": g.idsOf(1), "one": nil} {
			got, err := tx.LeaseObjects(id)
			check(t, err)
			if !slices.Equal(got, want) {
				t.Errorf("%s holds %v, want %v", id, got, want)
			}
		}
		return nil
	})
}

func TestIngests(t *testing.T) {
	d := openDB(t, t.TempDir(), Options{})
	started := time.UnixMilli(1600000000000).UTC()
	in := Ingest{Key: "k", Lease: "l", Expected: digest(1), Total: -1, Source: "a.io/a", MediaType: "a/b", Started: started, PID: 42}
	write(t, d, func(tx *Tx) error {
		check(t, tx.PutIngest(Ingest{Key: "j", Total: 7, Started: started}))
		return tx.PutIngest(in)
	})
	write(t, d, func(tx *Tx) error {
		if err := tx.Checkpoint("none", 1, nil, "", time.Now()); !errors.Is(err, content.ErrNotFound) {
			t.Errorf("checkpoint of none: %v", err)
		}
		return tx.Checkpoint("k", 64, []byte("state"), "boot", time.Now())
	})
	read(t, d, func(tx *Tx) error {
		got, found, err := tx.Ingest("k")
		if !found || !bytes.Equal(got.HashState, []byte("state")) {
			t.Errorf("%+v", got)
		}
		if got.Offset != 64 || got.BootID != "boot" || got.Expected != in.Expected || got.Total != -1 || got.Lease != "l" ||
			got.Source != "a.io/a" || got.MediaType != "a/b" || got.Started != started || got.PID != 42 || got.Updated.IsZero() {
			t.Errorf("%+v", got)
		}
		var keys []string
		for in, err := range tx.Ingests() {
			check(t, err)
			keys = append(keys, in.Key)
			if in.Key == "j" && (in.Total != 7 || in.Expected != "") {
				t.Errorf("%+v", in)
			}
		}
		if !slices.Equal(keys, []string{"j", "k"}) {
			t.Errorf("keys %v", keys)
		}
		return err
	})
	write(t, d, func(tx *Tx) error {
		check(t, tx.DeleteIngest("none"))
		return tx.DeleteIngest("k")
	})
	read(t, d, func(tx *Tx) error {
		_, found, err := tx.Ingest("k")
		if found {
			t.Error("still there")
		}
		return err
	})
}

func TestPacks(t *testing.T) {
	d := openDB(t, t.TempDir(), Options{})
	write(t, d, func(tx *Tx) error {
		check(t, tx.GrowPack(Pack{ID: 3, State: PackOpen, End: 64}))
		check(t, tx.GrowPack(Pack{ID: 3, State: PackOpen, End: 164, Live: 30, Dead: 6}))
		check(t, tx.GrowPack(Pack{ID: 3, State: PackSealed, End: 264, Live: 10}))
		if err := tx.GrowPack(Pack{ID: 3, State: PackOpen, End: 364}); !errors.Is(err, content.ErrConflict) {
			t.Errorf("a sealed pack grew: %v", err)
		}
		check(t, tx.GrowPack(Pack{ID: 7, State: PackOpen, End: 64}))
		return tx.GrowPack(Pack{ID: 5, State: PackOpen, End: 64})
	})
	write(t, d, func(tx *Tx) error {
		p, found, err := tx.Pack(3)
		if !found || p.End != 264 || p.Live != 40 || p.Dead != 6 || p.State != PackSealed || !p.Created.Equal(p.Created) {
			t.Errorf("%+v", p)
		}
		check(t, err)
		check(t, tx.SealPack(5))
		open, err := tx.OpenPacks()
		if len(open) != 1 || open[0].ID != 7 {
			t.Errorf("open %+v", open)
		}
		check(t, err)
		check(t, tx.KillPack(3))
		check(t, tx.SealPack(3))
		if p, _, _ := tx.Pack(3); p.State != PackDead {
			t.Errorf("%+v came back from the dead", p)
		}
		check(t, tx.DeletePack(7))
		if last, err := tx.LastPackID(); last != 7 || err != nil {
			t.Errorf("last id %d, %v, want 7", last, err)
		}
		n := 0
		for range tx.Packs() {
			n++
		}
		if n != 2 {
			t.Errorf("%d packs", n)
		}
		return nil
	})
}

func TestSources(t *testing.T) {
	now := time.UnixMilli(1700000000000).UTC()
	d := openDB(t, t.TempDir(), Options{Clock: func() time.Time { return now }})
	g := &graph{t, d, map[int]int64{}}
	g.held(1)
	for _, locator := range []string{"a.io/a", "b.io/b", "a.io/a"} {
		now = now.Add(time.Second)
		write(t, d, func(tx *Tx) error { return tx.PutSources([]ObjectSource{{Object: g.ids[1], Locator: locator}}) })
	}
	read(t, d, func(tx *Tx) error {
		got, err := tx.Sources(g.ids[1])
		if len(got) != 2 || got[0].Locator != "a.io/a" || got[0].FirstSeen != now.Add(-2*time.Second) || got[0].LastOK != now {
			t.Errorf("%+v", got)
		}
		return err
	})
}

// While a collection marks, writers record what they newly root, link or revive;
// otherwise nothing is recorded.
func TestChangesAreRecordedWhileMarking(t *testing.T) {
	g := newGraph(t)
	g.held(1, 2, 3, 4)
	g.doom(4)
	changes := func() (ns []int, gen int64) {
		read(t, g.d, func(tx *Tx) error {
			ids, last, err := tx.ChangesAfter(0)
			ns, gen = g.numbers(ids), last
			return err
		})
		return ns, gen
	}
	g.name("a.io/a:1", 1)
	if ns, _ := changes(); len(ns) != 0 {
		t.Errorf("recorded %v with nobody to read it", ns)
	}
	write(t, g.d, func(tx *Tx) error { return tx.BeginMarking() })
	g.name("a.io/a:2", 1)
	g.lease("l", LeasePut, 2)
	g.edge(2, oci.RoleLayer, 3, "")
	g.held(4, 5)
	ns, gen := changes()
	if want := []int{1, 2, 2, 3, 4}; !slices.Equal(ns, want) {
		t.Errorf("recorded %v, want %v", ns, want)
	}
	write(t, g.d, func(tx *Tx) error { return tx.EndMarking() })
	g.name("a.io/a:3", 1)
	if ns, _ := changes(); len(ns) != 0 {
		t.Errorf("recorded %v after the end", ns)
	}
	write(t, g.d, func(tx *Tx) error { return tx.BeginMarking() })
	g.name("a.io/a:4", 1)
	if _, later := changes(); later <= gen {
		t.Errorf("generation %d after %d", later, gen)
	}
}

func TestMeta(t *testing.T) {
	d := openDB(t, t.TempDir(), Options{})
	write(t, d, func(tx *Tx) error {
		check(t, tx.SetMeta("k", "1"))
		check(t, tx.SetMeta("k", "2"))
		check(t, tx.DeleteMeta("none"))
		v, found, err := tx.Meta("k")
		if v != "2" || !found {
			t.Errorf("k = %q %v", v, found)
		}
		check(t, tx.DeleteMeta("k"))
		if _, found, _ := tx.Meta("k"); found {
			t.Error("still there")
		}
		return err
	})
}
