package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"dist.example/content"
	"dist.example/schema"
)

func TestOpenMakesTheCatalog(t *testing.T) {
	dir := t.TempDir()
	d := openDB(t, dir, Options{})
	read(t, d, func(tx *Tx) error {
		totals, err := tx.Totals()
		if totals.Version != schema.Version {
			t.Errorf("schema version %d, want %d", totals.Version, schema.Version)
		}
		return err
	})
	var mode string
	check(t, d.pool.withConn(func(c *conn) error { return c.row("PRAGMA journal_mode", &mode) }))
	if mode != "wal" {
		t.Errorf("journal mode %s, want wal", mode)
	}
}

func TestConnectionSettings(t *testing.T) {
	d := openDB(t, t.TempDir(), Options{})
	for pragma, want := range map[string]int{"synchronous": 2, "busy_timeout": 30000, "cache_size": -8192} {
		var got int
		check(t, d.pool.withConn(func(c *conn) error { return c.row("PRAGMA "+pragma, &got) }))
		if got != want {
			t.Errorf("%s = %d, want %d", pragma, got, want)
		}
	}
}

// withConn lends a connection outside of any transaction.
func (p *pool) withConn(fn func(*conn) error) error {
	c, err := p.get()
	if err != nil {
		return err
	}
	defer p.put(c, true)
	return fn(c)
}

func TestMigrationsAreNumberedWithoutGaps(t *testing.T) {
	ms, err := schema.Migrations(0)
	check(t, err)
	for i, m := range ms {
		if m.Version != i+1 || !strings.HasPrefix(m.Name, fmt.Sprintf("%04d_", i+1)) {
			t.Errorf("migration %d is %d in %s", i+1, m.Version, m.Name)
		}
	}
	if len(ms) != schema.Version {
		t.Errorf("%d migrations, schema.Version is %d", len(ms), schema.Version)
	}
}

// Every view of `query` answers on a real catalog, under the name of a table too.
func TestViewsAnswer(t *testing.T) {
	g := newGraph(t)
	g.held(1, 2)
	g.edge(1, 2, 2, "")
	g.name("example.com/a:1", 1)
	g.lease("l", LeaseUser, 1)
	write(t, g.d, func(tx *Tx) error {
		return errors.Join(tx.PutSources([]ObjectSource{{Object: g.ids[1], Locator: "example.com/a"}}),
			tx.PutIngest(Ingest{Key: "k", Total: -1}), tx.GrowPack(Pack{ID: 1, State: PackOpen, End: 64}),
			tx.PutSite(Site{Name: "plant"}), tx.PutBundle(Bundle{Direction: Sent, Digest: digest(1)}), tx.PutBundle(Bundle{Direction: Received, Digest: digest(1)}),
			second(tx.PutSnapshot(Snapshot{Chain: digest(7), Index: digest(8), Object: g.ids[2], Dir: "d"})))
	})
	g.include("example.com/a", Pushed, 1)
	check(t, g.d.pool.withConn(func(c *conn) error {
		if err := c.script(schema.ViewsSQL()); err != nil {
			return err
		}
		for view, want := range map[string]int{
			"content": 2, "images": 1, "history": 1, "edges": 1, "sources": 1, "signatures": 0, "ingests": 1, "leases": 1, "packs": 1, "repositories": 1,
			"sites": 1, "bundles": 2, "snapshots": 1,
		} {
			var n int
			if err := c.row("SELECT count(*) FROM "+view, &n); err != nil {
				return fmt.Errorf("%s: %w", view, err)
			}
			if n != want {
				t.Errorf("view %s has %d rows, want %d", view, n, want)
			}
		}
		var digestText, parent string
		if err := c.row("SELECT digest FROM images", &digestText); err != nil {
			return err
		}
		if err := c.row("SELECT parent FROM edges", &parent); err != nil {
			return err
		}
		if want := digest(1).String(); digestText != want || parent != want {
			t.Errorf("digests read %s and %s, want %s", digestText, parent, want)
		}
		return nil
	}))
}

func TestManyOpenAtOnce(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			if err := openChild(dir, []string{fmt.Sprint("goroutine", i)}); err != nil {
				t.Error(err)
			}
		})
	}
	for i := range 6 {
		wg.Go(func() {
			if out, err := child(t, "open", dir, fmt.Sprint("process", i)).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	wg.Wait()
	d := openDB(t, dir, Options{})
	read(t, d, func(tx *Tx) error {
		var n int
		_, err := tx.get(`SELECT count(*) FROM meta`, nil, &n)
		if n != 16 {
			t.Errorf("%d of 16 writers left their row", n)
		}
		return err
	})
}

func TestWhatIsNoCatalogIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		make  func(file string) error
		class error
	}{
		"another program's database": {sqlScript("CREATE TABLE notes (x)"), content.ErrCorrupt},
		"another application id":     {sqlScript("PRAGMA application_id = 42"), content.ErrCorrupt},
		"not a database":             {func(f string) error { return os.WriteFile(f, []byte(strings.Repeat("no database ", 100)), 0o600) }, content.ErrCorrupt},
		"a newer schema": {sqlScript(fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d",
			schema.ApplicationID, schema.Version+1)), content.ErrNoStore},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			check(t, c.make(catalogFile(dir)))
			before, err := os.ReadFile(catalogFile(dir))
			check(t, err)
			for _, readOnly := range []bool{false, true} {
				_, err := Open(context.Background(), dir, Options{ReadOnly: readOnly})
				if !errors.Is(err, c.class) {
					t.Errorf("read-only %v: %v, want %v", readOnly, err, c.class)
				}
				if content.Hint(err) == "" {
					t.Errorf("hint %q", content.Hint(err))
				}
			}
			after, err := os.ReadFile(catalogFile(dir))
			check(t, err)
			if string(before) != string(after) {
				t.Error("the file was changed")
			}
		})
	}
}

