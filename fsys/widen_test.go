package fsys_test

import (
	"os"
	"path/filepath"
	"testing"

	"dist.example/fsys"
)

// A pipe is widened where the system can, and everything else is left as it is.
func TestWiden(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	fsys.Widen(r)
	fsys.Widen(open(t, filepath.Join(t.TempDir(), "file"), os.O_RDWR|os.O_CREATE))
	fsys.Widen("no file")
	fsys.Widen(nil)
	checkWide(t, w)
	closed, _, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	fsys.Widen(closed)
}
