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

// stack is an image of three layers, with fields that are not known.
func stack(t *testing.T, history string) layer.Base {
	t.Helper()
	b := base(t, oci.MediaTypeManifest, oci.MediaTypeImageConfig, oci.MediaTypeLayer, history)
	config, manifest, _, desc, err := layer.Append(b, []layer.LayerInfo{someLayer("two"), someLayer("three")}, time.Time{})
	must(t, err)
	return layer.Base{MediaType: desc.MediaType, Config: config, Manifest: manifest}
}

func flatten(t *testing.T, b layer.Base, from int) (oci.Manifest, oci.Image, []byte, []byte) {
	t.Helper()
	l := someLayer("squashed")
	l.CreatedBy = "squash"
	config, manifest, cd, md, err := layer.Flatten(b, from, l, time.Unix(5, 0))
	must(t, err)
	m, err := oci.ParseManifest(md.MediaType, manifest)
	must(t, err)
	var img oci.Image
	must(t, json.Unmarshal(config, &img))
	if m.Config.Digest != cd.Digest || cd.Digest != oci.DigestBytes(config) || md.Digest != oci.DigestBytes(manifest) {
		t.Errorf("%+v is not %+v", m.Config, cd)
	}
	if n := len(m.Layers); n != from+1 || len(img.RootFS.DiffIDs) != n ||
		m.Layers[from].Digest != l.Descriptor.Digest || img.RootFS.DiffIDs[from] != l.DiffID {
		t.Errorf("%s\n%s", manifest, config)
	}
	return m, img, manifest, config
}

func TestFlattenChangesNothingElse(t *testing.T) {
	b := stack(t, `,"history":[{"created_by":"one","x":"<1>"},{"created_by":"env","empty_layer":true}]`)
	for from, want := range []string{"one- env- two- three- squash+", "one+ env- two- three- squash+", "one+ env- two+ three- squash+"} {
		m, img, manifest, config := flatten(t, b, from)
		var steps []string
		for _, h := range img.History {
			made := "+"
			if h.EmptyLayer {
				made = "-"
			}
			steps = append(steps, strings.TrimPrefix(h.CreatedBy, "dist pack ")+made)
		}
		if got := strings.Join(steps, " "); got != want {
			t.Errorf("from %d: history %q, want %q", from, got, want)
		}
		if m.Annotations["kept"] != "yes" || img.Architecture != "s390x" || !img.History[len(img.History)-1].Created.Equal(time.Unix(5, 0)) {
			t.Errorf("%s\n%s", manifest, config)
		}
		for _, kept := range []string{`"x": "<y>"`, `"more": 1`, `"b": 1.50`, `"x": "<1>"`} {
			if !strings.Contains(string(manifest)+string(config), kept) {
				t.Errorf("from %d: %s is gone", from, kept)
			}
		}
	}
}

func TestFlattenLeavesAHistoryThatIsOutOfStep(t *testing.T) {
	for history, want := range map[string]int{"": 0, `,"history":[{"created_by":"a"},{"created_by":"b"}]`: 2} {
		if _, img, _, _ := flatten(t, stack(t, history), 1); len(img.History) != want {
			t.Errorf("%s became %+v", history, img.History)
		}
	}
	// Of all layers one step is sure to be the one.
	_, img, _, _ := flatten(t, stack(t, `,"history":[{"created_by":"a"},{"created_by":"b"}]`), 0)
	if len(img.History) != 3 || !img.History[0].EmptyLayer || !img.History[1].EmptyLayer || img.History[2].EmptyLayer {
		t.Errorf("%+v", img.History)
	}
}

func TestFlattenKeepsDockersFormat(t *testing.T) {
	b := base(t, oci.MediaTypeDockerManifest, oci.MediaTypeDockerConfig, oci.MediaTypeDockerLayer, "")
	l := someLayer("new")
	_, _, cd, md, err := layer.Flatten(b, 0, l, time.Time{})
	must(t, err)
	if md.MediaType != oci.MediaTypeDockerManifest || cd.MediaType != oci.MediaTypeDockerConfig {
		t.Errorf("%+v, %+v", md, cd)
	}
	l.Descriptor.MediaType = oci.MediaTypeLayerZstd
	if _, _, _, _, err := layer.Flatten(b, 0, l, time.Time{}); !errors.Is(err, content.ErrUnsupported) {
		t.Errorf("zstd: %v", err)
	}
}

func TestFlattenRefusesWhatDoesNotFit(t *testing.T) {
	for name, spoil := range map[string]func(*layer.Base, *int){
		"no manifest":         func(b *layer.Base, _ *int) { b.Manifest = []byte("{}") },
		"no configuration":    func(b *layer.Base, _ *int) { b.Config = []byte("[]") },
		"too few diff_ids":    func(b *layer.Base, _ *int) { b.Config = config("") },
		"no such layer":       func(_ *layer.Base, from *int) { *from = 3 },
		"no layer at all":     func(_ *layer.Base, from *int) { *from = -1 },
		"history of no steps": func(b *layer.Base, _ *int) { b.Config = []byte(strings.Replace(string(b.Config), `"one"`, "1", 1)) },
	} {
		b, from := stack(t, `,"history":[{"created_by":"one"}]`), 1
		spoil(&b, &from)
		if _, _, _, _, err := layer.Flatten(b, from, someLayer("new"), time.Time{}); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
