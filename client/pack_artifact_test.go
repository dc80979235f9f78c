package client_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dist.example/client"
	"dist.example/content"
	"dist.example/layer"
	"dist.example/oci"
)

// artifact is what a test packs when it packs artifacts.
func artifact() client.PackOptions {
	return client.PackOptions{Kind: client.PackArtifact, Compression: new(layer.Gzip)}
}

// titles are those of the layers, in order.
func titles(p client.Packed) []string {
	var all []string
	for _, l := range p.Layers {
		all = append(all, l.Descriptor.Annotations[oci.AnnotationTitle])
	}
	return all
}

func TestPackAnArtifactOfFiles(t *testing.T) {
	c := newClient(t)
	t.Chdir(t.TempDir())
	must(t, os.MkdirAll("sub/deep", 0o755))
	must(t, os.WriteFile("sub/deep/x.json", []byte("{}"), 0o644))
	must(t, os.WriteFile("big", bytes.Repeat([]byte("big"), 1<<18), 0o644))
	abs := file(t, "abs.txt", []byte("abs"))
	id := put(t, c, []byte("object")).Digest.String()

	p := packAs(t, c, "art", artifact(), "./sub/../sub/deep/x.json:json", "big", abs, id, "in/named.txt="+id, "other="+abs+":text")
	want := []string{"sub/deep/x.json", "big", "abs.txt", "", "in/named.txt", "other"}
	if got := titles(p); !slices.Equal(got, want) {
		t.Errorf("titles %q, want %q", got, want)
	}
	var types []string
	for _, l := range p.Layers {
		types = append(types, l.Descriptor.MediaType)
	}
	octets := oci.MediaTypeOctets
	if want := []string{oci.MediaTypeJSON, octets, octets, octets, octets, "text/plain"}; !slices.Equal(types, want) {
		t.Errorf("types %q, want %q", types, want)
	}
	in, err := c.Inspect(t.Context(), "art", nil)
	must(t, err)
	if in.ArtifactType() != client.DefaultArtifactType || p.Descriptor.ArtifactType != in.ArtifactType() ||
		in.Manifest.Config.MediaType != oci.MediaTypeEmpty || in.Manifest.Annotations[layer.AnnotationName] != "docker.io/library/art" {
		t.Errorf("%s", p.Manifest)
	}
	if got := get(t, c, in.Manifest.Config.Digest.String()); string(got) != "{}" {
		t.Errorf("the empty configuration is %q", got)
	}
	if m := missing(t, c, p.Descriptor.Digest); len(m) != 0 {
		t.Errorf("missing: %v", m)
	}
	if got := get(t, c, p.Layers[1].Descriptor.Digest.String()); len(got) != 3<<18 {
		t.Errorf("%d bytes of the large file", len(got))
	}
}

func TestAFolderInAnArtifactUnpacksItself(t *testing.T) {
	c := newClient(t)
	t.Chdir(filepath.Dir(folder(t, time.Unix(1e9, 0))))
	p := packAs(t, c, "art", artifact(), "./tree/", "a/b=tree", "chart=tree:application/vnd.example.chart.tar+gzip")
	if got, want := titles(p), []string{"tree", "a/b", "chart"}; !slices.Equal(got, want) {
		t.Fatalf("titles %q, want %q", got, want)
	}
	for _, l := range p.Layers {
		d, title := l.Descriptor, l.Descriptor.Annotations[oci.AnnotationTitle]
		z, err := gzip.NewReader(bytes.NewReader(get(t, c, d.Digest.String())))
		must(t, err)
		plain, err := io.ReadAll(z)
		must(t, err)
		if d.Annotations["io.deis.oras.content.unpack"] != "true" || d.Annotations["io.deis.oras.content.digest"] != oci.DigestBytes(plain).String() {
			t.Errorf("%s: annotations %v", title, d.Annotations)
		}
		n := 0
		for tr := tar.NewReader(bytes.NewReader(plain)); ; n++ {
			h, err := tr.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			must(t, err)
			if !strings.HasPrefix(h.Name, title+"/") {
				t.Errorf("%s holds %s", title, h.Name)
			}
		}
		if n != 6 {
			t.Errorf("%s has %d entries", title, n)
		}
	}
	if got := p.Layers[2].Descriptor.MediaType; got != "application/vnd.example.chart.tar+gzip" {
		t.Errorf("the type became %s", got)
	}
	t.Chdir("tree")
	here := packAs(t, c, "art", artifact(), ".")
	if got := titles(here); got[0] != "." {
		t.Errorf("this folder has the title %q", got[0])
	}
	t.Chdir("etc")
	if got := titles(packAs(t, c, "art", artifact(), "..")); got[0] != "tree" {
		t.Errorf("the folder above has the title %q", got[0])
	}
}

