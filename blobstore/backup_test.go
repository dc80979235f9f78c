package blobstore_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"dist.example/blobstore"
	"dist.example/blobstore/pack"
	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/fsys/fsystest"
	"dist.example/oci"
)

// backUp makes a backup of s in folder dir.
func backUp(t *testing.T, s *blobstore.Store, dir string) blobstore.BackupReport {
	t.Helper()
	r, err := s.BackupFolder(t.Context(), dir, blobstore.BackupOptions{})
	must(t, err)
	return r
}

// A folder that has good bytes keeps them, whatever the store has lost since.
func TestABackupKeepsWhatTheStoreHasLost(t *testing.T) {
	t.Parallel()
	early, late := noise(1, 500), noise(2, 500)
	for name, damage := range map[string]func(t *testing.T, s *blobstore.Store, file string){
		"header": func(t *testing.T, _ *blobstore.Store, file string) { flip(t, file, 20) },
		"payload": func(t *testing.T, _ *blobstore.Store, file string) {
			flip(t, file, payloadOf(t, file, early)+8)
			flip(t, file, 20) // so that it comes again
		},
		"record's header": func(t *testing.T, _ *blobstore.Store, file string) {
			at := payloadOf(t, file, early)
			for i := range int64(8) {
				flip(t, file, at-40+i)
			}
			flip(t, file, 20)
		},
		"marked": func(t *testing.T, s *blobstore.Store, file string) {
			flip(t, file, payloadOf(t, file, early)+8)
			if s.Check(t.Context(), oci.DigestBytes(early)) == nil {
				t.Fatal("no damage was found")
			}
		},
		"missing": func(t *testing.T, _ *blobstore.Store, file string) { must(t, os.Remove(file)) },
		"cut":     func(t *testing.T, _ *blobstore.Store, file string) { must(t, os.Truncate(file, 100)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, empty(t))
			mustStore(t, s, early)
			im := newImage(t, noise(3, 500))
			named(t, s, im, "app:v1")
			folder := filepath.Join(t.TempDir(), "folder")
			if r := backUp(t, s, folder); len(r.Damaged) > 0 {
				t.Fatalf("%+v", r)
			}
			mustStore(t, s, late)
			must(t, s.Close())
			s = open(t, s.Dir())
			damage(t, s, packName(s, "1"))
			for range 2 {
				r := backUp(t, s, folder)
				for _, d := range r.Damaged {
					if d.Digest != oci.DigestBytes(late) {
						t.Errorf("%+v", d)
					}
				}
			}
			restored := filepath.Join(t.TempDir(), "copy")
			must(t, os.CopyFS(restored, os.DirFS(folder)))
			back := open(t, restored)
			holds(t, back, early)
			if name == "missing" || name == "cut" {
				return
			}
			holds(t, back, late)
			must(t, back.Close())
			if r := rebuild(t, restored); r.Names != 1 {
				t.Errorf("rebuilt: %+v", r)
			}
		})
	}
}

// What is marked damaged and is right by now is held in a backup.
func TestABackupTakesBackMarks(t *testing.T) {
	t.Parallel()
	small, large := noise(1, 500), noise(2, 3<<20)
	s := open(t, empty(t))
	mustStore(t, s, small)
	mustStore(t, s, large)
	loose := filepath.Join(s.Dir(), "blobs", "sha256", oci.DigestBytes(large).Encoded())
	file := packName(s, "1")
	at := payloadOf(t, file, small) + 8
	for range 2 {
		flip(t, file, at)
		flip(t, loose, 1000)
		for _, p := range [][]byte{small, large} {
			_ = s.Check(t.Context(), oci.DigestBytes(p))
		}
	}
	marked := 0
	catalog(t, s.Dir(), func(tx *db.Tx) error {
		rows, err := tx.Damaged()
		marked = len(rows)
		return err
	})
	if marked != 2 {
		t.Fatalf("%d are marked", marked)
	}
	folder := filepath.Join(t.TempDir(), "folder")
	if r := backUp(t, s, folder); len(r.Damaged) > 0 {
		t.Errorf("%+v", r)
	}
	back := open(t, folder)
	holds(t, back, small)
	holds(t, back, large)
	clean(t, back)
}

