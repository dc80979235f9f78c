package layer

import (
	"bytes"
	stdgzip "compress/gzip"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
)

// sample is content that deflate shrinks to about a half.
func sample(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(r.IntN(16))
	}
	return p
}

func TestGzipIsReadByOthersAtEverySize(t *testing.T) {
	for _, n := range []int{0, 1, gzipWindow, gzipBlock - 1, gzipBlock, gzipBlock + 1, 3*gzipBlock + 5} {
		want := sample(n)
		var b bytes.Buffer
		w := newGzipWriter(&b)
		// Uneven steps, so that writes cross the blocks' ends.
		for rest := want; len(rest) > 0; {
			k := min(len(rest), 77_777)
			if _, err := w.Write(rest[:k]); err != nil {
				t.Fatal(err)
			}
			rest = rest[k:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		zr, err := stdgzip.NewReader(&b)
		if err != nil {
			t.Fatalf("%d bytes: %v", n, err)
		}
		zr.Multistream(false)
		got, err := io.ReadAll(zr)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes come back as %d, %v", n, len(got), err)
		}
		if zr.Name != "" || !zr.ModTime.IsZero() || b.Len() != 0 {
			t.Errorf("%d bytes: header %+v, %d bytes left", n, zr.Header, b.Len())
		}
	}
}

func TestGzipStopsAtAnErrorOfItsDestination(t *testing.T) {
	w := newGzipWriter(&limited{n: 100})
	p := sample(gzipBlock)
	var err error
	for i := 0; i < 50 && err == nil; i++ {
		_, err = w.Write(p)
	}
	if cerr := w.Close(); !errors.Is(err, io.ErrShortWrite) || !errors.Is(cerr, io.ErrShortWrite) {
		t.Errorf("write: %v, close: %v", err, cerr)
	}
}

// limited takes n bytes.
type limited struct{ n int }

func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.n {
		return 0, io.ErrShortWrite
	}
	l.n -= len(p)
	return len(p), nil
}
