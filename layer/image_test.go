package layer_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"dist.example/content"
	"dist.example/layer"
	"dist.example/oci"
)

func someLayer(s string) layer.LayerInfo {
	return layer.LayerInfo{
		Descriptor: oci.Descriptor{MediaType: oci.MediaTypeLayerGzip, Digest: oci.DigestBytes([]byte(s)), Size: 7},
		DiffID:     oci.DigestBytes([]byte("plain " + s)),
		CreatedBy:  "dist pack " + s,
	}
}

func someImage(t *testing.T) layer.ImageOptions {
	t.Helper()
	ref, err := oci.ParseReference("icecrime/my_image:v1")
	must(t, err)
	return layer.ImageOptions{
		Platform: oci.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"},
		Name:     ref,
		Layers:   []layer.LayerInfo{someLayer("a && b"), someLayer("c")},
		Config:   oci.ImageConfig{Cmd: []string{"/bin/sh"}, Labels: map[string]string{"b": "2", "a": "1"}},
	}
}

func TestImageIsValidAndComplete(t *testing.T) {
	o := someImage(t)
	config, manifest, cd, md, err := layer.Image(o)
	must(t, err)
	if md.Digest != oci.DigestBytes(manifest) || md.Size != int64(len(manifest)) || md.MediaType != oci.MediaTypeManifest ||
		cd.Digest != oci.DigestBytes(config) || cd.Size != int64(len(config)) {
		t.Errorf("descriptors %+v, %+v", cd, md)
	}
	m, err := oci.ParseManifest(md.MediaType, manifest)
	must(t, err)
	if m.Config.Digest != cd.Digest || m.Config.MediaType != oci.MediaTypeImageConfig || len(m.Layers) != 2 ||
		m.Layers[0].Digest != o.Layers[0].Descriptor.Digest || m.MediaType != oci.MediaTypeManifest {
		t.Errorf("%s", manifest)
	}
	var img oci.Image
	must(t, json.Unmarshal(config, &img))
	if img.RootFS.Type != "layers" || len(img.RootFS.DiffIDs) != 2 || img.RootFS.DiffIDs[1] != o.Layers[1].DiffID ||
		len(img.History) != 2 || img.History[0].CreatedBy != "dist pack a && b" || img.Architecture != "arm64" ||
		img.Variant != "v8" || img.OS != "linux" || img.Config.Cmd[0] != "/bin/sh" {
		t.Errorf("%s", config)
	}
	if got := oci.DetectManifest(manifest); got != oci.MediaTypeManifest {
		t.Errorf("detected as %q", got)
	}
}

func TestImageBytesDependOnTheOptionsAlone(t *testing.T) {
	c1, m1, _, _, err := layer.Image(someImage(t))
	must(t, err)
	c2, m2, _, _, err := layer.Image(someImage(t))
	must(t, err)
	if !bytes.Equal(c1, c2) || !bytes.Equal(m1, m2) {
		t.Error("two runs differ")
	}
	if !bytes.HasSuffix(m1, []byte("\n}\n")) || !bytes.Contains(c1, []byte("a && b")) {
		t.Errorf("not as people read it:\n%s%s", m1, c1)
	}
}

func TestTheNameCountsAndTheTagDoesNot(t *testing.T) {
	digest := func(name string) oci.Digest {
		o := someImage(t)
		var err error
		o.Name, err = oci.ParseReference(name)
		must(t, err)
		_, manifest, _, md, err := layer.Image(o)
		must(t, err)
		if !strings.Contains(string(manifest), `"`+layer.AnnotationName+`": "`+o.Name.Name()+`"`) {
			t.Errorf("%s", manifest)
		}
		return md.Digest
	}
	if digest("x:v1") != digest("x:v2") {
		t.Error("the tag changes the manifest")
	}
	if digest("x:v1") == digest("y:v1") {
		t.Error("the name does not change the manifest")
	}
}

func TestCreatedIsSaidOnlyWhenItIsSet(t *testing.T) {
	o := someImage(t)
	config, manifest, _, _, err := layer.Image(o)
	must(t, err)
	if bytes.Contains(manifest, []byte(oci.AnnotationCreated)) || !bytes.Contains(config, []byte(`"created": "1970-01-01T00:00:00Z"`)) {
		t.Errorf("%s%s", manifest, config)
	}
	o.Created = time.Unix(1700000000, 5)
	config, manifest, _, _, err = layer.Image(o)
	must(t, err)
	if !bytes.Contains(manifest, []byte(`"`+oci.AnnotationCreated+`": "2023-11-14T22:13:20Z"`)) || bytes.Count(config, []byte("2023-11-14T22:13:20Z")) != 3 {
		t.Errorf("%s%s", manifest, config)
	}
	o.Annotations = map[string]string{oci.AnnotationCreated: "given"}
	if _, manifest, _, _, err = layer.Image(o); err != nil || !bytes.Contains(manifest, []byte(`"given"`)) {
		t.Errorf("%s, %v", manifest, err)
	}
}

func TestImageWithoutLayersHasEmptyLists(t *testing.T) {
	config, manifest, _, _, err := layer.Image(layer.ImageOptions{Platform: oci.Platform{OS: "linux", Architecture: "amd64"}})
	must(t, err)
	if !bytes.Contains(manifest, []byte(`"layers": []`)) || !bytes.Contains(config, []byte(`"diff_ids": []`)) || bytes.Contains(manifest, []byte("annotations")) {
		t.Errorf("%s%s", manifest, config)
	}
}

func TestImageRefusesWhatIsNone(t *testing.T) {
	for name, spoil := range map[string]func(*layer.ImageOptions){
		"no platform":       func(o *layer.ImageOptions) { o.Platform = oci.Platform{} },
		"no processor":      func(o *layer.ImageOptions) { o.Platform.Architecture = "" },
		"layer of any type": func(o *layer.ImageOptions) { o.Layers[1].Descriptor.MediaType = oci.MediaTypeOctets },
		"layer a config":    func(o *layer.ImageOptions) { o.Layers[0].Descriptor.MediaType = oci.MediaTypeImageConfig },
		"bad digest":        func(o *layer.ImageOptions) { o.Layers[0].Descriptor.Digest = "sha256:x" },
		"bad diff_id":       func(o *layer.ImageOptions) { o.Layers[0].DiffID = "" },
		"negative size":     func(o *layer.ImageOptions) { o.Layers[0].Descriptor.Size = -1 },
	} {
		o := someImage(t)
		spoil(&o)
		if config, manifest, _, _, err := layer.Image(o); !errors.Is(err, content.ErrInvalid) || config != nil || manifest != nil {
			t.Errorf("%s: %v", name, err)
		} else if strings.Count(err.Error(), "pack image: ") > 1 {
			t.Errorf("%s: the verb stands twice: %v", name, err)
		}
	}
}