func TestAnArtifactMayHaveAConfiguration(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	config := "config=" + file(t, "values.json", []byte(`{"name":"chart"}`)) + ":application/vnd.cncf.helm.config.v1+json"
	p := packAs(t, c, "chart", artifact(), config)
	if p.Config.MediaType != "application/vnd.cncf.helm.config.v1+json" || p.Descriptor.ArtifactType != p.Config.MediaType ||
		bytes.Contains(p.Manifest, []byte("artifactType")) {
		t.Errorf("%s", p.Manifest)
	}
	// An empty layer stands in where there is none, and goes when one comes.
	if len(p.Layers) != 1 || p.Layers[0].Descriptor.MediaType != oci.MediaTypeEmpty {
		t.Errorf("layers %+v", p.Layers)
	}
	o := artifact()
	o.Append = true
	more := packAs(t, c, "chart", o, "x="+file(t, "x", []byte("x")))
	if len(more.Layers) != 1 || more.Layers[0].Descriptor.Digest != oci.DigestBytes([]byte("x")) || more.Config.Digest != p.Config.Digest {
		t.Errorf("%s", more.Manifest)
	}
	o = artifact()
	o.ArtifactType = "application/vnd.example.thing"
	if said := packAs(t, c, "chart", o, config); said.Descriptor.ArtifactType != o.ArtifactType {
		t.Errorf("%s", said.Manifest)
	}
}

func TestPackRefusesWhatNoArtifactHas(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	plain, _ := tarball(t)
	x, dir := file(t, "x", plain), folder(t, time.Unix(1e9, 0))
	image := packAs(t, c, "image", client.PackOptions{}, x).Descriptor.Digest.String()
	for _, tc := range []struct {
		says  string
		words []string
	}{
		{"nothing to pack", nil},
		{`the title "x"`, []string{x, "x=" + dir}},
		{"-t index", []string{image}},
		{"is an image", []string{"config=" + file(t, "c", []byte("{}")) + ":config", x}},
		{"folder", []string{"config=" + dir}},
		{"title", []string{"a/../..=" + x}},
		{"title", []string{"/"}},
		{"gzip", []string{dir + ":layer+zstd"}},
	} {
		refuses(t, c, artifact(), content.ErrInvalid, tc.says, tc.words...)
	}
	for says, change := range map[string]func(*client.PackOptions){
		"gzip":   func(o *client.PackOptions) { o.Compression = new(layer.Zstd) },
		"prefix": func(o *client.PackOptions) { o.Prefix = "usr" },
		"type":   func(o *client.PackOptions) { o.ArtifactType = "a b/c" },
	} {
		o := artifact()
		change(&o)
		refuses(t, c, o, content.ErrInvalid, says, dir)
	}
	o := artifact()
	o.Compression = new(layer.None)
	refuses(t, c, o, content.ErrInvalid, "gzip", x) // without a folder, too
}

// The type given with a file is that of the artifact's part. The object keeps its
// own, by which an image takes it.
func TestATypeGivenInPackIsNotTheObjects(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	plain, zipped := tarball(t)
	loose := bytes.Repeat(plain[:1024], 2000) // what follows the tar's end does not count
	for _, data := range [][]byte{plain, zipped, loose} {
		info, err := c.Put(t.Context(), client.PutOptions{Type: "layer"}, bytes.NewReader(data))
		must(t, err)
		id, path := info.Digest.String(), file(t, "base.tar", data)
		for _, o := range []client.PackOptions{artifact(), {Kind: client.PackImage}} {
			word, mediaType := path+":text", "text/plain"
			if o.Kind == client.PackImage {
				word, mediaType = path, info.MediaType
			}
			p := packAs(t, c, "typed", o, word)
			if got := p.Layers[0].Descriptor; got.MediaType != mediaType || got.Digest != info.Digest {
				t.Errorf("%s became %+v", word, got)
			}
			if here, err := store(t, c).Info(t.Context(), info.Digest); err != nil || here.MediaType != info.MediaType {
				t.Errorf("after %s the object is %+v, %v", word, here, err)
			}
		}
		packAs(t, c, "image", client.PackOptions{}, id)
	}
	text, err := c.Put(t.Context(), client.PutOptions{Type: "text"}, strings.NewReader("{}"))
	must(t, err)
	packAs(t, c, "empty", artifact(), "config="+file(t, "c.json", []byte("{}"))+":json")
	packAs(t, c, "empty", artifact(), file(t, "x", []byte("x"))) // {} stands in for a configuration
	tar, err := c.Put(t.Context(), client.PutOptions{Type: "text"}, bytes.NewReader(plain))
	must(t, err)
	packAs(t, c, "image", client.PackOptions{}, file(t, "base.tar", plain))
	for _, d := range []oci.Digest{text.Digest, tar.Digest} {
		if here, err := store(t, c).Info(t.Context(), d); err != nil || here.MediaType != "text/plain" {
			t.Errorf("a text that was packed is %+v, %v", here, err)
		}
	}
}

func TestATitleIsText(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	name := filepath.Join(t.TempDir(), "\xff")
	if err := os.WriteFile(name, []byte("x"), 0o644); err != nil {
		t.Skip("this file system has such names only as text")
	}
	packAs(t, c, "art", artifact(), "title="+name)
	refuses(t, c, artifact(), content.ErrInvalid, "UTF-8", name)
}
