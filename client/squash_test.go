package client_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"dist.example/client"
	"dist.example/content"
	"dist.example/layer"
	"dist.example/oci"
)

// layerFile is a tar in a file: a name ending in a slash is a folder.
func layerFile(t *testing.T, members ...string) string {
	t.Helper()
	return file(t, "layer.tar", layerTar(t, members...))
}

func layerTar(t *testing.T, members ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		name, body, _ := strings.Cut(m, "=")
		h := &tar.Header{Name: name, Size: int64(len(body)), Mode: 0o644, Typeflag: tar.TypeReg}
		if strings.HasSuffix(name, "/") {
			h.Typeflag, h.Mode = tar.TypeDir, 0o755
		}
		must(t, w.WriteHeader(h))
		_, err := io.WriteString(w, body)
		must(t, err)
	}
	must(t, w.Close())
	return b.Bytes()
}

// threeLayers is an image, for a platform.
func threeLayers(t *testing.T, c *client.Client, name, platformName string) client.Packed {
	t.Helper()
	return packAs(t, c, name, client.PackOptions{Platform: platform(t, platformName)},
		layerFile(t, "etc/", "etc/a=1", "etc/b=1"), layerFile(t, "etc/b=2", "etc/c=2"), layerFile(t, "etc/.wh.a", "new=3"))
}

func squash(t *testing.T, c *client.Client, name string, o client.SquashOptions) client.Squashed {
	t.Helper()
	q, err := c.Squash(t.Context(), name, o)
	must(t, err)
	return q
}

// members of the last layer of an image, which is plain.
func members(t *testing.T, c *client.Client, q client.Squashed) []string {
	t.Helper()
	tr := tar.NewReader(bytes.NewReader(get(t, c, q.Layers[len(q.Layers)-1].Descriptor.Digest.String())))
	var names []string
	for h, err := tr.Next(); err == nil; h, err = tr.Next() {
		names = append(names, h.Name)
	}
	return names
}

func TestSquashMakesOneLayer(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	was := threeLayers(t, c, "mine:v1", "linux/amd64")
	q := squash(t, c, "mine:v1", client.SquashOptions{})
	if got := members(t, c, q); !slices.Equal(got, []string{"etc/", "etc/b", "etc/c", "new"}) {
		t.Errorf("members %q", got)
	}
	if q.Was.Digest != was.Descriptor.Digest || len(q.Gone) != 3 || len(q.Layers) != 1 || q.Layers[0].CreatedBy != "dist squash" {
		t.Errorf("%+v", q)
	}
	in, err := c.Inspect(t.Context(), "mine:v1", nil)
	must(t, err)
	if in.Digest != q.Descriptor.Digest || len(in.Config.History) != 4 || in.Config.RootFS.DiffIDs[0] != q.Layers[0].DiffID {
		t.Errorf("%+v", in.Config)
	}
	if m := missing(t, c, q.Descriptor.Digest); len(m) != 0 {
		t.Errorf("missing: %v", m)
	}
	for l, err := range store(t, c).AllLeases(t.Context()) {
		t.Errorf("a lease is left: %+v, %v", l, err)
	}
	d, err := c.Diff(t.Context(), was.Descriptor.Digest.String(), "mine:v1", client.DiffOptions{FilesOnly: true, Times: true})
	must(t, err)
	if d.Differs() {
		t.Errorf("files differ: %s", summary(d))
	}
}

func TestSquashOfTheSameIsTheSame(t *testing.T) {
	t.Parallel()
	var digests []oci.Digest
	for _, compression := range []layer.Compression{layer.None, layer.Gzip, layer.Zstd} {
		o := client.SquashOptions{Compression: compression, Epoch: time.Unix(100, 0)}
		a, b := newClient(t), newClient(t)
		threeLayers(t, a, "mine:v1", "linux/amd64")
		threeLayers(t, b, "mine:v1", "linux/amd64")
		one, two := squash(t, a, "mine:v1", o), squash(t, b, "mine:v1", o)
		if one.Descriptor.Digest != two.Descriptor.Digest || one.Layers[0].Descriptor.MediaType != compression.MediaType() {
			t.Errorf("%s: %s and %s", compression, one.Manifest, two.Manifest)
		}
		digests = append(digests, one.Layers[0].DiffID)
	}
	if digests = slices.Compact(digests); len(digests) != 1 {
		t.Errorf("tars %v", digests)
	}
}

