package blobstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys/fsystest"
	"dist.example/oci"
)

// transactions counts, from now on, how often the write lock is taken.
func transactions(f *fsystest.FS) *atomic.Int32 {
	var n atomic.Int32
	f.Hook(func(op fsystest.Op, name string) error {
		if op == fsystest.OpLock && filepath.Base(name) == "write.lock" {
			n.Add(1)
		}
		return nil
	})
	return &n
}

// wantCost compares what was synced and committed since the counts began.
func wantCost(t *testing.T, f *fsystest.FS, n *atomic.Int32, syncs, commits int) {
	t.Helper()
	if got := f.Count(fsystest.OpDataSync) + f.Count(fsystest.OpSync) + f.Count(fsystest.OpSyncDir); got != syncs {
		t.Errorf("%d syncs, want %d: %v", got, syncs, f.Counts())
	}
	if got := int(n.Load()); got != commits {
		t.Errorf("%d transactions, want %d", got, commits)
	}
}

func TestPutIsNotVisibleBeforeItIsDurable(t *testing.T) {
	t.Parallel()
	g := newGate("commit.begin")
	s := openWith(t, empty(t), blobstore.Options{Hook: g.hook})
	ses := begin(t, s, blobstore.SessionOptions{Note: "test"})
	var told atomic.Bool
	p := noise(1, 3000)
	_, err := ses.Put(t.Context(), blobstore.Blob{Data: p, Done: func(content.Info) { told.Store(true) }})
	must(t, err)
	<-g.reached // the batch goes by itself when it is old enough
	lacks(t, s, p)
	if told.Load() {
		t.Error("Done was told before the transaction")
	}
	close(g.open)
	must(t, ses.Flush(t.Context()))
	holds(t, s, p)
	if !told.Load() {
		t.Error("Flush has returned and Done was not told")
	}
}

func TestABatchCostsOneSyncAndOneTransaction(t *testing.T) {
	t.Parallel()
	s, f := instrumented(t, nil)
	ses := begin(t, s, blobstore.SessionOptions{Note: "test"})
	put(t, ses, oci.MediaTypeOctets, noise(0, 100)) // makes the pack
	must(t, ses.Flush(t.Context()))
	n := transactions(f)
	f.ResetCounts()
	const blobs = 1000
	var order []oci.Digest
	var wanted []oci.Digest
	begun := time.Now()
	for i := range blobs {
		d, err := ses.Put(t.Context(), blobstore.Blob{Data: noise(uint64(i+1), 500), Done: func(i content.Info) { order = append(order, i.Digest) }})
		must(t, err)
		wanted = append(wanted, d.Digest)
	}
	must(t, ses.Flush(t.Context()))
	if age := time.Since(begun); age < 200*time.Millisecond {
		wantCost(t, f, n, 1, 1)
	} else if k := f.Count(fsystest.OpDataSync); k > 1+int(age/(200*time.Millisecond)) || k != int(n.Load()) {
		t.Errorf("%d syncs and %d transactions in %v", k, n.Load(), age)
	}
	if !slices.Equal(order, wanted) {
		t.Error("Done was not told in the order of the Puts")
	}
	f.ResetCounts()
	n.Store(0)
	must(t, ses.Flush(t.Context()))
	wantCost(t, f, n, 0, 0)
}

