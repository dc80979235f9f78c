package blobstore_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/fsys"
	"dist.example/oci"
)

// badSectors is a file system on whose disk a stretch of the files of one name
// cannot be read.
type badSectors struct {
	fsys.FS
	name     string
	from, to int64
	written  atomic.Int64 // bytes, to such a file
}

func (b *badSectors) OpenFile(name string, flag int, perm os.FileMode) (fsys.File, error) {
	f, err := b.FS.OpenFile(name, flag, perm)
	if err == nil && filepath.Base(name) == b.name {
		return &badFile{File: f, b: b}, nil
	}
	return f, err
}

type badFile struct {
	fsys.File
	b   *badSectors
	pos int64
}

func (f *badFile) ReadAt(p []byte, off int64) (int, error) {
	if off < f.b.to && off+int64(len(p)) > f.b.from {
		return 0, &os.PathError{Op: "read", Path: f.Name(), Err: syscall.EIO}
	}
	return f.File.ReadAt(p, off)
}

func (f *badFile) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, f.pos)
	f.pos += int64(n)
	return n, err
}

func (f *badFile) WriteAt(p []byte, off int64) (int, error) {
	f.b.written.Add(int64(len(p)))
	return f.File.WriteAt(p, off)
}

// sectored is a closed store with three blobs in pack 1, from 64, 100,128 and
// 110,192 on, and two loose ones.
func sectored(t *testing.T) (dir string, blobs [][]byte) {
	t.Helper()
	dir = empty(t)
	s, err := blobstore.Open(t.Context(), dir, blobstore.Options{})
	must(t, err)
	defer s.Close()
	for i, size := range []int{100_000, 10_000, 100_000, 300_000, 300_000} {
		blobs = append(blobs, noise(uint64(i), size))
		ses := begin(t, s, blobstore.SessionOptions{Note: "put", Keep: 1 << 40})
		put(t, ses, "", blobs[i])
		must(t, ses.Commit(t.Context()))
		must(t, ses.Close())
	}
	return dir, blobs
}

// A sector that cannot be read is damage like any other: it is told, marked and
// healed, and costs nothing but what lies in it.
func TestABadSectorIsDamage(t *testing.T) {
	t.Parallel()
	loose := oci.DigestBytes(noise(3, 300_000)).Encoded()
	for name, c := range map[string]struct {
		file     string
		from, to int64
		lost     []int // of the blobs
		mended   int
		left     int // by a rebuild
	}{
		"of a loose blob":            {loose, 200_704, 204_800, []int{3}, 0, 0},
		"all of a loose blob":        {loose, 0, 1 << 20, []int{3}, 0, 0},
		"within a packed blob":       {"1.pack", 102_400, 106_496, []int{1}, 0, 0},
		"with a record's header":     {"1.pack", 98_304, 102_400, []int{0, 1}, 0, 1},
		"at the beginning of a pack": {"1.pack", 0, 4096, []int{0}, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, blobs := sectored(t)
			bad := &badSectors{FS: fsys.OS(), name: c.file, from: c.from, to: c.to}
			copied := filepath.Join(t.TempDir(), "store")
			must(t, os.CopyFS(copied, os.DirFS(dir)))
			rebuilt, err := blobstore.Rebuild(t.Context(), copied, blobstore.RebuildOptions{FS: bad})
			must(t, err)
			if rebuilt.Whole() || len(rebuilt.Left) != c.left {
				t.Errorf("the rebuild: %+v", rebuilt)
			}

			s := openWith(t, dir, blobstore.Options{FS: bad})
			for range 2 {
				damagedAre(t, check(t, s), blobs, c.lost, c.mended)
			}
			for _, i := range c.lost {
				d := oci.DigestBytes(blobs[i])
				want(t, content.ErrCorrupt, s.Check(t.Context(), d))
				if info, err := s.Info(t.Context(), d); err != nil || info.Place != "damaged" {
					t.Errorf("it is not marked: %+v, %v", info, err)
				}
			}
			if n := bad.written.Load(); n != 0 {
				t.Errorf("%d bytes were written beside the damage", n)
			}
			bad.name = "" // what is written anew lies elsewhere on the disk
			for _, i := range c.lost {
				mustStore(t, s, blobs[i])
			}
			for _, p := range blobs {
				holds(t, s, p)
			}
			clean(t, s)
		})
	}
}

// damagedAre fails the test unless a check has found just these blobs damaged.
func damagedAre(t *testing.T, r blobstore.CheckReport, blobs [][]byte, lost []int, mended int) {
	t.Helper()
	got := map[oci.Digest]bool{}
	for _, d := range r.Damaged {
		got[d.Digest] = true
	}
	for _, i := range lost {
		if !got[oci.DigestBytes(blobs[i])] {
			t.Errorf("blob %d is not among the damaged", i)
		}
	}
	if len(r.Damaged) != len(lost) || len(r.Catalog) != 0 || len(r.Mended) != mended {
		t.Errorf("%+v", r)
	}
}