// What a folder has had wrong is not good for its size: it comes again.
func TestABackupMendsWhatItHadWrong(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	large := noise(1, 3<<20)
	mustStore(t, s, large)
	folder := filepath.Join(t.TempDir(), "folder")
	backUp(t, s, folder)
	copied := filepath.Join(folder, "blobs", "sha256", oci.DigestBytes(large).Encoded())
	flip(t, copied, 1000)
	flip(t, blobFile(s, large), 1000)
	want(t, content.ErrCorrupt, s.Check(t.Context(), oci.DigestBytes(large)))
	if r := backUp(t, s, folder); len(r.Damaged) != 1 {
		t.Errorf("with both wrong: %+v", r)
	}
	mustStore(t, s, large)
	if r := backUp(t, s, folder); len(r.Damaged) != 0 || r.Kept >= int64(len(large)) {
		t.Errorf("with the store right: %+v", r)
	}
	holds(t, open(t, folder), large)
}

// catalogOnly is a backup of the catalog alone.
func catalogOnly(t *testing.T, s *blobstore.Store) []byte {
	t.Helper()
	var tar bytes.Buffer
	_, err := s.Backup(t.Context(), &tar, t.TempDir(), blobstore.BackupOptions{CatalogOnly: true})
	must(t, err)
	return tar.Bytes()
}

// A restore that fails in the middle of its last steps says what is to be done, and that
// does it.
func TestARestoreThatFailedIsDoneAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		op   fsystest.Op
		file string
		lost bool // the catalog
	}{
		{fsystest.OpSync, "restore.new/catalog.db", false},
		{fsystest.OpRename, "store.json", true},
		{fsystest.OpRename, "catalog.db", true},
	} {
		dir := empty(t)
		s := open(t, dir)
		im := newImage(t, noise(1, 500))
		named(t, s, im, "app:v1")
		tar := catalogOnly(t, s)
		must(t, s.Close())
		f, err := fsystest.New(fsys.OS(), filepath.Dir(dir))
		must(t, err)
		ended := false
		f.Hook(func(op fsystest.Op, name string) error {
			if ended && op == c.op && name == filepath.Join(dir, filepath.FromSlash(c.file)) {
				return syscall.EIO
			}
			return nil
		})
		_, err = blobstore.Restore(t.Context(), dir, bytes.NewReader(tar), blobstore.RestoreOptions{Force: true, FS: f, Hook: func(point string) {
			ended = ended || point == "restore.staged"
		}})
		if (content.Hint(err) != "") != c.lost || err == nil {
			t.Errorf("%s of %s: %v, hint %q", c.op, c.file, err, content.Hint(err))
		}
		if !c.lost {
			clean(t, open(t, dir))
			continue
		}
		_, err = blobstore.Open(t.Context(), dir, blobstore.Options{})
		want(t, content.ErrCorrupt, err)
		_, err = blobstore.Restore(t.Context(), dir, bytes.NewReader(tar), blobstore.RestoreOptions{})
		must(t, err)
		s = open(t, dir)
		clean(t, s)
		holds(t, s, im.blobs[0])
	}
}

// restoreOver restores a backup over the store in dir.
func restoreOver(t *testing.T, dir string, backup []byte) blobstore.RestoreReport {
	t.Helper()
	r, err := blobstore.Restore(t.Context(), dir, bytes.NewReader(backup), blobstore.RestoreOptions{Force: true})
	must(t, err)
	return r
}

// What was moved to another pack after a backup of the catalog is found there, and no
// collection can remove it.
func TestARestoreFindsWhatWasMoved(t *testing.T) {
	t.Parallel()
	dir := empty(t)
	s := open(t, dir)
	p := noise(1, 500)
	mustStore(t, s, p)
	tar := catalogOnly(t, s)
	must(t, s.Close())
	must(t, os.Rename(packName(s, "1"), filepath.Join(dir, "packs", "7.pack")))
	f, err := os.OpenFile(filepath.Join(dir, "packs", "7.pack"), os.O_RDWR, 0)
	must(t, err)
	h, err := pack.ReadHeader(f)
	must(t, err)
	h.ID = 7
	_, err = f.WriteAt(pack.EncodeHeader(h), 0)
	must(t, errors.Join(err, f.Close()))
	if r := restoreOver(t, dir, tar); len(r.Damaged) > 0 || r.Objects != 1 {
		t.Errorf("%+v", r)
	}
	s = open(t, dir)
	holds(t, s, p)
	catalog(t, dir, func(tx *db.Tx) error {
		_, found, err := tx.Pack(8)
		if !found {
			t.Error("the catalog does not know the pack that it was copied to")
		}
		return err
	})
	if r := check(t, s); len(r.Damaged)+len(r.Catalog) > 0 {
		t.Errorf("%+v", r)
	}
}

