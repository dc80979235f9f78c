package blobstore_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/fsys/fsystest"
)

// ingestRow is the row of the stream's ingest.
func ingestRow(t *testing.T, s *blobstore.Store) (row db.Ingest) {
	t.Helper()
	catalog(t, s.Dir(), func(tx *db.Tx) (err error) {
		row, _, err = tx.Ingest(stream.Key)
		return err
	})
	return row
}

// The part is durable when an owner takes it over, and the row says how far it is:
// what comes after it is the new owner's.
func TestTakingOverIsACheckpoint(t *testing.T) {
	t.Parallel()
	s, f := instrumented(t, nil)
	p := noise(1, half512+1000)
	leave(t, s, stream, p)
	if row := ingestRow(t, s); row.Offset != 0 {
		t.Fatalf("the row speaks for %d bytes before anything was synced", row.Offset)
	}
	_, w := replays(t, s, stream)
	dst := t.TempDir()
	must(t, f.Crash(dst, fsystest.Truncated))
	fi, err := os.Stat(filepath.Join(dst, strings.TrimPrefix(ingestFile(s, stream.Key), filepath.Dir(s.Dir()))))
	if err != nil || fi.Size() != int64(len(p)) {
		t.Errorf("after a power cut the part is %v, %v", fi, err)
	}
	if row := ingestRow(t, s); row.Offset != int64(len(p)) || row.HashState != nil {
		t.Errorf("the row speaks for %d bytes, with a state of %d", row.Offset, len(row.HashState))
	}
	must(t, w.Close())

	// Whoever goes on at the end has a hash to go on with.
	w, err = s.Writer(t.Context(), stream)
	must(t, err)
	if row := ingestRow(t, s); row.Offset != int64(len(p)) || row.HashState == nil {
		t.Errorf("resumed, the row speaks for %d bytes, with a state of %d", row.Offset, len(row.HashState))
	}
	must(t, w.Close())
	reads := readsOf(f, ingestFile(s, stream.Key))
	w, err = s.Writer(t.Context(), stream)
	must(t, err)
	if n := reads.Load(); n > 1 {
		t.Errorf("%d reads to resume once more", n)
	}
	finish(t, w, p)
	holds(t, s, p)
}

// At a difference the row gives the rest of the part up before it is cut off.
func TestTheRowNeverSpeaksForWhatIsCutOff(t *testing.T) {
	t.Parallel()
	var s *blobstore.Store
	p, at := noise(1, 2*half512), half512+77
	looked := 0
	s, _ = instrumented(t, func(point string) {
		if point != "ingest.cutting" {
			return
		}
		looked++
		fi, err := os.Stat(ingestFile(s, stream.Key))
		if row := ingestRow(t, s); err != nil || row.Offset != int64(at) || row.HashState != nil || fi.Size() != int64(len(p)) {
			t.Errorf("the row says %d, the file is %v, %v", row.Offset, fi, err)
		}
	})
	leave(t, s, stream, p)
	_, w := replays(t, s, stream)
	writeIn(t, w, changed(p, at), 1000_000)
	must(t, w.Close())
	if looked != 1 {
		t.Errorf("the part was cut %d times", looked)
	}
	// Also for who goes on at the end of it.
	w, err := s.Writer(t.Context(), stream)
	must(t, err)
	if n := w.Status().Offset; n != int64(len(p)) {
		t.Errorf("it goes on at %d", n)
	}
	finish(t, w, changed(p, at))
	holds(t, s, changed(p, at))
}

// A file that may have a second name among the blobs is left alone.
func TestASealedPartIsNotTouched(t *testing.T) {
	t.Parallel()
	p := noise(1, half512)
	broken := errors.New("broken")
	for name, q := range map[string][]byte{"equal": p, "different": changed(p, 5), "longer": append(bytes.Clone(p), 1), "shorter": p[:7]} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, f := instrumented(t, nil)
			_, w := replays(t, s, stream)
			writeIn(t, w, p, len(p))
			f.FailNth(fsystest.OpSyncDir, 1, broken)
			_, err := w.Commit(t.Context())
			want(t, broken, err)
			must(t, w.Close())
			fi, err := os.Stat(ingestFile(s, stream.Key))
			if err != nil || fi.Mode()&0o200 != 0 {
				t.Fatalf("the part is %v, %v", fi, err)
			}
			stored(t, s, stream, q, 100_000)
			if got, err := os.ReadFile(blobFile(s, p)); err != nil && !errors.Is(err, fs.ErrNotExist) || err == nil && !bytes.Equal(got, p) {
				t.Errorf("the orphan has other bytes now, %v", err)
			}
		})
	}
}

// After a sync that failed nobody knows what the disk has.
func TestAPartThatCannotBeSyncedIsDropped(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, op := range []fsystest.Op{fsystest.OpDataSync, fsystest.OpSyncDir} {
		s, f := instrumented(t, nil)
		p := noise(1, half512)
		leave(t, s, stream, p)
		f.FailNth(op, 1, broken)
		ses := begin(t, s, blobstore.SessionOptions{Note: "ingest"})
		_, err := ses.Ingest(t.Context(), stream)
		want(t, broken, err)
		if st, err := s.Status(t.Context(), stream.Key); err != nil || st.Offset != 0 || st.Live {
			t.Errorf("%v: status %+v, %v", op, st, err)
		}
		stored(t, s, stream, p, half512)
	}
}

