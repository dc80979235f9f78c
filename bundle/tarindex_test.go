package bundle

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
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

func heapInUse() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
