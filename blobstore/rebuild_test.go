package blobstore_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dist.example/blobstore"
	"dist.example/blobstore/pack"
	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/fsys/fsystest"
	"dist.example/oci"
)

func TestRebuildSalvagesADamagedPack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		damage string
		bytes  int64 // of a record's header
		names  int64
		behind int // notes that lie behind the damage and are not believed
	}{{"a bit", 1, 2, 0}, {"two bytes", 2, 0, 2}} {
		t.Run(c.damage, func(t *testing.T) {
			t.Parallel()
			dir := empty(t)
			lost, kept := noise(1, 500), noise(2, 500)
			hurt, sound := newImage(t, lost), newImage(t, kept)
			s := open(t, dir)
			named(t, s, hurt, "app:hurt")
			named(t, s, sound, "app:sound")
			must(t, s.Close())
			file := filepath.Join(dir, "packs", "1.pack")
			header := payloadOf(t, file, lost) - 64
			for i := range c.bytes {
				flip(t, file, header+20+i)
			}
			r := rebuild(t, dir)
			if r.Names != c.names || strings.Count(fmt.Sprint(r.Left), "behind damage") != c.behind || len(r.Left) != 1+c.behind {
				t.Errorf("%+v", r)
			}
			s = open(t, dir)
			holds(t, s, kept)
			holds(t, s, sound.blobs[len(sound.blobs)-1])
			lacks(t, s, lost)
			named(t, s, hurt, "app:hurt") // to a pack of its own: behind the damage it would not be believed
			clean(t, s)
			must(t, s.Close())
			if r := rebuild(t, dir); r.Names != max(1, c.names) || r.Packs != 2 {
				t.Errorf("another: %+v", r)
			}
			clean(t, open(t, dir))
		})
	}
}

func TestRebuildTakesAnotherCopyOfWhatIsDamaged(t *testing.T) {
	t.Parallel()
	s, p, _ := damaged(t, 1000, func(t *testing.T, s *blobstore.Store, _ []byte) { flip(t, packName(s, "2"), -5) })
	want(t, content.ErrCorrupt, s.Check(t.Context(), oci.DigestBytes(p)))
	mustStore(t, s, p)
	must(t, s.Close())
	if r := rebuild(t, s.Dir()); !r.Whole() {
		t.Errorf("%+v", r)
	}
	s = open(t, s.Dir())
	holds(t, s, p)
	clean(t, s)
}

func TestRebuildReportsTheNamesOfWhatIsLost(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		lost    string // app:v1 stands for a manifest with this part
		part    int    // of the image's blobs
		names   int64
		lostOne bool
	}{{"layer", 1, 2, false}, {"manifest", 2, 1, true}} {
		t.Run(c.lost, func(t *testing.T) {
			t.Parallel()
			dir := empty(t)
			im, other := newImage(t, noise(1, 500)), newImage(t, noise(2, 500))
			s := open(t, dir)
			named(t, s, im, "app:v1")
			named(t, s, other, "app:v2")
			must(t, s.Close())
			file := filepath.Join(dir, "packs", "1.pack")
			flip(t, file, payloadOf(t, file, im.blobs[c.part])+8)
			r := rebuild(t, dir)
			if r.Names != c.names || len(r.Damaged) != 1 || r.Damaged[0].Digest != oci.DigestBytes(im.blobs[c.part]) {
				t.Errorf("%+v", r)
			}
			if lost := len(r.LostNames) == 1 && r.LostNames[0].Digest == im.manifest().Digest; lost != c.lostOne {
				t.Errorf("%+v", r.LostNames)
			}
			s = open(t, dir)
			found := check(t, s)
			if len(found.Catalog)+len(found.Mended) != 0 || (len(found.Damaged) == 0) != c.lostOne {
				t.Errorf("the check after it: %+v", found)
			}
			named(t, s, im, "app:v1")
			clean(t, s)
			must(t, s.Close())
			if r := rebuild(t, dir); r.Names != 2 || !r.Whole() { // and it stays so
				t.Errorf("another: %+v", r)
			}
		})
	}
}

