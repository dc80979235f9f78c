package client_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"

	"dist.example/client"
	"dist.example/content"
	"dist.example/layer"
	"dist.example/oci"
)

func index() client.PackOptions { return client.PackOptions{Kind: client.PackIndex} }

// images packs one image for each platform, named after it.
func images(t *testing.T, c *client.Client, platforms ...string) map[string]oci.Descriptor {
	t.Helper()
	plain, _ := tarball(t)
	tar := file(t, "a.tar", plain)
	all := map[string]oci.Descriptor{}
	for _, p := range platforms {
		all[p] = packAs(t, c, filepath.Base(p), client.PackOptions{Platform: platform(t, p)}, tar).Descriptor
	}
	return all
}

// listed is what an index says: platform or artifact type, and digest.
func listed(p client.Packed) []string {
	var all []string
	for _, m := range p.Manifests {
		all = append(all, oci.FormatPlatform(m.Platform)+m.ArtifactType+" "+m.Digest.String())
	}
	return all
}

func TestPackAnIndex(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	im := images(t, c, "linux/amd64", "linux/arm64", "linux/riscv64")
	art := packAs(t, c, "art", artifact(), file(t, "x", []byte("x"))).Descriptor
	attestation := packAs(t, c, "att", client.PackOptions{Platform: &oci.Platform{OS: "unknown", Architecture: "unknown"}},
		file(t, "s.json", []byte("{}"))+":application/vnd.in-toto+json").Descriptor
	inner := packAs(t, c, "inner", index(), "amd64").Descriptor

	p := packAs(t, c, "all", index(), "amd64", im["linux/arm64"].Digest.String(), "linux/arm/v7=riscv64", "amd64", "art", "att", "inner:latest")
	want := []string{
		"linux/amd64 " + im["linux/amd64"].Digest.String(),
		"linux/arm64 " + im["linux/arm64"].Digest.String(),
		"linux/arm/v7 " + im["linux/riscv64"].Digest.String(),
		client.DefaultArtifactType + " " + art.Digest.String(),
		"unknown/unknown " + attestation.Digest.String(),
		" " + inner.Digest.String(),
	}
	if got := listed(p); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	x, err := oci.ParseIndex(oci.MediaTypeIndex, p.Manifest)
	must(t, err)
	if len(x.Manifests) != 6 || p.Descriptor.MediaType != oci.MediaTypeIndex || p.Descriptor.Digest != oci.DigestBytes(p.Manifest) {
		t.Errorf("%s", p.Manifest)
	}
	if m := missing(t, c, p.Descriptor.Digest); len(m) != 0 {
		t.Errorf("missing: %v", m)
	}
}

func TestAnIndexTakesAManifestThatIsAFile(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	im := images(t, c, "linux/arm64")["linux/arm64"]
	path := file(t, "manifest.json", get(t, c, im.Digest.String()))
	for _, word := range []string{path, path + ":image"} {
		if p := packAs(t, c, "all", index(), word); !slices.Equal(listed(p), []string{"linux/arm64 " + im.Digest.String()}) {
			t.Errorf("%q", listed(p))
		}
	}
	// One whose layers are not here makes an index that would not be whole.
	absent := oci.DigestBytes([]byte("absent")).String()
	lacking := bytes.ReplaceAll(get(t, c, im.Digest.String()), []byte(packedLayer(t, c, im)), []byte(absent))
	refuses(t, c, index(), content.ErrNotFound, absent, file(t, "manifest.json", lacking))
}

// packedLayer is the digest of an image's only layer.
func packedLayer(t *testing.T, c *client.Client, d oci.Descriptor) string {
	t.Helper()
	m, err := oci.ParseManifest(d.MediaType, get(t, c, d.Digest.String()))
	must(t, err)
	return m.Layers[0].Digest.String()
}

func TestPackRefusesWhatNoIndexHas(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	images(t, c, "linux/amd64", "linux/arm64")
	plain, _ := tarball(t)
	x, dir := file(t, "x", plain), t.TempDir()
	base := put(t, c, plain).Digest.String()
	platformless := file(t, "c.json", []byte(`{"rootfs":{"type":"layers","diff_ids":["`+oci.DigestBytes(plain).String()+`"]}}`))
	packAs(t, c, "nowhere", client.PackOptions{}, "config="+platformless, x)
	for _, tc := range []struct {
		says  string
		words []string
	}{
		{"nothing to pack", nil},
		{"it is a folder", []string{dir}},
		{"it is no manifest", []string{x}},
		{"lists manifests", []string{base}},
		{"one for linux/amd64 already", []string{"amd64", "linux/amd64=arm64"}},
		{"listed already, for linux/amd64", []string{"amd64", "linux/s390x=amd64"}},
		{"OS/ARCH=nowhere", []string{"nowhere"}},
		{"linux/arm64", []string{"arm64=arm64"}},
		{`it is "a/b"`, []string{file(t, "m", []byte(`{"schemaVersion":2,"mediaType":"a/b"}`)) + ":image"}},
	} {
		refuses(t, c, index(), content.ErrInvalid, tc.says, tc.words...)
	}
	refuses(t, c, index(), content.ErrNotFound, "neither", "nobody/knows:this")
	for says, o := range map[string]client.PackOptions{
		"artifact": {Kind: client.PackIndex, ArtifactType: "a/b"},
		"prefix":   {Kind: client.PackIndex, Prefix: "usr"},
		"links":    {Kind: client.PackIndex, FollowLinks: true},
		"compress": {Kind: client.PackIndex, Compression: new(layer.Gzip)},
	} {
		refuses(t, c, o, content.ErrInvalid, says, "amd64")
	}
	if p := packAs(t, c, "said", index(), "linux/s390x=nowhere"); oci.FormatPlatform(p.Manifests[0].Platform) != "linux/s390x" {
		t.Errorf("%q", listed(p))
	}
}