// A full batch is committed while the next is gathered.
func TestManyBatchesKeepTheirOrder(t *testing.T) {
	t.Parallel()
	for name, failing := range map[string]bool{"all is well": false, "the first batch fails once": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, f := instrumented(t, nil)
			if failing {
				f.FailNth(fsystest.OpDataSync, 1, syscall.EIO)
			}
			ses := begin(t, s, blobstore.SessionOptions{Note: "test"})
			const blobs = 21_000
			next, retried := 0, 0
			for i := range blobs {
				b := blobstore.Blob{Data: fmt.Appendf(nil, "blob %d", i), Done: func(info content.Info) {
					if info.Digest != oci.DigestBytes(fmt.Appendf(nil, "blob %d", next)) {
						t.Errorf("%s was told of as number %d", info.Digest, next)
					}
					next++
				}}
				_, err := ses.Put(t.Context(), b)
				if errors.Is(err, syscall.EIO) {
					if retried++; errors.Is(ses.Flush(t.Context()), syscall.EIO) { // tells of it, too
						must(t, ses.Flush(t.Context()))
					}
					_, err = ses.Put(t.Context(), b)
				}
				must(t, err)
			}
			for range 2 {
				if err := ses.Commit(t.Context()); err != nil && (!failing || !errors.Is(err, syscall.EIO)) {
					t.Fatal(err)
				}
			}
			if next != blobs || failing && retried > 1 {
				t.Errorf("%d of %d were told of, %d retries", next, blobs, retried)
			}
			totals, err := s.Totals(t.Context())
			must(t, err)
			if n := int(totals.Objects[db.LocPack].Objects); n != blobs {
				t.Errorf("%d objects", n)
			}
		})
	}
}

// Records of a few bytes and of megabytes, in one batch that takes many writes.
func TestABatchOfAllSizesIsReadBack(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	ses := begin(t, s, blobstore.SessionOptions{Note: "test"})
	var blobs [][]byte
	for i, n := range []int{0, 1, 255, 256, 4096, 200 << 10, 256 << 10} {
		for k := range 8 {
			blobs = append(blobs, noise(uint64(100*i+k), n))
		}
		var lines []byte
		for k := 0; len(lines) < n*15; k++ {
			lines = fmt.Appendf(lines, "the digest of one more line: %x\n", noise(uint64(i<<20+k), 32))
		}
		blobs = append(blobs, lines)
	}
	for _, p := range blobs {
		put(t, ses, oci.MediaTypeJSON, p)
	}
	must(t, ses.Commit(t.Context()))
	for _, p := range blobs {
		holds(t, s, p)
	}
	large := 0
	for info, err := range s.All(t.Context()) {
		must(t, err)
		if info.Place == "pack" && info.Stored > 1<<20 {
			large++
		}
	}
	if large == 0 {
		t.Error("no record of more than a mebibyte was written")
	}
}

func TestWhatIsHeldIsNotWrittenAgain(t *testing.T) {
	t.Parallel()
	s, f := instrumented(t, nil)
	a, b := noise(1, 5000), noise(2, 5000)
	ses := begin(t, s, blobstore.SessionOptions{Note: "test"})
	told := 0
	double := func(p []byte) {
		t.Helper()
		for range 3 {
			_, err := ses.Put(t.Context(), blobstore.Blob{Data: p, Done: func(content.Info) { told++ }})
			must(t, err)
		}
		must(t, ses.Flush(t.Context()))
	}
	double(a)
	size := packBytes(t, s)
	if size > 6000 {
		t.Errorf("the packs have %d bytes after one blob of 5000 was put three times", size)
	}
	double(b)
	if grown := packBytes(t, s) - size; grown > 6000 {
		t.Errorf("the packs grew by %d bytes", grown)
	}
	size = packBytes(t, s)
	f.ResetCounts()
	double(a)
	if now := packBytes(t, s); now != size || f.Count(fsystest.OpDataSync) != 0 {
		t.Errorf("the packs grew from %d to %d bytes by what was held, with %d syncs", size, now, f.Count(fsystest.OpDataSync))
	}
	if told != 9 {
		t.Errorf("Done was told %d times of 9 Puts", told)
	}
	other := begin(t, s, blobstore.SessionOptions{Note: "other"})
	if _, err := other.Writer(t.Context(), ingest(a)); !errors.Is(err, content.ErrExists) {
		t.Errorf("Writer of what is held: %v", err)
	}
}

