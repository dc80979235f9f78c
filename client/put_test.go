package client_test

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dist.example/client"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryserver/registrytest"
)

func TestPutAndGet(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	for _, p := range [][]byte{nil, []byte("a"), registrytest.Bytes(1, 256<<10), registrytest.Bytes(2, 3<<20), bytes.Repeat([]byte("text\n"), 300<<10)} {
		info := put(t, c, p)
		if info.Digest != oci.DigestBytes(p) || info.Size != int64(len(p)) || info.MediaType != oci.MediaTypeOctets {
			t.Errorf("%d bytes: %+v", len(p), info)
		}
		if got := get(t, c, info.Digest.String()); !bytes.Equal(got, p) {
			t.Errorf("%d bytes came back as %d others", len(p), len(got))
		}
		again := put(t, c, p)
		if again.Digest != info.Digest || again.Size != info.Size {
			t.Errorf("put again: %+v", again)
		}
	}
	if got := 0; true {
		for _, err := range c.List(t.Context()) {
			must(t, err)
			got++
		}
		if got != 5 {
			t.Errorf("%d objects are listed", got)
		}
	}
	_, err := c.Put(t.Context(), client.PutOptions{Type: oci.MediaTypeManifest}, strings.NewReader("no manifest"))
	want(t, content.ErrInvalid, err)
	_, err = c.Put(t.Context(), client.PutOptions{Type: "no type at all"}, strings.NewReader("x"))
	want(t, content.ErrInvalid, err)
}

// written makes n files and lists them.
func written(t *testing.T, n int) (paths []string, sizes []int) {
	t.Helper()
	dir := t.TempDir()
	for i := range n {
		size := 100 + i
		if i%37 == 5 {
			size = 400<<10 + i // goes its own way, and slower
		}
		name := filepath.Join(dir, fmt.Sprintf("file%03d", i))
		must(t, os.WriteFile(name, registrytest.Bytes(uint64(i), size), 0o600))
		paths, sizes = append(paths, name), append(sizes, size)
	}
	return paths, sizes
}

func each(paths []string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, p := range paths {
			if !yield(p, nil) {
				return
			}
		}
	}
}

func TestPutBatchTellsInOrder(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	paths, sizes := written(t, 120)
	paths, sizes = append(paths, paths[3]), append(sizes, sizes[3]) // the same again
	n := 0
	must(t, c.PutBatch(t.Context(), client.PutOptions{}, each(paths), func(path string, info content.Info) {
		if n < len(paths) && (path != paths[n] || info.Size != int64(sizes[n])) {
			t.Errorf("number %d is %s with %d bytes", n, path, info.Size)
		}
		if _, err := store(t, c).Info(t.Context(), info.Digest); err != nil {
			t.Errorf("told of before it is there: %v", err)
		}
		n++
	}))
	if n != len(paths) {
		t.Errorf("%d of %d files were told of", n, len(paths))
	}
}

func TestPutBatchEndsWithTheFirstError(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	paths, sizes := written(t, 30)
	paths[10] = filepath.Join(t.TempDir(), "nothing")
	told := 0
	err := c.PutBatch(t.Context(), client.PutOptions{}, each(paths), func(path string, _ content.Info) {
		if path != paths[told] {
			t.Errorf("number %d is %s", told, path)
		}
		told++
	})
	want(t, content.ErrNotFound, err)
	if told > 10 {
		t.Errorf("%d files were told of", told)
	}
	for i := range told {
		must(t, c.Check(t.Context(), oci.DigestBytes(registrytest.Bytes(uint64(i), sizes[i])).String()))
	}
	broken := errors.New("broken list")
	err = c.PutBatch(t.Context(), client.PutOptions{}, func(yield func(string, error) bool) { yield("", broken) }, func(string, content.Info) {})
	want(t, broken, err)
}

func TestGetFileReplacesOnlyWithTheRightBytes(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	small, large := []byte("small"), registrytest.Bytes(1, 900_000)
	dir := t.TempDir()
	path := filepath.Join(dir, "out")
	for _, p := range [][]byte{small, large} {
		info := put(t, c, p)
		_, err := c.GetFile(t.Context(), info.Digest.String(), path)
		must(t, err)
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, p) {
			t.Errorf("%d bytes came out as %d others, %v", len(p), len(got), err)
		}
	}
	must(t, os.WriteFile(path, []byte("before"), 0o600))
	unchanged := func() {
		t.Helper()
		if got, err := os.ReadFile(path); err != nil || string(got) != "before" {
			t.Errorf("the file has %d bytes, %v", len(got), err)
		}
		if entries, _ := os.ReadDir(dir); len(entries) != 1 {
			t.Errorf("left beside it: %v", entries)
		}
	}
	damage(t, c, oci.DigestBytes(large))
	for range 2 { // found, then known
		_, err := c.GetFile(t.Context(), oci.DigestBytes(large).String(), path)
		want(t, content.ErrCorrupt, err)
		unchanged()
	}
	if info, err := c.Stat(t.Context(), oci.DigestBytes(large).String()); err != nil || info.Place != "damaged" {
		t.Errorf("Stat: %+v, %v", info, err)
	}
	_, err := c.GetFile(t.Context(), oci.DigestBytes([]byte("nothing")).String(), path)
	want(t, content.ErrNotFound, err)
	unchanged()
	_, err = c.GetFile(t.Context(), oci.DigestBytes(small).String(), dir)
	want(t, content.ErrInvalid, err)
	unchanged()
	_, err = c.GetFile(t.Context(), oci.DigestBytes(small).String(), filepath.Join(dir, "no", "such", "folder"))
	want(t, content.ErrNotFound, err)
}

// What comes out is the caller's: writing to it must not reach the store.
func TestGetFileGivesAFileOfItsOwn(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	p := registrytest.Bytes(1, 900_000)
	put(t, c, p)
	path := filepath.Join(t.TempDir(), "out")
	_, err := c.GetFile(t.Context(), oci.DigestBytes(p).String(), path)
	must(t, err)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt([]byte("scribble"), 1000)
	must(t, errors.Join(err, f.Close()))
	must(t, c.Check(t.Context(), oci.DigestBytes(p).String()))
}
