package db

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// sample is a catalog with a pack, an image of three parts under two names, a
// loose object and an absent one.
func sample(t *testing.T) *DB {
	t.Helper()
	d := openDB(t, t.TempDir(), Options{})
	write(t, d, func(tx *Tx) error {
		var objects []Present
		for i := range 4 {
			objects = append(objects, Present{Digest: digest(i), Size: 10, Media: "text/plain", Loc: LocPack, Pack: 1, Off: int64(64 + 74*i), Stored: 10, Kind: 1})
		}
		objects = append(objects, Present{Digest: digest(4), Size: 1000, Loc: LocLoose, Stored: 1000})
		puts, err := tx.PutObjects(objects)
		check(t, err)
		absent, err := tx.EnsureObjects([]oci.Descriptor{{Digest: digest(5), Size: 7, MediaType: "text/x"}})
		check(t, err)
		check(t, tx.PutEdges([]Edge{
			{Parent: puts[0].ID, Child: puts[1].ID, Role: oci.RoleManifest},
			{Parent: puts[1].ID, Child: puts[2].ID, Role: oci.RoleLayer},
			{Parent: puts[1].ID, Child: puts[3].ID, Role: oci.RoleSubject},
			{Parent: puts[0].ID, Child: absent[0], Role: oci.RoleManifest},
		}))
		check(t, tx.GrowPack(Pack{ID: 1, State: PackOpen, End: 400, Live: 40}))
		for i, name := range []string{"a", "b", "c"} {
			_, err := tx.SetRef(RefChange{Name: name, New: digest(i), Why: "tag"})
			check(t, err)
		}
		check(t, tx.PutLease(Lease{ID: "l", Kind: LeasePut, Created: tx.Now, Expires: tx.Now.Add(time.Hour)}))
		return tx.HoldObjects("l", []int64{puts[4].ID})
	})
	return d
}

func contradictionsOf(t *testing.T, d *DB) (found []string) {
	t.Helper()
	read(t, d, func(tx *Tx) (err error) {
		found, err = tx.Contradictions()
		return err
	})
	return found
}

func TestASoundCatalogHasNoComplaints(t *testing.T) {
	d := sample(t)
	if found := contradictionsOf(t, d); len(found) > 0 {
		t.Errorf("%q", found)
	}
	read(t, d, func(tx *Tx) error {
		found, err := tx.Integrity(10)
		if len(found) > 0 {
			t.Errorf("%q", found)
		}
		return err
	})
}

func TestContradictionsAreFound(t *testing.T) {
	for _, statement := range []string{
		`UPDATE objects SET digest = x'0300' WHERE id = 1`,
		`UPDATE objects SET pack = 2 WHERE id = 1`,
		`UPDATE objects SET media = 99 WHERE id = 1`,
		`UPDATE objects SET loc = 0 WHERE id = 1`,
		`UPDATE objects SET off = NULL WHERE loc = 1`,
		`UPDATE objects SET loc = 2 WHERE loc = 1`,
		`UPDATE objects SET size = -1 WHERE id = 1`,
		`UPDATE objects SET loc = 9 WHERE id = 1`,
		`UPDATE sqlite_sequence SET seq = 3 WHERE name = 'objects'`,
		`DELETE FROM sqlite_sequence WHERE name = 'packs'`,
		`UPDATE packs SET state = 0`,
		`UPDATE packs SET live = 41`,
		`UPDATE packs SET dead = -1`,
		`UPDATE edges SET parent = 99`,
		`UPDATE edges SET child = 99 WHERE role = 2`,
		`UPDATE edges SET role = 7 WHERE role = 2`,
		`UPDATE refs SET object = 99 WHERE name = 'a'`,
		`UPDATE refs SET seq = 99 WHERE name = 'a'`,
		`DELETE FROM meta WHERE k = 'ref_seq'`,
		`UPDATE lease_objects SET object = 99`,
		`DELETE FROM leases`,
		`INSERT INTO sources VALUES (99, 'l', 0, 0)`,
		`INSERT INTO looks VALUES (x'00', 'l', 0)`,
		`INSERT INTO repositories VALUES (1, 'r/a'); INSERT INTO repository_objects VALUES (99, 1, 1, 0)`,
		`INSERT INTO repository_objects VALUES (1, 99, 1, 0)`,
		`INSERT INTO sightings VALUES ('r/a:v1', x'00', '', 0, 0)`,
		`INSERT INTO block_sums VALUES (99, 0, x'')`,
	} {
		d := sample(t)
		write(t, d, func(tx *Tx) error { return tx.c.script(statement) })
		if found := contradictionsOf(t, d); len(found) == 0 {
			t.Errorf("not found: %s", statement)
		}
	}
}