func TestNamesMoveInTheTransactionOfTheirContent(t *testing.T) {
	t.Parallel()
	s, f := instrumented(t, nil)
	ses := begin(t, s, blobstore.SessionOptions{Note: "test"})
	put(t, ses, oci.MediaTypeOctets, noise(0, 100))
	must(t, ses.Flush(t.Context()))
	im := newImage(t, noise(1, 2000), noise(2, 2000))
	im.put(t, ses)
	must(t, ses.Flush(t.Context()))
	late := put(t, ses, oci.MediaTypeOctets, noise(3, 2000))
	n := transactions(f)
	f.ResetCounts()
	must(t, ses.Commit(t.Context(),
		content.NameChange{Reference: reference(t, "app:v1"), Target: im.manifest().Digest, Why: "test"},
		content.NameChange{Reference: reference(t, "bytes:v1"), Target: late.Digest, Why: "test"}))
	wantCost(t, f, n, 1, 1)
	for name, d := range map[string]oci.Digest{"app:v1": im.manifest().Digest, "bytes:v1": late.Digest} {
		if got, err := s.Resolve(t.Context(), reference(t, name)); err != nil || got.Digest != d {
			t.Errorf("%s is %s, %v", name, got.Digest, err)
		}
	}
}

func TestAFailedCompareAndSetMovesNothingAndLosesNothing(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	old := mustStore(t, s, noise(1, 100))
	must(t, s.Tag(t.Context(), old, reference(t, "app:v1")))
	size := packBytes(t, s)
	ses := begin(t, s, blobstore.SessionOptions{Note: "test"})
	p := noise(2, 100)
	d := put(t, ses, oci.MediaTypeOctets, p)
	none := oci.Digest("")
	err := ses.Commit(t.Context(),
		content.NameChange{Reference: reference(t, "new:v1"), Target: d.Digest},
		content.NameChange{Reference: reference(t, "app:v1"), Expect: &none, Target: d.Digest})
	want(t, content.ErrConflict, err)
	if _, err := s.Resolve(t.Context(), reference(t, "new:v1")); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("another name of the transaction moved: %v", err)
	}
	if got, _ := s.Resolve(t.Context(), reference(t, "app:v1")); got.Digest != old.Digest {
		t.Errorf("the name moved to %s", got.Digest)
	}
	if now := packBytes(t, s); now != size {
		t.Errorf("the pack went from %d to %d bytes by a transaction that did not happen", size, now)
	}
	must(t, ses.Commit(t.Context(), content.NameChange{Reference: reference(t, "app:v1"), Expect: &old.Digest, Target: d.Digest}))
	holds(t, s, p)
	sound(t, s)
}

func TestANameNeedsAllThatItReaches(t *testing.T) {
	t.Parallel()
	layer := noise(1, 3000)
	im := newImage(t, layer)
	absent := describe(oci.MediaTypeManifest, noise(9, 50))
	absent.Platform = &oci.Platform{OS: "linux", Architecture: "arm64"}
	index := func(m ...oci.Descriptor) []byte {
		x := oci.Index{MediaType: oci.MediaTypeIndex, Manifests: m}
		x.SchemaVersion = 2
		return document(t, x)
	}
	foreign := oci.Manifest{
		MediaType: oci.MediaTypeManifest, Config: describe(oci.MediaTypeImageConfig, im.blobs[0]),
		Layers: []oci.Descriptor{describe("application/vnd.oci.image.layer.nondistributable.v1.tar", noise(8, 50))},
	}
	foreign.SchemaVersion = 2
	for _, c := range []struct {
		name    string
		blobs   [][]byte
		types   []string
		missing []oci.Digest
	}{
		{"all is there", im.blobs, im.types, nil},
		{"a layer is missing", [][]byte{im.blobs[0], im.blobs[2]}, []string{im.types[0], im.types[2]}, []oci.Digest{oci.DigestBytes(layer)}},
		{"a platform is absent", append(im.blobs, index(im.manifest(), absent)), append(im.types, oci.MediaTypeIndex), nil},
		{
			"a platform lacks a layer",
			[][]byte{im.blobs[0], im.blobs[2], index(im.manifest(), absent)},
			[]string{im.types[0], im.types[2], oci.MediaTypeIndex},
			[]oci.Digest{oci.DigestBytes(layer)},
		},
		{"a layer may not be distributed", [][]byte{im.blobs[0], document(t, foreign)}, []string{im.types[0], oci.MediaTypeManifest}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := open(t, empty(t))
			ses := begin(t, s, blobstore.SessionOptions{Note: "test"})
			var root oci.Descriptor
			for i, p := range c.blobs {
				root = put(t, ses, c.types[i], p)
			}
			change := content.NameChange{Reference: reference(t, "app:v1"), Target: root.Digest}
			err := ses.Commit(t.Context(), change)
			if c.missing == nil {
				must(t, err)
				sound(t, s)
				return
			}
			want(t, content.ErrNotFound, err)
			var missing *blobstore.MissingError
			if !errors.As(err, &missing) || !slices.Equal(missing.Digests, c.missing) || !strings.Contains(err.Error(), c.missing[0].String()) {
				t.Errorf("got %v, want %v to be missing", err, c.missing)
			}
			put(t, ses, oci.MediaTypeLayer, layer)
			must(t, ses.Commit(t.Context(), change))
			sound(t, s)
		})
	}
}