func TestSquashOfTheUppermostLayers(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	was := threeLayers(t, c, "mine:v1", "linux/amd64")
	byLast := squash(t, c, "mine:v1", client.SquashOptions{As: "mine:last", Last: 2})
	byFrom := squash(t, c, "mine:v1", client.SquashOptions{As: "mine:from", From: 2})
	if byLast.Descriptor.Digest != byFrom.Descriptor.Digest || len(byLast.Layers) != 2 || byLast.Layers[0].Descriptor.Digest != was.Layers[0].Descriptor.Digest {
		t.Errorf("%s\n%s", byLast.Manifest, byFrom.Manifest)
	}
	if got := members(t, c, byLast); !slices.Equal(got, []string{"etc/.wh.a", "etc/b", "etc/c", "new"}) {
		t.Errorf("members %q", got)
	}
	if got := get(t, c, "mine:v1"); !bytes.Equal(got, was.Manifest) {
		t.Error("the old name has moved")
	}
	// One layer is squashed already.
	for _, o := range []client.SquashOptions{{Last: 1}, {From: 3}} {
		if q := squash(t, c, "mine:v1", o); q.Descriptor.Digest != was.Descriptor.Digest || len(q.Gone) != 0 || len(q.Layers) != 3 {
			t.Errorf("%+v", q)
		}
	}
	if q := squash(t, c, "mine:v1", client.SquashOptions{As: "mine:same", Last: 1}); get(t, c, "mine:same") == nil || q.Name.Tag != "same" {
		t.Errorf("%+v", q)
	}
	for _, o := range []client.SquashOptions{{Last: 4}, {From: 4}, {Last: -1}, {From: -1}, {Last: 1, From: 1}} {
		if _, err := c.Squash(t.Context(), "mine:v1", o); !isClass(err, content.ErrInvalid) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

func TestSquashOfAnIndexAsksForAPlatform(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	threeLayers(t, c, "mine:amd64", "linux/amd64")
	threeLayers(t, c, "mine:arm64", "linux/arm64")
	packAs(t, c, "mine:all", client.PackOptions{Kind: client.PackIndex, Platform: nil}, "mine:amd64", "mine:arm64")
	_, err := c.Squash(t.Context(), "mine:all", client.SquashOptions{})
	if !isClass(err, content.ErrInvalid) || !strings.Contains(content.Hint(err), "--platform") {
		t.Errorf("%v (%s)", err, content.Hint(err))
	}
	squash(t, c, "mine:all", client.SquashOptions{As: "mine:small", Platform: platform(t, "linux/arm64")})
	in, err := c.Inspect(t.Context(), "mine:small", nil)
	must(t, err)
	if in.Config.Architecture != "arm64" || len(in.Manifest.Layers) != 1 {
		t.Errorf("%+v", in)
	}
}

func TestSquashRefusesWhatIsNoImageOrHasNoName(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	p := threeLayers(t, c, "mine:v1", "linux/amd64")
	packAs(t, c, "mine:artifact", client.PackOptions{Kind: client.PackArtifact}, file(t, "x", []byte("x")))
	text := put(t, c, []byte("text"))
	digest := p.Descriptor.Digest.String()
	for id, tc := range map[string]struct {
		as    string
		class error
	}{
		"mine:artifact":      {"", content.ErrInvalid},
		text.Digest.String(): {"mine:text", content.ErrInvalid},
		digest:               {"", content.ErrInvalid},
		digest[7:20]:         {"", content.ErrInvalid},
		"mine@" + digest:     {"", content.ErrInvalid},
		"mine:v1":            {"mine@" + digest, content.ErrInvalid},
		"mine:v2":            {"", content.ErrNotFound},
	} {
		if _, err := c.Squash(t.Context(), id, client.SquashOptions{As: tc.as}); !isClass(err, tc.class) {
			t.Errorf("%s as %q: %v", id, tc.as, err)
		}
	}
	if q := squash(t, c, digest, client.SquashOptions{As: "mine:digest"}); len(q.Layers) != 1 {
		t.Errorf("%+v", q)
	}
}

func TestSquashOfADockerImage(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	dockerImage(t, c, "docker")
	packAs(t, c, "docker", appending, layerFile(t, "more=1"))
	_, err := c.Squash(t.Context(), "docker", client.SquashOptions{Compression: layer.Zstd})
	want(t, content.ErrUnsupported, err)
	q := squash(t, c, "docker", client.SquashOptions{Compression: layer.Gzip})
	if q.Descriptor.MediaType != oci.MediaTypeDockerManifest || q.Layers[0].Descriptor.MediaType != oci.MediaTypeDockerLayer {
		t.Errorf("%s", q.Manifest)
	}
}

// imageWith is an image of one layer that stands in its configuration with another
// diff_id, or has another type.
func imageWith(t *testing.T, c *client.Client, name string, diffID oci.Digest, layerType string, layers int) {
	t.Helper()
	data := layerTar(t, "a=1")
	put(t, c, data)
	ids := strings.TrimSuffix(strings.Repeat(`"`+diffID.String()+`",`, layers), ",")
	config := []byte(`{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[` + ids + `]}}`)
	put(t, c, config)
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": oci.MediaTypeManifest, "config": oci.Describe(oci.MediaTypeImageConfig, config),
		"layers": slices.Repeat([]any{oci.Describe(layerType, data)}, 2),
	})
	must(t, err)
	info, err := c.Put(t.Context(), client.PutOptions{Type: "image"}, bytes.NewReader(manifest))
	must(t, err)
	_, _, err = c.Tag(t.Context(), info.Digest.String(), name)
	must(t, err)
}

