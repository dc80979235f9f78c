package unpack

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"dist.example/layer"
	"dist.example/oci"
)

// FuzzDisk makes what is a tar more or less, twice on top of itself, and looks for what
// has got out.
func FuzzDisk(f *testing.F) {
	if runtime.GOOS == "windows" {
		f.Skip("modes and links are those of Unix")
	}
	for _, headers := range [][]tar.Header{
		{
			{Typeflag: tar.TypeDir, Name: "a/", Mode: 0o755},
			{Name: "a/f", Mode: 0o4644},
			{Typeflag: tar.TypeSymlink, Name: "l", Linkname: "../outside"},
			{Name: "l/x"},
			{Typeflag: tar.TypeLink, Name: "h", Linkname: "a/f"},
			{Typeflag: tar.TypeSymlink, Name: "l/kept", Linkname: "/"},
		},
		{
			{Typeflag: tar.TypeSymlink, Name: "a", Linkname: "/"},
			{Name: "a/b/c"},
			{Name: "a/.wh.b"},
			{Typeflag: tar.TypeFifo, Name: "p"},
			{Typeflag: tar.TypeLink, Name: "q", Linkname: "p"},
			{Typeflag: tar.TypeChar, Name: "c"},
			{Typeflag: tar.TypeLink, Name: "d/e", Linkname: "c"},
		},
		{{Name: "x"}, {Name: "x/y"}, {Typeflag: tar.TypeLink, Name: "x", Linkname: "x/y"}, {Name: ".wh..wh..opq"}, {Name: "../outside/kept"}},
	} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, h := range headers {
			h.Size = 1
			if h.Typeflag != 0 {
				h.Size = 0
			}
			if err := w.WriteHeader(&h); err != nil {
				f.Fatal(err)
			}
			_, _ = w.Write([]byte("x")[:h.Size])
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		above := t.TempDir()
		kept, dir := filepath.Join(above, "outside", "kept"), filepath.Join(above, "rootfs")
		for _, d := range []string{filepath.Dir(kept), dir} {
			if err := os.Mkdir(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(kept, []byte("kept"), 0o644); err != nil {
			t.Fatal(err)
		}
		make2(t, dir, p)
		fi, err := os.Lstat(kept)
		if err != nil || fi.Mode() != 0o644 || fi.Size() != 4 {
			t.Errorf("what is beside it became %v: %v", fi, err)
		}
		for d, n := range map[string]int{above: 2, filepath.Dir(kept): 1} {
			if es, err := os.ReadDir(d); err != nil || len(es) != n {
				t.Errorf("in %s are %v: %v", d, es, err)
			}
		}
		_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, _ error) error {
			if e != nil && e.IsDir() {
				return os.Chmod(path, 0o700) // or it could not be removed
			}
			return nil
		})
	})
}

// make2 makes a layer twice.
func make2(t *testing.T, dir string, p []byte) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	d := newDisk(t.Context(), root, Options{Rootless: true, MaxSize: 1 << 20}, true, new(Result))
	defer d.dirs.close()
	tree := layer.NewTree(false)
	tree.Make(d)
	for range 2 {
		err := tree.Apply(t.Context(), layer.Input{
			DiffID: oci.DigestBytes(p),
			Open:   func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(p)), nil },
		})
		if err != nil {
			return
		}
	}
	if err := tree.Folders(d.finish); err != nil {
		t.Errorf("what was made cannot be finished: %v", err)
	}
}
