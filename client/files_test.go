package client_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"dist.example/client"
	"dist.example/content"
	"dist.example/oci"
)

// shipped is one part of an artifact that somebody else made.
type shipped struct {
	data  []byte
	notes map[string]string
}

func titled(title, data string) shipped {
	return shipped{[]byte(data), map[string]string{oci.AnnotationTitle: title}}
}

// tarred is a part that is the tar of a folder.
func tarred(t *testing.T, title string, entries ...tar.Header) shipped {
	t.Helper()
	var plain, packed bytes.Buffer
	w := tar.NewWriter(&plain)
	for _, h := range entries {
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		body := []byte(nil)
		if h.Typeflag == tar.TypeReg {
			body = []byte("of " + h.Name)
		}
		if h.Typeflag != tar.TypeXGlobalHeader {
			h.Size, h.Mode = int64(len(body)), 0o644
		}
		must(t, w.WriteHeader(&h))
		_, err := w.Write(body)
		must(t, err)
	}
	must(t, w.Close())
	z := gzip.NewWriter(&packed)
	_, err := z.Write(plain.Bytes())
	must(t, err)
	must(t, z.Close())
	return shipped{packed.Bytes(), map[string]string{
		oci.AnnotationTitle: title, "io.deis.oras.content.unpack": "true",
		"io.deis.oras.content.digest": oci.DigestBytes(plain.Bytes()).String(),
	}}
}

// ship puts an artifact of parts into c's store.
func ship(t *testing.T, c *client.Client, parts ...shipped) string {
	t.Helper()
	m := oci.Manifest{MediaType: oci.MediaTypeManifest, ArtifactType: "application/vnd.example.thing"}
	m.SchemaVersion = 2
	m.Config = oci.Describe(oci.MediaTypeEmpty, []byte("{}"))
	put(t, c, []byte("{}"))
	for _, p := range parts {
		desc := oci.Describe(oci.MediaTypeOctets, p.data)
		desc.Annotations = p.notes
		put(t, c, p.data)
		m.Layers = append(m.Layers, desc)
	}
	data, desc, err := oci.Encode(oci.MediaTypeManifest, m)
	must(t, err)
	_, err = c.Put(t.Context(), client.PutOptions{Type: oci.MediaTypeManifest}, bytes.NewReader(data))
	must(t, err)
	return desc.Digest.String()
}

// tree lists what is below dir: files with their content, folders with a slash.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	must(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, p)
		rel = filepath.ToSlash(rel)
		switch {
		case err != nil || rel == ".":
			return err
		case d.IsDir():
			found[rel+"/"] = ""
		case d.Type()&fs.ModeSymlink != 0:
			to, err := os.Readlink(p)
			found[rel] = "-> " + to
			return err
		default:
			data, err := os.ReadFile(p)
			found[rel] = string(data)
			return err
		}
		return nil
	}))
	return found
}

func TestFilesOfAnArtifactComeBack(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	large := strings.Repeat("large ", 100_000)
	id := ship(t, c, titled("a.txt", "a"), titled("./in/deep/b", large), shipped{data: []byte("no title")},
		tarred(t, "folder", tar.Header{Name: "folder/", Typeflag: tar.TypeDir}, tar.Header{Name: "./folder/x"},
			tar.Header{Name: "folder/sub/y"}, tar.Header{Name: "folder/z", Typeflag: tar.TypeLink, Linkname: "folder/x"},
			tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "c"}}),
		tarred(t, "."), tarred(t, "in/empty"))
	dir := filepath.Join(t.TempDir(), "new", "out")
	written, err := c.GetFiles(t.Context(), id, dir, client.FilesOptions{})
	must(t, err)
	want := map[string]string{
		"a.txt": "a", "in/": "", "in/deep/": "", "in/deep/b": large, "in/empty/": "",
		"folder/": "", "folder/x": "of ./folder/x", "folder/z": "of ./folder/x", "folder/sub/": "", "folder/sub/y": "of folder/sub/y",
	}
	if got := tree(t, dir); !maps.Equal(got, want) {
		t.Errorf("%q", slices.Sorted(maps.Keys(got)))
	}
	var names []string
	for _, f := range written {
		names = append(names, f.Path)
		if f.Size != int64(len(want[f.Path])) {
			t.Errorf("%+v", f)
		}
	}
	if !slices.Equal(names, []string{"a.txt", "in/deep/b", "folder/x", "folder/sub/y", "folder/z"}) {
		t.Errorf("%q", names)
	}
}

