package blobstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys/fsystest"
	"dist.example/oci"
)

const half512 = 512 << 10 // two of what is compared, or handed to the disk, at a time

// stream is what Ingest takes: a key, and nothing that is expected.
var stream = content.IngestOptions{Key: "k", Total: -1, MediaType: oci.MediaTypeLayer}

// expecting is stream with everything about p known.
func expecting(p []byte) content.IngestOptions {
	o := stream
	o.Expected, o.Total = oci.DigestBytes(p), int64(len(p))
	return o
}

// replays opens an ingest of a stream in a session of its own.
func replays(t *testing.T, s *blobstore.Store, o content.IngestOptions) (*blobstore.Session, content.Writer) {
	t.Helper()
	ses := begin(t, s, blobstore.SessionOptions{Note: "ingest"})
	w, err := ses.Ingest(t.Context(), o)
	must(t, err)
	t.Cleanup(func() { w.Close() })
	if n := w.Status().Offset; n != 0 {
		t.Fatalf("a stream that comes again begins at %d", n)
	}
	return ses, w
}

// writeIn writes p in pieces.
func writeIn(t *testing.T, w content.Writer, p []byte, piece int) {
	t.Helper()
	for len(p) > 0 {
		n, err := w.Write(p[:min(piece, len(p))])
		must(t, err)
		p = p[n:]
	}
}

// leave leaves a part with the bytes of p behind.
func leave(t *testing.T, s *blobstore.Store, o content.IngestOptions, p []byte) {
	t.Helper()
	_, w := replays(t, s, o)
	writeIn(t, w, p, len(p)+1)
	must(t, w.Close())
	if fi, err := os.Stat(ingestFile(s, o.Key)); err != nil || fi.Size() != int64(len(p)) {
		t.Fatalf("the part is %v, %v", fi, err)
	}
}

// stored writes p as a whole stream and checks that exactly this is stored.
func stored(t *testing.T, s *blobstore.Store, o content.IngestOptions, p []byte, piece int) {
	t.Helper()
	ses, w := replays(t, s, o)
	writeIn(t, w, p, piece)
	if n := w.Status().Offset; n != int64(len(p)) {
		t.Errorf("after %d bytes it stands at %d", len(p), n)
	}
	info, err := w.Commit(t.Context())
	must(t, err)
	if info.Digest != oci.DigestBytes(p) || info.Size != int64(len(p)) {
		t.Errorf("stored %s of %d bytes, want %s of %d", info.Digest, info.Size, oci.DigestBytes(p), len(p))
	}
	must(t, ses.Commit(t.Context()))
	must(t, ses.Close())
	holds(t, s, p)
	noIngests(t, s)
}

// changed is p with another byte at an offset.
func changed(p []byte, at int) []byte {
	p = bytes.Clone(p)
	p[at] ^= 0x10
	return p
}

// Whatever the part has, the content is that of the stream, and of it alone.
func TestAStreamIsNeverSplicedWithThePart(t *testing.T) {
	t.Parallel()
	const n = 2*half512 + 100_000
	p := noise(1, n)
	longer := append(bytes.Clone(p), noise(2, 700_000)...)
	streams := map[string][]byte{
		"equal": p, "longer": longer, "another one": noise(3, n), "longer by a byte": longer[:n+1],
		"shorter": p[:half512+5], "shorter by a byte": p[:n-1], "shorter and different": changed(p, 9)[:10], "a byte": p[:1], "empty": {},
	}
	for _, at := range []int{0, 1, half512 - 1, half512, half512 + 1, 2 * half512, n - 1} {
		streams[fmt.Sprintf("different at %d", at)] = changed(longer, at)
	}
	for name, q := range streams {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, empty(t))
			for i, piece := range []int{99_999, half512, len(q) + 1} {
				o := stream
				o.Key = fmt.Sprint("k", i)
				leave(t, s, o, p)
				stored(t, s, o, q, piece)
			}
			leave(t, s, stream, p)
			if len(q) > 1 {
				o := expecting(q[:len(q)-1]) // not held yet
				stored(t, s, o, q[:len(q)-1], 300_000)
			}
		})
	}
}

