package client_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"dist.example/client"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryserver/registrytest"
)

// ambiguous finds two contents whose digests begin with the same six hex digits.
func ambiguous(t *testing.T) (a, b []byte, prefix string) {
	t.Helper()
	seen := map[string][]byte{}
	for i := range 1 << 20 {
		p := fmt.Appendf(nil, "content %d", i)
		prefix := oci.DigestBytes(p).Encoded()[:6]
		if other := seen[prefix]; other != nil {
			return other, p, prefix
		}
		seen[prefix] = p
	}
	t.Fatal("no two digests begin alike")
	return nil, nil, ""
}

// hexWord finds content whose digest begins with six hex digits that are also a
// name: a repository's name may not be digits alone to be of use here.
func hexWord(t *testing.T) (p []byte, word string) {
	t.Helper()
	p = []byte("some content")
	return p, oci.DigestBytes(p).Encoded()[:8]
}

func TestLookup(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	a, b, twice := ambiguous(t)
	for _, p := range [][]byte{a, b} {
		put(t, c, p)
	}
	p, word := hexWord(t)
	d := put(t, c, p).Digest
	named := put(t, c, []byte("named")).Digest
	for _, name := range []string{"app", "registry.example/team/app:v2"} {
		_, _, err := c.Tag(t.Context(), named.String(), name)
		must(t, err)
	}
	for w, want := range map[string]oci.Digest{
		d.String():                        d,
		word:                              d,
		"sha256:" + d.Encoded()[:6]:       d,
		d.Encoded():                       d,
		strings.ToUpper(d.Encoded()[:10]): d,
		"app":                             named,
		"app:latest":                      named,
		"docker.io/library/app:latest":    named,
		"registry.example/team/app:v2":    named,
		"app@" + named.String():           named,
		oci.DigestBytes(a).Encoded()[:20]: oci.DigestBytes(a),
		"sha256:" + oci.DigestBytes(b).Encoded()[:20]:   oci.DigestBytes(b),
		"registry.example/team/other@" + named.String(): named,
	} {
		got, err := c.Lookup(t.Context(), w)
		if err != nil || got.Digest != want {
			t.Errorf("%q is %s, %v, want %s", w, got.Digest, err, want)
		}
	}
	for w, class := range map[string]error{
		twice:                               content.ErrInvalid,
		"sha256:" + twice:                   content.ErrInvalid,
		"000000000000":                      content.ErrNotFound,
		"app:v9":                            content.ErrNotFound,
		"nobody":                            content.ErrNotFound,
		d.Encoded()[:5]:                     content.ErrNotFound, // a name, for a prefix is longer
		"UPPER":                             content.ErrInvalid,
		"":                                  content.ErrInvalid,
		"sha256:xyz":                        content.ErrInvalid,
		"sha512:" + d.Encoded():             content.ErrNotFound,
		"sha256:" + strings.Repeat("0", 64): content.ErrNotFound,
		"sha256:" + strings.Repeat("0", 65): content.ErrInvalid,
	} {
		if got, err := c.Lookup(t.Context(), w); !isClass(err, class) {
			t.Errorf("%q is %s, %v, want %v", w, got.Digest, err, class)
		}
	}

	// A word that is a name and begins another object's digest is neither.
	_, _, err := c.Tag(t.Context(), named.String(), word)
	must(t, err)
	if _, err := c.Lookup(t.Context(), word); !isClass(err, content.ErrInvalid) || content.Hint(err) == "" {
		t.Errorf("%q: %v", word, err)
	}
	if got, err := c.Lookup(t.Context(), word+":latest"); err != nil || got.Digest != named {
		t.Errorf("the full name: %s, %v", got.Digest, err)
	}
	_, _, err = c.Tag(t.Context(), d.String(), word)
	must(t, err)
	if got, err := c.Lookup(t.Context(), word); err != nil || got.Digest != d {
		t.Errorf("a name of the object that the word begins: %s, %v", got.Digest, err)
	}
}

func TestLookupNeedsAStore(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	_, err := c.Lookup(t.Context(), "app")
	want(t, content.ErrNoStore, err)
	if content.Hint(err) == "" {
		t.Error("nothing says what to do")
	}
}