func TestHostileArtifactsWriteNothing(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	link := func(name, to string) tar.Header {
		return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: to}
	}
	other := tarred(t, "f", tar.Header{Name: "f/a"})
	other.notes["io.deis.oras.content.digest"] = oci.DigestBytes([]byte("another")).String()
	noDigest := tarred(t, "f", tar.Header{Name: "f/a"})
	noDigest.notes["io.deis.oras.content.digest"] = "sha256:xyz"
	noTar := tarred(t, "f")
	noTar.data = []byte("this is no tar, and long enough not to be taken for an empty one")
	delete(noTar.notes, "io.deis.oras.content.digest")
	short := tarred(t, "f", tar.Header{Name: "f/a"})
	short.data = short.data[:len(short.data)-20]
	for name, h := range map[string]struct {
		class error
		parts []shipped
	}{
		"an absolute title":           {content.ErrInvalid, []shipped{titled("/etc/x", "")}},
		"a title above":               {content.ErrInvalid, []shipped{titled("../x", "")}},
		"a title that comes back":     {content.ErrInvalid, []shipped{titled("a/../x", "")}},
		"a backslash":                 {content.ErrInvalid, []shipped{titled(`..\x`, "")}},
		"a NUL":                       {content.ErrInvalid, []shipped{titled("a\x00b", "")}},
		"an empty title":              {content.ErrInvalid, []shipped{titled("", "")}},
		"a file that is the folder":   {content.ErrInvalid, []shipped{titled(".", "")}},
		"one title twice":             {content.ErrInvalid, []shipped{titled("x", "1"), titled("./x", "2")}},
		"a file that is a folder too": {content.ErrInvalid, []shipped{titled("x", "1"), titled("x/y", "2")}},
		"a folder that is a file too": {content.ErrInvalid, []shipped{titled("x/y", "1"), titled("x", "2")}},
		"a title in a folder":         {content.ErrInvalid, []shipped{tarred(t, "f", tar.Header{Name: "f/a"}), titled("f/a", "2")}},
		"an entry elsewhere":          {content.ErrInvalid, []shipped{tarred(t, "f", tar.Header{Name: "g/a"})}},
		"an entry like the title":     {content.ErrInvalid, []shipped{tarred(t, "f", tar.Header{Name: "ff/a"})}},
		"an entry above":              {content.ErrInvalid, []shipped{tarred(t, "f", tar.Header{Name: "f/../../a"})}},
		"an absolute entry":           {content.ErrInvalid, []shipped{tarred(t, ".", tar.Header{Name: "/a"})}},
		"an entry twice":              {content.ErrInvalid, []shipped{tarred(t, "f", tar.Header{Name: "f/a"}, tar.Header{Name: "f/a"})}},
		"the title as a file":         {content.ErrInvalid, []shipped{tarred(t, "f", tar.Header{Name: "f"})}},
		"the title as a link":         {content.ErrInvalid, []shipped{tarred(t, "f", link("f", "x"))}},
		"an absolute link":            {content.ErrUnsupported, []shipped{tarred(t, "f", link("f/a", "/etc/passwd"))}},
		"a link out":                  {content.ErrUnsupported, []shipped{tarred(t, "f", link("f/a", "../../x"))}},
		"a link up after a link":      {content.ErrUnsupported, []shipped{tarred(t, "f", link("f/s", "../t"), link("f/b/l", "s/../../z"))}},
		"a link by backslash":         {content.ErrUnsupported, []shipped{tarred(t, "f", link("f/a", `..\..\x`))}},
		"an entry through a link":     {content.ErrInvalid, []shipped{tarred(t, "f", link("f/l", "."), tar.Header{Name: "f/l/a"})}},
		"a part through a link":       {content.ErrInvalid, []shipped{tarred(t, ".", link("l", "sub")), titled("l/a", "x")}},
		"a hard link out":             {content.ErrInvalid, []shipped{tarred(t, "f", tar.Header{Typeflag: tar.TypeLink, Name: "f/a", Linkname: "../x"})}},
		"a hard link elsewhere":       {content.ErrInvalid, []shipped{titled("x", "1"), tarred(t, "f", tar.Header{Typeflag: tar.TypeLink, Name: "f/a", Linkname: "x"})}},
		"a hard link to a link":       {content.ErrInvalid, []shipped{tarred(t, "f", link("f/l", "x"), tar.Header{Typeflag: tar.TypeLink, Name: "f/a", Linkname: "f/l"})}},
		"a device":                    {content.ErrUnsupported, []shipped{tarred(t, "f", tar.Header{Typeflag: tar.TypeChar, Name: "f/a"})}},
		"a pipe":                      {content.ErrUnsupported, []shipped{tarred(t, "f", tar.Header{Typeflag: tar.TypeFifo, Name: "f/a"})}},
		"another tar":                 {content.ErrCorrupt, []shipped{other}},
		"a digest that is none":       {content.ErrInvalid, []shipped{noDigest}},
		"no tar":                      {content.ErrInvalid, []shipped{noTar}},
		"a stream that ends early":    {content.ErrCorrupt, []shipped{short}},
		"no titles":                   {content.ErrInvalid, []shipped{{data: []byte("x")}}},
	} {
		if runtime.GOOS == "windows" && strings.Contains(name, "link") {
			continue // which not every user may make
		}
		top := t.TempDir()
		dir := filepath.Join(top, "in", "out")
		// The good part comes first: it does not get its name either.
		parts := append([]shipped{titled("good", "good")}, h.parts...)
		if name == "no titles" {
			parts = h.parts
		}
		_, err := c.GetFiles(t.Context(), ship(t, c, parts...), dir, client.FilesOptions{Force: true})
		if !isClass(err, h.class) {
			t.Errorf("%s: %v, want %v", name, err, h.class)
		}
		for got := range tree(t, top) {
			if got != "in/" && got != "in/out/" {
				t.Errorf("%s: left %q", name, got)
			}
		}
	}
}

