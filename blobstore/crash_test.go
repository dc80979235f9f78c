package blobstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/fsys"
	"dist.example/fsys/fsystest"
	"dist.example/oci"
)

// acked is what has been promised: blobs that are durable, and where names lead.
type acked struct {
	blobs map[oci.Digest]bool
	names map[string]oci.Digest
}

// script is work on a store that can be done again. It tells ack what it was
// promised, as soon as it was.
type script struct {
	name string
	// before is there and durable when the script begins.
	before func(t *testing.T, s *blobstore.Store)
	run    func(t *testing.T, s *blobstore.Store, ack *acked) error
}

func (a *acked) blob(d oci.Digest)              { a.blobs[d] = true }
func (a *acked) name(name string, d oci.Digest) { a.names[name] = d }

var changes = []fsystest.Op{
	fsystest.OpWrite, fsystest.OpTruncate, fsystest.OpSync, fsystest.OpDataSync, fsystest.OpMkdir, fsystest.OpRemove,
	fsystest.OpRename, fsystest.OpLink, fsystest.OpChmod, fsystest.OpSyncDir,
}

// snapshot is the state that a crash at one moment leaves.
type snapshot struct {
	dir   string
	at    string
	acked acked
}

// killsVar, in the environment of the tests, set to all, lets each crash lose what was not
// synced in every way (make crash). Without it the ways take turns.
const killsVar = "DIST_KILLS"

// losses are the ways.
var losses = []struct {
	name string
	is   fsystest.Loss
}{{"truncated", fsystest.Truncated}, {"zeroed", fsystest.Zeroed}, {"kept", fsystest.Keep}}

// crashes runs a script once and takes what a crash would leave before each
// change of a file and at each point of the hook, in the ways that follow turn. (Copying the catalog drops the
// locks that SQLite has on it. Nobody else has this store open, and what is
// copied is what the system has of it.)
func crashes(t *testing.T, sc script, turn int) []snapshot {
	t.Helper()
	dir := empty(t)
	if sc.before != nil {
		s, err := blobstore.Open(t.Context(), dir, blobstore.Options{})
		must(t, err)
		sc.before(t, s)
		must(t, s.Close())
	}
	f, err := fsystest.New(fsys.OS(), filepath.Dir(dir))
	must(t, err)
	var (
		mu    sync.Mutex
		shots []snapshot
		ack   = acked{map[oci.Digest]bool{}, map[string]oci.Digest{}}
		root  = t.TempDir()
	)
	shoot := func(at string) {
		mu.Lock()
		defer mu.Unlock()
		loss := losses[(turn+len(shots))%len(losses)]
		shot := snapshot{filepath.Join(root, fmt.Sprint(len(shots))), at + ", " + loss.name, acked{maps.Clone(ack.blobs), maps.Clone(ack.names)}}
		if err := f.Crash(shot.dir, loss.is); err != nil {
			t.Error(err)
		}
		shots = append(shots, shot)
	}
	s := openWith(t, dir, blobstore.Options{FS: f, Hook: func(p string) { shoot("hook " + p) }})
	f.Hook(func(op fsystest.Op, name string) error {
		if slices.Contains(changes, op) && !strings.HasSuffix(name, ".lock") {
			shoot(fmt.Sprintf("%s %s", op, strings.TrimPrefix(name, dir)))
		}
		return nil
	})
	must(t, sc.run(t, s, &ack))
	f.Hook(nil)
	shoot("the end")
	return shots
}