// sqlScript makes a database with statements of its own.
func sqlScript(script string) func(file string) error {
	return func(file string) error {
		d, err := sql.Open("sqlite", file)
		if err != nil {
			return err
		}
		_, err = d.Exec(script)
		return errors.Join(err, d.Close())
	}
}

// A folder may have any name that the system allows.
func TestOddFolderNames(t *testing.T) {
	for _, name := range []string{"a b", "a%41b", "a#b", "a&mode=ro", "ä", "c:d"} {
		dir := filepath.Join(t.TempDir(), name)
		if os.Mkdir(dir, 0o755) != nil {
			continue // not allowed here
		}
		d := openDB(t, dir, Options{})
		write(t, d, func(tx *Tx) error { return tx.SetMeta("k", "v") })
		if !exists(t, catalogFile(dir)) {
			t.Errorf("%q has no catalog", name)
		}
	}
}

func TestNoFolderNoCatalog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "nowhere")
	for _, readOnly := range []bool{false, true} {
		if _, err := Open(context.Background(), dir, Options{ReadOnly: readOnly}); !errors.Is(err, content.ErrNoStore) {
			t.Errorf("read-only %v: %v, want ErrNoStore", readOnly, err)
		}
	}
	dir = t.TempDir()
	if _, err := Open(context.Background(), dir, Options{ReadOnly: true}); !errors.Is(err, content.ErrNoStore) {
		t.Errorf("empty folder: %v, want ErrNoStore", err)
	}
	if exists(t, catalogFile(dir)) {
		t.Error("reading made a catalog")
	}
}

func TestDamagedCatalogIsSaid(t *testing.T) {
	dir := t.TempDir()
	d := openDB(t, dir, Options{})
	write(t, d, func(tx *Tx) error {
		batch := make([]Present, 2000)
		for i := range batch {
			batch[i] = loose(i)
		}
		_, err := tx.PutObjects(batch)
		return err
	})
	check(t, d.pool.withConn(func(c *conn) error { return c.script("PRAGMA wal_checkpoint(TRUNCATE)") }))
	check(t, d.Close())
	data, err := os.ReadFile(catalogFile(dir))
	check(t, err)
	for i := 70 * pageSize; i < len(data); i++ { // beyond the first page of every table
		data[i] = 0x5a
	}
	check(t, os.WriteFile(catalogFile(dir), data, 0o600))
	d = openDB(t, dir, Options{})
	err = d.Read(context.Background(), func(tx *Tx) error {
		for i := range 2000 {
			if _, _, err := tx.Object(digest(i)); err != nil {
				return err
			}
		}
		return nil
	})
	if !errors.Is(err, content.ErrCorrupt) || !strings.Contains(err.Error(), "the catalog is damaged") {
		t.Errorf("got %v, want ErrCorrupt", err)
	}
}

// A short WAL stays where it is at Close, and what it holds is there afterwards.
func TestCloseLeavesAShortWAL(t *testing.T) {
	dir := t.TempDir()
	d, err := Open(context.Background(), dir, Options{})
	check(t, err)
	write(t, d, func(tx *Tx) error { return tx.SetMeta("k", "v") })
	check(t, d.Close())
	check(t, d.Close())
	if fi, err := os.Stat(catalogFile(dir) + "-wal"); err != nil || fi.Size() == 0 {
		t.Errorf("the WAL is gone: %v", err)
	}
	read(t, openDB(t, dir, Options{}), func(tx *Tx) error {
		if v, _, err := tx.Meta("k"); v != "v" {
			t.Errorf("meta k = %q, %v", v, err)
		}
		return nil
	})
}

func TestALongWALIsWrittenBack(t *testing.T) {
	d := openDB(t, t.TempDir(), Options{})
	pages := func() (n int) {
		var busy, written int
		check(t, d.pool.withConn(func(c *conn) error { return c.row("PRAGMA wal_checkpoint(NOOP)", &busy, &n, &written) }))
		return n
	}
	long := func(i int) func(*Tx) error {
		return func(tx *Tx) error {
			for range lookEvery {
				if err := tx.SetMeta("often", fmt.Sprint(i)); err != nil {
					return err
				}
			}
			return tx.SetMeta(fmt.Sprint("k", i), strings.Repeat("x", keepWAL*pageSize/4))
		}
	}
	// A reader that stands in the way puts it off, and nobody waits.
	read(t, d, func(tx *Tx) error {
		_, _, err := tx.Meta("k0") // a snapshot begins with the first look
		for i := range 6 {
			write(t, d, long(i))
		}
		return err
	})
	if pages() < keepWAL {
		t.Fatalf("the WAL has %d pages while it is read", pages())
	}
	for i := range 3 {
		write(t, d, long(6+i))
	}
	if n := pages(); n >= keepWAL {
		t.Errorf("the WAL has %d pages", n)
	}
	read(t, d, func(tx *Tx) error {
		for i := range 9 {
			if _, found, err := tx.Meta(fmt.Sprint("k", i)); !found || err != nil {
				t.Errorf("k%d: %v, %v", i, found, err)
			}
		}
		return nil
	})
}

func second[T any](_ T, err error) error { return err }
