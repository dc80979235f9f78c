package bundle

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"dist.example/oci"
)

// What is known of an archive is small, whatever its headers say besides.
func TestTheIndexOfATarKeepsNoLongHeaders(t *testing.T) {
	const members = 64
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := range members {
		h := &tar.Header{Typeflag: tar.TypeReg, Format: tar.FormatPAX, Name: fmt.Sprintf("%03d-é", i)}
		if i%2 == 0 {
			h.PAXRecords = map[string]string{"TEST.comment": strings.Repeat("x", 900<<10)}
		} else {
			h.Name += strings.Repeat("x", 900<<10)
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	before := heapInUse()
	index, err := indexTar(context.Background(), bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if kept := heapInUse() - before; kept > 4<<20 {
		t.Errorf("the index of %d members keeps %d bytes", members, kept)
	}
	if len(index) != members/2 {
		t.Errorf("%d members are known, want %d", len(index), members/2)
	}
	runtime.KeepAlive(b.Bytes())
}

// Small members cost no read each, neither for their headers nor to look which of them
// may be manifests.
func TestSmallMembersAreReadManyAtOnce(t *testing.T) {
	const members = 1000
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := range members {
		data := fmt.Appendf(nil, `{"n":%d}`, i)
		h := &tar.Header{Typeflag: tar.TypeReg, Name: blobName(oci.DigestBytes(data)), Size: int64(len(data))}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r := &counted{ReaderAt: bytes.NewReader(b.Bytes())}
	a, err := readArchive(context.Background(), r, int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(a.unlisted(nil)); n != members {
		t.Errorf("%d members may be manifests, want %d", n, members)
	}
	if r.reads > members/10 {
		t.Errorf("%d members took %d reads", members, r.reads)
	}
}

type counted struct {
	io.ReaderAt
	reads int
}

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	c.reads++
	return c.ReaderAt.ReadAt(p, off)
}

func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
