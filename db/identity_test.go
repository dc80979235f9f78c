package db

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/schema"
)

const (
	storeA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	storeB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// catalogFiles are catalog.db and its WAL as they are on disk, nil where there is
// none.
type catalogFiles [2][]byte

func saved(t *testing.T, dir string) (c catalogFiles) {
	for i, suffix := range []string{"", "-wal"} {
		c[i], _ = os.ReadFile(catalogFile(dir) + suffix)
	}
	return c
}

func (c catalogFiles) putBack(t *testing.T, dir string) {
	check(t, os.RemoveAll(catalogFile(dir)+"-shm"))
	for i, suffix := range []string{"", "-wal"} {
		check(t, os.RemoveAll(catalogFile(dir)+suffix))
		if c[i] != nil {
			check(t, os.WriteFile(catalogFile(dir)+suffix, c[i], 0o644))
		}
	}
}

// grown makes a catalog in dir in steps, and calls at for each.
func grown(t *testing.T, dir, store string, steps int, at func(step int)) {
	for i := range steps {
		d, err := Open(context.Background(), dir, Options{Store: store})
		check(t, err)
		write(t, d, func(tx *Tx) error { return tx.SetMeta("step", fmt.Sprint(i)) })
		if i%2 == 1 {
			check(t, d.Settle(context.Background()))
			write(t, d, func(tx *Tx) error { return tx.SetMeta("after", fmt.Sprint(i)) })
		}
		check(t, d.Close())
		at(i)
	}
}

// refused says whether the catalog in dir is refused, for readers and writers; if
// not, it must say what was written last.
func refused(t *testing.T, dir, store, last string) bool {
	var errs [2]error
	for i, readOnly := range []bool{true, false} {
		d, err := Open(context.Background(), dir, Options{Store: store, ReadOnly: readOnly})
		if err == nil {
			read(t, d, func(tx *Tx) error {
				if v, _, err := tx.Meta("step"); v != last || err != nil {
					t.Errorf("accepted, but the last step is %s in place of %s, %v", v, last, err)
				}
				return nil
			})
			check(t, d.Close())
		}
		errs[i] = err
	}
	if (errs[0] == nil) != (errs[1] == nil) {
		t.Errorf("readers and writers disagree: %v", errs)
	}
	if errs[0] != nil && (!errors.Is(errs[1], content.ErrCorrupt) || !strings.Contains(content.Hint(errs[1]), "--rebuild")) {
		t.Errorf("refused with %v (%s)", errs[1], content.Hint(errs[1]))
	}
	return errs[0] != nil
}

func TestAnOlderCopyIsRefused(t *testing.T) {
	dir := t.TempDir()
	var old []catalogFiles
	grown(t, dir, storeA, 6, func(int) { old = append(old, saved(t, dir)) })
	last := old[len(old)-1]
	if refused(t, dir, storeA, "5") {
		t.Fatal("the catalog itself is refused")
	}
	accepted := 0
	for _, c := range old[:len(old)-1] {
		for name, mixed := range map[string]catalogFiles{
			"both files":                 {c[0], c[1]},
			"the file without a WAL":     {c[0], nil},
			"the WAL alone":              {last[0], c[1]},
			"no WAL":                     {last[0], nil},
			"the file beside the WAL":    {c[0], last[1]},
			"a WAL that a bit broke":     {last[0], flipped(last[1], len(last[1])-100)},
			"an empty WAL":               {last[0], []byte{}},
			"a WAL of which some is cut": {last[0], last[1][:len(last[1])-1]},
		} {
			mixed.putBack(t, dir)
			if !refused(t, dir, storeA, "5") {
				accepted++ // and it was right
				t.Logf("%s: accepted", name)
			}
			last.putBack(t, dir)
		}
	}
	// The catalog's file is the same from one step to the next in places.
	if accepted > 1 {
		t.Errorf("%d mixtures were accepted", accepted)
	}
}

func flipped(p []byte, at int) []byte {
	q := []byte(string(p))
	q[at] ^= 0x10
	return q
}

func TestTheWALOfAStrangerIsRefused(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	grown(t, dir, storeA, 4, func(int) {})
	grown(t, other, storeB, 4, func(int) {})
	ours, theirs := saved(t, dir), saved(t, other)
	for name, mixed := range map[string]catalogFiles{
		"their WAL":             {ours[0], theirs[1]},
		"their file":            {theirs[0], ours[1]},
		"both":                  theirs,
		"their file and no WAL": {theirs[0], nil},
	} {
		mixed.putBack(t, dir)
		if !refused(t, dir, storeA, "3") {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestAWriterNoticesThatTheCatalogWasReplaced(t *testing.T) {
	dir := t.TempDir()
	var first catalogFiles
	grown(t, dir, storeA, 3, func(i int) {
		if i == 0 {
			first = saved(t, dir)
		}
	})
	first.putBack(t, dir)
	// Who has no witness takes it; a witness that appears later convicts it.
	lock, err := os.ReadFile(filepath.Join(dir, lockName))
	check(t, err)
	check(t, os.Truncate(filepath.Join(dir, lockName), 0))
	d := openDB(t, dir, Options{Store: storeA})
	check(t, os.WriteFile(filepath.Join(dir, lockName), lock, 0o644))
	err = d.Write(context.Background(), func(tx *Tx) error { return tx.SetMeta("k", "v") })
	if !errors.Is(err, content.ErrCorrupt) {
		t.Errorf("writing to an older copy: %v", err)
	}
}

func TestAWitnessThatMakesNoSenseSaysNothing(t *testing.T) {
	dir := t.TempDir()
	grown(t, dir, storeA, 2, func(int) {})
	for _, text := range []string{"", "123", "123                \n", "123                \nx", strings.Repeat("\x00", 40), strings.Repeat("9", 80), strings.Repeat(" ", 20) + "9223372036854775807\n"} {
		check(t, os.WriteFile(filepath.Join(dir, lockName), []byte(text), 0o644))
		if refused(t, dir, storeA, "1") {
			t.Errorf("refused with a lock file of %q", text)
		}
	}
}

func TestAnOlderSchemaIsMigratedWhenNobodyElseHasIt(t *testing.T) {
	dir := t.TempDir()
	ms, err := schema.Migrations(0)
	check(t, err)
	check(t, sqlScript("PRAGMA journal_mode = WAL; "+ms[0].SQL+fmt.Sprintf("; INSERT INTO meta VALUES ('k', 'v'); PRAGMA application_id = %d; PRAGMA user_version = 1", schema.ApplicationID))(catalogFile(dir)))
	if _, err := Open(context.Background(), dir, Options{ReadOnly: true}); !errors.Is(err, content.ErrNoStore) {
		t.Errorf("reading only: %v", err)
	}
	alone := 0
	d := openDB(t, dir, Options{Store: storeA, Exclusive: func(migrate func() error, needed func() bool) error {
		if alone++; !needed() {
			t.Error("it is not needed")
		}
		err := migrate()
		if needed() {
			t.Error("it is needed still")
		}
		return err
	}})
	read(t, d, func(tx *Tx) error {
		totals, err := tx.Totals()
		if v, _, _ := tx.Meta("k"); v != "v" || totals.Version != schema.Version {
			t.Errorf("version %d, k = %q", totals.Version, v)
		}
		return err
	})
	if alone != 1 {
		t.Errorf("exclusive %d times", alone)
	}
	openDB(t, t.TempDir(), Options{Exclusive: func(func() error, func() bool) error {
		t.Error("making a catalog is no migration")
		return nil
	}})
}

// writtenBack writes the WAL back, and says whether it begins anew.
func writtenBack(t *testing.T, d *DB, mode string) (done bool) {
	check(t, d.Locked(context.Background(), func(*Locked) (err error) {
		done, err = d.writeBack(mode, 0)
		return err
	}))
	return done
}

func step(t *testing.T, d *DB, v string) {
	write(t, d, func(tx *Tx) error { return tx.SetMeta("step", v) })
}

func TestAnEpochIsThatOfOneLog(t *testing.T) {
	dir := t.TempDir()
	d := openDB(t, dir, Options{Store: storeA})
	step(t, d, "0")
	// A reader of the last state lets everything be written back, but the log cannot
	// begin anew before it has gone.
	read(t, d, func(tx *Tx) error {
		_, _, err := tx.Meta("step")
		if writtenBack(t, d, "RESTART") {
			t.Error("it did not wait for the reader")
		}
		return err
	})
	step(t, d, "1")
	old := saved(t, dir)
	step(t, d, "2")
	if !writtenBack(t, d, "RESTART") {
		t.Error("it was not written back")
	}
	write(t, d, func(tx *Tx) error { return tx.SetMeta("after", "3") })
	now := saved(t, dir)
	check(t, d.Close())
	catalogFiles{old[0], now[1]}.putBack(t, dir)
	if !refused(t, dir, storeA, "2") {
		t.Error("an older file beside the newest log was accepted")
	}
}

func TestALogThatHasJustBegunAgreesWithItsCatalogAlone(t *testing.T) {
	dir := t.TempDir()
	d := openDB(t, dir, Options{Store: storeA})
	step(t, d, "0")
	writtenBack(t, d, "TRUNCATE")
	old := saved(t, dir)
	step(t, d, "1")
	writtenBack(t, d, "TRUNCATE")
	write(t, d, func(tx *Tx) error { return tx.SetMeta("other", "x") })
	writtenBack(t, d, "RESTART")
	killed := saved(t, dir)
	check(t, d.Close())
	catalogFiles{old[0], killed[1]}.putBack(t, dir)
	if !refused(t, dir, storeA, "1") {
		t.Error("an older file beside the log was accepted")
	}
}

func TestACopyFromBeforeAMigrationIsRefused(t *testing.T) {
	dir := t.TempDir()
	ms, err := schema.Migrations(0)
	check(t, err)
	check(t, sqlScript("PRAGMA journal_mode = WAL; "+ms[0].SQL+fmt.Sprintf("; PRAGMA application_id = %d; PRAGMA user_version = 1", schema.ApplicationID))(catalogFile(dir)))
	before := saved(t, dir)
	grown(t, dir, storeA, 2, func(int) {})
	before.putBack(t, dir)
	if !refused(t, dir, storeA, "1") {
		t.Error("it was migrated again")
	}
}

func TestACatalogBeginsAboveTheOneBefore(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	grown(t, dir, storeA, 2, func(int) {})
	old, far := saved(t, dir), Witness(fsys.OS(), dir)+1<<50
	d, err := Open(context.Background(), other, Options{Store: storeA, After: far})
	check(t, err)
	step(t, d, "new")
	check(t, d.Settle(context.Background()))
	check(t, d.Close())
	saved(t, other).putBack(t, dir)
	d, err = Open(context.Background(), dir, Options{Store: storeA})
	check(t, err)
	step(t, d, "newer")
	check(t, d.Close())
	if got := Witness(fsys.OS(), dir); got <= far {
		t.Errorf("generation %d, not above %d", got, far)
	}
	old.putBack(t, dir)
	if !refused(t, dir, storeA, "newer") {
		t.Error("the catalog that was replaced was accepted")
	}
}

// watched is a file system as another user has it, who may not write the store. It
// tells of each look at a file.
type watched struct {
	fsys.FS
	at func(name string)
}

func (w watched) Stat(name string) (fs.FileInfo, error) {
	fi, err := w.FS.Stat(name)
	w.at(name)
	return fi, err
}

func (w watched) OpenFile(name string, flag int, perm fs.FileMode) (fsys.File, error) {
	if flag&os.O_RDWR != 0 && filepath.Base(name) == lockName {
		return nil, fs.ErrPermission
	}
	return w.FS.OpenFile(name, flag, perm)
}

func TestAReaderBesideAWriterIsNotRefused(t *testing.T) {
	dir := t.TempDir()
	d := openDB(t, dir, Options{Store: storeA})
	step(t, d, "0")
	check(t, d.Settle(context.Background()))
	written := false
	reader, err := Open(context.Background(), dir, Options{Store: storeA, ReadOnly: true, FS: watched{fsys.OS(), func(name string) {
		if strings.HasSuffix(name, "-wal") && !written {
			written = true
			step(t, d, "1")
		}
	}}})
	if err != nil {
		t.Fatal(err)
	}
	check(t, reader.Close())
}

func TestAnImmutableCatalogThatIsWrittenIsNotBelieved(t *testing.T) {
	dir := t.TempDir()
	d := openDB(t, dir, Options{Store: storeA})
	step(t, d, "0")
	check(t, d.Settle(context.Background()))
	reader := openDB(t, dir, Options{Store: storeA, ReadOnly: true, FS: watched{fsys.OS(), func(string) {}}})
	look := func(*Tx) error { return nil }
	check(t, reader.Read(context.Background(), look))
	write(t, d, func(tx *Tx) error { return tx.SetMeta("long", strings.Repeat("x", 1<<20)) })
	check(t, d.Settle(context.Background()))
	if err := reader.Read(context.Background(), look); !errors.Is(err, content.ErrConflict) {
		t.Errorf("after the file was written: %v", err)
	}
	if _, _, err := reader.Object(context.Background(), digest(1)); !errors.Is(err, content.ErrConflict) {
		t.Errorf("after the file was written: %v", err)
	}
}
