package blobstore_test

import (
	"os"
	"path/filepath"
	"testing"

	"dist.example/blobstore"
	"dist.example/db"
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
	pack := packName(s, "1")
	at := payloadOf(t, pack, small) + 8
	for range 2 {
		flip(t, pack, at)
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