func TestTagAndRemove(t *testing.T) {
	t.Parallel()
	reg, c := registry(t), newClient(t)
	reg.PushImage("app:v1", registrytest.Bytes(1, 3000))
	reg.PushImage("app:v2", registrytest.Bytes(2, 3000))
	pull(t, c, reg.Ref("app:v1"), reg.Ref("app:v2"))
	ref, desc, err := c.Tag(t.Context(), reg.Ref("app:v1"), "mine")
	must(t, err)
	if ref.String() != "docker.io/library/mine:latest" {
		t.Errorf("the name is %s", ref)
	}
	if got, err := c.Lookup(t.Context(), "mine"); err != nil || got.Digest != desc.Digest {
		t.Errorf("mine is %s, %v", got.Digest, err)
	}
	_, moved, err := c.Tag(t.Context(), reg.Ref("app:v2"), "mine")
	must(t, err)
	if moved.Digest == desc.Digest {
		t.Error("it did not move")
	}
	_, _, err = c.Tag(t.Context(), reg.Ref("app:v1"), "mine@"+moved.Digest.String())
	want(t, content.ErrInvalid, err)
	_, _, err = c.Tag(t.Context(), "nobody", "mine")
	want(t, content.ErrNotFound, err)

	_, err = c.Remove(t.Context(), "mine", "nobody")
	want(t, content.ErrNotFound, err)
	if got := names(t, c); len(got) != 3 {
		t.Errorf("a removal that failed left %v", got)
	}
	removed, err := c.Remove(t.Context(), "mine", reg.Ref("app:v1"))
	must(t, err)
	if len(removed) != 2 || removed[0].Target.Digest != moved.Digest {
		t.Errorf("removed %+v", removed)
	}
	if got := names(t, c); !slices.Equal(got, []string{reg.Ref("app:v2")}) {
		t.Errorf("names: %v", got)
	}
	must(t, c.Check(t.Context(), desc.Digest.String())) // the content stays
	removed, err = c.Remove(t.Context(), reg.Ref("app:v2"), reg.Ref("app:v2"))
	must(t, err)
	if len(removed) != 1 || len(names(t, c)) != 0 {
		t.Errorf("removed %+v, left %v", removed, names(t, c))
	}
}

// A name that moves between the look and the transaction is not overwritten.
func TestTagIsACompareAndSet(t *testing.T) {
	t.Parallel()
	c := newClient(t)
	a, b := put(t, c, []byte("a")).Digest, put(t, c, []byte("b")).Digest
	_, _, err := c.Tag(t.Context(), a.String(), "app")
	must(t, err)
	dir := store(t, c).Dir()
	other := clientOf(t, dir)
	var once bool
	racing := clientOf(t, dir, func(o *client.Options) {
		o.Hook = func(point string) {
			if point == "commit.begin" && !once {
				once = true
				_, _, err := other.Tag(t.Context(), b.String(), "app")
				must(t, err)
			}
		}
	})
	_, _, err = racing.Tag(t.Context(), put(t, c, []byte("c")).Digest.String(), "app")
	want(t, content.ErrConflict, err)
	if got, err := c.Lookup(t.Context(), "app"); err != nil || got.Digest != b {
		t.Errorf("app is %s, %v", got.Digest, err)
	}
}

func TestInspectTellsWhatAnImageIs(t *testing.T) {
	t.Parallel()
	reg, c := registry(t), newClient(t)
	root := reg.PushPlatforms("app:v1", "linux/amd64", "linux/arm64")
	_, err := c.Pull(t.Context(), []string{reg.Ref("app:v1")}, client.PullOptions{Platforms: client.Platforms{Only: platform(t, "linux/amd64")}})
	must(t, err)
	in, err := c.Inspect(t.Context(), reg.Ref("app:v1"), nil)
	must(t, err)
	if in.Digest != root.Digest || in.Index == nil || in.Manifest != nil || in.Config != nil || len(in.Names) != 1 {
		t.Errorf("the index: %+v", in)
	}
	if len(in.Parts) != 2 || !in.Parts[0].Held || in.Parts[1].Held || in.Parts[1].Role != oci.RoleManifest {
		t.Errorf("its parts: %+v", in.Parts)
	}
	if in.Held == 0 || in.Known <= in.Held {
		t.Errorf("%d of %d bytes are here", in.Held, in.Known)
	}
	im, err := c.Inspect(t.Context(), reg.Ref("app:v1"), platform(t, "linux/amd64"))
	must(t, err)
	if im.Manifest == nil || im.Index != nil || im.Config == nil || im.Config.Architecture != "amd64" || im.Held != im.Known {
		t.Errorf("the image: %+v", im)
	}
	roles := []oci.Role{}
	for _, p := range im.Parts {
		roles = append(roles, p.Role)
	}
	if !slices.Equal(roles, []oci.Role{oci.RoleConfig, oci.RoleLayer, oci.RoleLayer}) {
		t.Errorf("the parts of the image: %v", roles)
	}
	cfg, err := c.Inspect(t.Context(), im.Manifest.Config.Digest.String(), nil)
	must(t, err)
	if cfg.Config == nil || cfg.Manifest != nil {
		t.Errorf("the configuration: %+v", cfg)
	}
	_, err = c.Inspect(t.Context(), reg.Ref("app:v1"), platform(t, "linux/arm64"))
	want(t, content.ErrNotFound, err)
	_, err = c.Inspect(t.Context(), reg.Ref("app:v1"), platform(t, "linux/s390x"))
	want(t, content.ErrNotFound, err)
}
