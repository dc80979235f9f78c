package blobstore_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
)

// sizes lie on both sides of all that decides where content is collected: pooled
// buffers, memory, one chunk of a pipe, many.
var sizes = []int{0, 1, 300, 64 << 10, 256 << 10, 300 << 10, 1 << 20, 1<<20 + 1, 3<<20 + 17}

func TestAWriterReadsFromAReaderWhatWriteWouldHaveGotten(t *testing.T) {
	t.Parallel()
	for i, size := range sizes {
		p := noise(uint64(i+1), size)
		for _, total := range []int64{int64(size), -1} {
			s, _ := instrumented(t, nil)
			ses := begin(t, s, blobstore.SessionOptions{Note: "test"})
			o := content.IngestOptions{Key: "key", Expected: oci.DigestBytes(p), Total: total}
			w, err := ses.Writer(t.Context(), o)
			must(t, err)
			n, err := w.(io.ReaderFrom).ReadFrom(iotest.DataErrReader(iotest.HalfReader(bytes.NewReader(p))))
			must(t, err)
			if n != int64(size) || w.Status().Offset != int64(size) {
				t.Errorf("%d bytes, total %d: read %d, the writer is at %d", size, total, n, w.Status().Offset)
			}
			_, err = w.Commit(t.Context())
			must(t, err)
			must(t, ses.Commit(t.Context()))
			holds(t, s, p)
		}
	}
}

func TestReadingMoreThanExpectedIsRefused(t *testing.T) {
	t.Parallel()
	for i, size := range sizes {
		s, _ := instrumented(t, nil)
		ses := begin(t, s, blobstore.SessionOptions{Note: "test"})
		p := noise(uint64(i+1), size+1)
		w, err := ses.Writer(t.Context(), ingest(p[:size]))
		must(t, err)
		_, err = w.(io.ReaderFrom).ReadFrom(bytes.NewReader(p))
		want(t, content.ErrCorrupt, err)
		if got := w.Status().Offset; got != int64(size) {
			t.Errorf("%d bytes: the writer is at %d", size, got)
		}
		must(t, w.Close())
	}
}

func TestReadingGoesOnAfterAReaderThatBroke(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for i, size := range sizes[1:] {
		s, _ := instrumented(t, nil)
		ses := begin(t, s, blobstore.SessionOptions{Note: "test"})
		p := noise(uint64(i+1), size)
		w, err := ses.Writer(t.Context(), ingest(p))
		must(t, err)
		n, err := w.(io.ReaderFrom).ReadFrom(io.MultiReader(bytes.NewReader(p[:size/2]), iotest.ErrReader(broken)))
		want(t, broken, err)
		if n != int64(size/2) {
			t.Errorf("%d bytes: read %d before the end", size, n)
		}
		_, err = w.(io.ReaderFrom).ReadFrom(bytes.NewReader(p[n:]))
		must(t, err)
		_, err = w.Commit(t.Context())
		must(t, err)
		must(t, ses.Commit(t.Context()))
		holds(t, s, p)
	}
}

// Buffers are used again: what one blob left in its buffer must not show in the
// next.
func TestBlobsOneAfterTheOtherDoNotMix(t *testing.T) {
	t.Parallel()
	s, _ := instrumented(t, nil)
	ses := begin(t, s, blobstore.SessionOptions{Note: "test"})
	var blobs [][]byte
	for i := range 20 {
		p := noise(uint64(i+1), 900<<10-i*40<<10)
		blobs = append(blobs, p)
		w, err := ses.Writer(t.Context(), ingest(p))
		must(t, err)
		if i%2 == 0 {
			_, err = w.(io.ReaderFrom).ReadFrom(bytes.NewReader(p))
		} else {
			_, err = w.Write(p)
		}
		must(t, err)
		_, err = w.Commit(t.Context())
		must(t, err)
	}
	must(t, ses.Commit(t.Context()))
	for _, p := range blobs {
		holds(t, s, p)
	}
}
