package client_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dist.example/client"
	"dist.example/content"
	"dist.example/layer"
	"dist.example/oci"
)

var appending = client.PackOptions{Append: true, Compression: new(layer.Gzip)}

// dockerImage makes an image in Docker's format, of one layer, for linux/amd64.
func dockerImage(t *testing.T, c *client.Client, name string) oci.Descriptor {
	t.Helper()
	plain, zipped := tarball(t)
	put(t, c, zipped)
	config := []byte(`{"os":"linux","architecture":"amd64","docker_version":"20.10","rootfs":{"type":"layers","diff_ids":["` +
		oci.DigestBytes(plain).String() + `"]},"history":[{"created_by":"old"}]}`)
	put(t, c, config)
	data, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": oci.MediaTypeDockerManifest,
		"config": oci.Describe(oci.MediaTypeDockerConfig, config),
		"layers": []any{oci.Describe(oci.MediaTypeDockerLayer, zipped)},
	})
	must(t, err)
	info, err := c.Put(t.Context(), client.PutOptions{Type: "docker-manifest"}, bytes.NewReader(data))
	must(t, err)
	_, _, err = c.Tag(t.Context(), info.Digest.String(), name)
	must(t, err)
	return info.Descriptor()
}

func TestAppendToAnImage(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	plain, zipped := tarball(t)
	a, b := file(t, "a.tar", plain), file(t, "b.tgz", zipped)
	config := file(t, "c.json", []byte(`{"os":"linux","architecture":"s390x","config":{"User":"u"}}`))
	first := packAs(t, c, "image", client.PackOptions{}, "config="+config, a)
	p := packAs(t, c, "image", appending, b, "layer="+a)
	if len(p.Layers) != 3 || p.Layers[0].Descriptor.Digest != first.Layers[0].Descriptor.Digest ||
		p.Layers[1].Descriptor.Digest != oci.DigestBytes(zipped) || p.Layers[2].DiffID != oci.DigestBytes(plain) {
		t.Errorf("layers %+v", p.Layers)
	}
	in, err := c.Inspect(t.Context(), "image", nil)
	must(t, err)
	if in.Digest != p.Descriptor.Digest || in.Config.Architecture != "s390x" || in.Config.Config.User != "u" || len(in.Config.History) != 3 {
		t.Errorf("%+v", in.Config)
	}
	if m := missing(t, c, p.Descriptor.Digest); len(m) != 0 {
		t.Errorf("missing: %v", m)
	}
	// All at once is the same as one after the other.
	if whole := packAs(t, c, "image", client.PackOptions{}, "config="+config, a, b, a); whole.Descriptor.Digest != p.Descriptor.Digest {
		t.Errorf("at once %s, one by one %s", whole.Manifest, p.Manifest)
	}
}

func TestAppendToADockerImage(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	dockerImage(t, c, "docker")
	plain, zipped := tarball(t)
	p := packAs(t, c, "docker", appending, file(t, "a.tar", plain), file(t, "b.tgz", zipped), t.TempDir())
	var types []string
	for _, l := range p.Layers {
		types = append(types, l.Descriptor.MediaType)
	}
	const plainType = "application/vnd.docker.image.rootfs.diff.tar"
	if want := []string{oci.MediaTypeDockerLayer, plainType, oci.MediaTypeDockerLayer, oci.MediaTypeDockerLayer}; !slices.Equal(types, want) ||
		p.Descriptor.MediaType != oci.MediaTypeDockerManifest || p.Config.MediaType != oci.MediaTypeDockerConfig {
		t.Errorf("%s", p.Manifest)
	}
	// Each layer was made by whom the history names, the base's by others.
	if was, is := p.Layers[0].CreatedBy, p.Layers[1].CreatedBy; was != "old" || is != "dist pack" {
		t.Errorf("made by %q and %q", was, is)
	}
	o := appending
	o.Compression = new(layer.Zstd)
	_, err := c.Pack(t.Context(), "docker", []string{t.TempDir()}, o)
	want(t, content.ErrUnsupported, err)
}

