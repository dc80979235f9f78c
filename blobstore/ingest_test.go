package blobstore_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/fsys/fsystest"
	"dist.example/oci"
)

// ingestFile is where the ingest with a key has its bytes.
func ingestFile(s *blobstore.Store, key string) string {
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(s.Dir(), "ingest", hex.EncodeToString(sum[:16]))
}

// half leaves an ingest of p behind that has n of its bytes.
func half(t *testing.T, s *blobstore.Store, p []byte, n int) {
	t.Helper()
	w, err := s.Writer(t.Context(), ingest(p))
	must(t, err)
	_, err = w.Write(p[:n])
	must(t, err)
	must(t, w.Close())
}

// resumed opens the ingest of p again.
func resumed(t *testing.T, s *blobstore.Store, p []byte, offset int) content.Writer {
	t.Helper()
	w, err := s.Writer(t.Context(), ingest(p))
	must(t, err)
	t.Cleanup(func() { w.Close() })
	if got := w.Status().Offset; got != int64(offset) {
		t.Fatalf("the ingest goes on at %d, want %d", got, offset)
	}
	return w
}

// finish writes what is missing of p and commits.
func finish(t *testing.T, w content.Writer, p []byte) {
	t.Helper()
	_, err := w.Write(p[w.Status().Offset:])
	must(t, err)
	_, err = w.Commit(t.Context())
	must(t, err)
}

// noIngests checks that neither rows nor files are left.
func noIngests(t *testing.T, s *blobstore.Store) {
	t.Helper()
	for st, err := range s.Active(t.Context()) {
		t.Errorf("an ingest is left: %+v, %v", st, err)
	}
	if n := files(t, s, "ingest"); n != 0 {
		t.Errorf("%d ingest files are left", n)
	}
}

func TestOneLiveIngestForEachKey(t *testing.T) {
	t.Parallel()
	dir := empty(t)
	a, b := open(t, dir), open(t, dir)
	p := noise(1, 1500<<10)
	w, err := a.Writer(t.Context(), ingest(p))
	must(t, err)
	defer w.Close()
	_, err = w.Write(p[:1000])
	must(t, err)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Writer(ctx, ingest(p)); !errors.Is(err, context.Canceled) {
		t.Errorf("Writer of a key that is being written: %v", err)
	}
	want(t, content.ErrConflict, b.Abort(t.Context(), ingest(p).Key))

	second := make(chan error, 1)
	go func() {
		_, err := b.Writer(t.Context(), ingest(p))
		second <- err
	}()
	finish(t, w, p)
	want(t, content.ErrExists, <-second)
	noIngests(t, a)
	holds(t, b, p)
}

// Two commands that want the same blob fetch it once, and both keep it.
func TestASessionThatWaitedFindsTheBlobAndKeepsIt(t *testing.T) {
	t.Parallel()
	dir := empty(t)
	a, b := open(t, dir), openWith(t, dir, blobstore.Options{})
	p := noise(1, 1500<<10)
	first := begin(t, a, blobstore.SessionOptions{Note: "first"})
	w, err := first.Writer(t.Context(), ingest(p))
	must(t, err)
	defer w.Close()
	second := begin(t, b, blobstore.SessionOptions{Note: "second"})
	waited := make(chan error, 1)
	go func() {
		w, err := second.Writer(t.Context(), ingest(p))
		if err == nil {
			w.Close()
		}
		waited <- err
	}()
	finish(t, w, p)
	must(t, first.Commit(t.Context()))
	want(t, content.ErrExists, <-waited)
	must(t, second.Flush(t.Context()))
	held := 0
	for _, objects := range leases(t, b) {
		held += len(objects)
	}
	if held != 1 {
		t.Errorf("%d objects are under leases, want the blob under the second's", held)
	}
	noIngests(t, a)
}

func TestAKeyIsHandedOnWhenItsOwnerCloses(t *testing.T) {
	t.Parallel()
	dir := empty(t)
	a, b := open(t, dir), open(t, dir)
	p := noise(1, 1500<<10)
	w, err := a.Writer(t.Context(), ingest(p))
	must(t, err)
	_, err = w.Write(p[:300<<10])
	must(t, err)
	type opened struct {
		w   content.Writer
		err error
	}
	second := make(chan opened, 1)
	go func() {
		w, err := b.Writer(t.Context(), ingest(p))
		second <- opened{w, err}
	}()
	must(t, w.Close())
	got := <-second
	must(t, got.err)
	defer got.w.Close()
	if n := got.w.Status().Offset; n != 300<<10 {
		t.Errorf("it goes on at %d", n)
	}
	finish(t, got.w, p)
	noIngests(t, a)
	holds(t, a, p)
}

