package oci_test

import (
	"errors"
	"strings"
	"testing"

	docker "github.com/distribution/reference"

	"dist.example/oci"
)

func TestParseReferenceFollowsDockersRules(t *testing.T) {
	at := "@sha256:" + hex64
	for s, want := range map[string]string{
		// Docker Hub's defaults.
		"redis":                     "docker.io/library/redis:latest",
		"redis:7":                   "docker.io/library/redis:7",
		"icecrime/my_image":         "docker.io/icecrime/my_image:latest",
		"docker.io/redis":           "docker.io/library/redis:latest",
		"docker.io/library/redis":   "docker.io/library/redis:latest",
		"index.docker.io/redis":     "docker.io/library/redis:latest",
		"library/redis":             "docker.io/library/redis:latest",
		"a/b/c":                     "docker.io/a/b/c:latest",
		"registry-1.docker.io/a/b":  "registry-1.docker.io/a/b:latest",
		"docker.io:443/library/foo": "docker.io:443/library/foo:latest",
		// What makes a first component a host: a dot, a colon, upper case, localhost.
		"quay.io/foo/bar":       "quay.io/foo/bar:latest",
		"localhost/app":         "localhost/app:latest",
		"localhost:5000/app:v1": "localhost:5000/app:v1",
		"myhost:5000/app":       "myhost:5000/app:latest",
		"MyHost/app":            "MyHost/app:latest",
		"myhost/app":            "docker.io/myhost/app:latest",
		"127.0.0.1:5000/a":      "127.0.0.1:5000/a:latest",
		"[::1]:5000/a":          "[::1]:5000/a:latest",
		"localhost:5000":        "docker.io/library/localhost:5000",
		"quay.io/single":        "quay.io/single:latest",
		// Tags and digests.
		"redis" + at:                    "docker.io/library/redis" + at,
		"redis:7" + at:                  "docker.io/library/redis:7" + at,
		"redis@sha512:" + hex128:        "docker.io/library/redis@sha512:" + hex128,
		"a/b:V1.2_3-x":                  "docker.io/a/b:V1.2_3-x",
		"a/b__c/d.e/f-g--h":             "docker.io/a/b__c/d.e/f-g--h:latest",
		"redis:" + hex64:                "docker.io/library/redis:" + hex64,
		"x/" + hex64:                    "docker.io/x/" + hex64 + ":latest",
		hex64[:63]:                      "docker.io/library/" + hex64[:63] + ":latest",
		strings.Repeat("a", 200):        "docker.io/library/" + strings.Repeat("a", 200) + ":latest",
		"a:" + strings.Repeat("t", 128): "docker.io/library/a:" + strings.Repeat("t", 128),
	} {
		r, err := oci.ParseReference(s)
		if err != nil || r.String() != want {
			t.Errorf("%q: %q, %v; want %q", s, r, err, want)
			continue
		}
		if again, err := oci.ParseReference(want); err != nil || again != r {
			t.Errorf("%q is not stable: %q, %v", want, again, err)
		}
	}
}

func TestParseReferenceRefuses(t *testing.T) {
	for _, s := range []string{
		"", " ", "redis ", "Redis", "a//b", "/a", "a/", "-a/b", "a/-b", "a_/b", "a___b", "a..b", ".a/b", "..", "../a",
		"a:", "a@", ":tag", "a:-tag", "a:.tag", "a:t t", "a:" + strings.Repeat("t", 129), "a:b:c",
		"a@sha256", "a@sha256:abc", "a@md5:d41d8cd98f00b204e9800998ecf8427e", "a@sha256:" + strings.ToUpper(hex64), "a@sha512:" + hex64,
		"a@sha384:" + hex64 + hex64[:32],
		hex64, "https://quay.io/a", "quay.io/a?x", "quay.io/A/b", "a\nb", "a\x00", "ü/a", "host:port/a", "sha256:" + hex64,
		"my_host.io/app", "a.b_c/d:v1",
		strings.Repeat("a", 300), "localhost:5000/", "@sha256:" + hex64,
	} {
		if r, err := oci.ParseReference(s); !errors.Is(err, oci.ErrInvalid) {
			t.Errorf("%q: %q, %v", s, r, err)
		}
	}
}

func TestParseRepositoryTakesNoTagAndNoDigest(t *testing.T) {
	r, err := oci.ParseRepository("docker.io/library/redis")
	if err != nil || r.String() != "docker.io/library/redis" || r.Tag != "" {
		t.Errorf("%q, %v", r, err)
	}
	for _, s := range []string{"redis:7", "redis@sha256:" + hex64, "redis:7@sha256:" + hex64, "", hex64} {
		if r, err := oci.ParseRepository(s); !errors.Is(err, oci.ErrInvalid) {
			t.Errorf("%q: %q, %v", s, r, err)
		}
	}
}

