package blobstore_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"dist.example/blobstore"
	"dist.example/blobstore/pack"
	"dist.example/db"
	"dist.example/fsys/fsystest"
	"dist.example/oci"
)

// packRows are the rows of all packs, by id.
func packRows(t *testing.T, s *blobstore.Store) (rows []db.Pack) {
	t.Helper()
	catalog(t, s.Dir(), func(tx *db.Tx) error {
		for p, err := range tx.Packs() {
			if err != nil {
				return err
			}
			rows = append(rows, p)
		}
		return nil
	})
	return rows
}

func packName(s *blobstore.Store, id string) string {
	return filepath.Join(s.Dir(), "packs", id+".pack")
}

func appendTo(t *testing.T, name string, p []byte) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	_, err = f.Write(p)
	must(t, errors.Join(err, f.Close()))
}

func TestTwoWritersTakeTwoPacks(t *testing.T) {
	t.Parallel()
	dir := empty(t)
	g := newGate("commit.begin")
	slow := openWith(t, dir, blobstore.Options{Hook: g.hook})
	quick := open(t, dir)
	first := make(chan error, 1)
	go func() {
		_, err := store(slow, ingest(noise(1, 1000)), noise(1, 1000))
		first <- err
	}()
	<-g.reached // its bytes are in a pack, and its row is not there yet
	mustStore(t, quick, noise(2, 1000))
	close(g.open)
	must(t, <-first)
	rows := packRows(t, slow)
	if len(rows) != 2 || rows[0].Live != 1000 || rows[1].Live != 1000 {
		t.Errorf("the packs are %+v", rows)
	}
	for range 3 { // one after the other is one pack
		mustStore(t, quick, noise(3, 1000))
		mustStore(t, slow, noise(4, 1000))
	}
	if n := len(packRows(t, slow)); n != 2 {
		t.Errorf("%d packs for two writers", n)
	}
	sound(t, slow)
	sound(t, quick)
}

func TestBytesPastAPacksEndAreNeverOverwritten(t *testing.T) {
	t.Parallel()
	var look func()
	s := openWith(t, empty(t), blobstore.Options{Hook: func(p string) {
		if p == "commit.end" && look != nil {
			look()
		}
	}})
	a, b := noise(1, 1000), noise(2, 1000)
	mustStore(t, s, a)
	size := packBytes(t, s)
	junk := noise(9, 777)
	appendTo(t, packName(s, "1"), junk)
	tail := func() []byte {
		p, err := os.ReadFile(packName(s, "1"))
		must(t, err)
		return p[size:]
	}
	// They may belong to a transaction that is not known here yet, until one that
	// seals the pack is durable.
	look = func() {
		if string(tail()) != string(junk) {
			t.Error("what was past the end has changed")
		}
	}
	mustStore(t, s, b)
	rows := packRows(t, s)
	if len(rows) != 2 || rows[0].State != db.PackSealed || rows[0].End != size || rows[1].State != db.PackOpen {
		t.Errorf("the packs are %+v", rows)
	}
	if n := len(tail()); n != 0 {
		t.Errorf("%d bytes past the end of a sealed pack", n)
	}
	holds(t, s, a)
	holds(t, s, b)
}

func TestAPackCutShortIsNotWritten(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	mustStore(t, s, noise(1, 1000))
	must(t, os.Truncate(packName(s, "1"), 500))
	mustStore(t, s, noise(2, 1000))
	if rows := packRows(t, s); len(rows) != 2 || rows[0].State != db.PackSealed {
		t.Errorf("the packs are %+v", rows)
	}
	holds(t, s, noise(2, 1000))
}

func TestAFullPackIsFollowedByAnother(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	mustStore(t, s, noise(1, 1000))
	const near = pack.MaxPackSize - 500 // a hole takes no room
	must(t, os.Truncate(packName(s, "1"), near))
	catalog(t, s.Dir(), func(tx *db.Tx) error { return tx.GrowPack(db.Pack{ID: 1, State: db.PackOpen, End: near}) })
	mustStore(t, s, noise(2, 1000))
	rows := packRows(t, s)
	if len(rows) != 1 || rows[0].State != db.PackSealed || rows[0].End <= pack.MaxPackSize {
		t.Fatalf("the packs are %+v", rows)
	}
	mustStore(t, s, noise(3, 1000))
	if rows = packRows(t, s); len(rows) != 2 || rows[1].State != db.PackOpen {
		t.Fatalf("the packs are %+v", rows)
	}
	sound(t, s)
}

