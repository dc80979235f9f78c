package contenttest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"dist.example/content"
	"dist.example/oci"
)

// carrier is a transport under test with the steps that every check takes.
type carrier struct {
	*testing.T
	content.Transport
	path string
}

// readEach reads every blob once.
func readEach(c *carrier, src content.ImageSource, blobs []blob) error {
	for _, b := range blobs {
		rc, err := src.Fetch(c.Context(), b.desc)
		if err != nil {
			return err
		}
		got, err := io.ReadAll(rc)
		_ = rc.Close()
		if err != nil {
			return err
		}
		if !bytes.Equal(got, b.data) {
			return fmt.Errorf("%s gives other bytes", b.desc.Digest)
		}
	}
	return nil
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// blob is content with its descriptor.
type blob struct {
	desc oci.Descriptor
	data []byte
}

func newBlob(mediaType string, data []byte) blob { return blob{descriptor(mediaType, data), data} }

// sample is an image of one platform: config, two layers, and the manifest last.
type sample struct{ blobs []blob }

func (s sample) root() oci.Descriptor { return s.blobs[len(s.blobs)-1].desc }

func sampleImage(seed uint64) sample {
	layers := []blob{newBlob(oci.MediaTypeLayerGzip, noise(seed, 5000)), newBlob(oci.MediaTypeLayerGzip, noise(seed+1000, 2<<20))}
	config := newBlob(oci.MediaTypeImageConfig, asJSON(map[string]any{
		"architecture": "amd64", "os": "linux", "seed": seed,
		"rootfs": map[string]any{"type": "layers", "diff_ids": []oci.Digest{layers[0].desc.Digest, layers[1].desc.Digest}},
	}))
	m := newBlob(oci.MediaTypeManifest, asJSON(manifestOf(config.desc, layers[0].desc, layers[1].desc)))
	return sample{append(append([]blob{config}, layers...), m)}
}

// artifact is what makes up a manifest about s, itself last.
func (s sample) artifact(note string) []blob {
	empty, data := newBlob(oci.MediaTypeEmpty, []byte("{}")), newBlob(sbomType, []byte(note))
	subject := s.root()
	m := manifestOf(empty.desc, data.desc)
	m.Subject, m.ArtifactType, m.Annotations = &subject, sbomType, map[string]string{"note": note}
	return []blob{empty, data, newBlob(oci.MediaTypeManifest, asJSON(m))}
}

func (c *carrier) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

func (c *carrier) want(class, err error) {
	c.Helper()
	if !errors.Is(err, class) {
		c.Fatalf("got %v, want an error of class %q", err, class)
	}
}

func (c *carrier) name(s string) oci.Reference {
	c.Helper()
	ref, err := oci.ParseReference(s)
	c.must(err)
	return ref
}

func (c *carrier) source(place string) content.ImageSource {
	c.Helper()
	src, err := c.Source(c.Context(), place)
	c.must(err)
	c.Cleanup(func() { _ = src.Close() })
	return src
}

func (c *carrier) target(place string) content.ImageTarget {
	c.Helper()
	t, err := c.Target(c.Context(), place)
	c.must(err)
	c.Cleanup(func() { _ = t.Close() })
	return t
}

// find is what place names, or why nothing.
func (c *carrier) find(place string) (oci.Descriptor, error) {
	src, err := c.Source(c.Context(), place)
	if err != nil {
		return oci.Descriptor{}, err
	}
	defer src.Close()
	_, desc, err := src.Image(c.Context())
	return desc, err
}

func (c *carrier) push(t content.Pusher, blobs ...blob) {
	c.Helper()
	for _, b := range blobs {
		c.must(t.Push(c.Context(), b.desc, bytes.NewReader(b.data)))
	}
}

func (c *carrier) write(place string, img sample, name oci.Reference) {
	c.Helper()
	c.must(c.tryWrite(place, img, name))
}

func (c *carrier) tryWrite(place string, img sample, name oci.Reference) error {
	t, err := c.Target(c.Context(), place)
	if err != nil {
		return err
	}
	defer t.Close()
	for _, b := range img.blobs {
		if err := t.Push(c.Context(), b.desc, bytes.NewReader(b.data)); err != nil {
			return err
		}
	}
	if err := t.Finish(c.Context(), img.root(), name); err != nil {
		return err
	}
	return t.Close()
}

// reads checks that place names img, and returns its source and its name.
func (c *carrier) reads(place string, img sample) (content.ImageSource, oci.Reference) {
	c.Helper()
	src := c.source(place)
	name, desc, err := src.Image(c.Context())
	c.must(err)
	want := img.root()
	if desc.Digest != want.Digest || desc.Size != want.Size || desc.MediaType != want.MediaType {
		c.Fatalf("%s names %+v, want %+v", place, desc, want)
	}
	return src, name
}

// fetches checks that data can be had from src in every way that it has.
func (c *carrier) fetches(src content.ImageSource, desc oci.Descriptor, data []byte) {
	c.Helper()
	rc, err := src.Fetch(c.Context(), desc)
	c.must(err)
	got, err := io.ReadAll(rc)
	c.must(err)
	c.must(rc.Close())
	if !bytes.Equal(got, data) {
		c.Fatalf("%s gives other bytes than were written", desc.Digest)
	}
	p, ok := src.(content.Provider)
	if !ok {
		return
	}
	ra, err := p.ReaderAt(c.Context(), desc)
	c.must(err)
	got, err = io.ReadAll(io.NewSectionReader(ra, 0, ra.Size()))
	c.must(err)
	c.must(ra.Close())
	c.must(ra.Close())
	if !bytes.Equal(got, data) {
		c.Fatalf("ReaderAt of %s gives other bytes than were written", desc.Digest)
	}
}

// flip inverts the last byte of data in whatever file at the path holds it.
func (c *carrier) flip(data []byte) {
	c.Helper()
	done := false
	c.must(filepath.WalkDir(c.path, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		file, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		if i := bytes.Index(file, data); i >= 0 {
			file[i+len(data)-1] ^= 1
			done = true
			return os.WriteFile(p, file, 0o600)
		}
		return nil
	}))
	if !done {
		c.Fatal("no file at the path holds the blob as it is")
	}
}