// check opens what a crash left: all that was promised is there, all that is to
// be seen is sound, and the same work succeeds.
func (shot snapshot) check(t *testing.T, sc script) {
	s, err := blobstore.Open(t.Context(), filepath.Join(shot.dir, "store"), blobstore.Options{})
	if err != nil {
		t.Errorf("crash at %s: %v", shot.at, err)
		return
	}
	defer s.Close()
	for d := range shot.acked.blobs {
		if err := s.Check(t.Context(), d); err != nil {
			t.Errorf("crash at %s: %s was promised: %v", shot.at, d, err)
		}
	}
	for name, d := range shot.acked.names {
		if got, err := s.Resolve(t.Context(), reference(t, name)); err != nil || got.Digest != d {
			t.Errorf("crash at %s: name %s was promised: %s, %v", shot.at, name, got.Digest, err)
		}
	}
	sound(t, s)
	again := acked{map[oci.Digest]bool{}, map[string]oci.Digest{}}
	if err := sc.run(t, s, &again); err != nil {
		t.Errorf("crash at %s: doing it again: %v", shot.at, err)
	}
	for d := range again.blobs {
		if err := s.Check(t.Context(), d); err != nil {
			t.Errorf("crash at %s: done again: %s: %v", shot.at, d, err)
		}
	}
	sound(t, s)
	if t.Failed() {
		t.Fatalf("the crash was at %s", shot.at)
	}
}

func putAll(t *testing.T, ses *blobstore.Session, ack *acked, blobs ...[]byte) error {
	for _, p := range blobs {
		_, err := ses.Put(t.Context(), blobstore.Blob{Data: p, Done: func(i content.Info) { ack.blob(i.Digest) }})
		if err != nil {
			return err
		}
	}
	return nil
}

// storeAgain is store of what may be there already.
func storeAgain(s *blobstore.Store, p []byte, ack *acked) error {
	_, err := store(s, ingest(p), p)
	if err != nil && !errors.Is(err, content.ErrExists) {
		return err
	}
	ack.blob(oci.DigestBytes(p))
	return nil
}

func scripts(t *testing.T) []script {
	im := newImage(t, noise(1, 1000), noise(2, 400<<10), noise(3, 1500<<10))
	old := newImage(t, noise(3, 1000))
	large, mid := noise(4, 3<<20), noise(7, 500<<10)
	pair := [][]byte{noise(5, 1000), noise(6, 1000)}
	return []script{
		{"small batches", nil, func(t *testing.T, s *blobstore.Store, ack *acked) error {
			ses, err := s.Begin(t.Context(), blobstore.SessionOptions{Note: "test"})
			if err != nil {
				return err
			}
			for i := range 2 {
				if err := putAll(t, ses, ack, pair[i], noise(uint64(10+i), 300)); err != nil {
					return err
				}
				if err := ses.Flush(t.Context()); err != nil {
					return err
				}
			}
			return errors.Join(ses.Commit(t.Context()), ses.Close())
		}},
		{"a large ingest", func(t *testing.T, s *blobstore.Store) { mustStore(t, s, pair[0]) }, func(t *testing.T, s *blobstore.Store, ack *acked) error {
			return storeAgain(s, large, ack)
		}},
		{"an image and its name", func(t *testing.T, s *blobstore.Store) {
			ses := begin(t, s, blobstore.SessionOptions{Note: "old"})
			old.put(t, ses)
			must(t, ses.Commit(t.Context(), content.NameChange{Reference: reference(t, "app:v1"), Target: old.manifest().Digest}))
			must(t, ses.Close())
		}, func(t *testing.T, s *blobstore.Store, ack *acked) error {
			ses, err := s.Begin(t.Context(), blobstore.SessionOptions{Note: "test"})
			if err != nil {
				return err
			}
			for i, p := range im.blobs {
				desc := describe(im.types[i], p)
				if err := ses.Push(t.Context(), desc, bytes.NewReader(p)); err != nil {
					return err
				}
			}
			err = ses.Commit(t.Context(),
				content.NameChange{Reference: reference(t, "app:v1"), Target: im.manifest().Digest},
				content.NameChange{Reference: reference(t, "app:v2"), Target: im.manifest().Digest})
			if err != nil {
				return err
			}
			ack.name("app:v1", im.manifest().Digest)
			ack.name("app:v2", im.manifest().Digest)
			for _, p := range im.blobs {
				ack.blob(oci.DigestBytes(p))
			}
			return ses.Close()
		}},
		{"healing what is damaged", func(t *testing.T, s *blobstore.Store) {
			mustStore(t, s, large)
			flip(t, blobFile(s, large), 5)
			want(t, content.ErrCorrupt, s.Check(t.Context(), oci.DigestBytes(large)))
		}, func(t *testing.T, s *blobstore.Store, ack *acked) error {
			return storeAgain(s, large, ack)
		}},
		{"taking over a part of the same stream", func(t *testing.T, s *blobstore.Store) {
			leave(t, s, stream, mid[:300<<10])
		}, func(_ *testing.T, s *blobstore.Store, ack *acked) error {
			return ingestAgain(s, expecting(mid), mid, ack)
		}},
		{"taking over a part of another stream", func(t *testing.T, s *blobstore.Store) {
			leave(t, s, stream, changed(mid[:300<<10], 200<<10))
		}, func(_ *testing.T, s *blobstore.Store, ack *acked) error {
			return ingestAgain(s, stream, mid, ack)
		}},
	}
}

