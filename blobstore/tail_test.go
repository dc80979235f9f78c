package blobstore_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/fsys"
	"dist.example/oci"
)

// killed copies a store as it is when its transaction has been written and not
// committed.
func killed(t *testing.T, before func(*blobstore.Store), changes ...content.NameChange) (dir string) {
	t.Helper()
	from, armed := empty(t), false
	s := openWith(t, from, blobstore.Options{Hook: func(p string) {
		if armed && p == "db.commit" {
			armed, dir = false, filepath.Join(t.TempDir(), "store")
			must(t, os.CopyFS(dir, os.DirFS(from)))
		}
	}})
	before(s)
	armed = true
	must(t, s.SetNames(t.Context(), changes...))
	must(t, s.Close())
	return dir
}

func allNames(t *testing.T, s *blobstore.Store) (names []string) {
	for n, err := range s.Names(t.Context(), "") {
		must(t, err)
		names = append(names, n.Reference.String())
	}
	return names
}

// Three names are removed by a command that dies. What came later is told apart
// from it, with the tail that it left and without.
func TestARebuildTakesNoHalfOfWhatWasNotCommitted(t *testing.T) {
	t.Parallel()
	im := newImage(t, noise(1, 900))
	var changes []content.NameChange
	for _, name := range []string{"a:1", "b:1", "c:1"} {
		changes = append(changes, content.NameChange{Reference: reference(t, name), Why: "remove"})
	}
	dir := killed(t, func(s *blobstore.Store) { named(t, s, im, "a:1", "b:1", "c:1") }, changes...)
	packs := filepath.Join(dir, "packs")
	tail, err := os.ReadFile(filepath.Join(packs, "1.pack"))
	must(t, err)
	s := open(t, dir)
	must(t, s.SetNames(t.Context(), content.NameChange{Reference: reference(t, "d:1"), Target: im.manifest().Digest, Why: "tag"}))
	want := allNames(t, s)
	if len(want) != 4 {
		t.Fatalf("after the kill: %s", want)
	}
	must(t, s.Close())
	cut, err := os.ReadFile(filepath.Join(packs, "1.pack"))
	must(t, err)
	if len(cut) >= len(tail) {
		t.Errorf("the tail of %d bytes is still there (%d)", len(tail), len(cut))
	}
	for name, p := range map[string][]byte{"cut": cut, "not cut": tail} {
		must(t, os.WriteFile(filepath.Join(packs, "1.pack"), p, 0o644))
		must(t, os.RemoveAll(filepath.Join(dir, "catalog.db")))
		rebuild(t, dir)
		s = open(t, dir)
		if got := allNames(t, s); !slices.Equal(got, want) {
			t.Errorf("tail %s: rebuilt names %s, want %s", name, got, want)
		}
		must(t, s.Close())
	}
}

func TestTheCatalogFromBeforeARebuildIsRefused(t *testing.T) {
	t.Parallel()
	dir := empty(t)
	s := open(t, dir)
	for i := range 30 {
		mustStore(t, s, noise(uint64(i), 500))
	}
	must(t, s.Close())
	rebuild(t, dir)
	s = open(t, dir)
	mustStore(t, s, noise(99, 500))
	must(t, s.Close())
	for _, end := range []string{"", "-wal", "-shm"} {
		name := "catalog.db" + end
		must(t, os.RemoveAll(filepath.Join(dir, name)))
		if err := os.Rename(filepath.Join(dir, "catalog.old", name), filepath.Join(dir, name)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	_, err := blobstore.Open(t.Context(), dir, blobstore.Options{})
	want(t, content.ErrCorrupt, err)
}

// nosy is a file system in which somebody looks at each new lease before its owner
// has locked it.
type nosy struct{ fsys.FS }

type nosyFile struct{ fsys.File }

func (n nosy) OpenFile(name string, flag int, perm os.FileMode) (fsys.File, error) {
	f, err := n.FS.OpenFile(name, flag, perm)
	if err == nil && filepath.Base(filepath.Dir(name)) == "leases" && flag&os.O_EXCL != 0 {
		return nosyFile{f}, nil
	}
	return f, err
}

func (f nosyFile) TryLock(exclusive bool) (bool, error) {
	g, err := fsys.OS().OpenFile(f.Name(), os.O_RDWR, 0)
	if err != nil {
		return false, err
	}
	ok, err := g.TryLock(true)
	if err != nil || !ok {
		return false, errors.Join(err, g.Close())
	}
	ok, err = f.File.TryLock(exclusive)
	return ok, errors.Join(err, g.Close())
}

func TestALeaseIsLockedWhoeverLooksAtIt(t *testing.T) {
	t.Parallel()
	dir := empty(t)
	s := openWith(t, dir, blobstore.Options{FS: nosy{fsys.OS()}})
	ses := begin(t, s, blobstore.SessionOptions{Note: "pull"})
	d := put(t, ses, "", noise(1, 500))
	must(t, ses.Flush(t.Context()))
	want(t, content.ErrConflict, open(t, dir).Delete(t.Context(), d.Digest))
	must(t, ses.Close())
}

// A size that was wrong, in somebody's manifest, does not stand in the way of the
// right one.
func TestAWrongSizeDoesNotBlockADigest(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	p := noise(1, 3<<20)
	d := oci.DigestBytes(p)
	ingest := func(total int64) error {
		w, err := s.Writer(t.Context(), content.IngestOptions{Key: d.String(), Expected: d, Total: total})
		if err != nil {
			return err
		}
		defer w.Close()
		if _, err := w.Write(p[w.Status().Offset:]); err != nil {
			return err
		}
		_, err = w.Commit(t.Context())
		return err
	}
	want(t, content.ErrCorrupt, ingest(5<<20))
	must(t, ingest(3<<20))
	must(t, s.Check(t.Context(), d))
}