// payloadOf is where the pack has the payload of p.
func payloadOf(t *testing.T, file string, p []byte) int64 {
	t.Helper()
	f, err := os.Open(file)
	must(t, err)
	defer f.Close()
	fi, err := f.Stat()
	must(t, err)
	for e, err := range pack.Scan(f, fi.Size(), fi.Size()) {
		must(t, err)
		if e.Digest == oci.DigestBytes(p) {
			return e.PayloadOffset()
		}
	}
	t.Fatal("the pack does not have it")
	return 0
}

func TestRebuildLeavesWhatIsNotItsOwn(t *testing.T) {
	t.Parallel()
	dir := rich(t)
	other, err := os.ReadFile(filepath.Join(dir, "packs", "1.pack"))
	must(t, err)
	foreign := pack.Header{ID: 7}
	hex.Decode(foreign.Store[:], []byte(strings.Repeat("ab", 16)))
	for name, p := range map[string][]byte{
		"7.pack":   append(pack.EncodeHeader(foreign), other[64:]...),
		"8.pack":   other, // by its header it is pack 1
		"9.pack":   []byte("short"),
		"x.pack":   other,
		"010.pack": other,
	} {
		must(t, os.WriteFile(filepath.Join(dir, "packs", name), p, 0o644))
	}
	r := rebuild(t, dir)
	if r.Packs != 1 || len(r.Left) != 5 {
		t.Errorf("%d packs, left: %q", r.Packs, r.Left)
	}
	s := open(t, dir)
	clean(t, s)
	appendTo(t, packName(s, "1"), []byte("junk"))
	mustStore(t, s, noise(99, 100)) // a new pack takes an id that no file has
	holds(t, s, noise(99, 100))
}

func TestRebuildOfTwoChangesWithOneNumber(t *testing.T) {
	t.Parallel()
	dir := empty(t)
	im := newImage(t, noise(1, 100))
	s := open(t, dir)
	named(t, s, im, "app:v1")
	row := pack.Note{Type: pack.NoteRef, Seq: 2, When: time.Now().Add(-time.Hour), Name: "docker.io/library/app:v1", New: oci.DigestBytes([]byte("never"))}
	enc := pack.NewEncoder()
	note, _, err := enc.AppendNote(nil, row)
	must(t, err)
	appendTo(t, packName(s, "1"), note) // a commit that was never made
	named(t, s, newImage(t, noise(2, 100)), "app:v2")
	must(t, s.Close())
	r := rebuild(t, dir)
	if r.Names != 2 || !r.Whole() {
		t.Errorf("%+v", r)
	}
	s = open(t, dir)
	if n, err := s.Name(t.Context(), reference(t, "app:v1")); err != nil || n.Target.Digest != im.manifest().Digest {
		t.Errorf("%+v, %v", n, err)
	}
	clean(t, s)
}

// A type given by a record's header counts, though a note of an earlier time of the
// same content says otherwise.
func TestRebuildTakesTheTypeGivenLast(t *testing.T) {
	t.Parallel()
	dir := empty(t)
	p := noise(1, 1000)
	for _, mediaType := range []string{typeUnhinted, "text/plain"} {
		s := open(t, dir)
		ses := begin(t, s, blobstore.SessionOptions{Note: "put", Keep: time.Hour})
		put(t, ses, mediaType, p)
		must(t, ses.Commit(t.Context()))
		must(t, ses.Close())
		clean(t, s)
		if mediaType == typeUnhinted {
			must(t, s.Delete(t.Context(), oci.DigestBytes(p)))
			clean(t, s)
		}
		must(t, s.Close())
	}
	rebuild(t, dir)
	s := open(t, dir)
	clean(t, s)
	if info, err := s.Info(t.Context(), oci.DigestBytes(p)); err != nil || info.MediaType != "text/plain" {
		t.Errorf("%+v, %v", info, err)
	}
}