func TestAppendToAnArtifact(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	o := artifact()
	o.ArtifactType = "application/vnd.example.thing"
	x, y := file(t, "x", []byte("x")), file(t, "y", []byte("y"))
	packAs(t, c, "art", o, x)
	p := packAs(t, c, "art", appending, y)
	if got := titles(p); !slices.Equal(got, []string{"x", "y"}) || p.Descriptor.ArtifactType != o.ArtifactType || p.Kind != client.PackArtifact {
		t.Errorf("%q in %s", got, p.Manifest)
	}
	if whole := packAs(t, c, "art", o, x, y); whole.Descriptor.Digest != p.Descriptor.Digest {
		t.Errorf("at once %s, one by one %s", whole.Manifest, p.Manifest)
	}
	o.Append = true
	for says, try := range map[string]struct {
		o    client.PackOptions
		word string
	}{
		"the title": {appending, x},
		"its type":  {o, file(t, "z", []byte("z"))},
		"keeps its": {appending, "config=" + x},
	} {
		_, err := c.Pack(t.Context(), "art", []string{try.word}, try.o)
		if !isClass(err, content.ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}

func TestAppendNeedsAManifestThatIsWhole(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	_, err := c.Pack(t.Context(), "image", []string{"x"}, appending)
	want(t, content.ErrNoStore, err)
	x := file(t, "x", []byte("x"))
	text := put(t, c, []byte("text"))
	_, err = c.Pack(t.Context(), "image", []string{x}, appending)
	want(t, content.ErrNotFound, err)
	_, _, err = c.Tag(t.Context(), text.Digest.String(), "text")
	must(t, err)
	_, err = c.Pack(t.Context(), "text", []string{x}, appending)
	want(t, content.ErrInvalid, err)

	big := file(t, "big", bytes.Repeat([]byte("0123456789abcdef"), 1<<16))
	p := packAs(t, c, "art", artifact(), big)
	damage(t, c, p.Layers[0].Descriptor.Digest)
	want(t, content.ErrCorrupt, c.Check(t.Context(), p.Layers[0].Descriptor.Digest.String()))
	_, err = c.Pack(t.Context(), "art", []string{x}, appending)
	want(t, content.ErrCorrupt, err)
	if content.Hint(err) == "" {
		t.Errorf("no hint: %v", err)
	}
}

func TestAppendMustAgreeWithTheKind(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	x := file(t, "x", []byte("x"))
	packAs(t, c, "art", artifact(), x)
	for _, kind := range []client.PackKind{client.PackImage, client.PackIndex} {
		_, err := c.Pack(t.Context(), "art", []string{"y=" + x}, client.PackOptions{Append: true, Kind: kind})
		want(t, content.ErrInvalid, err)
	}
	packAs(t, c, "art", client.PackOptions{Append: true, Kind: client.PackArtifact}, "y="+x)
}

// While one appends, another does: the first one's name has moved, and nothing of
// its own is lost when it tries again.
func TestOfTwoWhoAppendOneRunsAgain(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	other := clientOf(t, dir)
	plain, zipped := tarball(t)
	a, b := file(t, "a.tar", plain), file(t, "b.tgz", zipped)
	packAs(t, other, "image", client.PackOptions{}, a)

	once := false
	c := clientOf(t, dir, func(o *client.Options) {
		o.Observe = func(content.Event) {
			if !once {
				once = true
				packAs(t, other, "image", appending, b)
			}
		}
	})
	_, err := c.Pack(t.Context(), "image", []string{a}, appending)
	want(t, content.ErrConflict, err)
	if !strings.Contains(content.Hint(err), "run it again") {
		t.Errorf("hint %q", content.Hint(err))
	}
	if p := packAs(t, c, "image", appending, a); len(p.Layers) != 3 || p.Layers[1].Descriptor.Digest != oci.DigestBytes(zipped) {
		t.Errorf("%+v", p.Layers)
	}
}