// What is equal is read and compared, nothing else.
func TestNothingIsRewrittenWhileItIsEqual(t *testing.T) {
	t.Parallel()
	s, f := instrumented(t, nil)
	p := noise(1, 3*half512)
	leave(t, s, stream, p)
	var writes atomic.Int64
	f.Hook(func(op fsystest.Op, name string) error {
		if name == ingestFile(s, stream.Key) && (op == fsystest.OpWrite || op == fsystest.OpTruncate) {
			writes.Add(1)
		}
		return nil
	})
	ses, w := replays(t, s, stream)
	writeIn(t, w, p, 100_000)
	if st, err := s.Status(t.Context(), stream.Key); err != nil || st.Offset != int64(len(p)) || !st.Live || st.Rate(st.MarkedAt.Add(1e9)) != 0 {
		t.Errorf("status %+v, %v", st, err)
	}
	if n := writes.Load(); n != 0 {
		t.Errorf("%d changes of the part while what came was equal", n)
	}
	writeIn(t, w, noise(2, 1000), 1000)
	_, err := w.Commit(t.Context())
	must(t, errors.Join(err, ses.Commit(t.Context())))
	if n := writes.Load(); n != 1 {
		t.Errorf("%d changes of the part for what came after it, want one", n)
	}
	holds(t, s, append(p, noise(2, 1000)...))
}

// An early end leaves what is there, be it more than what came.
func TestAnEarlyEndKeepsThePart(t *testing.T) {
	t.Parallel()
	whole := noise(1, 3*half512)
	part := whole[:2*half512]
	onlyDigest := expecting(whole)
	onlyDigest.Total = -1
	onlySize := expecting(whole)
	onlySize.Expected = ""
	for name, o := range map[string]content.IngestOptions{"digest and size": expecting(whole), "digest": onlyDigest, "size": onlySize} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, empty(t))
			leave(t, s, o, part)
			for _, came := range [][]byte{whole[:1000], {}, part, whole[:2*half512+10]} {
				_, w := replays(t, s, o)
				writeIn(t, w, came, half512)
				_, err := w.Commit(t.Context())
				want(t, content.ErrCorrupt, err)
				if !strings.Contains(err.Error(), "ended early") || content.Hint(err) == "" {
					t.Errorf("%v (%s)", err, content.Hint(err))
				}
				must(t, w.Close())
				kept := int64(max(len(part), len(came)))
				if st, err := s.Status(t.Context(), o.Key); err != nil || st.Offset != kept || st.Live {
					t.Errorf("after %d bytes: %+v, %v", len(came), st, err)
				}
			}
			lacks(t, s, part)
			stored(t, s, o, whole, half512)
		})
	}
}

// What is certainly wrong leaves nothing that another try would stumble over.
func TestWrongContentIsDropped(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	p := noise(1, half512+10)
	t.Run("another digest", func(t *testing.T) {
		leave(t, s, expecting(p), p[:half512])
		_, w := replays(t, s, expecting(p))
		writeIn(t, w, changed(p, 100), half512)
		_, err := w.Commit(t.Context())
		want(t, content.ErrCorrupt, err)
		must(t, w.Close())
		noIngests(t, s)
		lacks(t, s, changed(p, 100))
	})
	t.Run("too much", func(t *testing.T) {
		leave(t, s, expecting(p), p)
		_, w := replays(t, s, expecting(p))
		_, err := w.Write(append(bytes.Clone(p), 0))
		want(t, content.ErrCorrupt, err)
		_, err = w.Commit(t.Context())
		want(t, content.ErrCorrupt, err)
		must(t, w.Close())
		noIngests(t, s)
	})
	t.Run("no manifest", func(t *testing.T) {
		o := stream
		o.MediaType = oci.MediaTypeManifest
		_, w := replays(t, s, o)
		writeIn(t, w, []byte("no manifest"), 100)
		_, err := w.Commit(t.Context())
		want(t, content.ErrInvalid, err)
		must(t, w.Close())
		noIngests(t, s)
	})
	t.Run("nothing", func(t *testing.T) {
		_, w := replays(t, s, expecting(p))
		_, err := w.Commit(t.Context())
		want(t, content.ErrCorrupt, err)
		must(t, w.Close())
		noIngests(t, s)
	})
	t.Run("and then the right one", func(t *testing.T) {
		_, w := replays(t, s, expecting(p))
		_, err := w.Write(append(bytes.Clone(p), 0))
		want(t, content.ErrCorrupt, err)
		must(t, w.Reset())
		writeIn(t, w, p, half512)
		_, err = w.Commit(t.Context())
		must(t, err)
	})
}