// leases lists the leases and what each holds.
func leases(t *testing.T, s *blobstore.Store) map[string][]int64 {
	t.Helper()
	held := map[string][]int64{}
	for l, err := range s.AllLeases(t.Context()) {
		must(t, err)
		held[l.ID] = nil
	}
	catalog(t, s.Dir(), func(tx *db.Tx) (err error) {
		for id := range held {
			if held[id], err = tx.LeaseObjects(id); err != nil {
				return err
			}
		}
		return nil
	})
	return held
}

func TestASessionKeepsWhatItHasUnderALease(t *testing.T) {
	t.Parallel()
	s, f := instrumented(t, nil)
	before := mustStore(t, s, noise(1, 100))
	n := transactions(f)
	idle := begin(t, s, blobstore.SessionOptions{Note: "idle"})
	must(t, idle.Commit(t.Context()))
	must(t, idle.Close())
	if n.Load() != 0 || files(t, s, "leases") != 0 {
		t.Errorf("a session that did nothing cost %d transactions and left %d files", n.Load(), files(t, s, "leases"))
	}

	ses := begin(t, s, blobstore.SessionOptions{Note: "test"})
	if files(t, s, "leases") != 1 {
		t.Errorf("%d lease files, want that of the session", files(t, s, "leases"))
	}
	put(t, ses, oci.MediaTypeOctets, noise(2, 100))
	if ok, err := ses.Exists(t.Context(), before); !ok || err != nil {
		t.Fatal(ok, err)
	}
	must(t, ses.Close())
	holds(t, s, noise(2, 100))
	got := leases(t, s)
	if len(got) != 1 || files(t, s, "leases") != 0 {
		t.Fatalf("leases after Close without Commit: %v, files %d", got, files(t, s, "leases"))
	}
	for _, objects := range got {
		if len(objects) != 2 {
			t.Errorf("the lease holds %v, want what was put and what was found", objects)
		}
	}

	last := begin(t, s, blobstore.SessionOptions{Note: "last"})
	put(t, last, oci.MediaTypeOctets, noise(3, 100))
	must(t, last.Flush(t.Context()))
	if len(leases(t, s)) != 2 {
		t.Errorf("leases after Flush: %v", leases(t, s))
	}
	must(t, last.Commit(t.Context()))
	must(t, last.Close())
	if len(leases(t, s)) != 1 {
		t.Errorf("leases after Commit: %v", leases(t, s))
	}
}

func TestAPutLeaseEndsWhenANameReachesTheObject(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	im := newImage(t, noise(1, 1000))
	ses := begin(t, s, blobstore.SessionOptions{Note: "put", Keep: time.Hour})
	im.put(t, ses)
	loose := put(t, ses, oci.MediaTypeOctets, noise(2, 100))
	must(t, ses.Commit(t.Context()))
	must(t, ses.Close())
	if got := leases(t, s); len(got) != 1 {
		t.Fatalf("leases after a put: %v", got)
	}
	must(t, s.Tag(t.Context(), im.manifest(), reference(t, "app:v1")))
	for _, objects := range leases(t, s) {
		if len(objects) != 1 {
			t.Errorf("the lease still holds %v, want the one object without a name", objects)
		}
	}
	must(t, s.Tag(t.Context(), loose, reference(t, "bytes:v1")))
	if got := leases(t, s); len(got) != 0 {
		t.Errorf("leases when everything has a name: %v", got)
	}
}

