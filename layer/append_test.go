package layer_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"dist.example/content"
	"dist.example/layer"
	"dist.example/oci"
)

// config is a configuration with rootfs and history as they are given.
func config(rest string) []byte {
	return []byte(`{"architecture":"s390x","x.unknown":{"b":1.50},"config":{"Cmd":["a"]}` + rest + `,"os":"linux"}`)
}

func diffIDs(layers ...layer.LayerInfo) string {
	ids := []string{}
	for _, l := range layers {
		ids = append(ids, `"`+l.DiffID.String()+`"`)
	}
	return `"diff_ids":[` + strings.Join(ids, ",") + `]`
}

func TestAConfigurationThatFitsIsKeptToTheByte(t *testing.T) {
	o := someImage(t)
	o.Document = config(`,"rootfs":{"type":"layers",` + diffIDs(o.Layers...) + `}`)
	got, _, desc, _, err := layer.Image(o)
	must(t, err)
	if string(got) != string(o.Document) || desc.Digest != oci.DigestBytes(o.Document) || desc.MediaType != oci.MediaTypeImageConfig {
		t.Errorf("%s as %+v", got, desc)
	}
	o.ConfigType = oci.MediaTypeDockerConfig
	_, _, desc, _, err = layer.Image(o)
	must(t, err)
	if desc.MediaType != oci.MediaTypeDockerConfig {
		t.Errorf("type %s", desc.MediaType)
	}
}

func TestAConfigurationIsCompleted(t *testing.T) {
	for _, rest := range []string{
		"", `,"rootfs":null`, `,"rootfs":{}`, `,"rootfs":{"diff_ids":[]},"history":[]`,
		`,"history":[{"created_by":"env","empty_layer":true}]`,
		`,"history":[{"created_by":"one"},{"created_by":"two"}]`,
	} {
		o := someImage(t)
		o.Document = config(rest)
		got, _, _, _, err := layer.Image(o)
		must(t, err)
		var img oci.Image
		must(t, json.Unmarshal(got, &img))
		steps := 0
		for _, h := range img.History {
			if !h.EmptyLayer {
				steps++
			}
		}
		if len(img.RootFS.DiffIDs) != 2 || img.RootFS.DiffIDs[1] != o.Layers[1].DiffID || img.RootFS.Type != "layers" || steps != 2 ||
			img.Architecture != "s390x" || img.Variant != "" || img.OS != "linux" || img.Config.Cmd[0] != "a" ||
			!strings.Contains(string(got), `"b": 1.50`) {
			t.Errorf("%s:\n%s", rest, got)
		}
	}
}

func TestACompletedConfigurationGetsThePlatformItLacks(t *testing.T) {
	o := someImage(t)
	o.Document = []byte(`{"os":""}`)
	got, _, _, _, err := layer.Image(o)
	must(t, err)
	var img oci.Image
	must(t, json.Unmarshal(got, &img))
	if img.OS != "linux" || img.Architecture != "arm64" || img.Variant != "v8" {
		t.Errorf("%s", got)
	}
}

func TestAConfigurationOfOtherLayersIsRefused(t *testing.T) {
	a, b, c := someLayer("a && b"), someLayer("c"), someLayer("other")
	for name, tc := range map[string]struct{ rest, names string }{
		"another":      {`,"rootfs":{"type":"layers",` + diffIDs(a, c) + `}`, c.DiffID.String()},
		"swapped":      {`,"rootfs":{"type":"layers",` + diffIDs(b, a) + `}`, "diff_id 1 is " + b.DiffID.String()},
		"one less":     {`,"rootfs":{"type":"layers",` + diffIDs(a) + `}`, b.DiffID.String()},
		"one more":     {`,"rootfs":{"type":"layers",` + diffIDs(a, b, c) + `}`, "diff_id 3, " + c.DiffID.String()},
		"history":      {`,"history":[{},{},{}]`, "3 layers"},
		"rootfs type":  {`,"rootfs":{"type":"tree"}`, "tree"},
		"rootfs no":    {`,"rootfs":7`, "rootfs"},
		"key twice":    {`,"rootfs":{},"rootfs":{}`, "twice"},
		"another case": {`,"RootFS":{}`, "RootFS"},
	} {
		o := someImage(t)
		o.Document = config(tc.rest)
		_, _, _, _, err := layer.Image(o)
		if !errors.Is(err, content.ErrInvalid) || !strings.Contains(err.Error(), tc.names) {
			t.Errorf("%s: %v, want one that names %q", name, err, tc.names)
		}
	}
}

// base is an image with unknown fields everywhere.
func base(t *testing.T, manifestType, configType, layerType string, history string) layer.Base {
	t.Helper()
	old := someLayer("old")
	cfg := config(`,"rootfs":{"type":"layers","more":1,` + diffIDs(old) + `}` + history)
	d := oci.DigestBytes(cfg)
	return layer.Base{MediaType: manifestType, Config: cfg, Manifest: []byte(`{"schemaVersion":2,"mediaType":"` + manifestType + `","x":"<y>",
		"config":{"mediaType":"` + configType + `","digest":"` + d.String() + `","size":` + "7" + `,"data":"e30=","annotations":{"k":"v"}},
		"layers":[{"mediaType":"` + layerType + `","size":7,"digest":"` + old.Descriptor.Digest.String() + `","z":1}],
		"annotations":{"kept":"yes"}}`)}
}

