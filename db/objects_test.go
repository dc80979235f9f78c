package db

import (
	"slices"
	"strings"
	"testing"
	"time"

	"dist.example/oci"
)

func TestPutObjectsInEveryState(t *testing.T) {
	g := newGraph(t)
	g.held(1, 2, 3, 4)
	g.edge(1, oci.RoleLayer, 5, "application/x-tar") // absent
	var damaged, doomed Object
	write(t, g.d, func(tx *Tx) error {
		var err error
		if damaged, _, err = tx.Object(digest(2)); err != nil {
			return err
		}
		if ok, err := tx.MarkDamaged(damaged); !ok || err != nil {
			t.Errorf("mark damaged: %v %v", ok, err)
		}
		doomed, _, err = tx.Object(digest(3))
		check(t, err)
		return tx.Doom([]int64{doomed.ID})
	})
	var puts []Put
	write(t, g.d, func(tx *Tx) (err error) {
		puts, err = tx.PutObjects([]Present{loose(9), loose(2), loose(1), loose(5), loose(3), loose(9)})
		return err
	})
	for i, want := range []Put{
		{puts[0].ID, false, false},
		{g.ids[2], true, false},
		{g.ids[1], true, true},
		{g.ids[5], true, false},
		{g.ids[3], true, false},
		{puts[0].ID, true, true},
	} {
		if puts[i] != want {
			t.Errorf("put %d: %+v, want %+v", i, puts[i], want)
		}
	}
	read(t, g.d, func(tx *Tx) error {
		rows, err := tx.Objects([]oci.Digest{digest(1), digest(2), digest(3), digest(5), digest(9), digest(77)})
		if len(rows) != 5 {
			t.Errorf("%d rows of 5", len(rows))
		}
		for d, o := range rows {
			if !o.Loc.Held() || o.Committed.IsZero() || o.Digest != d {
				t.Errorf("%+v is not held", o)
			}
		}
		if o := rows[digest(5)]; o.Media != "" || o.Size != 5 { // what a parent said of the type does not count
			t.Errorf("the absent row became %+v", o)
		}
		return err
	})
}

func TestIDsAreNeverUsedAgain(t *testing.T) {
	g := newGraph(t)
	g.held(1, 2)
	write(t, g.d, func(tx *Tx) error {
		_, err := tx.exec(`DELETE FROM objects WHERE id = ?`, g.ids[2])
		return err
	})
	last := g.ids[2]
	g.held(2)
	if g.ids[2] <= last {
		t.Errorf("id %d after %d", g.ids[2], last)
	}
}

func TestMediaTypesAreFilledInAndKept(t *testing.T) {
	g := newGraph(t)
	put := func(media string) string {
		write(t, g.d, func(tx *Tx) error {
			_, err := tx.PutObjects([]Present{{Digest: digest(1), Loc: LocLoose, Media: media}})
			return err
		})
		var o Object
		read(t, g.d, func(tx *Tx) (err error) { o, _, err = tx.Object(digest(1)); return err })
		return o.Media
	}
	for _, step := range [][2]string{{"", ""}, {"text/plain", "text/plain"}, {"", "text/plain"}, {"a/b", "text/plain"}} {
		if got := put(step[0]); got != step[1] {
			t.Errorf("put as %q, is %q, want %q", step[0], got, step[1])
		}
	}
	write(t, g.d, func(tx *Tx) error {
		// Twice in one batch: the type comes with the second.
		_, err := tx.PutObjects([]Present{{Digest: digest(2), Loc: LocLoose}, {Digest: digest(2), Loc: LocLoose, Media: "a/b"}})
		return err
	})
	read(t, g.d, func(tx *Tx) error {
		o, _, err := tx.Object(digest(2))
		if o.Media != "a/b" {
			t.Errorf("media %q", o.Media)
		}
		return err
	})
}

// A media type that was written in a transaction which was rolled back is written
// again by the next.
func TestMediaTypeOfARolledBackWrite(t *testing.T) {
	d := openDB(t, t.TempDir(), Options{})
	put := func(tx *Tx) error {
		_, err := tx.PutObjects([]Present{{Digest: digest(1), Loc: LocLoose, Media: "a/b"}})
		return err
	}
	d.Write(t.Context(), func(tx *Tx) error {
		check(t, put(tx))
		return errReadTx
	})
	write(t, d, put)
	read(t, d, func(tx *Tx) error {
		o, _, err := tx.Object(digest(1))
		if o.Media != "a/b" {
			t.Errorf("media %q", o.Media)
		}
		return err
	})
}

func TestLargeBatches(t *testing.T) {
	d := openDB(t, t.TempDir(), Options{})
	for _, size := range []int{1, 3, 255, 256, 257, 1000} {
		batch := make([]Present, size)
		ds := make([]oci.Digest, size)
		for i := range batch {
			batch[i] = loose(size*10000 + i)
			ds[i] = batch[i].Digest
		}
		write(t, d, func(tx *Tx) error {
			puts, err := tx.PutObjects(batch)
			rows, _ := tx.Objects(ds)
			for i, p := range puts {
				if o := rows[ds[i]]; o.ID != p.ID || o.Size != batch[i].Size {
					t.Errorf("size %d: put %d has id %d, its row %+v", size, i, p.ID, o)
				}
			}
			return err
		})
	}
}