// What was in a pack when the backup was made and is a file now has the row of a file.
func TestARestoreFindsWhatIsAFileNow(t *testing.T) {
	t.Parallel()
	dir := empty(t)
	s := open(t, dir)
	p := noise(1, 500)
	mustStore(t, s, p)
	tar := catalogOnly(t, s)
	file := blobFile(s, p)
	must(t, s.Close())
	must(t, os.Remove(packName(s, "1")))
	must(t, os.WriteFile(file, p, 0o444))
	if r := restoreOver(t, dir, tar); len(r.Damaged) > 0 || r.Objects != 1 {
		t.Errorf("%+v", r)
	}
	catalog(t, dir, func(tx *db.Tx) error {
		o, _, err := tx.Object(oci.DigestBytes(p))
		if o.Loc != db.LocLoose || o.Pack != 0 || o.Kind != 0 || o.Stored != 500 {
			t.Errorf("%+v", o)
		}
		return err
	})
	s = open(t, dir)
	holds(t, s, p)
	if r := check(t, s); len(r.Damaged)+len(r.Catalog) > 0 {
		t.Errorf("%+v", r)
	}
}

// Beside what was moved there are notes of what happened after the backup: the restored
// catalog does not take them for its own.
func TestARestoreDoesNotTakeLaterNotesForItsOwn(t *testing.T) {
	t.Parallel()
	dir := empty(t)
	s := open(t, dir)
	old, later := newImage(t, noise(1, 500)), newImage(t, noise(2, 500))
	named(t, s, old, "app:v1")
	mustStore(t, s, noise(3, 500))
	tar := catalogOnly(t, s)
	m, err := s.Maintain(t.Context())
	must(t, err)
	e, err := m.EmptyPack(t.Context(), 1, nil)
	must(t, errors.Join(err, m.Close()))
	if e.Kept != "" {
		t.Fatal(e.Kept)
	}
	named(t, s, later, "app:v1", "app:v2")
	mustStore(t, s, noise(4, 500)) // behind the notes of these names
	must(t, s.Close())
	if r := restoreOver(t, dir, tar); len(r.Damaged) > 0 || r.Names != 1 {
		t.Errorf("%+v", r)
	}
	s = open(t, dir)
	for range 2 {
		if r := check(t, s); len(r.Damaged)+len(r.Catalog) > 0 {
			t.Errorf("%+v", r)
		}
	}
	if n, err := s.Name(t.Context(), reference(t, "app:v1")); err != nil || n.Target.Digest != old.manifest().Digest {
		t.Errorf("the name: %+v, %v", n, err)
	}
	for _, p := range old.blobs {
		holds(t, s, p)
	}
	holds(t, s, noise(3, 500))
}

// The packs say which store it is, where store.json does not.
func TestARestoreRefusesAnotherStoresBackupWithoutAHead(t *testing.T) {
	t.Parallel()
	s, other := open(t, empty(t)), open(t, filepath.Join(t.TempDir(), "other"))
	mustStore(t, s, noise(1, 500))
	mustStore(t, other, noise(2, 500))
	var tar bytes.Buffer
	_, err := other.Backup(t.Context(), &tar, t.TempDir(), blobstore.BackupOptions{})
	must(t, err)
	must(t, s.Close())
	must(t, os.Remove(filepath.Join(s.Dir(), "store.json")))
	_, err = blobstore.Restore(t.Context(), s.Dir(), &tar, blobstore.RestoreOptions{Force: true})
	want(t, content.ErrConflict, err)
}

// numbersOf are what a catalog counts up: the last change of a name, and the highest id
// of a pack.
func numbersOf(t *testing.T, dir string) (change, pack int64) {
	t.Helper()
	catalog(t, dir, func(tx *db.Tx) error {
		for e, err := range tx.Log("") {
			if err != nil {
				return err
			}
			change = max(change, e.Seq)
		}
		for p, err := range tx.Packs() {
			if err != nil {
				return err
			}
			pack = max(pack, p.ID)
		}
		return nil
	})
	return change, pack
}

