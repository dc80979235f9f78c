package blobstore_test

import (
	"context"
	"slices"
	"testing"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/fsys"
	"dist.example/oci"
)

// faulty is a store with blobs in a pack and in a file, all of which a fault of the disk
// has marked; the fault has passed.
func faulty(t *testing.T) (dir string, blobs [][]byte) {
	t.Helper()
	dir, blobs = sectored(t)
	for i, name := range map[int]string{1: "1.pack", 3: oci.DigestBytes(blobs[3]).Encoded()} {
		s, err := blobstore.Open(t.Context(), dir, blobstore.Options{FS: &badSectors{FS: fsys.OS(), name: name, from: 102_400, to: 106_496}})
		must(t, err)
		want(t, content.ErrCorrupt, s.Check(t.Context(), oci.DigestBytes(blobs[i])))
		must(t, s.Close())
	}
	return dir, [][]byte{blobs[1], blobs[3]}
}

// A fault of the disk that has passed leaves no mark behind: a check reads again what is
// marked, and what is right counts again.
func TestACheckUnmarksWhatIsRight(t *testing.T) {
	t.Parallel()
	dir, blobs := faulty(t)
	s := openWith(t, dir, blobstore.Options{})
	quick, err := s.CheckAll(t.Context(), blobstore.CheckOptions{Quick: true})
	must(t, err)
	if len(quick.Damaged) != 2 || len(quick.Unmarked) != 0 {
		t.Errorf("a quick check: %+v", quick)
	}
	digests := []oci.Digest{oci.DigestBytes(blobs[0]), oci.DigestBytes(blobs[1])}
	slices.Sort(digests)
	if r := check(t, s); !r.Clean() || !slices.Equal(r.Unmarked, digests) || r.Objects != 5 {
		t.Errorf("%+v", r)
	}
	if r := check(t, s); len(r.Unmarked) != 0 {
		t.Errorf("the next check: %+v", r)
	}
	for _, p := range blobs {
		holds(t, s, p)
	}
	clean(t, s)
}

// Of some things the mark stays: those that are still damaged.
func TestUnmarkReadsAllOfIt(t *testing.T) {
	t.Parallel()
	for file, i := range map[string]int{"1.pack": 1, "loose": 3} {
		dir, blobs := sectored(t)
		if file == "loose" {
			file = oci.DigestBytes(blobs[3]).Encoded()
		}
		d, bad := oci.DigestBytes(blobs[i]), &badSectors{FS: fsys.OS(), name: file, from: 102_400, to: 106_496}
		s := openWith(t, dir, blobstore.Options{FS: bad})
		if done, err := s.Unmark(t.Context(), d); done || err != nil {
			t.Errorf("what is not marked: %v, %v", done, err)
		}
		want(t, content.ErrCorrupt, s.Check(t.Context(), d))
		if done, err := s.Unmark(t.Context(), d); done || err != nil {
			t.Errorf("%s: it was unmarked: %v, %v", file, done, err)
		}
		bad.name = ""
		if right, err := s.Right(t.Context(), d); !right || err != nil {
			t.Errorf("%s: it is not right: %v, %v", file, right, err)
		}
		want(t, content.ErrCorrupt, s.Check(t.Context(), d)) // to look changes nothing
		if done, err := s.Unmark(t.Context(), d); !done || err != nil {
			t.Errorf("%s: it stays marked: %v, %v", file, done, err)
		}
		clean(t, s)
	}
}

// A mark that is taken back while somebody writes the blob anew is theirs.
func TestUnmarkAsksNobodyWhoHealed(t *testing.T) {
	t.Parallel()
	dir, blobs := faulty(t)
	s := openWith(t, dir, blobstore.Options{})
	for _, p := range blobs {
		mustStore(t, s, p)
		if done, err := s.Unmark(context.Background(), oci.DigestBytes(p)); done || err != nil {
			t.Errorf("%v, %v", done, err)
		}
	}
	clean(t, s)
}

// Of one object the same is told as in the list of all.
func TestLackOfOne(t *testing.T) {
	t.Parallel()
	dir, blobs := faulty(t)
	s := openWith(t, dir, blobstore.Options{})
	all, err := s.Lacking(t.Context())
	must(t, err)
	for _, l := range all {
		one, known, err := s.LackOf(t.Context(), l.Digest)
		if err != nil || !known || one.Info != l.Info || one.Place != l.Place || !slices.Equal(one.Names, l.Names) {
			t.Errorf("%+v, %v, %v, want %+v", one, known, err, l)
		}
	}
	if _, known, err := s.LackOf(t.Context(), oci.DigestBytes([]byte("nobody's"))); known || err != nil || len(all) != len(blobs) {
		t.Errorf("%d are lacking; what nobody knows is known: %v, %v", len(all), known, err)
	}
}
