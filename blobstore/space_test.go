package blobstore_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/fsys/fsystest"
	"dist.example/oci"
)

// filling runs write with the disk full at each step, from the first byte on,
// until it succeeds. After each failure nothing of it is visible, what was there
// is sound, and with room again the same succeeds.
func filling(t *testing.T, write func(t *testing.T, s *blobstore.Store) error, visible func(t *testing.T, s *blobstore.Store) bool) {
	t.Helper()
	s, f := instrumented(t, nil)
	mustStore(t, s, noise(100, 1000))
	mustStore(t, s, noise(101, 400<<10))
	for step := 1; step < 100; step++ {
		left := step
		f.Hook(func(op fsystest.Op, name string) error {
			if op == fsystest.OpWrite && filepath.Base(name) != "write.lock" {
				if left--; left == 0 {
					f.LimitWrites(100) // this one ends in its middle
				}
			}
			return nil
		})
		err := write(t, s)
		f.Hook(nil)
		f.LimitWrites(-1)
		sound(t, s)
		if err == nil {
			if step == 1 {
				t.Fatal("no write was hit")
			}
			if !visible(t, s) {
				t.Fatal("what was written is not there")
			}
			if left > 0 {
				return // the disk was never full
			}
			t.Fatalf("step %d: no error with a full disk", step)
		}
		want(t, content.ErrNoSpace, err)
		if visible(t, s) {
			t.Fatalf("step %d: something is visible after %v", step, err)
		}
	}
	t.Fatal("it never succeeded")
}

func TestAFullDiskUndoesASmallBatch(t *testing.T) {
	t.Parallel()
	im := newImage(t, noise(1, 1000), noise(2, 1000))
	filling(t, func(t *testing.T, s *blobstore.Store) error {
		s.HoldBatches()
		ses, err := s.Begin(t.Context(), blobstore.SessionOptions{Note: "test"})
		if err != nil {
			return err
		}
		for i, p := range im.blobs {
			if _, err := ses.Put(t.Context(), blobstore.Blob{Data: p, MediaType: im.types[i]}); err != nil {
				return err
			}
		}
		err = ses.Commit(t.Context(), content.NameChange{Reference: reference(t, "app:v1"), Target: im.manifest().Digest})
		if err != nil {
			want(t, content.ErrNoSpace, ses.Close())
			return err
		}
		return ses.Close()
	}, func(t *testing.T, s *blobstore.Store) bool {
		_, err := s.Resolve(t.Context(), reference(t, "app:v1"))
		for _, p := range im.blobs {
			if err != nil {
				lacks(t, s, p)
			}
		}
		return err == nil
	})
}

func TestAFullDiskUndoesALongBatch(t *testing.T) {
	t.Parallel()
	filling(t, func(t *testing.T, s *blobstore.Store) error {
		s.HoldBatches()
		ses, err := s.Begin(t.Context(), blobstore.SessionOptions{Note: "test"})
		if err != nil {
			return err
		}
		for i := range 15 {
			if _, err := ses.Put(t.Context(), blobstore.Blob{Data: noise(uint64(i), 200<<10)}); err != nil {
				want(t, content.ErrNoSpace, errors.Join(err, ses.Close()))
				return err
			}
		}
		if err := ses.Commit(t.Context()); err != nil {
			want(t, content.ErrNoSpace, ses.Close())
			return err
		}
		return ses.Close()
	}, func(t *testing.T, s *blobstore.Store) bool {
		n := 0
		for i := range 15 {
			if _, err := s.Info(t.Context(), oci.DigestBytes(noise(uint64(i), 200<<10))); err == nil {
				n++
			}
		}
		return n > 0
	})
}

func TestAFullDiskUndoesALargeIngest(t *testing.T) {
	t.Parallel()
	p := noise(1, 3<<20)
	filling(t, func(t *testing.T, s *blobstore.Store) error {
		_, err := store(s, ingest(p), p)
		return err
	}, func(t *testing.T, s *blobstore.Store) bool {
		_, err := s.Info(t.Context(), oci.DigestBytes(p))
		return err == nil
	})
}

// An ingest of no key is nobody's to resume: it leaves nothing.
func TestAFullDiskLeavesNothingOfAnIngestWithoutAKey(t *testing.T) {
	t.Parallel()
	s, f := instrumented(t, nil)
	p := noise(1, 3<<20)
	f.LimitWrites(1 << 20)
	_, err := store(s, content.IngestOptions{Total: -1}, p)
	want(t, content.ErrNoSpace, err)
	noIngests(t, s)
	f.LimitWrites(-1)
	_, err = store(s, content.IngestOptions{Total: -1}, p)
	must(t, err)
	holds(t, s, p)
}

func TestAWriterGoesOnWhenThereIsRoomAgain(t *testing.T) {
	t.Parallel()
	s, f := instrumented(t, nil)
	p := noise(1, 3<<20)
	w, err := s.Writer(t.Context(), ingest(p))
	must(t, err)
	f.LimitWrites(1 << 20)
	_, err = w.Write(p)
	if err == nil {
		_, err = w.Commit(t.Context())
	}
	want(t, content.ErrNoSpace, err)
	must(t, w.Close())
	f.LimitWrites(-1)
	w, err = s.Writer(t.Context(), ingest(p))
	must(t, err)
	defer w.Close()
	if n := w.Status().Offset; n != 1<<20 {
		t.Errorf("it goes on at %d, want what fitted", n)
	}
	finish(t, w, p)
	holds(t, s, p)
	noIngests(t, s)
}

// On a full disk the catalog cannot even forget an ingest before its bytes are gone.
func TestAbortFreesTheBytesBeforeItWrites(t *testing.T) {
	t.Parallel()
	var (
		dir  = empty(t)
		look = func(string) {}
	)
	s := openWith(t, dir, blobstore.Options{Hook: func(point string) { look(point) }})
	w, err := s.Writer(t.Context(), content.IngestOptions{Key: "k", Total: -1})
	must(t, err)
	_, err = w.Write(noise(1, 3<<20))
	must(t, err)
	must(t, w.Close())
	var sizes []int64
	look = func(point string) {
		if point != "db.begun" {
			return
		}
		entries, err := os.ReadDir(filepath.Join(dir, "ingest"))
		must(t, err)
		for _, e := range entries {
			fi, err := e.Info()
			must(t, err)
			sizes = append(sizes, fi.Size())
		}
	}
	must(t, s.Abort(t.Context(), "k"))
	if !slices.Equal(sizes, []int64{0}) {
		t.Errorf("when the catalog is written the ingest's file has %d bytes", sizes)
	}
}
