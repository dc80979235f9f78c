package client_test

import (
	"errors"
	"strings"
	"testing"

	"dist.example/client"
	"dist.example/content"
)

func layouts(name string) bool { return name == "oci" || name == "my-own" }

func TestParseLocator(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"redis":                    "docker docker.io/library/redis:latest",
		"redis:7":                  "docker docker.io/library/redis:7",
		"docker://quay.io/a/b:c":   "docker quay.io/a/b:c",
		"docker://oci:v1":          "docker docker.io/library/oci:v1",
		"docker://dir:v1":          "docker docker.io/library/dir:v1",
		"dir":                      "docker docker.io/library/dir:latest",
		"docker.io/library/oci:v1": "docker docker.io/library/oci:v1",
		"localhost:5000/a":         "docker localhost:5000/a:latest",
		"store:app:v1":             "store store:docker.io/library/app:v1",
		"store:app@{2h}":           "store store:docker.io/library/app:latest@{2h}",
		"oci:dir:v1":               "oci oci:dir:v1",
		"my-own:http://x/y?z":      "my-own my-own:http://x/y?z",
		"oci-archive:x":            "docker docker.io/library/oci-archive:x", // nobody knows it here
	} {
		l, err := client.ParseLocator(in, layouts)
		if got := l.Transport + " " + l.String(); err != nil || got != want {
			t.Errorf("%s is %s, %v; want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", "oci:", "store:", "store:a@{x}", "a@{1}", "docker://", "https://x/y", "my-own", "a b"} {
		if l, err := client.ParseLocator(in, layouts); in != "my-own" && !errors.Is(err, content.ErrInvalid) {
			t.Errorf("%q is %+v, %v", in, l, err)
		}
	}
}

// A transport that other tools have is no repository of Docker Hub, unless it is said to be.
func TestParseLocatorRefusesTransportsOfOthers(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"dir:layout", "dir:/srv/images/redis", "docker-daemon:redis:7", "containers-storage:redis:7",
		"ocidir:layout:7", "ocidir://layout:7", "ostree:redis@/ostree/repo", "sif:image.sif",
	} {
		name, _, _ := strings.Cut(in, ":")
		l, err := client.ParseLocator(in, layouts)
		if !errors.Is(err, content.ErrInvalid) || !strings.Contains(content.Hint(err), "dist-transport-"+name+" on PATH") {
			t.Errorf("%q is %+v, %v, hint %q", in, l, err, content.Hint(err))
		}
		known := func(t string) bool { return t == name }
		if l, err := client.ParseLocator(in, known); err != nil || l.Transport != name {
			t.Errorf("%q with a program is %+v, %v", in, l, err)
		}
	}
}

func FuzzParseLocator(f *testing.F) {
	for _, s := range []string{"redis:7", "docker://a.b/c@sha256:0", "oci:d:t", "store:x", "store:x@{1}", "my-own:", ":", "docker://oci:v1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l, err := client.ParseLocator(s, layouts)
		if err != nil {
			if !errors.Is(err, content.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		text := l.String()
		if l.Transport == client.TransportRegistry && !strings.Contains(text, "/") {
			t.Fatalf("%q is the reference %q", s, text)
		}
		again, err := client.ParseLocator(text, layouts)
		if err != nil || again.String() != text || again.Transport != l.Transport || again.Reference != l.Reference {
			t.Fatalf("%q is %+v; written again it is %+v, %v", s, l, again, err)
		}
	})
}

func TestTagFilter(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ glob, versions, yes, no string }{
		{"", "", "latest 7 v1", ""},
		{"7.*", "", "7.2 7.2-alpine", "7 17.2"},
		{"v?[0-4]", "", "v11 v24", "v1 v15 xv11"},
		{"", "^7.2", "7.2 v7.2.0 7.9.1", "7 7.3-rc1 8.0 latest 7.3.0-alpine"},
		{"", ">=1.2,<2", "1.2.0 1.9", "1.1 2.0.0"},
		{"", ">=1.3-0", "1.3.0-rc1 1.3.0 2", "1.2.9"},
		{"*.0", "~1.4", "1.4.0", "1.4.1 1.5.0"},
	} {
		f, err := client.NewTagFilter(x.glob, x.versions)
		must(t, err)
		for _, tag := range strings.Fields(x.yes) {
			if !f.Match(tag) {
				t.Errorf("glob %q, range %q: %s does not fit", x.glob, x.versions, tag)
			}
		}
		for _, tag := range strings.Fields(x.no) {
			if f.Match(tag) {
				t.Errorf("glob %q, range %q: %s fits", x.glob, x.versions, tag)
			}
		}
	}
}

func FuzzTagFilter(f *testing.F) {
	f.Add("7.*", "^7.2", "7.2.1")
	f.Add("[", ">=1.2,<2 || 3.x", "v1")
	f.Fuzz(func(t *testing.T, glob, versions, tag string) {
		filter, err := client.NewTagFilter(glob, versions)
		if err != nil {
			if !errors.Is(err, content.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		wide, err := client.NewTagFilter("", versions)
		if err != nil {
			t.Fatal(err)
		}
		if filter.Match(tag) && !wide.Match(tag) {
			t.Fatal("a glob lets a tag in that the range keeps out")
		}
	})
}
