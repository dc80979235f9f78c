package oci_test

import (
	"errors"
	"strings"
	"testing"

	"dist.example/oci"
)

func TestParseMediaType(t *testing.T) {
	for s, want := range map[string]string{
		"layer": oci.MediaTypeLayer, "layer+gzip": oci.MediaTypeLayerGzip, "layer+zstd": oci.MediaTypeLayerZstd,
		"config": oci.MediaTypeImageConfig, "image": oci.MediaTypeManifest, "manifest": oci.MediaTypeManifest,
		"index": oci.MediaTypeIndex, "json": "application/json", "text": "text/plain", "blob": oci.MediaTypeOctets,
		"application/vnd.example.thing.v1+json": "application/vnd.example.thing.v1+json",
		"a/b":                                   "a/b",
		"x/" + strings.Repeat("y", 127):         "x/" + strings.Repeat("y", 127),
	} {
		if got, err := oci.ParseMediaType(s); err != nil || got != want {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
	for _, s := range []string{
		"", "nonsense", "a/", "/b", "a/b/c", "a/b; charset=utf-8", "a b/c", "-a/b", "a/b\n", "Layer", "x/" + strings.Repeat("y", 128), "ä/b",
	} {
		if got, err := oci.ParseMediaType(s); !errors.Is(err, oci.ErrInvalid) || got != "" {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
}

func TestMediaTypeClasses(t *testing.T) {
	for _, c := range []struct {
		typ                                   string
		manifest, index, config, layer, nondi bool
	}{
		{typ: oci.MediaTypeManifest, manifest: true},
		{typ: oci.MediaTypeDockerManifest, manifest: true},
		{typ: oci.MediaTypeIndex, index: true},
		{typ: oci.MediaTypeDockerList, index: true},
		{typ: oci.MediaTypeImageConfig, config: true},
		{typ: oci.MediaTypeDockerConfig, config: true},
		{typ: oci.MediaTypeLayer, layer: true},
		{typ: oci.MediaTypeLayerZstd, layer: true},
		{typ: oci.MediaTypeDockerLayer, layer: true},
		{typ: "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", layer: true, nondi: true},
		{typ: "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", layer: true, nondi: true},
		{typ: "application/vnd.docker.distribution.manifest.v1+prettyjws"},
		{typ: oci.MediaTypeOctets},
		{typ: ""},
	} {
		if oci.IsManifest(c.typ) != c.manifest || oci.IsIndex(c.typ) != c.index || oci.IsImageConfig(c.typ) != c.config ||
			oci.IsImageLayer(c.typ) != c.layer || oci.IsNonDistributable(c.typ) != c.nondi || oci.HasSuccessors(c.typ) != (c.manifest || c.index) {
			t.Errorf("%q is misjudged", c.typ)
		}
	}
	if !oci.IsSchema1("application/vnd.docker.distribution.manifest.v1+json") || oci.IsSchema1(oci.MediaTypeDockerManifest) {
		t.Error("schema 1 is misjudged")
	}
}