func TestASessionOutlivesItsLease(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	for name, o := range map[string]blobstore.SessionOptions{"put": {Note: "put", Keep: time.Hour}, "command": {Note: "pull"}} {
		ses := begin(t, s, o)
		first := put(t, ses, oci.MediaTypeOctets, []byte("the first of "+name))
		must(t, ses.Flush(t.Context()))
		must(t, s.Tag(t.Context(), first, reference(t, name+":first"))) // ends the lease of a put
		for id := range leases(t, s) {
			must(t, s.Release(t.Context(), id))
		}
		put(t, ses, oci.MediaTypeOctets, []byte("the second of "+name))
		if err := ses.Flush(t.Context()); err != nil {
			t.Errorf("%s: a batch after the lease has ended: %v", name, err)
			continue
		}
		held := 0
		for _, objects := range leases(t, s) {
			held += len(objects)
		}
		if held != 1 {
			t.Errorf("%s: %d objects under leases, want the second", name, held)
		}
		must(t, ses.Commit(t.Context()))
		must(t, ses.Close())
	}
}

// While a batch is being committed the session has it: nobody fetches it again, and
// who needs it can read it. The other commands see it afterwards.
func TestWhatIsBeingCommittedIsThere(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		answer error // of the disk
	}{
		{"and then is", nil},
		{"and stays when that fails", syscall.EIO},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			reached, goOn := make(chan struct{}), make(chan struct{})
			s, f := instrumented(t, nil)
			mustStore(t, s, noise(1, 100)) // makes the pack
			s.HoldBatches()
			ses := begin(t, s, blobstore.SessionOptions{Note: "test"})
			p := noise(2, 100)
			put(t, ses, oci.MediaTypeOctets, p)
			f.Hook(func(op fsystest.Op, _ string) error {
				if op != fsystest.OpDataSync {
					return nil
				}
				f.Hook(nil)
				close(reached)
				<-goOn
				return tc.answer
			})
			ended := make(chan error, 1)
			go func() { ended <- ses.Flush(t.Context()) }()
			<-reached

			lacks(t, s, p)
			isThere := func() {
				t.Helper()
				if _, err := ses.Writer(t.Context(), ingest(p)); !errors.Is(err, content.ErrExists) {
					t.Errorf("Writer: %v", err)
				}
				r, err := ses.Fetch(t.Context(), describe(oci.MediaTypeOctets, p))
				must(t, err)
				got, err := io.ReadAll(r)
				must(t, err)
				if !bytes.Equal(got, p) {
					t.Errorf("%d bytes were read", len(got))
				}
			}
			isThere()
			close(goOn)
			if err := <-ended; !errors.Is(err, tc.answer) {
				t.Errorf("Flush: %v", err)
			}
			isThere()
			must(t, ses.Commit(t.Context()))
			holds(t, s, p)
			sound(t, s)
		})
	}
}

func TestALateFailureComesOutAtTheNextCall(t *testing.T) {
	t.Parallel()
	failed := make(chan struct{}, 10)
	s, f := instrumented(t, nil)
	mustStore(t, s, noise(1, 100))
	f.Hook(func(op fsystest.Op, _ string) error {
		if op == fsystest.OpDataSync {
			select {
			case failed <- struct{}{}:
			default:
			}
			return syscall.EIO
		}
		return nil
	})
	ses := begin(t, s, blobstore.SessionOptions{Note: "test"})
	p := noise(2, 100)
	put(t, ses, oci.MediaTypeOctets, p)
	<-failed
	if err := ses.Flush(t.Context()); !errors.Is(err, syscall.EIO) {
		t.Errorf("Flush after a failure in the background: %v", err)
	}
	lacks(t, s, p)
	f.Hook(nil)
	for range 2 { // the failure in the background may have its turn first
		if err := ses.Flush(t.Context()); err != nil && !errors.Is(err, syscall.EIO) {
			t.Fatal(err)
		}
	}
	holds(t, s, p)
	sound(t, s)
}