// Numbers that were given after the backup are not given again: a rebuild goes by the
// highest, and a pack's file that is there is not written to.
func TestARestoreGivesNoNumberAgain(t *testing.T) {
	t.Parallel()
	dir := empty(t)
	s := open(t, dir)
	a, b := mustStore(t, s, noise(1, 500)), mustStore(t, s, noise(2, 500))
	move(t, s, "tag", "app:v1", a.Digest)
	var tar bytes.Buffer
	_, err := s.Backup(t.Context(), &tar, t.TempDir(), blobstore.BackupOptions{})
	must(t, err)
	for _, d := range []oci.Digest{b.Digest, a.Digest, b.Digest} {
		move(t, s, "tag", "app:v1", d)
	}
	must(t, s.SetSettings(t.Context(), func(to *blobstore.Settings) { to.Quota = 1 << 40 }))
	must(t, s.Close())
	// A pack that came later, as when the first one is full.
	later := filepath.Join(dir, "packs", "2.pack")
	must(t, os.WriteFile(later, []byte("not for this catalog"), 0o644))
	change, _ := numbersOf(t, dir)

	restoreOver(t, dir, tar.Bytes())
	s = open(t, dir)
	move(t, s, "tag", "app:v2", a.Digest)
	mustStore(t, s, noise(3, 500))
	must(t, s.SetSettings(t.Context(), func(to *blobstore.Settings) { to.Quota = 2 << 40 }))
	must(t, s.Close())
	now, pack := numbersOf(t, dir)
	if now <= change || pack <= 2 {
		t.Errorf("change %d after %d, pack %d", now, change, pack)
	}
	if p, err := os.ReadFile(later); err != nil || string(p) != "not for this catalog" {
		t.Errorf("the later pack: %q, %v", p, err)
	}
	must(t, os.Remove(later))
	rebuild(t, dir)
	s = open(t, dir)
	if d, err := s.Resolve(t.Context(), reference(t, "app:v2")); err != nil || d.Digest != a.Digest {
		t.Errorf("after a rebuild app:v2 is %v, %v", d, err)
	}
	if set, err := s.Settings(t.Context()); err != nil || set.Quota != 2<<40 {
		t.Errorf("after a rebuild the settings are %+v, %v", set, err)
	}
}

// What is found damaged while a backup is written is marked in the store, and in the
// backup by what that finds itself.
func TestDamageThatIsMarkedDuringABackup(t *testing.T) {
	t.Parallel()
	g := newGate("backup.copied")
	s := openWith(t, empty(t), blobstore.Options{Create: true, Hook: g.hook})
	small, large, other := noise(1, 500), noise(2, 3<<20), noise(3, 500)
	for _, p := range [][]byte{small, large, other} {
		mustStore(t, s, p)
	}
	folder := filepath.Join(t.TempDir(), "folder")
	done := make(chan blobstore.BackupReport, 1)
	go func() {
		r, err := s.BackupFolder(context.Background(), folder, blobstore.BackupOptions{})
		if err != nil {
			t.Error(err)
		}
		done <- r
	}()
	<-g.reached
	file := packName(s, "1")
	flip(t, file, payloadOf(t, file, small)+8)
	flip(t, blobFile(s, large), 1000)
	for _, p := range [][]byte{small, large} {
		if s.Check(t.Context(), oci.DigestBytes(p)) == nil {
			t.Error("no damage was found")
		}
	}
	close(g.open)
	if r := <-done; len(r.Damaged) != 2 || r.Objects != 3 {
		t.Errorf("%+v", r)
	}
	for name, dir := range map[string]string{"store": s.Dir(), "backup": folder} {
		catalog(t, dir, func(tx *db.Tx) error {
			rows, err := tx.Damaged()
			if len(rows) != 2 {
				t.Errorf("%s: %d are marked", name, len(rows))
			}
			return err
		})
	}
	holds(t, open(t, folder), other)
}

// A collection that was marking when the catalog was copied is none of the backup's:
// nothing would ever end it there.
func TestABackupForgetsACollection(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	im := newImage(t, noise(1, 500))
	catalog(t, s.Dir(), func(tx *db.Tx) error { return tx.BeginMarking() })
	named(t, s, im, "app:v1")
	changes := func(dir string) (n int) {
		catalog(t, dir, func(tx *db.Tx) error {
			objects, _, err := tx.ChangesAfter(0)
			n = len(objects)
			return err
		})
		return n
	}
	if changes(s.Dir()) == 0 {
		t.Fatal("the store notes no changes")
	}
	folder := filepath.Join(t.TempDir(), "folder")
	backUp(t, s, folder)
	back := open(t, folder)
	move(t, back, "tag", "app:v2", im.manifest().Digest)
	if n := changes(folder); n != 0 {
		t.Errorf("the backup notes %d changes", n)
	}
}