func reference(t *testing.T, s string) oci.Reference {
	t.Helper()
	r, err := oci.ParseReference(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestReferenceParts(t *testing.T) {
	both := reference(t, "redis:7@sha256:"+hex64)
	if both.Name() != "docker.io/library/redis" || both.Identifier() != "sha256:"+hex64 || both.Tag != "7" {
		t.Errorf("%+v", both)
	}
	if got := both.Local().String(); got != "docker.io/library/redis@sha256:"+hex64 {
		t.Errorf("local name %q", got)
	}
	tagged := reference(t, "redis:7")
	if tagged.Identifier() != "7" || tagged.Local() != tagged {
		t.Errorf("%+v", tagged)
	}
	if got := tagged.WithDigest("sha256:" + hex64); got != both.Local() {
		t.Errorf("with digest %q", got)
	}
}

func TestWithTag(t *testing.T) {
	r := reference(t, "quay.io/a/b@sha256:"+hex64)
	got, err := r.WithTag("v1")
	if err != nil || got.String() != "quay.io/a/b:v1" {
		t.Errorf("%q, %v", got, err)
	}
	for _, tag := range []string{"", "-x", ".x", "a/b", "a:b", "a b", strings.Repeat("t", 129), "v1@sha256:" + hex64} {
		if got, err := r.WithTag(tag); !errors.Is(err, oci.ErrInvalid) {
			t.Errorf("tag %q: %q, %v", tag, got, err)
		}
	}
}

func TestWithRegistryReplacesTheHostAlone(t *testing.T) {
	for _, c := range []struct{ ref, host, want string }{
		{"redis:7", "localhost:5000", "localhost:5000/library/redis:7"},
		{"redis:7", "quay.io", "quay.io/library/redis:7"},
		{"quay.io/a/b@sha256:" + hex64, "docker.io", "docker.io/a/b@sha256:" + hex64},
		{"quay.io/a/b", "index.docker.io", "docker.io/a/b:latest"},
		{"quay.io/a/b", "MyHost", "MyHost/a/b:latest"},
		// Docker Hub has no repository of a single component.
		{"quay.io/single", "docker.io", "docker.io/library/single:latest"},
		{"quay.io/single", "[::1]:5000", "[::1]:5000/single:latest"},
	} {
		if got, err := reference(t, c.ref).WithRegistry(c.host); err != nil || got.String() != c.want {
			t.Errorf("%s on %s: %q, %v; want %q", c.ref, c.host, got, err, c.want)
		}
	}
	for _, host := range []string{"", "myhost", "library", "localhost:5000/x", "docker.io/library", "https://quay.io", "a b.io", "quay.io:x", "quay.io/", "q.io:1@x"} {
		for _, ref := range []string{"redis", "quay.io/a"} {
			if got, err := reference(t, ref).WithRegistry(host); !errors.Is(err, oci.ErrInvalid) {
				t.Errorf("%s on %q: %q, %v", ref, host, got, err)
			}
		}
	}
}

func FuzzParseReference(f *testing.F) {
	for _, s := range []string{
		"", "redis", "redis:7", "redis@sha256:" + hex64, "localhost:5000/a/b:v1", "MyHost/app", "[::1]:5000/a", hex64,
		"docker.io/redis", "a//b", "quay.io/a__b/c--d:T.t-1", "index.docker.io/library/x@sha512:" + hex128,
		"registry.k8s.io/pause:3.9", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/app:2024-05-21T17.02", "gcr.io/k8s-staging/a/b/c/d@sha256:" + hex64,
		"redis:7.2-alpine@sha256:" + hex64, "docker://redis", "https://ghcr.io/a/b", "localhost/a", "host_name:5000/a", "redis:", "redis@", "Redis", "a/b:c/d", "xn--n3h.test/a",
		"sha256:" + hex64, "[fe80::1%25eth0]:5000/a", "quay.io:443/a:" + strings.Repeat("t", 128), "docker.io/library/redis:latest ",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := oci.ParseReference(s)
		if err != nil {
			if !errors.Is(err, oci.ErrInvalid) || r != (oci.Reference{}) {
				t.Fatalf("%q: %+v, %v", s, r, err)
			}
			return
		}
		if r.Registry == "" || r.Repository == "" || r.Identifier() == "" {
			t.Fatalf("%q: %+v", s, r)
		}
		for _, x := range []oci.Reference{r, r.Local()} {
			if again, err := oci.ParseReference(x.String()); err != nil || again != x {
				t.Fatalf("%q: %q comes back as %q, %v", s, x, again, err)
			}
		}
		if same, err := r.WithRegistry(r.Registry); err != nil || same != r {
			t.Fatalf("%q on its own registry: %q, %v", s, same, err)
		}
		if named, err := docker.ParseDockerRef(s); err != nil || named.String() != r.Local().String() {
			t.Fatalf("%q is %q here, and for Docker %v, %v", s, r.Local(), named, err)
		}
	})
}