// A sparse entry grows when it is read, which no cap on what is decompressed sees.
func TestASparseFileIsRefused(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	// GNU's format 1.0: the extended header says a size, the map that nothing of it
	// is there.
	pax := "22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n23 GNU.sparse.name=f/a\n37 GNU.sparse.realsize=1099511627776\n"
	tarball := slices.Concat(block('x', pax), block('0', "1\n1099511627776\n0\n"+strings.Repeat("\x00", 512-18)), make([]byte, 1024))
	r := tar.NewReader(bytes.NewReader(tarball))
	if h, err := r.Next(); err != nil || h.Size != 1<<40 || h.Name != "f/a" {
		t.Fatalf("the tar is none: %+v, %v", h, err)
	}
	p := shipped{tarball, map[string]string{oci.AnnotationTitle: "f", "io.deis.oras.content.unpack": "true"}}
	_, err := c.GetFiles(t.Context(), ship(t, c, p), t.TempDir(), client.FilesOptions{})
	want(t, content.ErrUnsupported, err)
}

// block is a member of a tar as USTAR writes it.
func block(kind byte, data string) []byte {
	b := make([]byte, 512+(len(data)+511)/512*512)
	copy(b, "f/a")
	copy(b[100:], "0000644\x000000000\x000000000\x00")
	copy(b[124:], fmt.Sprintf("%011o\x0000000000000\x00        ", len(data)))
	b[156] = kind
	copy(b[257:], "ustar\x0000")
	copy(b[512:], data)
	sum := 0
	for _, c := range b[:512] {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

func FuzzEntriesStayBelow(f *testing.F) {
	for _, seed := range []string{"a/b", "../a", "/a", "a/../../b", "./a", "a\\b", "", ".", "a//b", "con", "c:x"} {
		f.Add(seed, seed, byte(tar.TypeReg))
		f.Add("f/"+seed, seed, byte(tar.TypeSymlink))
	}
	c := client.New(client.Options{Store: filepath.Join(f.TempDir(), "store")})
	f.Cleanup(func() { c.Close() })
	f.Fuzz(func(t *testing.T, name, link string, kind byte) {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		if w.WriteHeader(&tar.Header{Name: name, Linkname: link, Typeflag: kind, Mode: 0o644}) != nil || w.Close() != nil {
			return
		}
		top := t.TempDir()
		p := shipped{b.Bytes(), map[string]string{oci.AnnotationTitle: "f", "io.deis.oras.content.unpack": "true"}}
		files, err := c.GetFiles(t.Context(), ship(t, c, p, titled(name, "x")), filepath.Join(top, "out"), client.FilesOptions{})
		for got, data := range tree(t, top) {
			if !strings.HasPrefix(got, "out/") || err != nil && got != "out/" {
				t.Fatalf("%q, link to %q, kind %d: left %q with %v", name, link, kind, got, err)
			}
			if to, ok := strings.CutPrefix(data, "-> "); ok && !filepath.IsLocal(filepath.Join(filepath.Dir(got[len("out/"):]), to)) {
				t.Fatalf("%q leads to %q, out of the folder", got, to)
			}
		}
		if err == nil && len(files) == 0 {
			t.Fatalf("%q: nothing and no error", name)
		}
	})
}