func TestAKilledOwnersIngestIsTakenOver(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	p := noise(1, 2<<20)
	c := start(t, child(t, "write", append([]string{s.Dir()}, numbers(1, len(p), 1<<20)...)...))
	c.ready(t)
	want(t, content.ErrConflict, s.Abort(t.Context(), ingest(p).Key))
	type opened struct {
		w   content.Writer
		err error
	}
	taken := make(chan opened, 1)
	go func() {
		w, err := s.Writer(t.Context(), ingest(p))
		taken <- opened{w, err}
	}()
	c.kill(t)
	got := <-taken
	must(t, got.err)
	defer got.w.Close()
	// What was in the memory of the killed is gone: three chunks at most.
	if n := got.w.Status().Offset; n < 1<<18 || n > 1<<20 {
		t.Errorf("it goes on at %d", n)
	}
	finish(t, got.w, p)
	holds(t, s, p)
	noIngests(t, s)
}

func TestASecondProcessLeavesWhenTheFirstHasFinished(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	p := noise(1, 1<<20)
	c := start(t, child(t, "write", append([]string{s.Dir()}, numbers(1, len(p), 1000)...)...))
	c.ready(t)
	second := make(chan error, 1)
	go func() {
		_, err := s.Writer(t.Context(), ingest(p))
		second <- err
	}()
	must(t, c.stdin.Close())
	want(t, content.ErrExists, <-second)
	must(t, c.Wait())
	holds(t, s, p)
	noIngests(t, s)
}

func TestAnIngestGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	p := noise(1, 3<<20)
	half(t, s, p, 100)
	half2 := resumed(t, s, p, 100)
	_, err := half2.Write(p[100 : 2<<20])
	must(t, err)
	must(t, half2.Close())
	st, err := s.Status(t.Context(), ingest(p).Key)
	if err != nil || st.Offset != 2<<20 || st.Total != int64(len(p)) || st.Expected != oci.DigestBytes(p) {
		t.Errorf("status %+v, %v", st, err)
	}
	finish(t, resumed(t, s, p, 2<<20), p)
	holds(t, s, p)
	noIngests(t, s)
}

func TestTextThatDoesNotShrinkIsKeptLoose(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	p := noise(1, 1<<20)
	o := ingest(p)
	o.MediaType = oci.MediaTypeJSON
	info, err := store(s, o, p)
	must(t, err)
	if info.Place != "loose" {
		t.Errorf("it is in a %s", info.Place)
	}
	holds(t, s, p)
	noIngests(t, s)
}

// readsOf counts the reads of one file.
func readsOf(f *fsystest.FS, name string) *atomic.Int64 {
	var n atomic.Int64
	f.Hook(func(op fsystest.Op, file string) error {
		if op == fsystest.OpRead && file == name {
			n.Add(1)
		}
		return nil
	})
	return &n
}

const checkpoint = 64 << 20

// A checkpoint saves hashing in the same boot and counts for nothing else.
func TestResumingHashesOnlyBehindTheCheckpoint(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 65 MiB")
	}
	t.Parallel()
	s := open(t, empty(t))
	p := noise(1, checkpoint+2<<20)
	at := checkpoint + 1<<20
	half(t, s, p, at)
	key := ingest(p).Key
	var row db.Ingest
	catalog(t, s.Dir(), func(tx *db.Tx) (err error) {
		row, _, err = tx.Ingest(key)
		return err
	})
	if row.Offset < checkpoint || row.Offset > int64(at) || len(row.HashState) == 0 {
		t.Fatalf("the checkpoint is at %d with a state of %d bytes", row.Offset, len(row.HashState))
	}
	setRow := func(offset int64, state []byte, boot string) {
		catalog(t, s.Dir(), func(tx *db.Tx) error { return tx.Checkpoint(key, offset, state, boot, time.Now()) })
	}
	const all, rest = 64, 4 // reads, of at least and at most so many
	for _, c := range []struct {
		name   string
		set    func()
		offset int
		few    bool
	}{
		{"the same boot", func() {}, at, true},
		{"the same boot, again", func() {}, at, true},
		{"another boot", func() { setRow(row.Offset, row.HashState, "another") }, at, false},
		{"no boot id", func() { setRow(row.Offset, row.HashState, "") }, at, false},
		{"a garbage state", func() { setRow(row.Offset, []byte("garbage"), row.BootID) }, at, false},
		{"a shorter file", func() {
			setRow(row.Offset, row.HashState, row.BootID)
			must(t, os.Truncate(ingestFile(s, key), checkpoint/2))
		}, checkpoint / 2, false},
	} {
		c.set()
		f, err := fsystest.New(fsys.OS(), t.TempDir())
		must(t, err)
		again := openWith(t, s.Dir(), blobstore.Options{FS: f})
		n := readsOf(f, ingestFile(s, key))
		w := resumed(t, again, p, c.offset)
		if got := n.Load(); c.few && got > rest || !c.few && got < all {
			t.Errorf("%s: %d reads", c.name, got)
		}
		must(t, w.Close())
	}
	finish(t, resumed(t, s, p, checkpoint/2), p)
	must(t, s.Check(t.Context(), oci.DigestBytes(p)))
	noIngests(t, s)
}

