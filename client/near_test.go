package client_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"dist.example/client"
	"dist.example/content"
	"dist.example/oci"
)

func TestNearestWords(t *testing.T) {
	verbs := []string{"put", "pull", "push", "pin", "images", "store", "fetch-object"}
	for word, want := range map[string][]string{
		"pul": {"pull", "put"}, "pulll": {"pull"}, "psuh": {"push"}, "stroe": {"store"}, "imag": {"images"}, "fetchobject": {"fetch-object"},
		"frobnicate": nil, "x": nil, "": nil, "pull": nil, strings.Repeat("pull", 1000): nil,
	} {
		if got := client.Nearest(word, verbs); !slices.Equal(got, want) {
			t.Errorf("%.20q: %q, want %q", word, got, want)
		}
	}
}

func TestNearNames(t *testing.T) {
	c := newClient(t)
	info := put(t, c, []byte("x"))
	for _, name := range []string{
		"redis:7", "redis:7.2", "redis:6", "redis:alpine", "demo/hello:v1", "demo/other:v1", "registry.example/team/app:v1",
		"registry.example/team/app:sha256-" + strings.Repeat("0", 64) + ".sig",
	} {
		tagged(t, c, info.Digest.String(), name)
	}
	for word, want := range map[string][]string{
		"redis:7.1":                         {"redis:7.2", "redis:7", "redis:6"},
		"redos:7":                           {"redis:7", "redis:6", "redis:7.2"},
		"demo/helo:v1":                      {"demo/hello:v1"},
		"hello:v2":                          {"demo/hello:v1"}, // without what stands before it
		"helo":                              {"demo/hello:v1"},
		"quay.io/team/app":                  {"registry.example/team/app:v1"}, // elsewhere
		"nothing/like/it:v1":                nil,
		"redis@" + info.Digest.String():     nil,
		"registry.example/team/entirely:v1": nil,
	} {
		got, err := c.Near(t.Context(), word)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v, want %q", word, got, err, want)
		}
	}
	_, err := c.Near(t.Context(), "no name")
	want(t, content.ErrInvalid, err)
}

// However many names there are, and however near, three are told.
func TestNearNamesAreFew(t *testing.T) {
	c := newClient(t)
	info := put(t, c, []byte("x"))
	for i := range 300 {
		tagged(t, c, info.Digest.String(), fmt.Sprintf("demo:v%d", i))
	}
	if got, err := c.Near(t.Context(), "demo:v299x"); err != nil || !slices.Equal(got, []string{"demo:v299", "demo:v199", "demo:v209"}) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestFamiliarNames(t *testing.T) {
	for _, path := range []string{"library/redis", "library/x/y", "demo/app", "localhost/a", "a.b/c", "library/sha256", "library/" + strings.Repeat("a", 64), "a/" + strings.Repeat("a", 64)} {
		for _, name := range []oci.Reference{
			{Registry: oci.DockerHub, Repository: path, Tag: strings.Repeat("b", 64)},
			{Registry: oci.DockerHub, Repository: path, Digest: oci.DigestBytes(nil)},
		} {
			if again, err := oci.ParseReference(client.Familiar(name)); err != nil || again != name {
				t.Errorf("%s: %s is %s, %v", name, client.Familiar(name), again, err)
			}
		}
	}
	for full, want := range map[string]string{
		"docker.io/library/redis:7": "redis:7", "docker.io/demo/app:v1": "demo/app:v1", "quay.io/a/b:1": "quay.io/a/b:1",
		"docker.io/library/a.b:1": "a.b:1", "docker.io/a.b/c:1": "docker.io/a.b/c:1", "docker.io/library/x/y:1": "docker.io/library/x/y:1",
	} {
		if got := client.Familiar(mustRef(t, full)); got != want {
			t.Errorf("%s: %s, want %s", full, got, want)
		}
	}
}

func tagged(t *testing.T, c *client.Client, id, name string) {
	t.Helper()
	_, _, err := c.Tag(t.Context(), id, name)
	must(t, err)
}
