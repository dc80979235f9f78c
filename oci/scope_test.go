package oci_test

import (
	"errors"
	"testing"

	"dist.example/oci"
)

func TestParseScope(t *testing.T) {
	for in, want := range map[string][2]string{
		"quay.io":               {"quay.io", ""},
		"quay.io/team":          {"quay.io", "team"},
		"quay.io/team/app":      {"quay.io", "team/app"},
		"localhost":             {"localhost", ""},
		"localhost:5000/a":      {"localhost:5000", "a"},
		"[::1]:5000":            {"[::1]:5000", ""},
		"docker.io":             {"docker.io", ""},
		"docker.io/team":        {"docker.io", "team"},
		"index.docker.io":       {"docker.io", ""},
		"registry.example:443":  {"registry.example:443", ""},
		"Registry.example/team": {"Registry.example", "team"},
	} {
		got, err := oci.ParseScope(in)
		if err != nil || got != (oci.Reference{Registry: want[0], Repository: want[1]}) {
			t.Errorf("%s: %+v, %v", in, got, err)
		}
	}
	for _, in := range []string{
		"", "/", "team", "team/app", "quay.io/", "quay.io//a", "quay.io/a:v1", "quay.io/a/", "quay.io/UPPER", "https://quay.io",
		"user@quay.io", "quay.io/a@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "a b.io", "quay.io:x", "under_score.io",
	} {
		if got, err := oci.ParseScope(in); !errors.Is(err, oci.ErrInvalid) {
			t.Errorf("%q is taken for %+v, %v", in, got, err)
		}
	}
}

func TestNameOfAWholeRegistry(t *testing.T) {
	if got := (oci.Reference{Registry: "quay.io"}).Name(); got != "quay.io" {
		t.Errorf("name %q", got)
	}
}

func FuzzParseScope(f *testing.F) {
	for _, s := range []string{"quay.io", "quay.io/team/app", "localhost:5000/a", "[::1]:5000", "index.docker.io", "docker.io/team", "a.b/", "/", "x_y.io", "a.b/c:d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := oci.ParseScope(s)
		if err != nil {
			return
		}
		again, err := oci.ParseScope(got.Name())
		if err != nil || again != got || got.Registry == "" || got.Tag != "" || got.Digest != "" {
			t.Fatalf("%q is %+v; written %s it is %+v, %v", s, got, got.Name(), again, err)
		}
	})
}