func TestPackBytesFollowTheirObjects(t *testing.T) {
	d := openDB(t, t.TempDir(), Options{})
	at := func(n int, pack int64) Present {
		return Present{Digest: digest(n), Size: 10, Loc: LocPack, Pack: pack, Off: 64, Stored: 10, Kind: 1}
	}
	var ids []int64
	write(t, d, func(tx *Tx) error {
		puts, err := tx.PutObjects([]Present{at(1, 1), at(2, 1), at(3, 1)})
		for _, p := range puts {
			ids = append(ids, p.ID)
		}
		check(t, tx.GrowPack(Pack{ID: 1, State: PackOpen, End: 300, Live: 30}))
		check(t, tx.GrowPack(Pack{ID: 2, State: PackOpen, End: 64}))
		return err
	})
	write(t, d, func(tx *Tx) error {
		o, _, err := tx.Object(digest(1))
		check(t, err)
		_, err = tx.MarkDamaged(o)
		check(t, err)
		return tx.Doom([]int64{ids[1], ids[1]})
	})
	write(t, d, func(tx *Tx) error {
		_, err := tx.PutObjects([]Present{at(1, 2), at(2, 2)})
		return err
	})
	read(t, d, func(tx *Tx) error {
		p, found, err := tx.Pack(1)
		if !found || p.Live != 10 || p.Dead != 20 {
			t.Errorf("pack 1 is %+v, want 10 live and 20 dead", p)
		}
		return err
	})
}

func TestMarkDamagedComparesFirst(t *testing.T) {
	g := newGraph(t)
	g.held(1)
	write(t, g.d, func(tx *Tx) error {
		o, _, err := tx.Object(digest(1))
		check(t, err)
		moved := o
		moved.Loc, moved.Pack, moved.Off = LocPack, 7, 64
		if ok, err := tx.MarkDamaged(moved); ok || err != nil {
			t.Errorf("marked what is elsewhere: %v %v", ok, err)
		}
		if ok, err := tx.MarkDamaged(o); !ok || err != nil {
			t.Errorf("did not mark: %v %v", ok, err)
		}
		return err
	})
}

func TestByHexPrefix(t *testing.T) {
	g := newGraph(t)
	g.held(1, 2, 3)
	g.edge(1, oci.RoleLayer, 4, "")
	s512 := oci.SHA512.FromString("x")
	write(t, g.d, func(tx *Tx) error {
		_, err := tx.PutObjects([]Present{{Digest: s512, Loc: LocLoose}})
		return err
	})
	read(t, g.d, func(tx *Tx) error {
		for _, d := range []oci.Digest{digest(1), digest(2), digest(3), s512} {
			for _, n := range []int{6, 7, 8, len(d.Encoded())} {
				got, err := tx.ByHexPrefix(d.Encoded()[:n], 2)
				if err != nil || !slices.Equal(got, []oci.Digest{d}) {
					t.Errorf("%d digits of %s: %v %v", n, d, got, err)
				}
			}
		}
		for prefix, want := range map[string]int{"": 4, digest(4).Encoded()[:12]: 0, "xyz": 0, strings.Repeat("0", 200): 0, "ABCDEF": 0} {
			if got, err := tx.ByHexPrefix(prefix, 10); len(got) != want || err != nil {
				t.Errorf("prefix %q: %d digests, want %d (%v)", prefix, len(got), want, err)
			}
		}
		got, err := tx.ByHexPrefix("", 2)
		if len(got) != 2 {
			t.Errorf("limit 2 gives %d", len(got))
		}
		return err
	})
}

func TestSetMediaType(t *testing.T) {
	now := time.UnixMilli(1700000000000).UTC()
	d := openDB(t, t.TempDir(), Options{Clock: func() time.Time { return now }})
	g := &graph{t, d, map[int]int64{}}
	g.held(1)
	now = now.Add(time.Hour)
	write(t, d, func(tx *Tx) error {
		return tx.SetMediaType(g.ids[1], "a/b")
	})
	read(t, d, func(tx *Tx) error {
		o, found, err := tx.ObjectByID(g.ids[1])
		if !found || o.Committed != now.Add(-time.Hour) || o.Media != "a/b" {
			t.Errorf("%+v", o)
		}
		return err
	})
}

func TestTotals(t *testing.T) {
	g := newGraph(t)
	g.held(10, 20)
	g.edge(10, oci.RoleLayer, 30, "")
	g.name("a.io/a:1", 10)
	g.lease("l", LeasePut, 20)
	write(t, g.d, func(tx *Tx) error {
		check(t, tx.PutIngest(Ingest{Key: "k", Total: 100}))
		check(t, tx.Checkpoint("k", 40, nil, "boot", tx.Now))
		return tx.GrowPack(Pack{ID: 1, State: PackOpen, End: 100, Live: 20, Dead: 5})
	})
	read(t, g.d, func(tx *Tx) error {
		got, err := tx.Totals()
		if got.Objects[LocLoose] != (Count{2, 30, 30}) || got.Objects[LocAbsent].Objects != 1 ||
			got.Packs[PackOpen] != (Count{1, 100, 20}) || got.Dead != 5 ||
			got.Names != 1 || got.Leases != 1 || got.Ingests != 1 || got.Partial != 40 {
			t.Errorf("%+v", got)
		}
		return err
	})
	if g.d.WALSize() == 0 {
		t.Error("no WAL")
	}
}