func TestCloseTriesAgainWhatFailedLate(t *testing.T) {
	t.Parallel()
	s, f := instrumented(t, nil)
	mustStore(t, s, noise(1, 100))
	failed := make(chan struct{})
	f.Hook(func(op fsystest.Op, _ string) error {
		if op == fsystest.OpDataSync {
			f.Hook(nil)
			close(failed)
			return syscall.EIO
		}
		return nil
	})
	ses := begin(t, s, blobstore.SessionOptions{Note: "test"})
	p := noise(2, 100)
	put(t, ses, oci.MediaTypeOctets, p)
	<-failed
	must(t, ses.Close())
	holds(t, s, p)
}

func TestTheLastWordOnATypeCountsWithinABatch(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	im := newImage(t, noise(1, 1000))
	data := im.blobs[len(im.blobs)-1]
	ses := begin(t, s, blobstore.SessionOptions{Note: "test"})
	put(t, ses, oci.MediaTypeOctets, data)
	if here, err := ses.Exists(t.Context(), im.manifest()); here || err != nil {
		t.Errorf("bytes of no type count as a manifest: %v", err)
	}
	must(t, ses.Push(t.Context(), im.manifest(), strings.NewReader(string(data))))
	err := ses.Commit(t.Context(), content.NameChange{Reference: reference(t, "app:v1"), Target: im.manifest().Digest})
	want(t, content.ErrNotFound, err) // its layer, which only edges tell of
	put(t, ses, oci.MediaTypeOctets, data)
	im.put(t, ses)
	must(t, ses.Commit(t.Context(), content.NameChange{Reference: reference(t, "app:v1"), Target: im.manifest().Digest}))
	if got, err := s.Resolve(t.Context(), reference(t, "app:v1")); err != nil || got.MediaType != oci.MediaTypeManifest {
		t.Errorf("the name is of a %s, %v", got.MediaType, err)
	}
}

// Who only takes an object for something else does not change what it is here.
func TestATypeIsKeptForThoseWhoAskForIt(t *testing.T) {
	t.Parallel()
	dir := empty(t)
	s := open(t, dir)
	im := newImage(t, noise(1, 1000))
	manifest := im.blobs[len(im.blobs)-1]
	small, large, plain := noise(2, 1000), noise(3, 2<<20), noise(4, 1000)
	ses := begin(t, s, blobstore.SessionOptions{Note: "test", Keep: time.Hour})
	for _, p := range [][]byte{small, large, manifest} {
		put(t, ses, typeUnhinted, p)
	}
	put(t, ses, oci.MediaTypeOctets, plain)
	must(t, ses.Flush(t.Context()))
	for _, p := range [][]byte{small, large, plain} {
		_, err := ses.Put(t.Context(), blobstore.Blob{Data: p, MediaType: "text/plain", KeepType: true})
		must(t, err)
	}
	_, err := ses.Put(t.Context(), blobstore.Blob{Data: manifest, MediaType: oci.MediaTypeManifest, KeepType: true})
	must(t, err)
	must(t, ses.Commit(t.Context()))
	must(t, ses.Close())
	types := func(s *blobstore.Store) (all []string) {
		t.Helper()
		for _, p := range [][]byte{small, large, plain, manifest} {
			info, err := s.Info(t.Context(), oci.DigestBytes(p))
			must(t, err)
			all = append(all, info.MediaType)
		}
		return all
	}
	want := []string{typeUnhinted, typeUnhinted, "text/plain", oci.MediaTypeManifest}
	if got := types(s); !slices.Equal(got, want) {
		t.Errorf("types %q, want %q", got, want)
	}
	must(t, s.Close())
	rebuild(t, dir)
	if got := types(open(t, dir)); !slices.Equal(got, want) {
		t.Errorf("after a rebuild types %q, want %q", got, want)
	}
}