func TestAppendChangesNothingElse(t *testing.T) {
	b := base(t, oci.MediaTypeManifest, oci.MediaTypeImageConfig, oci.MediaTypeLayer, `,"history":[{"created_by":"old"}]`)
	cfg, manifest, cd, md, err := layer.Append(b, []layer.LayerInfo{someLayer("new")}, time.Time{})
	must(t, err)
	m, err := oci.ParseManifest(md.MediaType, manifest)
	must(t, err)
	var img oci.Image
	must(t, json.Unmarshal(cfg, &img))
	if m.Config.Digest != cd.Digest || m.Config.Size != cd.Size || m.Config.Data != nil || m.Config.Annotations["k"] != "v" ||
		len(m.Layers) != 2 || m.Layers[1].Digest != someLayer("new").Descriptor.Digest || m.Annotations["kept"] != "yes" {
		t.Errorf("%s", manifest)
	}
	if len(img.RootFS.DiffIDs) != 2 || img.RootFS.DiffIDs[1] != someLayer("new").DiffID || len(img.History) != 2 || img.Architecture != "s390x" {
		t.Errorf("%s", cfg)
	}
	for _, kept := range []string{`"x": "<y>"`, `"z": 1`} {
		if !strings.Contains(string(manifest), kept) {
			t.Errorf("%s is gone from\n%s", kept, manifest)
		}
	}
	for _, kept := range []string{`"more": 1`, `"b": 1.50`} {
		if !strings.Contains(string(cfg), kept) {
			t.Errorf("%s is gone from\n%s", kept, cfg)
		}
	}
}

func TestAppendLeavesAHistoryThatIsOutOfStep(t *testing.T) {
	for _, history := range []string{"", `,"history":[{"created_by":"a"},{"created_by":"b"}]`} {
		b := base(t, oci.MediaTypeManifest, oci.MediaTypeImageConfig, oci.MediaTypeLayer, history)
		cfg, _, _, _, err := layer.Append(b, []layer.LayerInfo{someLayer("new")}, time.Time{})
		must(t, err)
		var before, after oci.Image
		must(t, json.Unmarshal(b.Config, &before))
		must(t, json.Unmarshal(cfg, &after))
		if len(before.History) != len(after.History) {
			t.Errorf("%d steps became %d", len(before.History), len(after.History))
		}
	}
}

func TestAppendKeepsDockersFormat(t *testing.T) {
	b := base(t, oci.MediaTypeDockerManifest, oci.MediaTypeDockerConfig, oci.MediaTypeDockerLayer, "")
	zipped, plain, zstd := someLayer("zipped"), someLayer("plain"), someLayer("zstd")
	plain.Descriptor.MediaType, zstd.Descriptor.MediaType = oci.MediaTypeLayer, oci.MediaTypeLayerZstd
	_, manifest, cd, md, err := layer.Append(b, []layer.LayerInfo{zipped, plain}, time.Time{})
	must(t, err)
	m, err := oci.ParseManifest(oci.MediaTypeDockerManifest, manifest)
	must(t, err)
	if md.MediaType != oci.MediaTypeDockerManifest || cd.MediaType != oci.MediaTypeDockerConfig ||
		m.Layers[1].MediaType != oci.MediaTypeDockerLayer || m.Layers[2].MediaType != "application/vnd.docker.image.rootfs.diff.tar" {
		t.Errorf("%s", manifest)
	}
	if _, _, _, _, err := layer.Append(b, []layer.LayerInfo{zstd}, time.Time{}); !errors.Is(err, content.ErrUnsupported) {
		t.Errorf("zstd: %v", err)
	}
}

func TestAppendRefusesWhatDoesNotFit(t *testing.T) {
	for name, spoil := range map[string]func(*layer.Base, *layer.LayerInfo){
		"no manifest":       func(b *layer.Base, _ *layer.LayerInfo) { b.Manifest = []byte("{}") },
		"no configuration":  func(b *layer.Base, _ *layer.LayerInfo) { b.Config = []byte("[]") },
		"too few diff_ids":  func(b *layer.Base, _ *layer.LayerInfo) { b.Config = config("") },
		"layer of any type": func(_ *layer.Base, l *layer.LayerInfo) { l.Descriptor.MediaType = oci.MediaTypeOctets },
	} {
		b, l := base(t, oci.MediaTypeManifest, oci.MediaTypeImageConfig, oci.MediaTypeLayer, ""), someLayer("new")
		spoil(&b, &l)
		if _, _, _, _, err := layer.Append(b, []layer.LayerInfo{l}, time.Time{}); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), "pack image") {
			t.Errorf("%s: the error is of another verb: %v", name, err)
		}
	}
}