func TestRebuildKeepsWhatNoNameReaches(t *testing.T) {
	t.Parallel()
	dir := rich(t)
	r := rebuild(t, dir)
	s := open(t, dir)
	var held int64
	catalog(t, dir, func(tx *db.Tx) error {
		for l, err := range tx.Leases() {
			must(t, err)
			ids, err := tx.LeaseObjects(l.ID)
			must(t, err)
			held += int64(len(ids))
			if l.Kind != db.LeasePut || l.Note != "rebuild" || !l.Expires.After(time.Now().Add(6*24*time.Hour)) {
				t.Errorf("%+v", l)
			}
		}
		return nil
	})
	if held == 0 || held != r.Kept {
		t.Errorf("%d held, %d told", held, r.Kept)
	}
	must(t, s.Close())
}

func TestRebuildWaitsForNobodyForEver(t *testing.T) {
	t.Parallel()
	dir := rich(t)
	s := open(t, dir)
	_, err := blobstore.Rebuild(t.Context(), dir, blobstore.RebuildOptions{Wait: 10 * time.Millisecond})
	want(t, content.ErrConflict, err)
	clean(t, s)
	must(t, s.Close())
	rebuild(t, dir)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = blobstore.Rebuild(ctx, dir, blobstore.RebuildOptions{})
	want(t, context.Canceled, err)
	clean(t, open(t, dir))
	_, err = blobstore.Rebuild(t.Context(), t.TempDir(), blobstore.RebuildOptions{})
	want(t, content.ErrNoStore, err)
}

// A rebuild that is broken off anywhere leaves the old catalog, or none and a store
// that is refused; the next one finishes.
func TestACrashDuringARebuild(t *testing.T) {
	t.Parallel()
	refused := 0
	dir := rich(t)
	s := open(t, dir)
	before := mustPaint(t, s)
	must(t, s.Close())
	for i, shot := range rebuildCrashes(t, dir, fsystest.Truncated) {
		crashed := filepath.Join(shot.dir, "store")
		s, err := blobstore.Open(t.Context(), crashed, blobstore.Options{})
		if err == nil {
			if diff := before.lacks(mustPaint(t, s)); diff != "" {
				t.Errorf("crash %d, %s: %s", i, shot.at, diff)
			}
			must(t, s.Close())
			continue
		}
		if !errors.Is(err, content.ErrCorrupt) || !strings.Contains(content.Hint(err), "check --rebuild") {
			t.Errorf("crash %d, %s: %v", i, shot.at, err)
		}
		refused++
		rebuild(t, crashed)
		s = open(t, crashed)
		if diff := before.lacks(mustPaint(t, s)); diff != "" {
			t.Errorf("crash %d, %s, rebuilt: %s", i, shot.at, diff)
		}
		must(t, s.Close())
	}
	if refused == 0 {
		t.Error("no crash left the store without a catalog: what is tried here?")
	}
}

// rebuildCrashes rebuilds once and takes what a crash would leave before each
// change of a file in the second half, and at each point of the hook.
func rebuildCrashes(t *testing.T, dir string, loss fsystest.Loss) (shots []snapshot) {
	t.Helper()
	f, err := fsystest.New(fsys.OS(), filepath.Dir(dir))
	must(t, err)
	root := t.TempDir()
	shoot := func(at string) {
		shot := snapshot{dir: filepath.Join(root, fmt.Sprint(len(shots))), at: at}
		must(t, f.Crash(shot.dir, loss))
		shots = append(shots, shot)
	}
	_, err = blobstore.Rebuild(t.Context(), dir, blobstore.RebuildOptions{FS: f, Hook: func(p string) {
		shoot("hook " + p)
		if p == "rebuild.built" {
			f.Hook(func(op fsystest.Op, name string) error {
				if slices.Contains(changes, op) {
					shoot(fmt.Sprintf("%s %s", op, strings.TrimPrefix(name, dir)))
				}
				return nil
			})
		}
	}})
	f.Hook(nil)
	must(t, err)
	shoot("the end")
	return shots
}
