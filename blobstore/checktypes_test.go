package blobstore_test

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/oci"
)

// overwrite changes a sealed header of 64 bytes in a file, and seals it again.
func overwrite(t *testing.T, name string, off, at int64, b byte) []byte {
	t.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	h := make([]byte, 64)
	_, err = f.ReadAt(h, off)
	must(t, err)
	h[at] = b
	binary.LittleEndian.PutUint32(h[60:], crc32.Checksum(h[:60], crc32.MakeTable(crc32.Castagnoli)))
	_, err = f.WriteAt(h, off)
	must(t, err)
	return h
}

// What a newer version has written is told, not judged: neither marked nor written
// over.
func TestCheckLeavesWhatIsNewer(t *testing.T) {
	t.Parallel()
	first := oci.DigestBytes(noise(0, 100_000))
	for name, c := range map[string]struct {
		off, at int64
		to      byte
		change  string
		spoil   int64 // another byte of the pack
	}{
		"a pack":                 {0, 7, '2', "", 0},
		"a pack of other layout": {0, 7, '2', "", 64},
		"a codec":                {64, 6, 9, "UPDATE objects SET codec = 9 WHERE size = 100000 AND off = 64", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, _ := sectored(t)
			file := filepath.Join(dir, "packs", "1.pack")
			overwrite(t, file, c.off, c.at, c.to)
			if c.spoil != 0 {
				flip(t, file, c.spoil)
				flip(t, file, c.spoil+1)
			}
			if c.change != "" {
				change(t, dir, c.change)
			}
			before, err := os.ReadFile(file)
			must(t, err)
			s := open(t, dir)
			r := check(t, s)
			if len(r.Newer) != 1 || len(r.Damaged)+len(r.Catalog)+len(r.Mended) != 0 || r.Clean() {
				t.Errorf("%+v", r)
			}
			for _, w := range r.Waste {
				t.Errorf("what is not understood counts as waste: %+v", w)
			}
			if info, err := s.Info(t.Context(), first); err != nil || info.Place == "damaged" {
				t.Errorf("it is marked: %+v, %v", info, err)
			}
			if after, err := os.ReadFile(file); err != nil || string(after) != string(before) {
				t.Errorf("the pack was written to: %v", err)
			}
		})
	}
}

// A note of a newer version is told, and what it may say is not missed.
func TestCheckLeavesANewerNote(t *testing.T) {
	t.Parallel()
	dir := empty(t)
	s := open(t, dir)
	im := newImage(t, noise(1, 900))
	named(t, s, im, "app:v1")
	file := packName(s, "1")
	must(t, s.Close())
	data, err := os.ReadFile(file)
	must(t, err)
	note := int64(strings.LastIndex(string(data), `{"type":"ref"`))
	overwrite(t, file, note-64, 6, 9)
	s = open(t, dir)
	if r := check(t, s); len(r.Newer) != 1 || len(r.Damaged)+len(r.Catalog)+len(r.Mended) != 0 {
		t.Errorf("%+v", r)
	}
}

// A type that a manifest gave is no fault once the manifest is gone.
func TestATypeWhoseGiverIsGoneIsNoFault(t *testing.T) {
	t.Parallel()
	dir := empty(t)
	s := open(t, dir)
	layer := noise(77, 900)
	im := newImage(t, layer)
	ses := begin(t, s, blobstore.SessionOptions{Note: "put", Keep: 1 << 40})
	put(t, ses, "", layer)
	put(t, ses, oci.MediaTypeLayer, noise(78, 800))
	must(t, ses.Commit(t.Context()))
	must(t, ses.Close())
	pulled(t, s, im, "app:v1")
	must(t, s.Close())
	// As earlier versions did it, without a note.
	change(t, dir, "UPDATE objects SET media = (SELECT id FROM media_types WHERE name = '"+oci.MediaTypeLayer+"') WHERE size = 900")
	s = open(t, dir)
	clean(t, s)
	must(t, s.Delete(t.Context(), im.manifest().Digest))
	clean(t, s)
}

// pulled stores an image as a pull does: what is held is not written again.
func pulled(t *testing.T, s *blobstore.Store, im image, name string) {
	t.Helper()
	ses := begin(t, s, blobstore.SessionOptions{Note: "pull"})
	for i, p := range im.blobs {
		held, err := ses.Exists(t.Context(), describe(im.types[i], p))
		must(t, err)
		if !held {
			put(t, ses, im.types[i], p)
		}
	}
	must(t, ses.Commit(t.Context(), content.NameChange{Reference: reference(t, name), Target: im.manifest().Digest, Why: "pull"}))
	must(t, ses.Close())
}