// A reader that meets a bad sector marks what it has read.
func TestAReaderMarksABadSector(t *testing.T) {
	t.Parallel()
	dir, blobs := sectored(t)
	for i, name := range map[int]string{1: "1.pack", 3: oci.DigestBytes(blobs[3]).Encoded()} {
		s := openWith(t, dir, blobstore.Options{FS: &badSectors{FS: fsys.OS(), name: name, from: 102_400, to: 106_496}})
		d := describe("", blobs[i])
		want(t, content.ErrCorrupt, read(s, d))
		if info, err := s.Info(t.Context(), d.Digest); err != nil || info.Place != "damaged" {
			t.Errorf("blob %d: %+v, %v", i, info, err)
		}
	}
}

// What bears a blob's or a pack's name and is no file is left alone, and nothing
// stops at it.
func TestNoFilesAreWalkedRound(t *testing.T) {
	t.Parallel()
	dir, blobs := sectored(t)
	for i, name := range []string{"packs/77.pack", "packs/78.pack", "blobs/sha256/" + strings.Repeat("a", 64), "blobs/sha256/" + strings.Repeat("b", 64)} {
		if i%2 == 0 {
			must(t, os.Mkdir(filepath.Join(dir, name), 0o755))
		} else if err := os.Symlink(filepath.Join(dir, "nowhere"), filepath.Join(dir, name)); err != nil {
			t.Skip(err) // not everybody may make links on Windows
		}
	}
	r := rebuild(t, dir)
	if len(r.Left) != 4 || len(r.Damaged) != 0 || r.Objects != int64(len(blobs)) {
		t.Errorf("%+v", r)
	}
	s := open(t, dir)
	clean(t, s)
	must(t, s.Close())
	for _, name := range []string{"packs/1.pack", "blobs/sha256/" + oci.DigestBytes(blobs[3]).Encoded()} {
		must(t, os.Remove(filepath.Join(dir, name)))
		must(t, os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	s = open(t, dir)
	damagedAre(t, check(t, s), blobs, []int{0, 1, 2, 3}, 0)
}

// A process that is killed while it makes a pack leaves an empty file, of which
// there is nothing to tell.
func TestAnEmptyPackIsNoLoss(t *testing.T) {
	t.Parallel()
	dir, blobs := sectored(t)
	must(t, os.WriteFile(filepath.Join(dir, "packs", "77.pack"), nil, 0o644))
	if r := rebuild(t, dir); !r.Whole() || r.Objects != int64(len(blobs)) {
		t.Errorf("%+v", r)
	}
	clean(t, open(t, dir))
}

// passing is a file system on whose disk a stretch cannot be read by who opens the file
// first.
type passing struct {
	badSectors
	opened atomic.Int64
}

func (p *passing) OpenFile(name string, flag int, perm os.FileMode) (fsys.File, error) {
	if filepath.Base(name) == p.name && p.opened.Add(1) > 1 {
		return p.FS.OpenFile(name, flag, perm)
	}
	return p.badSectors.OpenFile(name, flag, perm)
}

// A tar has zeros where the disk could not be read, and says so, though the disk can be
// read again. The store is not to blame.
func TestABackupAnswersForWhatItWrote(t *testing.T) {
	t.Parallel()
	for file, lost := range map[string]int{"1.pack": 1, oci.DigestBytes(noise(3, 300_000)).Encoded(): 3} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			dir, blobs := sectored(t)
			bad := &passing{badSectors: badSectors{FS: fsys.OS(), name: file, from: 102_400, to: 106_496}}
			s := openWith(t, dir, blobstore.Options{FS: bad})
			var tar bytes.Buffer
			r, err := s.Backup(t.Context(), &tar, t.TempDir(), blobstore.BackupOptions{})
			must(t, err)
			if len(r.Damaged) != 1 || r.Damaged[0].Digest != oci.DigestBytes(blobs[lost]) {
				t.Errorf("the backup: %+v", r)
			}
			clean(t, s)
			back := filepath.Join(t.TempDir(), "back")
			got, err := blobstore.Restore(t.Context(), back, &tar, blobstore.RestoreOptions{})
			must(t, err)
			if len(got.Damaged) != 1 || got.Damaged[0].Problem != "found damaged before" {
				t.Errorf("the restore: %+v", got)
			}
			copied := open(t, back)
			for i, p := range blobs {
				if i != lost {
					holds(t, copied, p)
				}
			}
		})
	}
}