func TestCloseOfASessionThatCannotCommitKeepsItsIngests(t *testing.T) {
	t.Parallel()
	s, f := instrumented(t, nil)
	p := noise(1, 2<<20)
	ses := begin(t, s, blobstore.SessionOptions{Note: "test"})
	broken := errors.New("broken")
	f.Hook(func(op fsystest.Op, name string) error {
		if op == fsystest.OpWrite && filepath.Ext(name) == ".pack" {
			return broken
		}
		return nil
	})
	if _, err := store(ses, ingest(p), p); err != nil && !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if err := ses.Close(); !errors.Is(err, broken) {
		t.Errorf("Close: %v", err)
	}
	f.Hook(nil)
	lacks(t, s, p)
	w, err := s.Writer(t.Context(), ingest(p))
	must(t, err)
	defer w.Close()
	if w.Status().Offset != int64(len(p)) {
		t.Errorf("the ingest goes on at %d of %d", w.Status().Offset, len(p))
	}
	_, err = w.Commit(t.Context())
	must(t, err)
	holds(t, s, p)
	if n := files(t, s, "ingest"); n != 0 {
		t.Errorf("%d ingest files are left", n)
	}
	if fi, err := os.Stat(filepath.Join(s.Dir(), "blobs", "sha256", oci.DigestBytes(p).Encoded())); err != nil || fi.Mode().Perm() != 0o444 {
		t.Errorf("the blob's file: %v, %v", fi, err)
	}
}

// A sync that failed may be said to have gone well when it is asked for again:
// what it was for has to come again in its place.
func TestASmallLooseBlobWhoseSyncFailedComesAgain(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 12} {
		s, f := instrumented(t, nil)
		s.HoldBatches()
		ses := begin(t, s, blobstore.SessionOptions{Note: "test"})
		broken := errors.New("broken")
		f.Hook(func(op fsystest.Op, name string) error {
			if op == fsystest.OpDataSync && filepath.Base(filepath.Dir(name)) == "ingest" {
				return broken
			}
			return nil
		})
		var blobs [][]byte
		for i := range n {
			blobs = append(blobs, noise(uint64(i+1), 400<<10))
			_, err := store(ses, ingest(blobs[i]), blobs[i])
			must(t, err)
		}
		want(t, broken, ses.Flush(t.Context()))
		f.Hook(nil)
		must(t, ses.Flush(t.Context()))
		for _, p := range blobs {
			lacks(t, s, p)
			_, err := store(ses, ingest(p), p)
			must(t, err)
		}
		must(t, ses.Commit(t.Context()))
		for _, p := range blobs {
			holds(t, s, p)
		}
		if left := files(t, s, "ingest"); left != 0 {
			t.Errorf("%d files are left in ingest/", left)
		}
	}
}

// What a session refuses since an earlier commit has failed leaves no file open and
// none behind.
func TestASmallLooseBlobThatIsRefusedLeavesNothing(t *testing.T) {
	t.Parallel()
	s, f := instrumented(t, nil)
	s.HoldBatches()
	ses := begin(t, s, blobstore.SessionOptions{Note: "test"})
	broken := errors.New("broken")
	f.Hook(func(op fsystest.Op, name string) error {
		if op == fsystest.OpDataSync && filepath.Base(filepath.Dir(name)) == "ingest" {
			return broken
		}
		return nil
	})
	var err error
	for i := 0; err == nil && i < 1000; i++ { // until a full batch has failed behind them
		p := noise(uint64(i+1), 900<<10)
		_, err = store(ses, ingest(p), p)
	}
	want(t, broken, err)
	f.Hook(nil)
	must(t, ses.Close())
	if left := files(t, s, "ingest"); left != 0 {
		t.Errorf("%d files are left in ingest/", left)
	}
}