// What a parent calls an object that is held without a type is no fault of the
// catalog: its type comes with its bytes.
func TestAParentsWordIsNoType(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	layer := noise(77, 900)
	im := newImage(t, layer)
	index := oci.Index{MediaType: oci.MediaTypeIndex, Manifests: []oci.Descriptor{im.manifest()}}
	index.SchemaVersion = 2
	ses := begin(t, s, blobstore.SessionOptions{Note: "put", Keep: 1 << 40})
	put(t, ses, "", layer)
	put(t, ses, "", im.blobs[len(im.blobs)-1])
	put(t, ses, oci.MediaTypeIndex, document(t, index))
	must(t, ses.Commit(t.Context()))
	must(t, ses.Close())
	clean(t, s)
}

// An object gets a type that its parent confirms, while a check has passed the
// parent and not yet the child, in a store that has lost records.
func TestATypeGivenMeanwhileIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	dir := empty(t)
	s := open(t, dir)
	layer := noise(77, 901)
	im := newImage(t, layer)
	ses := begin(t, s, blobstore.SessionOptions{Note: "put", Keep: 1 << 40})
	put(t, ses, "", noise(500, 700))           // is lost
	for i := range runtime.GOMAXPROCS(0) + 3 { // more than are read at once: the walk stops here
		put(t, ses, oci.MediaTypeLayer, noise(uint64(501+i), 300_000))
	}
	must(t, ses.Flush(t.Context()))
	for i := range 300 {
		put(t, ses, "", noise(uint64(1000+i), 300))
	}
	must(t, ses.Flush(t.Context()))
	put(t, ses, "", layer) // after the first page of rows
	must(t, ses.Commit(t.Context()))
	must(t, ses.Close())
	pulled(t, s, im, "app:v1")
	must(t, s.Close())
	flip(t, filepath.Join(dir, "packs", "1.pack"), 64)
	s = open(t, dir)
	var once sync.Once
	r, err := s.CheckAll(t.Context(), blobstore.CheckOptions{Observe: func(e content.Event) {
		if e.Kind == content.EventAdvanced && e.Offset > 300_000 { // in the walk over the rows
			once.Do(func() {
				catalog(t, dir, func(tx *db.Tx) error {
					o, _, err := tx.Object(oci.DigestBytes(layer))
					if err != nil {
						return err
					}
					return tx.SetMediaType(o.ID, oci.MediaTypeLayer)
				})
			})
		}
	}})
	must(t, err)
	if len(r.Catalog)+len(r.Mended) != 0 || len(r.Damaged) != 1 {
		t.Errorf("%+v", r)
	}
}

// shares is a file system that notes who asks for a lease's lock for itself alone.
type shares struct {
	fsys.FS
	t *testing.T
}

func (s shares) OpenFile(name string, flag int, perm os.FileMode) (fsys.File, error) {
	f, err := s.FS.OpenFile(name, flag, perm)
	if err == nil && filepath.Base(filepath.Dir(name)) == "leases" && flag&os.O_CREATE == 0 {
		return sharing{f, s.t}, nil
	}
	return f, err
}

type sharing struct {
	fsys.File
	t *testing.T
}

func (f sharing) TryLock(exclusive bool) (bool, error) {
	if exclusive {
		f.t.Error("a lease is probed for an exclusive lock, which its maker may be asking for")
	}
	return f.File.TryLock(exclusive)
}

func TestCheckSharesTheLocksOfLeases(t *testing.T) {
	t.Parallel()
	dir := empty(t)
	other := open(t, dir)
	ses := begin(t, other, blobstore.SessionOptions{Note: "pull"})
	put(t, ses, "", noise(1, 500))
	must(t, ses.Flush(t.Context()))
	s := openWith(t, dir, blobstore.Options{FS: shares{fsys.OS(), t}})
	must(t, os.WriteFile(filepath.Join(dir, "leases", "0123"), nil, 0o600))
	r := clean(t, s)
	if len(r.Waste) != 1 || r.Waste[0].Kind != "files of leases that have ended" || r.Waste[0].Count != 1 {
		t.Errorf("waste %+v", r.Waste)
	}
}

func TestAllFaultsOfTheCatalogAreCounted(t *testing.T) {
	t.Parallel()
	dir := empty(t)
	s := open(t, dir)
	ses := begin(t, s, blobstore.SessionOptions{Note: "put", Keep: 1 << 40})
	const n = 1010
	for i := range n {
		put(t, ses, "", fmt.Append(nil, "blob ", i))
	}
	must(t, ses.Commit(t.Context()))
	must(t, ses.Close())
	must(t, s.Close())
	change(t, dir, "UPDATE objects SET codec = 1 - codec")
	r := check(t, open(t, dir))
	if last := r.Catalog[len(r.Catalog)-1]; r.Faults < n || len(r.Catalog) != 1001 || last != fmt.Sprintf("and %d more", r.Faults-1000) {
		t.Errorf("%d faults, %d sentences, the last is %q", r.Faults, len(r.Catalog), last)
	}
}