// ingestAgain is ingestAll that is acknowledged.
func ingestAgain(s *blobstore.Store, o content.IngestOptions, p []byte, ack *acked) error {
	err := ingestAll(s, o, p)
	if err == nil {
		ack.blob(oci.DigestBytes(p))
	}
	return err
}

func TestACrashAnywhereLosesNothingThatWasPromised(t *testing.T) {
	t.Parallel()
	turns := 1
	if os.Getenv(killsVar) == "all" {
		turns = len(losses)
	}
	for _, sc := range scripts(t) {
		for turn := range turns {
			t.Run(fmt.Sprintf("%s/%d", sc.name, turn), func(t *testing.T) {
				t.Parallel()
				shots := crashes(t, sc, turn)
				if len(shots) < 8 {
					t.Fatalf("only %d crashes", len(shots))
				}
				for _, shot := range shots {
					shot.check(t, sc)
					must(t, os.RemoveAll(shot.dir)) // together they are large
				}
			})
		}
	}
}

func TestACheckpointSpeaksOnlyForWhatIsDurable(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 65 MiB")
	}
	t.Parallel()
	s, f := instrumented(t, nil)
	p := noise(1, checkpoint+1<<20)
	w, err := s.Writer(t.Context(), ingest(p))
	must(t, err)
	_, err = w.Write(p[:checkpoint+1000])
	must(t, err)
	must(t, w.Close()) // waits for the checkpoint and syncs nothing more
	dst := t.TempDir()
	must(t, f.Crash(dst, fsystest.Truncated))
	after := open(t, filepath.Join(dst, "store"))
	w, err = after.Writer(t.Context(), ingest(p))
	must(t, err)
	defer w.Close()
	if n := w.Status().Offset; n < checkpoint {
		t.Errorf("it goes on at %d", n)
	}
	finish(t, w, p)
	must(t, after.Check(t.Context(), oci.DigestBytes(p)))
}

// Who finds store.json does not look for the folders: these are durable when its name
// is given, which a disk may keep while it loses them.
func TestTheFoldersOfANewStoreAreDurableBeforeItsName(t *testing.T) {
	t.Parallel()
	root, dst := t.TempDir(), t.TempDir()
	must(t, os.Mkdir(filepath.Join(root, "store"), 0o755))
	f, err := fsystest.New(fsys.OS(), root)
	must(t, err)
	f.Hook(func(op fsystest.Op, name string) error {
		if op == fsystest.OpLink && filepath.Base(name) == "store.json" {
			must(t, f.Crash(dst, fsystest.Truncated))
		}
		return nil
	})
	openWith(t, filepath.Join(root, "store"), blobstore.Options{FS: f})
	for _, dir := range []string{"packs", "ingest", "leases", "views", "trash", "blobs/sha256", "blobs/sha512"} {
		if fi, err := os.Stat(filepath.Join(dst, "store", filepath.FromSlash(dir))); err != nil || !fi.IsDir() {
			t.Errorf("%s: %v", dir, err)
		}
	}
}