// A part may be more than the content: its owner did not know the size.
func TestAPartLongerThanTheContentIsCut(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	p := noise(1, 2*half512)
	o := expecting(p[:half512+3])
	leave(t, s, stream, p)
	stored(t, s, o, p[:half512+3], 100_000)
	o = expecting(p[:half512])
	o.Total = -1
	leave(t, s, stream, p)
	stored(t, s, o, p[:half512], 100_000)
}

// What another boot may have lost does not become part of anything.
func TestAStreamIsComparedWithWhatAnotherBootLeft(t *testing.T) {
	t.Parallel()
	p := noise(1, 2*half512)
	const durable = half512 + 4096
	lost := append(bytes.Clone(p[:durable]), make([]byte, len(p)-durable)...)
	for name, q := range map[string][]byte{
		"equal": p, "before": changed(p, durable-1), "at": changed(p, durable), "behind": changed(p, durable+1), "shorter": p[:durable], "zeros": lost,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, empty(t))
			leave(t, s, stream, p)
			must(t, os.WriteFile(ingestFile(s, stream.Key), lost, 0o600))
			catalog(t, s.Dir(), func(tx *db.Tx) error {
				return tx.Checkpoint(stream.Key, durable, []byte("garbage"), "another", tx.Now)
			})
			stored(t, s, stream, q, 100_000)
		})
	}
}

func TestATroubledComparisonKeepsThePart(t *testing.T) {
	t.Parallel()
	s, f := instrumented(t, nil)
	p := noise(1, 2*half512)
	leave(t, s, stream, p)
	broken := errors.New("broken")
	for _, op := range []fsystest.Op{fsystest.OpRead, fsystest.OpTruncate} {
		_, w := replays(t, s, stream)
		f.FailNth(op, 1, broken)
		_, err := w.Write(changed(p, 1000))
		want(t, broken, err)
		_, err = w.Commit(t.Context())
		want(t, broken, err)
		must(t, w.Close())
		if got, err := os.ReadFile(ingestFile(s, stream.Key)); err != nil || !bytes.Equal(got, p) {
			t.Errorf("after a %v that failed the part has %d bytes, %v", op, len(got), err)
		}
	}
	must(t, s.HookCommit(func(func() error) error { return broken }))
	ses := begin(t, s, blobstore.SessionOptions{Note: "ingest"})
	_, err := ses.Ingest(t.Context(), stream)
	want(t, broken, err)
	must(t, s.HookCommit(nil))
	stored(t, s, stream, changed(p, 1000), half512)
}

func TestAnIngestNeedsAKey(t *testing.T) {
	t.Parallel()
	ses := begin(t, open(t, empty(t)), blobstore.SessionOptions{Note: "ingest"})
	_, err := ses.Ingest(t.Context(), content.IngestOptions{Total: -1})
	want(t, content.ErrInvalid, err)
}

func TestAStreamWhoseContentIsHeldIsIgnored(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	for i, n := range []int{10, 2 << 20} {
		p := noise(uint64(i), n)
		mustStore(t, s, p)
		ses := begin(t, s, blobstore.SessionOptions{Note: "again", Keep: 1e9})
		_, err := ses.Ingest(t.Context(), expecting(p))
		want(t, content.ErrExists, err)
		must(t, ses.Commit(t.Context()))
		held := 0
		for _, objects := range leases(t, s) {
			held += len(objects)
		}
		if held != i+1 {
			t.Errorf("%d objects are under leases, want %d", held, i+1)
		}
	}
	noIngests(t, s)
}