func TestBytesOfATransactionThatFailedAreTakenBack(t *testing.T) {
	t.Parallel()
	s, f := instrumented(t, nil)
	mustStore(t, s, noise(1, 1000))
	before := packRows(t, s)
	size := packBytes(t, s)
	for _, op := range []fsystest.Op{fsystest.OpWrite, fsystest.OpDataSync, fsystest.OpLock} {
		f.Hook(func(o fsystest.Op, name string) error {
			inPack := filepath.Ext(name) == ".pack"
			if o == op && inPack == (op != fsystest.OpLock) {
				return syscall.EIO
			}
			return nil
		})
		_, err := store(s, ingest(noise(2, 1000)), noise(2, 1000))
		want(t, syscall.EIO, err)
		f.Hook(nil)
		if now := packBytes(t, s); now != size {
			t.Errorf("%s: the packs went from %d to %d bytes", op, size, now)
		}
		lacks(t, s, noise(2, 1000))
	}
	mustStore(t, s, noise(2, 1000))
	after := packRows(t, s)
	if len(after) != 1 || after[0].ID != before[0].ID || after[0].Dead != 0 {
		t.Errorf("the packs are %+v", after)
	}
	sound(t, s)
}

func TestAPackThatCannotBeMadeLeavesNoFile(t *testing.T) {
	t.Parallel()
	for _, op := range []fsystest.Op{fsystest.OpWrite, fsystest.OpSync, fsystest.OpSyncDir, fsystest.OpDataSync} {
		s, f := instrumented(t, nil)
		f.Hook(func(o fsystest.Op, name string) error {
			if o == op && strings.Contains(name, string(filepath.Separator)+"packs") {
				return syscall.EIO
			}
			return nil
		})
		if _, err := store(s, ingest(noise(2, 1000)), noise(2, 1000)); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: %v", op, err)
		}
		if n := len(packs(t, s)); n != 0 {
			t.Errorf("%s: %d packs are left", op, n)
		}
		f.Hook(nil)
		mustStore(t, s, noise(2, 1000))
		sound(t, s)
	}
}

// COMMIT has returned an error: it may have happened, so that nothing is taken
// back and nothing written over.
func TestACommitOfUnknownFateLosesNothing(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk does not answer")
	for name, happened := range map[string]bool{"it happened": true, "it did not": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, empty(t))
			mustStore(t, s, noise(1, 1000))
			fail := true
			must(t, s.HookCommit(func(commit func() error) error {
				if !fail {
					return commit()
				}
				fail = false
				if happened {
					must(t, commit())
				}
				return broken
			}))
			ses := begin(t, s, blobstore.SessionOptions{Note: "test"})
			p := noise(2, 1000)
			put(t, ses, oci.MediaTypeOctets, p)
			size := packBytes(t, s)
			err := ses.Flush(t.Context())
			want(t, broken, err)
			var unknown *db.CommitError
			if !errors.As(err, &unknown) {
				t.Errorf("%v is not told apart", err)
			}
			if now := packBytes(t, s); now <= size {
				t.Errorf("the packs went from %d to %d bytes", size, now)
			}
			put(t, ses, oci.MediaTypeOctets, noise(3, 1000))
			must(t, ses.Commit(t.Context()))
			sound(t, s)
			for i := range 3 {
				holds(t, s, noise(uint64(i+1), 1000))
			}
			packsWant := 2 // what is past the end of the first is left alone
			if happened {
				packsWant = 1
			}
			if rows := packRows(t, s); len(rows) != packsWant {
				t.Errorf("the packs are %+v", rows)
			}
		})
	}
}

// More packs than are kept open: reading one may close another that is in use.
func TestManyPacksAreReadAtOnce(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	const n = 70
	ses := begin(t, s, blobstore.SessionOptions{Note: "test"})
	for i := range n {
		put(t, ses, oci.MediaTypeOctets, noise(uint64(i), 300))
		must(t, ses.Flush(t.Context()))
		names := packs(t, s)
		if len(names) != i+1 {
			t.Fatalf("%d packs after %d blobs", len(names), i+1)
		}
		appendTo(t, packName(s, strconv.Itoa(i+1)), []byte("junk")) // the next blob goes elsewhere
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 20 * n {
				d := oci.DigestBytes(noise(uint64((i*7+g*13)%n), 300))
				if err := s.Check(t.Context(), d); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}