// What was thrown away must not speak for what is written after it.
func TestResetTakesTheCheckpointBack(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 65 MiB twice")
	}
	t.Parallel()
	s := open(t, empty(t))
	p := noise(1, checkpoint+1<<20)
	w, err := s.Writer(t.Context(), ingest(p))
	must(t, err)
	_, err = w.Write(p)
	must(t, err)
	must(t, w.Reset())
	must(t, w.Close())
	catalog(t, s.Dir(), func(tx *db.Tx) error {
		row, _, err := tx.Ingest(ingest(p).Key)
		if row.Offset != 0 || len(row.HashState) != 0 {
			t.Errorf("the checkpoint at %d is still there", row.Offset)
		}
		return err
	})
}

func TestATamperedIngestIsCorruptAndCanBeStartedOver(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	p := noise(1, 2<<20)
	half(t, s, p, 1<<20)
	flip(t, ingestFile(s, ingest(p).Key), 1000)
	w := resumed(t, s, p, 1<<20)
	_, err := w.Write(p[1<<20:])
	must(t, err)
	_, err = w.Commit(t.Context())
	want(t, content.ErrCorrupt, err)
	lacks(t, s, p)
	must(t, w.Reset())
	finish(t, w, p)
	holds(t, s, p)
	noIngests(t, s)
}

func TestAFileWithoutARowIsNotTrusted(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	p := noise(1, 2<<20)
	half(t, s, p, 1<<20)
	catalog(t, s.Dir(), func(tx *db.Tx) error { return tx.DeleteIngest(ingest(p).Key) })
	finish(t, resumed(t, s, p, 0), p)
	holds(t, s, p)
	noIngests(t, s)
}

// A process that was killed between its commit and the unlinking leaves a second
// name of the blob behind.
func TestALeftoverNameOfABlobIsNeverWritten(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	p, q := noise(1, 2<<20), noise(2, 2<<20)
	o := ingest(p)
	o.Key = "key"
	_, err := store(s, o, p)
	must(t, err)
	blob := filepath.Join(s.Dir(), "blobs", "sha256", oci.DigestBytes(p).Encoded())
	must(t, os.Link(blob, ingestFile(s, "key")))
	o = ingest(q)
	o.Key = "key"
	_, err = store(s, o, q)
	must(t, err)
	holds(t, s, p)
	holds(t, s, q)
	noIngests(t, s)
}

func TestARowWithoutAFileBeginsAgain(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	p := noise(1, 2<<20)
	half(t, s, p, 1<<20)
	must(t, os.Remove(ingestFile(s, ingest(p).Key)))
	finish(t, resumed(t, s, p, 0), p)
	holds(t, s, p)
	half(t, s, noise(2, 1<<20), 1000)
	must(t, os.Remove(ingestFile(s, ingest(noise(2, 1<<20)).Key)))
	must(t, s.Abort(t.Context(), ingest(noise(2, 1<<20)).Key))
	noIngests(t, s)
}

func TestAnUnfinishedCommitGoesOnAsACompleteIngest(t *testing.T) {
	t.Parallel()
	s, f := instrumented(t, nil)
	p := noise(1, 2<<20)
	broken := errors.New("broken")
	f.Hook(func(op fsystest.Op, name string) error {
		if op == fsystest.OpWrite && strings.HasSuffix(name, ".pack") {
			return broken
		}
		return nil
	})
	w, err := s.Writer(t.Context(), ingest(p))
	must(t, err)
	_, err = w.Write(p)
	must(t, err)
	_, err = w.Commit(t.Context())
	want(t, broken, err)
	f.Hook(nil)
	lacks(t, s, p)
	if _, err := w.Write(nil); err != nil {
		t.Error(err)
	}
	must(t, w.Close())
	w = resumed(t, s, p, len(p))
	_, err = w.Commit(t.Context())
	must(t, err)
	holds(t, s, p)
	noIngests(t, s)
}

