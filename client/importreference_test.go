package client_test

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dist.example/client"
	"dist.example/content"
	"dist.example/fsys"
)

// alignedTar is tarOf with large members at multiples of 4096, as an export writes them.
func alignedTar(t *testing.T, members []madeMember) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		must(t, w.Flush())
		if at := b.Len(); m.Size >= 1<<20 {
			blocks := (4096-(at+1024)%4096)/512 + 8
			m.Format, m.PAXRecords = tar.FormatPAX, map[string]string{"comment": strings.Repeat("x", blocks*512-100)}
		}
		must(t, w.WriteHeader(&m.Header))
		if m.Size >= 1<<20 && b.Len()%4096 != 0 {
			t.Fatalf("%s begins at %d", m.Name, b.Len())
		}
		_, err := w.Write(m.data)
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}

// sharesBlocks says whether the file system of dir can share blocks between files.
func sharesBlocks(t *testing.T, dir string) bool {
	t.Helper()
	a, err := os.Create(filepath.Join(dir, "a"))
	must(t, err)
	defer a.Close()
	_, err = a.Write(make([]byte, 1<<20))
	must(t, err)
	b, err := os.Create(filepath.Join(dir, "b"))
	must(t, err)
	defer b.Close()
	err = fsys.CloneRange(b, a, 4096, 100_000)
	if err == nil {
		return true
	}
	want(t, content.ErrUnsupported, err)
	return false
}

func TestLargeBlobsStayInTheArchivesBlocksWhereTheyCan(t *testing.T) {
	t.Parallel()
	shares := sharesBlocks(t, t.TempDir())
	b := largeBundle(t, 1)
	var told []string
	c := newClient(t, func(o *client.Options) { o.Warn = func(m string) { told = append(told, m) } })
	data := alignedTar(t, b.members())
	place := fileOf(t, data)
	_, err := importFrom(t, c, client.ImportOptions{Reference: true}, place)
	must(t, err)
	whole(t, c, b)
	said := strings.Join(told, "\n")
	if strings.Contains(said, "stay in the blocks") != shares || strings.Contains(said, "blocks cannot be shared") == shares {
		t.Errorf("blocks can be shared: %t; it says %q", shares, said)
	}
	// What becomes of the archive does not matter to the store.
	for i := range data {
		data[i] = 0
	}
	must(t, os.WriteFile(place, data, 0o644))
	sound(t, c)
}

func TestADamagedBlobIsNotSharedEither(t *testing.T) {
	t.Parallel()
	b := largeBundle(t, 1)
	data := alignedTar(t, b.members())
	bad := bytes.Clone(data)
	bad[len(bad)/2] ^= 1
	c := newClient(t)
	_, err := importFrom(t, c, client.ImportOptions{Reference: true}, fileOf(t, bad))
	want(t, content.ErrCorrupt, err)
	if n := names(t, c); len(n) > 0 {
		t.Errorf("names %v", n)
	}
	sound(t, c)
	_, err = importFrom(t, c, client.ImportOptions{Reference: true}, fileOf(t, data))
	must(t, err)
	whole(t, c, b)
}