func TestSquashChecksWhatTheConfigurationSays(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	right := oci.DigestBytes(layerTar(t, "a=1"))
	imageWith(t, c, "wrong", oci.DigestBytes(nil), oci.MediaTypeLayer, 2)
	imageWith(t, c, "few", right, oci.MediaTypeLayer, 1)
	imageWith(t, c, "statement", right, "application/vnd.in-toto+json", 2)
	imageWith(t, c, "right", right, oci.MediaTypeLayer, 2)
	for name, class := range map[string]error{"wrong": content.ErrCorrupt, "few": content.ErrInvalid, "statement": content.ErrUnsupported} {
		_, err := c.Squash(t.Context(), name, client.SquashOptions{})
		want(t, class, err)
	}
	squash(t, c, "right", client.SquashOptions{})
}

func TestSquashOfADamagedImage(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	big := layerFile(t, "a="+strings.Repeat("0123456789", 50_000))
	p := packAs(t, c, "mine:v1", client.PackOptions{}, big, layerFile(t, "b=1"))
	damage(t, c, p.Layers[0].Descriptor.Digest)
	for range 2 { // it is found out, and then known
		_, err := c.Squash(t.Context(), "mine:v1", client.SquashOptions{})
		want(t, content.ErrCorrupt, err)
	}
	if got := get(t, c, "mine:v1"); !bytes.Equal(got, p.Manifest) {
		t.Error("the name has moved")
	}
}

func TestSquashLosesToAnotherCommand(t *testing.T) {
	t.Parallel()
	meanwhile := func() {}
	c := newClient(t, func(o *client.Options) {
		o.Hook = func(point string) {
			if point == "packing.built" {
				meanwhile()
			}
		}
	})
	threeLayers(t, c, "mine:v1", "linux/amd64")
	threeLayers(t, c, "mine:v2", "linux/arm64")
	meanwhile = func() {
		_, _, err := c.Tag(t.Context(), "mine:v2", "mine:v1")
		must(t, err)
	}
	_, err := c.Squash(t.Context(), "mine:v1", client.SquashOptions{})
	want(t, content.ErrConflict, err)
}
