package db

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// inventory writes a whole inventory of some digests.
func inventory(t *testing.T, d *DB, known oci.Digest, ns ...int) (id int64) {
	t.Helper()
	write(t, d, func(tx *Tx) (err error) {
		id, err = tx.BeginInventory()
		return err
	})
	write(t, d, func(tx *Tx) error {
		for _, n := range ns {
			raw, err := oci.RawDigest(digest(n))
			if err != nil {
				return err
			}
			if err := tx.AddInventoryBlock(id, raw); err != nil {
				return err
			}
		}
		return tx.AddInventoryNames(id, []InventoryName{{"example.com/a:1", digest(1)}})
	})
	write(t, d, func(tx *Tx) (err error) {
		id, err = tx.FinishInventory(Inventory{ID: id, Digest: known, Objects: int64(len(ns)), Names: 1})
		return err
	})
	return id
}

// left counts the rows of inventories.
func left(t *testing.T, d *DB) (rows int) {
	t.Helper()
	read(t, d, func(tx *Tx) error {
		_, err := tx.get(`SELECT (SELECT count(*) FROM inventories) + (SELECT count(*) FROM inventory_blocks) + (SELECT count(*) FROM inventory_names)`, nil, &rows)
		return err
	})
	return rows
}

func trim(t *testing.T, d *DB) {
	t.Helper()
	for more := true; more; {
		write(t, d, func(tx *Tx) (err error) {
			more, err = tx.TrimInventories(tx.Now.Add(-time.Hour))
			return err
		})
	}
}

func TestSitesAreKept(t *testing.T) {
	d := openDB(t, t.TempDir(), Options{})
	when := time.UnixMilli(1_700_000_000_123).UTC()
	bare := Site{Name: "bare", Added: when}
	full := Site{
		Name: "full", Key: []byte{1, 2}, Note: "n", Added: when, Store: "u", Receipt: digest(7), Serial: 3, Made: when, Updated: when,
		Inventory: inventory(t, d, digest(8), 1, 2), Objects: 2, Names: 1,
	}
	write(t, d, func(tx *Tx) error { return errors.Join(tx.PutSite(full), tx.PutSite(bare)) })
	read(t, d, func(tx *Tx) error {
		var all []Site
		for s, err := range tx.Sites() {
			check(t, err)
			all = append(all, s)
		}
		if want := []Site{bare, full}; !reflect.DeepEqual(all, want) {
			t.Errorf("%+v, want %+v", all, want)
		}
		one, found, err := tx.Site("full")
		if !found || !reflect.DeepEqual(one, full) {
			t.Errorf("%v %+v", found, one)
		}
		if _, found, err := tx.Site("other"); found || err != nil {
			t.Errorf("%v, %v", found, err)
		}
		set, err2 := tx.InventoryDigests(full.Inventory)
		if set.Len() != 2 || !set.Has(digest(1)) || set.Has(digest(3)) {
			t.Errorf("%d digests", set.Len())
		}
		return errors.Join(err, err2)
	})
	write(t, d, func(tx *Tx) error {
		gone, err := tx.DeleteSite("full")
		if !gone {
			t.Error("it was not there")
		}
		again, err2 := tx.DeleteSite("full")
		if again {
			t.Error("it was there twice")
		}
		return errors.Join(err, err2)
	})
}

// Two inventories with the same digest are one; what nothing has any more goes, and what
// somebody is writing stays.
func TestInventories(t *testing.T) {
	d := openDB(t, t.TempDir(), Options{})
	first := inventory(t, d, digest(8), 1, 2)
	whole := left(t, d)
	if second := inventory(t, d, digest(8), 1, 2); second != first {
		t.Errorf("ids %d and %d", first, second)
	}
	write(t, d, func(tx *Tx) error { return tx.PutSite(Site{Name: "s", Inventory: first}) })
	write(t, d, func(tx *Tx) error { return tx.GiveUpInventories() })
	trim(t, d)
	if n := left(t, d); n != whole {
		t.Errorf("%d rows of inventories, want %d", n, whole)
	}
	var begun int64
	write(t, d, func(tx *Tx) (err error) {
		begun, err = tx.BeginInventory()
		return err
	})
	write(t, d, func(tx *Tx) error {
		_, err := tx.DeleteSite("s")
		return errors.Join(err, tx.GiveUpInventories())
	})
	read(t, d, func(tx *Tx) error {
		if _, found, err := tx.InventoryOf(digest(8)); found || err != nil {
			t.Errorf("one that was given up is found: %v", err)
		}
		return nil
	})
	trim(t, d)
	if n := left(t, d); n != 1 {
		t.Errorf("%d rows, want the one that is being written", n)
	}
	write(t, d, func(tx *Tx) error {
		if _, err := tx.FinishInventory(Inventory{ID: first, Digest: digest(8)}); !errors.Is(err, content.ErrNotFound) {
			t.Errorf("one that is gone is finished: %v", err)
		}
		_, err := tx.FinishInventory(Inventory{ID: begun, Digest: digest(9)})
		return err
	})
}

func TestBundlesAreKept(t *testing.T) {
	d := openDB(t, t.TempDir(), Options{})
	when := time.UnixMilli(1_700_000_000_123).UTC()
	reached := inventory(t, d, digest(8), 1, 2, 3)
	sent := Bundle{
		Direction: Sent, Name: "nightly", Serial: 5, Digest: digest(1), Site: "s", Base: digest(2), Created: when, At: when,
		Images: 2, Blobs: 3, Size: 4, Inventory: reached, Objects: 3,
	}
	older, came := sent, Bundle{Direction: Received, Digest: digest(1), At: when}
	older.Serial, older.Digest = 4, digest(3)
	for _, b := range []Bundle{sent, older, came, sent} { // the last takes the place of the first
		write(t, d, func(tx *Tx) error { return tx.PutBundle(b) })
	}
	read(t, d, func(tx *Tx) error {
		last, found, err := tx.LastBundle(Sent, "nightly")
		if last.ID = 0; !found || !reflect.DeepEqual(last, sent) {
			t.Errorf("%+v", last)
		}
		if _, found, _ := tx.LastBundle(Received, "nightly"); found {
			t.Error("none of that name has come")
		}
		var serials []int64
		for b, err := range tx.Bundles(Sent) {
			check(t, err)
			serials = append(serials, b.Serial)
		}
		if !reflect.DeepEqual(serials, []int64{5, 4}) {
			t.Errorf("serials %v", serials)
		}
		return err
	})
	write(t, d, func(tx *Tx) error { return tx.ForgetClosures("nightly", "s", 1) })
	read(t, d, func(tx *Tx) error {
		for b, err := range tx.Bundles(Sent) {
			check(t, err)
			if want := b.Serial == 5; (b.Inventory != 0) != want {
				t.Errorf("serial %d has inventory %d", b.Serial, b.Inventory)
			}
		}
		return nil
	})
}