func TestArtifactsForOnePlatformMayBeMany(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	images(t, c, "linux/amd64")
	packAs(t, c, "one", artifact(), file(t, "x", []byte("1")))
	packAs(t, c, "two", artifact(), file(t, "x", []byte("2")))
	if p := packAs(t, c, "all", index(), "linux/amd64=one", "linux/amd64=two"); len(p.Manifests) != 2 {
		t.Errorf("%q", listed(p))
	}
	// Beside an image they would be taken for it.
	refuses(t, c, index(), content.ErrInvalid, "linux/amd64 already", "amd64", "linux/amd64=one")
}

func TestAppendToAnIndex(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	im := images(t, c, "linux/amd64", "linux/arm64", "linux/s390x")
	// One that says more than this program knows, and lacks a platform on purpose.
	absent := oci.DigestBytes([]byte("absent")).String()
	odd := `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeIndex + `","x.unknown":[1.50],"manifests":[
		{"mediaType":"` + oci.MediaTypeManifest + `","digest":"` + absent + `","size":7,"platform":{"os":"linux","architecture":"riscv64"},"z":1}],
		"annotations":{"kept":"yes"}}`
	packAs(t, c, "all", index(), "amd64")
	info, err := c.Put(t.Context(), client.PutOptions{Type: "index"}, bytes.NewReader([]byte(odd)))
	must(t, err)
	_, _, err = c.Tag(t.Context(), info.Digest.String(), "all")
	must(t, err)

	o := client.PackOptions{Append: true}
	p := packAs(t, c, "all", o, "amd64", "linux/arm64=arm64")
	if len(p.Manifests) != 3 || p.Manifests[0].Held || !p.Manifests[1].Held || p.Kind != client.PackIndex {
		t.Errorf("%+v", p.Manifests)
	}
	for _, kept := range []string{`"x.unknown": [`, `1.50`, `"z": 1`, `"kept": "yes"`} {
		if !bytes.Contains(p.Manifest, []byte(kept)) {
			t.Errorf("%s is gone from %s", kept, p.Manifest)
		}
	}
	again := packAs(t, c, "all", o, "amd64", im["linux/arm64"].Digest.String())
	if again.Descriptor.Digest != p.Descriptor.Digest {
		t.Error("what is listed already changed the index")
	}
	for says, word := range map[string]string{"linux/riscv64 already": "linux/riscv64=s390x", "pack it into an image": t.TempDir()} {
		_, err := c.Pack(t.Context(), "all", []string{word}, o)
		if !isClass(err, content.ErrInvalid) || !bytes.Contains([]byte(err.Error()+content.Hint(err)), []byte(says)) {
			t.Errorf("%s: %v", word, err)
		}
	}
}

func TestAppendToADockerList(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	images(t, c, "linux/amd64", "linux/arm64")
	list := map[string]any{"schemaVersion": 2, "mediaType": oci.MediaTypeDockerList, "manifests": []any{}}
	data, err := json.Marshal(list)
	must(t, err)
	info, err := c.Put(t.Context(), client.PutOptions{Type: "docker-list"}, bytes.NewReader(data))
	must(t, err)
	_, _, err = c.Tag(t.Context(), info.Digest.String(), "all")
	must(t, err)
	_, err = c.Pack(t.Context(), "all", []string{"amd64"}, client.PackOptions{Append: true})
	want(t, content.ErrUnsupported, err)
	docker := dockerImage(t, c, "docker")
	p := packAs(t, c, "all", client.PackOptions{Append: true}, docker.Digest.String())
	if p.Descriptor.MediaType != oci.MediaTypeDockerList || !slices.Equal(listed(p), []string{"linux/amd64 " + docker.Digest.String()}) {
		t.Errorf("%s", p.Manifest)
	}
	// An index of OCI's takes either.
	if p := packAs(t, c, "both", index(), "docker", "arm64"); p.Manifests[0].MediaType != oci.MediaTypeDockerManifest || len(p.Manifests) != 2 {
		t.Errorf("%s", p.Manifest)
	}
}
