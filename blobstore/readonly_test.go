package blobstore_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/db"
)

// sealed is a store that has an image with a large layer under a name, and half
// an ingest, and that only its owner may write.
func sealed(t *testing.T, keepWAL bool) string {
	t.Helper()
	dir := empty(t)
	s, err := blobstore.Open(t.Context(), dir, blobstore.Options{})
	must(t, err)
	ses, err := s.Begin(t.Context(), blobstore.SessionOptions{Note: "test"})
	must(t, err)
	im := newImage(t, noise(1, 1000), noise(2, 400<<10))
	im.put(t, ses)
	must(t, ses.Commit(t.Context(), content.NameChange{Reference: reference(t, "app:v1"), Target: im.manifest().Digest}))
	must(t, ses.Close())
	w, err := s.Writer(t.Context(), content.IngestOptions{Key: "half", Total: 1 << 20})
	must(t, err)
	_, err = w.Write(noise(3, 1000))
	must(t, err)
	must(t, w.Close())
	must(t, s.Close())
	if !keepWAL { // what a checkpoint and the last close of SQLite itself leave
		truncateWAL(t, dir)
	}
	if fi, err := os.Stat(filepath.Join(dir, "catalog.db-wal")); keepWAL && (err != nil || fi.Size() == 0) || !keepWAL && err == nil && fi.Size() > 0 {
		t.Fatalf("the WAL: %v, %v", fi, err)
	}
	must(t, filepath.WalkDir(filepath.Dir(dir), func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := fs.FileMode(0o444)
		if e.IsDir() {
			mode = 0o555
		}
		if strings.Contains(name, string(filepath.Separator)+"ingest"+string(filepath.Separator)) {
			mode = 0o400
		}
		t.Cleanup(func() { os.Chmod(name, 0o755) })
		return os.Chmod(name, mode)
	}))
	must(t, os.Chmod(filepath.Dir(filepath.Dir(dir)), 0o755))
	return dir
}

func truncateWAL(t *testing.T, dir string) {
	t.Helper()
	// A catalog of more than 1000 pages in the WAL is written back when it is closed.
	d, err := db.Open(t.Context(), dir, db.Options{})
	must(t, err)
	must(t, d.Write(t.Context(), func(tx *db.Tx) error {
		return tx.SetMeta("ballast", strings.Repeat("x", 5<<20))
	}))
	must(t, d.Close())
}

func TestAStoreThatCannotBeWrittenIsRead(t *testing.T) {
	t.Parallel()
	for name, keepWAL := range map[string]bool{"the WAL holds something": true, "the WAL is empty": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := sealed(t, keepWAL)
			before := tree(t, dir)
			cmd := child(t, "read", dir)
			tmp := t.TempDir()
			must(t, os.Chmod(tmp, 0o777))
			cmd.Env = append(cmd.Env, "TMPDIR="+tmp)
			asNobody(t, cmd)
			out, err := cmd.Output()
			if err != nil || string(out) != "4 docker.io/library/app:v1\n" {
				t.Errorf("the child says %q, %v", out, err)
			}
			if after := tree(t, dir); after != before {
				t.Errorf("the store had %s\nnow has %s", before, after)
			}
			if left, _ := os.ReadDir(tmp); len(left) != 0 {
				t.Errorf("copies are left: %v", left)
			}
		})
	}
}

// Who may write to a store can open it for reading alone: what is damaged is told and not
// marked, and what would write is refused.
func TestAStoreOpenedForReadingAlone(t *testing.T) {
	t.Parallel()
	dir, blobs := sectored(t)
	must(t, os.Remove(filepath.Join(dir, "packs", "1.pack")))
	s := openWith(t, dir, blobstore.Options{ReadOnly: true, Create: true})
	d := describe("", blobs[1])
	want(t, content.ErrCorrupt, read(s, d))
	if info, err := s.Info(t.Context(), d.Digest); err != nil || info.Place != "pack" || !s.ReadOnly() {
		t.Errorf("%+v, %v", info, err)
	}
	_, err := s.Begin(t.Context(), blobstore.SessionOptions{})
	want(t, content.ErrDenied, err)
	_, err = s.Unmark(t.Context(), d.Digest)
	want(t, content.ErrDenied, err)
	if r := check(t, s); len(r.Damaged) != 3 {
		t.Errorf("%+v", r)
	}
	_, err = blobstore.Open(t.Context(), filepath.Join(dir, "nothing"), blobstore.Options{ReadOnly: true, Create: true})
	want(t, content.ErrNoStore, err)
}

// tree lists the files of a store with their sizes.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	must(t, filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := e.Info()
		if err == nil && !e.IsDir() {
			b.WriteString(strings.TrimPrefix(name, dir))
			b.WriteString(" ")
			b.WriteString(fi.Mode().String())
			b.WriteString("\n")
		}
		return err
	}))
	return b.String()
}
