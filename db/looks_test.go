package db

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dist.example/fsys"
	"dist.example/oci"
	"dist.example/schema"
)

func TestLooks(t *testing.T) {
	g := newGraph(t)
	a, b := oci.DigestBytes([]byte("a")), oci.DigestBytes([]byte("b"))
	at := func(d oci.Digest, locator string) (when time.Time) {
		t.Helper()
		read(t, g.d, func(tx *Tx) (err error) {
			when, err = tx.Look(d, locator)
			return err
		})
		return when
	}
	if !at(a, "r.example/a").IsZero() {
		t.Error("nobody has looked yet")
	}
	var now time.Time
	for range 2 {
		write(t, g.d, func(tx *Tx) error {
			now = tx.Now
			return tx.PutLook(a, "r.example/a")
		})
	}
	if !at(a, "r.example/a").Equal(now) || !at(a, "r.example/b").IsZero() || !at(b, "r.example/a").IsZero() {
		t.Errorf("looked at %v, want %v and nothing else", at(a, "r.example/a"), now)
	}
}

// version2 makes a catalog as the program before this one left it.
func version2(t *testing.T, dir string) {
	ms, err := schema.Migrations(0)
	check(t, err)
	check(t, sqlScript("PRAGMA journal_mode = WAL; "+ms[0].SQL+ms[1].SQL+fmt.Sprintf(
		"; INSERT INTO meta VALUES ('k', 'v'); UPDATE base SET store = '%s'; PRAGMA application_id = %d; PRAGMA user_version = 2", storeA, schema.ApplicationID))(catalogFile(dir)))
}

func TestACatalogWithAWitnessIsMigrated(t *testing.T) {
	dir := t.TempDir()
	version2(t, dir)
	const generation = 1700000000000
	check(t, sqlScript(fmt.Sprintf("UPDATE head SET generation = %d", generation))(catalogFile(dir)))
	check(t, os.WriteFile(filepath.Join(dir, lockName), fmt.Appendf(nil, "%*s%-19d\n", holderLength, "\n", generation), 0o644))
	if got := Witness(fsys.OS(), dir); got != generation {
		t.Fatalf("the witness reads %d", got)
	}
	before := saved(t, dir)
	d, err := Open(context.Background(), dir, Options{Store: storeA, Exclusive: func(migrate func() error, _ func() bool) error { return migrate() }})
	check(t, err)
	read(t, d, func(tx *Tx) error {
		totals, err := tx.Totals()
		if v, _, _ := tx.Meta("k"); v != "v" || totals.Version != schema.Version {
			t.Errorf("version %d, k = %q", totals.Version, v)
		}
		return err
	})
	step(t, d, "1")
	check(t, d.Close())
	if refused(t, dir, storeA, "1") {
		t.Error("what was migrated is refused")
	}
	before.putBack(t, dir)
	if !refused(t, dir, storeA, "1") {
		t.Error("a copy from before the migration was migrated again")
	}
}