func TestDamageHasAClassAndAHint(t *testing.T) {
	for _, statement := range []string{
		`ALTER TABLE objects RENAME COLUMN used TO unused`, // what a query asks for is not there
		`UPDATE objects SET digest = x'00' WHERE id = 1`,
	} {
		d := sample(t)
		write(t, d, func(tx *Tx) error { return tx.c.script(statement) })
		err := d.Read(t.Context(), func(tx *Tx) error {
			_, err := tx.ObjectsAfter(0, 10)
			return err
		})
		if !errors.Is(err, content.ErrCorrupt) || content.Hint(err) != HintRebuild {
			t.Errorf("%s: %v, hint %q", statement, err, content.Hint(err))
		}
	}
}

func TestPagesOfObjects(t *testing.T) {
	d := sample(t)
	read(t, d, func(tx *Tx) error {
		var got []oci.Digest
		for last := int64(0); ; {
			page, err := tx.ObjectsAfter(last, 4)
			check(t, err)
			for _, o := range page {
				got, last = append(got, o.Digest), o.ID
			}
			if len(page) < 4 {
				break
			}
		}
		held, err := tx.HeldAfter(1, 10)
		if len(got) != 6 || len(held) != 4 || held[0] != 2 {
			t.Errorf("%d objects, held behind the first %v", len(got), held)
		}
		return err
	})
}

func TestNamesAbove(t *testing.T) {
	d := sample(t)
	read(t, d, func(tx *Tx) error {
		for i, want := range [][]string{{"a"}, {"a", "b"}, {"a", "b", "c"}, nil} {
			o, _, err := tx.Object(digest(i))
			check(t, err)
			names, err := tx.NamesAbove(o.ID, 10)
			check(t, err)
			if slices.Sort(names); !slices.Equal(names, want) {
				t.Errorf("object %d: %v, want %v", i, names, want)
			}
			if some, err := tx.NamesAbove(o.ID, 2); err != nil || len(some) != min(2, len(want)) {
				t.Errorf("object %d: %v, %v, want two at most", i, some, err)
			}
		}
		return nil
	})
}

func TestLogAtAndRefTargets(t *testing.T) {
	d := sample(t)
	read(t, d, func(tx *Tx) error {
		log, err := tx.LogAt([]int64{1, 3, 9})
		check(t, err)
		if len(log) != 2 || log[1].Name != "a" || log[3].New != digest(2) {
			t.Errorf("%+v", log)
		}
		refs, err := tx.RefTargets()
		if len(refs) != 3 || refs[1].Name != "b" || refs[1].Target != digest(1) || refs[1].Seq != 2 {
			t.Errorf("%+v", refs)
		}
		return err
	})
}

func TestRestoredRowsAreAsTheyWere(t *testing.T) {
	d := openDB(t, t.TempDir(), Options{})
	at := time.Date(2020, 1, 2, 3, 4, 5, 6e6, time.UTC)
	wantPack := Pack{ID: 7, State: PackSealed, End: 100, Live: 10, Dead: 5, Created: at}
	wantLog := []LogEntry{
		{Seq: 3, Name: "a", New: digest(1), At: at, Why: "pull", Keeps: true},
		{Seq: 9, Name: "b", Old: digest(1), At: at, Why: "delete"},
	}
	write(t, d, func(tx *Tx) error {
		check(t, tx.RestorePack(wantPack))
		puts, err := tx.PutObjects([]Present{{Digest: digest(1), Size: 10, Loc: LocPack, Pack: 7, Off: 64, Stored: 10, Kind: 1}})
		check(t, err)
		check(t, tx.RestoreRefs([]RestoredRef{{Name: "a", Object: puts[0].ID, Seq: 3, Updated: at}}))
		check(t, tx.RestoreLog(wantLog, 5))
		return tx.RestoreLog(nil, 4) // the counter never goes back
	})
	write(t, d, func(tx *Tx) error {
		last, err := tx.LastPackID()
		check(t, err)
		p, found, err := tx.Pack(7)
		check(t, err)
		if last != 7 || !found || p != wantPack {
			t.Errorf("pack %+v, last %d", p, last)
		}
		r, found, err := tx.Ref("a")
		check(t, err)
		if !found || r.Seq != 3 || !r.Updated.Equal(at) || r.Object.Digest != digest(1) {
			t.Errorf("%+v", r)
		}
		log, err := tx.LogAt([]int64{3, 9})
		check(t, err)
		if want := map[int64]LogEntry{3: wantLog[0], 9: wantLog[1]}; !reflect.DeepEqual(log, want) {
			t.Errorf("%+v", log)
		}
		e, err := tx.SetRef(RefChange{Name: "c", New: digest(1), Why: "tag"})
		if e.Seq != 10 {
			t.Errorf("the next change is number %d", e.Seq)
		}
		return err
	})
	if found := contradictionsOf(t, d); len(found) > 0 {
		t.Error(strings.Join(found, "; "))
	}
}
