package oci_test

import (
	"errors"
	"runtime"
	"testing"

	"dist.example/oci"
)

func TestParsePlatform(t *testing.T) {
	for s, want := range map[string]string{
		"linux/amd64":    "linux/amd64",
		"linux/x86_64":   "linux/amd64",
		"Linux/AMD64":    "linux/amd64",
		"linux/aarch64":  "linux/arm64",
		"linux/arm64/v8": "linux/arm64",
		"linux/arm":      "linux/arm/v7",
		"linux/arm/v6":   "linux/arm/v6",
		"linux/armhf":    "linux/arm/v7",
		"linux/i386":     "linux/386",
		"windows/amd64":  "windows/amd64",
		"linux/amd64/v3": "linux/amd64/v3",
	} {
		if p, err := oci.ParsePlatform(s); err != nil || oci.FormatPlatform(&p) != want {
			t.Errorf("%q: %q, %v; want %q", s, oci.FormatPlatform(&p), err, want)
		}
	}
	for _, s := range []string{
		"", "linux", "arm64", "arm/v7", "arm64/v8", "amd64/linux", "x86_64/linux", "aarch64/v8", "ARM64/v8",
		"linux/", "/amd64", "linux//v7", "linux/arm/v7/x", "linux/am d64", "linux/*",
	} {
		if p, err := oci.ParsePlatform(s); !errors.Is(err, oci.ErrInvalid) {
			t.Errorf("%q: %+v, %v", s, p, err)
		}
	}
}

func TestFormatPlatformOfNothing(t *testing.T) {
	if got := oci.FormatPlatform(nil) + oci.FormatPlatform(&oci.Platform{}); got != "" {
		t.Errorf("%q", got)
	}
}

func TestDefaultPlatformRunsContainers(t *testing.T) {
	p := oci.DefaultPlatform()
	if p.Architecture != runtime.GOARCH || p.OSVersion != "" || p.OS == "darwin" {
		t.Errorf("%+v", p)
	}
}

// offer is an index's descriptors, one for each platform; "" has none.
func offer(t *testing.T, names ...string) []oci.Descriptor {
	t.Helper()
	var ds []oci.Descriptor
	for _, n := range names {
		d := oci.Descriptor{Digest: oci.DigestBytes([]byte(n)), ArtifactType: n}
		switch n {
		case "":
		case "unknown/unknown":
			d.Platform = &oci.Platform{OS: "unknown", Architecture: "unknown"}
		default:
			p, err := oci.ParsePlatform(n)
			if err != nil {
				t.Fatal(err)
			}
			d.Platform = &p
		}
		ds = append(ds, d)
	}
	return ds
}

func TestSelectPlatform(t *testing.T) {
	for _, c := range []struct {
		name  string
		offer []string
		want  string
		got   string
	}{
		{"exact", []string{"linux/386", "linux/arm64", "linux/amd64"}, "linux/amd64", "linux/amd64"},
		{"exact before better", []string{"linux/arm/v7", "linux/arm64"}, "linux/arm64", "linux/arm64"},
		{"arm64 takes arm", []string{"linux/arm/v5", "linux/arm/v7", "linux/arm/v6"}, "linux/arm64", "linux/arm/v7"},
		{"amd64 takes 386", []string{"linux/arm64", "linux/386"}, "linux/amd64", "linux/386"},
		{"arm means v7", []string{"linux/arm/v6", "linux/arm/v7"}, "linux/arm", "linux/arm/v7"},
		{"v6 does not take v7", []string{"linux/arm/v7"}, "linux/arm/v6", ""},
		{"v7 takes the highest below", []string{"linux/arm/v5", "linux/arm/v6"}, "linux/arm/v7", "linux/arm/v6"},
		{"amd64/v3 takes the highest below", []string{"linux/amd64", "linux/amd64/v2"}, "linux/amd64/v3", "linux/amd64/v2"},
		{"amd64 does not take v3", []string{"linux/amd64/v3"}, "linux/amd64", ""},
		{"386 does not take amd64", []string{"linux/amd64"}, "linux/386", ""},
		{"another system", []string{"windows/amd64"}, "linux/amd64", ""},
		{"first of equals", []string{"linux/amd64", "linux/amd64"}, "linux/amd64", "linux/amd64"},
		{"attestations never", []string{"unknown/unknown", ""}, "linux/amd64", ""},
		{"not even when asked for", []string{"unknown/unknown"}, "unknown/unknown", ""},
		{"nothing offered", nil, "linux/amd64", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			want, err := oci.ParsePlatform(c.want)
			if err != nil {
				t.Fatal(err)
			}
			d, ok := oci.SelectPlatform(offer(t, c.offer...), want)
			if ok != (c.got != "") || d.ArtifactType != c.got {
				t.Errorf("picked %q, %v; want %q", d.ArtifactType, ok, c.got)
			}
		})
	}
}

func TestSelectPlatformTakesTheVersionAskedFor(t *testing.T) {
	ds := offer(t, "windows/amd64", "windows/amd64")
	ds[0].Platform.OSVersion, ds[1].Platform.OSVersion = "10.0.17763.1", "10.0.20348.1"
	want := oci.Platform{OS: "windows", Architecture: "amd64", OSVersion: "10.0.20348.1"}
	if d, ok := oci.SelectPlatform(ds, want); !ok || d.Platform.OSVersion != "10.0.20348.1" {
		t.Errorf("%+v, %v", d.Platform, ok)
	}
}
