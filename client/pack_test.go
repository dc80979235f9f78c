package client_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"dist.example/client"
	"dist.example/content"
	"dist.example/layer"
	"dist.example/oci"
)

// folder makes a tree with other times each time it is called.
func folder(t *testing.T, when time.Time) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	for name, data := range map[string]string{"bin/tool": "#!/bin/sh\n", "etc/conf": "a=b\n", "empty": ""} {
		name = filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(name), 0o755))
		must(t, os.WriteFile(name, []byte(data), 0o644))
	}
	must(t, os.Chmod(filepath.Join(dir, "bin/tool"), 0o755))
	must(t, filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(name, when, when)
	}))
	return dir
}

// packAs packs under a name, for linux/amd64 if nothing else is said.
func packAs(t *testing.T, c *client.Client, name string, o client.PackOptions, words ...string) client.Packed {
	t.Helper()
	if o.Platform == nil {
		o.Platform = platform(t, "linux/amd64")
	}
	p, err := c.Pack(t.Context(), name, words, o)
	must(t, err)
	return p
}

func TestPackOfTheSameIsTheSame(t *testing.T) {
	t.Parallel()
	early, late := time.Unix(1_000_000_000, 0), time.Unix(1_500_000_000, 7)
	c := newClient(t)
	for _, compression := range []layer.Compression{layer.None, layer.Gzip, layer.Zstd} {
		o := client.PackOptions{Compression: &compression}
		a, b := packAs(t, c, "mine:v1", o, folder(t, early)), packAs(t, newClient(t), "mine:v1", o, folder(t, late))
		if a.Descriptor.Digest != b.Descriptor.Digest || a.Layers[0].Descriptor.Digest != b.Layers[0].Descriptor.Digest {
			t.Errorf("%s: the same folder in two places is %s and %s", compression, a.Descriptor.Digest, b.Descriptor.Digest)
		}
	}
	o := client.PackOptions{Epoch: early}
	a, b := packAs(t, c, "mine:v1", o, folder(t, late)), packAs(t, newClient(t), "mine:v1", o, folder(t, late.Add(time.Hour)))
	if a.Descriptor.Digest != b.Descriptor.Digest {
		t.Errorf("times after the epoch count: %s and %s", a.Descriptor.Digest, b.Descriptor.Digest)
	}
	if plain := packAs(t, c, "mine:v1", client.PackOptions{}, folder(t, late)); plain.Descriptor.Digest == a.Descriptor.Digest {
		t.Error("the epoch does not count")
	}
}

func TestPackMakesAnImageThatIsWhole(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	p := packAs(t, c, "mine:v1", client.PackOptions{Compression: new(layer.Gzip)}, folder(t, time.Unix(1e9, 0)))
	if got := names(t, c); !slices.Equal(got, []string{"docker.io/library/mine:v1"}) {
		t.Errorf("names: %v", got)
	}
	if m := missing(t, c, p.Descriptor.Digest); len(m) != 0 {
		t.Errorf("missing: %v", m)
	}
	if got := get(t, c, "mine:v1"); !bytes.Equal(got, p.Manifest) {
		t.Error("the name leads to another manifest")
	}
	in, err := c.Inspect(t.Context(), "mine:v1", nil)
	must(t, err)
	if in.Config == nil || in.Config.Architecture != "amd64" || !slices.Equal(in.Config.RootFS.DiffIDs, []oci.Digest{p.Layers[0].DiffID}) {
		t.Errorf("the configuration: %+v", in.Config)
	}
	for l, err := range store(t, c).AllLeases(t.Context()) {
		t.Errorf("a lease is left: %+v, %v", l, err)
	}
}

// tarball is a tar with one file, plain and compressed.
func tarball(t *testing.T) (plain, zipped []byte) {
	t.Helper()
	var b, z bytes.Buffer
	w := tar.NewWriter(&b)
	must(t, w.WriteHeader(&tar.Header{Name: "file", Mode: 0o644, Size: 4, Typeflag: tar.TypeReg}))
	_, err := w.Write([]byte("data"))
	must(t, err)
	must(t, w.Close())
	gz := gzip.NewWriter(&z)
	_, err = gz.Write(b.Bytes())
	must(t, err)
	must(t, gz.Close())
	return b.Bytes(), z.Bytes()
}

func TestPackTakesObjectsFilesAndFolders(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	plain, zipped := tarball(t)
	file := filepath.Join(t.TempDir(), "layer.tar.gz")
	must(t, os.WriteFile(file, zipped, 0o600))
	object := put(t, c, plain)
	p := packAs(t, c, "mine:v1", client.PackOptions{}, object.Digest.String(), file, folder(t, time.Unix(1e9, 0)))
	if len(p.Layers) != 3 {
		t.Fatalf("%d layers", len(p.Layers))
	}
	if l := p.Layers[0]; l.Descriptor.Digest != object.Digest || l.DiffID != object.Digest || l.Descriptor.MediaType != oci.MediaTypeLayer {
		t.Errorf("the object became %+v", l)
	}
	if l := p.Layers[1]; l.Descriptor.Digest != oci.DigestBytes(zipped) || l.DiffID != object.Digest || l.Descriptor.MediaType != layer.Gzip.MediaType() {
		t.Errorf("the file became %+v", l)
	}
	if m := missing(t, c, p.Descriptor.Digest); len(m) != 0 {
		t.Errorf("missing: %v", m)
	}
}

func TestPackRefusesWhatIsNoLayer(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	text := put(t, c, bytes.Repeat([]byte("no tar\n"), 500))
	file := filepath.Join(t.TempDir(), "text")
	must(t, os.WriteFile(file, bytes.Repeat([]byte("no tar\n"), 500), 0o600))
	for _, l := range []struct {
		word  string
		class error
	}{
		{text.Digest.String(), content.ErrInvalid},
		{file, content.ErrInvalid},
		{filepath.Join(t.TempDir(), "nothing"), content.ErrNotFound},
		{"nothing", content.ErrNotFound},
		{oci.DigestBytes([]byte("nothing")).String(), content.ErrNotFound},
	} {
		_, err := c.Pack(t.Context(), "mine:v1", []string{l.word}, client.PackOptions{})
		if !isClass(err, l.class) {
			t.Errorf("%s: %v, want %v", l.word, err, l.class)
		}
	}
	if got := names(t, c); len(got) != 0 {
		t.Errorf("names: %v", got)
	}
	_, err := c.Pack(t.Context(), "mine@"+text.Digest.String(), nil, client.PackOptions{})
	want(t, content.ErrInvalid, err)
}