// A slow source is seen, and what it brought survives the owner.
func TestAStreamIsWrittenAsItComes(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	_, w := replays(t, s, stream)
	writeIn(t, w, noise(1, 1000), 1000)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		st, err := s.Status(ctx, stream.Key)
		must(t, err)
		if st.Offset == 1000 {
			break
		}
		must(t, ctx.Err())
	}
}

// Many streams under one key come one after the other, each whole.
func TestDifferentStreamsUnderOneKeyAreEachStored(t *testing.T) {
	t.Parallel()
	dir := empty(t)
	var (
		wg     sync.WaitGroup
		common = noise(1, half512)
		s      = open(t, dir)
	)
	for i := range 6 {
		wg.Go(func() {
			p := append(bytes.Clone(common), noise(uint64(i), 1000*i)...)
			s, err := blobstore.Open(context.Background(), dir, blobstore.Options{})
			if err == nil {
				err = errors.Join(ingestAll(s, stream, p), s.Close())
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for i := range 6 {
		holds(t, s, append(bytes.Clone(common), noise(uint64(i), 1000*i)...))
	}
	noIngests(t, s)
}

// ingestAll is a whole ingest of a stream, of what may be there already.
func ingestAll(s *blobstore.Store, o content.IngestOptions, p []byte) error {
	ctx := context.Background()
	ses, err := s.Begin(ctx, blobstore.SessionOptions{Note: "ingest", Keep: 1e12})
	if err != nil {
		return err
	}
	defer ses.Close()
	w, err := ses.Ingest(ctx, o)
	if errors.Is(err, content.ErrExists) {
		return ses.Commit(ctx)
	}
	if err != nil {
		return err
	}
	defer w.Close()
	for rest := p; len(rest) > 0; {
		n, err := w.Write(rest[:min(len(rest), 300_000)])
		if err != nil {
			return err
		}
		rest = rest[n:]
	}
	if _, err := w.Commit(ctx); err != nil {
		return err
	}
	return ses.Commit(ctx)
}

func TestAKilledStreamsPartIsComparedAndTakenOver(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	p := noise(1, 2<<20)
	c := start(t, child(t, "ingest", append([]string{s.Dir()}, numbers(1, len(p), 1<<20)...)...))
	c.ready(t)
	st, err := s.Status(t.Context(), stream.Key)
	if err != nil || !st.Live || st.PID != c.Process.Pid {
		t.Errorf("status %+v, %v; the owner is %d", st, err, c.Process.Pid)
	}
	want(t, content.ErrConflict, s.Abort(t.Context(), stream.Key))
	next := make(chan error, 1)
	go func() { next <- ingestAll(s, expecting(p), p) }()
	c.kill(t)
	must(t, <-next)
	holds(t, s, p)
	noIngests(t, s)
}

// To look at an ingest takes its lock for a moment.
func TestLookingDoesNotHinderAborting(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	stop, looking := make(chan struct{}), make(chan struct{})
	var wg sync.WaitGroup
	t.Cleanup(func() { // before the store is closed, also when Abort has failed
		close(stop)
		wg.Wait()
	})
	for range 2 {
		wg.Go(func() {
			for {
				for _, err := range s.Active(context.Background()) {
					if err != nil {
						t.Error(err)
					}
				}
				select {
				case looking <- struct{}{}:
				case <-stop:
					return
				}
			}
		})
	}
	for range 40 {
		leave(t, s, stream, noise(1, 100))
		for range 4 {
			<-looking
		}
		must(t, s.Abort(t.Context(), stream.Key))
	}
	noIngests(t, s)
}

// An ingest whose file is lost is left behind, and can be given up.
func TestARowWithoutAFileIsNotLive(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	leave(t, s, stream, noise(1, 100))
	must(t, os.Remove(ingestFile(s, stream.Key)))
	if st, err := s.Status(t.Context(), stream.Key); err != nil || st.Live {
		t.Errorf("status %+v, %v", st, err)
	}
	stored(t, s, stream, noise(2, 100), 50)
}

// A long stream that took over a part that differs has checkpoints of its own.
func TestCheckpointsGoOnBehindACut(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 65 MiB")
	}
	t.Parallel()
	s, f := instrumented(t, nil)
	p := noise(1, checkpoint+1<<20)
	leave(t, s, stream, changed(p[:half512], 1000))
	_, w := replays(t, s, stream)
	writeIn(t, w, p, half512)
	must(t, w.Close())
	row := ingestRow(t, s)
	if row.Offset < checkpoint || row.Offset > int64(len(p)) || row.HashState == nil {
		t.Fatalf("the checkpoint is at %d with a state of %d bytes", row.Offset, len(row.HashState))
	}
	dst := t.TempDir()
	must(t, f.Crash(dst, fsystest.Zeroed))
	after := openWith(t, filepath.Join(dst, "store"), blobstore.Options{FS: fsys.OS()})
	catalog(t, after.Dir(), func(tx *db.Tx) error {
		return tx.Checkpoint(stream.Key, row.Offset, row.HashState, "another", row.Updated)
	})
	w, err := after.Writer(t.Context(), stream)
	must(t, err)
	if n := w.Status().Offset; n != row.Offset {
		t.Errorf("after a power cut it goes on at %d, want %d", n, row.Offset)
	}
	must(t, w.Close())
	stored(t, after, stream, p, half512)
}
