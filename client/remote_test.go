package client_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"testing"

	"dist.example/client"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryserver"
	"dist.example/registryserver/registrytest"
)

func fetch(t *testing.T, c *client.Client, locator, object string, hints ...string) (oci.Descriptor, []byte, error) {
	t.Helper()
	d, r, err := c.FetchObject(t.Context(), locator, object, hints...)
	if err != nil {
		return d, nil, err
	}
	defer r.Close()
	p, err := io.ReadAll(r)
	return d, p, err
}

func TestFetchObject(t *testing.T) {
	t.Parallel()
	reg := registry(t)
	c := newClient(t, func(o *client.Options) { o.Store = "/nowhere/at/all" })
	layer := registrytest.Bytes(1, 300_000)
	im := reg.PushImage("app:v1", layer)
	manifest, err := content.ReadAll(t.Context(), reg.Store(), im, oci.MaxManifestSize)
	must(t, err)
	at := reg.Ref("app")
	for _, x := range []struct {
		object string
		hints  []string
		want   []byte
	}{
		{"v1", nil, manifest},
		{"v1", []string{"-"}, manifest},
		{"v1", []string{"mediatype:" + oci.MediaTypeManifest}, manifest},
		{im.Digest.String(), nil, manifest},
		{im.Digest.String(), []string{"mediatype:manifest", "-"}, manifest},
		{oci.DigestBytes(layer).String(), nil, layer},
		{oci.DigestBytes(layer).String(), []string{"-"}, layer},
		{oci.DigestBytes(layer).String(), []string{"mediatype:" + oci.MediaTypeLayer}, layer},
	} {
		reg.Forget()
		_, got, err := fetch(t, c, at, x.object, x.hints...)
		if err != nil || !bytes.Equal(got, x.want) {
			t.Errorf("%s %v: %d bytes, %v", x.object, x.hints, len(got), err)
		}
		if len(x.hints) == 2 && reg.Count(registrytest.Match{Kind: registryserver.KindBlob}) != 0 {
			t.Errorf("%s %v was looked for among blobs", x.object, x.hints)
		}
	}
	for _, x := range []struct {
		locator, object string
		hints           []string
		class           error
	}{
		{at, "v9", nil, content.ErrNotFound},
		{at, oci.DigestBytes([]byte("nothing")).String(), nil, content.ErrNotFound},
		{at + ":v1", "v1", nil, content.ErrInvalid},
		{at, "sha256:abc", nil, content.ErrInvalid},
		{at, "v1", []string{"size:5"}, content.ErrInvalid},
		{at, "v1", []string{"mediatype:no type"}, content.ErrInvalid},
	} {
		if _, _, err := fetch(t, c, x.locator, x.object, x.hints...); !errors.Is(err, x.class) {
			t.Errorf("%s %s %v: %v, want %v", x.locator, x.object, x.hints, err, x.class)
		}
	}
	reg.Inject(registrytest.Match{Kind: registryserver.KindBlob}, registrytest.Corrupt(1000))
	if _, _, err := fetch(t, c, at, oci.DigestBytes(layer).String()); !errors.Is(err, content.ErrCorrupt) {
		t.Errorf("wrong bytes: %v", err)
	}
	if _, err := os.Stat("/nowhere"); err == nil {
		t.Error("a store was made")
	}
}

func TestResolveAndTagsNeedNoStore(t *testing.T) {
	t.Parallel()
	reg := registry(t)
	c := newClient(t, func(o *client.Options) { o.Store = "/nowhere/at/all" })
	root := reg.PushPlatforms("app:v1", "linux/amd64", "linux/arm64")
	reg.PushImage("app:v2", registrytest.Bytes(1, 1000))
	d, err := c.Resolve(t.Context(), reg.Ref("app:v1"), client.ResolveOptions{})
	if err != nil || d.Target.Digest != root.Digest {
		t.Errorf("resolved to %s, %v", d.Target.Digest, err)
	}
	d, err = c.Resolve(t.Context(), "elsewhere.example/app:v1", client.ResolveOptions{Registry: reg.Host, Platform: platform(t, "linux/arm64")})
	if err != nil || d.Target.Digest != indexOf(t, reg, root).Manifests[1].Digest {
		t.Errorf("resolved to %s, %v", d.Target.Digest, err)
	}
	seq, err := c.Tags(t.Context(), reg.Ref("app"), "", client.TagFilter{})
	must(t, err)
	var tags []string
	for tag, err := range seq {
		must(t, err)
		tags = append(tags, tag)
	}
	if !slices.Equal(tags, []string{"v1", "v2"}) {
		t.Errorf("tags: %v", tags)
	}
}