// What is synced while it comes is synced behind: when that fails, nothing that came is
// trusted, whether or not it was all there by then.
func TestASyncThatFailsWhileContentComes(t *testing.T) {
	t.Parallel()
	s, f := instrumented(t, nil)
	p, broken := noise(1, 20<<20), errors.New("broken")
	for _, whole := range []bool{true, false} {
		w, err := s.Writer(t.Context(), ingest(p))
		must(t, err)
		if got := w.Status().Offset; got != 0 {
			t.Fatalf("it goes on at %d", got)
		}
		f.FailNth(fsystest.OpDataSync, 1, broken)
		before := f.Count(fsystest.OpDataSync)
		_, err = w.Write(p[:18<<20])
		if err == nil && whole {
			if _, err = w.Write(p[18<<20:]); err == nil {
				_, err = w.Commit(t.Context())
			}
			want(t, broken, err)
		} else if err != nil {
			want(t, broken, err)
		}
		must(t, w.Close())
		if f.Count(fsystest.OpDataSync) == before {
			t.Error("nothing was synced")
		}
		lacks(t, s, p)
	}
	w, err := s.Writer(t.Context(), ingest(p))
	must(t, err)
	finish(t, w, p)
	holds(t, s, p)
	noIngests(t, s)
}

// No checkpoint vouches for bytes that a sync behind could not bring to the disk, although
// the checkpoint's own sync, which comes after it, hears nothing of that.
func TestNoCheckpointAfterASyncThatFailed(t *testing.T) {
	t.Parallel()
	var marks atomic.Int32
	s, f := instrumented(t, func(point string) {
		if point == "ingest.checkpointed" {
			marks.Add(1)
		}
	})
	s.CheckpointEvery(20 << 20)
	p, broken := noise(1, 24<<20), errors.New("broken")
	w, err := s.Writer(t.Context(), ingest(p))
	must(t, err)
	var syncs atomic.Int32
	written, second := make(chan struct{}), make(chan struct{})
	f.Hook(func(op fsystest.Op, _ string) error {
		switch {
		case op != fsystest.OpDataSync:
		case syncs.Add(1) == 1: // the one behind, which ends while the checkpoint waits for it
			<-written
			select {
			case <-second:
			case <-time.After(100 * time.Millisecond):
			}
			return broken
		case syncs.Load() == 2:
			close(second)
		}
		return nil
	})
	_, err = w.Write(p[:20<<20])
	must(t, err)
	close(written)
	time.Sleep(300 * time.Millisecond) // nothing comes that would hear of it
	if _, err = w.Write(p[20<<20:]); err == nil {
		_, err = w.Commit(t.Context())
	}
	want(t, broken, err)
	f.Hook(nil)
	must(t, w.Close())
	if n := marks.Load(); n > 0 {
		t.Errorf("%d checkpoints", n)
	}
	lacks(t, s, p)
}

// The other way on from there: everything again, while the old bytes have a name
// among the blobs.
func TestASealedIngestIsReplacedByReset(t *testing.T) {
	t.Parallel()
	s, f := instrumented(t, nil)
	p := noise(1, 2<<20)
	broken := errors.New("broken")
	w, err := s.Writer(t.Context(), ingest(p))
	must(t, err)
	defer w.Close()
	_, err = w.Write(p)
	must(t, err)
	f.FailNth(fsystest.OpSyncDir, 1, broken)
	_, err = w.Commit(t.Context())
	want(t, broken, err)
	must(t, w.Reset())
	if got := w.Status().Offset; got != 0 {
		t.Fatalf("the offset after Reset is %d", got)
	}
	finish(t, w, p)
	holds(t, s, p)
	noIngests(t, s)
}

func TestAnotherBlobUnderTheSameKeyIsAConflict(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	p := noise(1, 1<<20)
	half(t, s, p, 1000)
	o := ingest(noise(2, 1<<20))
	o.Key = ingest(p).Key
	_, err := s.Writer(t.Context(), o)
	want(t, content.ErrConflict, err)
	if content.Hint(err) == "" {
		t.Error("nothing says what to do")
	}
	resumed(t, s, p, 1000)
}

// flip changes a bit of the byte at off, whatever the file's mode.
func flip(t *testing.T, name string, off int64) {
	t.Helper()
	fi, err := os.Stat(name)
	must(t, err)
	p, err := os.ReadFile(name)
	must(t, err)
	if off < 0 {
		off += int64(len(p))
	}
	was := bytes.Clone(p)
	p[off] ^= 4
	if bytes.Equal(was, p) {
		t.Fatal("nothing was flipped")
	}
	must(t, os.Chmod(name, 0o600))
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt(p[off:off+1], off)
	must(t, errors.Join(err, f.Close(), os.Chmod(name, fi.Mode().Perm())))
}
