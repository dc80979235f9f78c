package db

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dist.example/content"
)

// sealed makes a catalog in which k is v, with or without a WAL that has it, and
// takes the permission to write away.
func sealed(t *testing.T, keepsWAL bool, remove ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	d, err := Open(context.Background(), dir, Options{})
	check(t, err)
	write(t, d, func(tx *Tx) error { return tx.SetMeta("k", "v") })
	if !keepsWAL {
		check(t, d.pool.withConn(func(c *conn) error { return c.script("PRAGMA wal_checkpoint(TRUNCATE)") }))
	}
	check(t, d.Close())
	for _, suffix := range remove {
		check(t, os.Remove(catalogFile(dir)+suffix))
	}
	// Whoever reads is neither owner nor in the group.
	check(t, os.Chmod(filepath.Dir(dir), 0o755))
	entries, err := os.ReadDir(dir)
	check(t, err)
	for _, e := range entries {
		check(t, os.Chmod(filepath.Join(dir, e.Name()), 0o444))
	}
	check(t, os.Chmod(dir, 0o555))
	t.Cleanup(func() { os.Chmod(dir, 0o755) })
	return dir
}

func TestReadOnlyStores(t *testing.T) {
	for name, c := range map[string]struct {
		keepsWAL bool
		remove   []string
	}{
		"no WAL":                          {false, []string{"-wal", "-shm"}},
		"an empty WAL":                    {false, nil},
		"an empty WAL, no shared memory":  {false, []string{"-shm"}},
		"a WAL that holds the row":        {true, nil},
		"a WAL without its shared memory": {true, []string{"-shm"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := sealed(t, c.keepsWAL, c.remove...)
			before := listing(t, dir)
			tmp := t.TempDir()
			check(t, os.Chmod(tmp, 0o777))
			cmd := child(t, "read", dir, "k")
			cmd.Env = append(cmd.Env, "TMPDIR="+tmp)
			asNobody(t, cmd)
			out, err := cmd.Output()
			if err != nil || string(out) != "v true\n" {
				t.Errorf("read %q, %v", out, err)
			}
			if after := listing(t, dir); after != before {
				t.Errorf("the folder had %s, now has %s", before, after)
			}
			if left := listing(t, tmp); left != "" {
				t.Errorf("copies are left: %s", left)
			}
		})
	}
}

// At a glance not even shared memory is made, and what could be read in no other way than
// from a copy is not read.
func TestAGlanceLeavesNothing(t *testing.T) {
	dir := sealed(t, false, "-wal", "-shm")
	check(t, os.Chmod(dir, 0o755)) // where the owner may make files
	before := listing(t, dir)
	d, err := Open(context.Background(), dir, Options{Glance: true})
	check(t, err)
	var value string
	check(t, d.Read(context.Background(), func(tx *Tx) (err error) { value, _, err = tx.Meta("k"); return err }))
	check(t, d.Close())
	if after := listing(t, dir); value != "v" || after != before {
		t.Errorf("read %q; the folder had %s, now has %s", value, before, after)
	}
}

func TestOpenForWritingIsDeniedThere(t *testing.T) {
	dir := sealed(t, true)
	cmd := child(t, "open", dir, "x")
	asNobody(t, cmd)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "ermission denied") {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestReadOnlyBesideAWriter(t *testing.T) {
	dir := t.TempDir()
	w := openDB(t, dir, Options{})
	write(t, w, func(tx *Tx) error { return tx.SetMeta("k", "1") })
	r := openDB(t, dir, Options{ReadOnly: true})
	for _, v := range []string{"2", "3"} {
		write(t, w, func(tx *Tx) error { return tx.SetMeta("k", v) })
		read(t, r, func(tx *Tx) error {
			if got, _, err := tx.Meta("k"); got != v || err != nil {
				t.Errorf("read %q, %v, want %s", got, err, v)
			}
			return nil
		})
	}
	err := r.Write(context.Background(), func(*Tx) error { return nil })
	if !errors.Is(err, content.ErrDenied) || content.Hint(err) == "" {
		t.Errorf("write: %v", err)
	}
}

func listing(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	check(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}
