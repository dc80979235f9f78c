package layer_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"dist.example/content"
	"dist.example/layer"
	"dist.example/oci"
)

// configured are the settings of an image after s.
func configured(t *testing.T, doc string, s layer.Settings) (oci.ImageConfig, string) {
	t.Helper()
	o := someImage(t)
	o.Document = []byte(strings.TrimSuffix(doc, "}") + `,"rootfs":{"type":"layers",` + diffIDs(o.Layers...) + `}}`)
	config, manifest, _, desc, err := layer.Image(o)
	must(t, err)
	got, changed, configDesc, manifestDesc, err := layer.Configure(layer.Base{MediaType: desc.MediaType, Manifest: manifest, Config: config}, s)
	must(t, err)
	m, err := oci.ParseManifest(manifestDesc.MediaType, changed)
	must(t, err)
	if m.Config.Digest != configDesc.Digest || configDesc.Digest != oci.DigestBytes(got) || manifestDesc.Digest != oci.DigestBytes(changed) || len(m.Layers) != 2 {
		t.Errorf("%s\n%+v", changed, configDesc)
	}
	var img oci.Image
	must(t, json.Unmarshal(got, &img))
	if len(img.RootFS.DiffIDs) != 2 || len(img.History) != 0 {
		t.Errorf("%s", got)
	}
	return img.Config, string(got)
}

func TestConfigureChangesWhatIsGivenAndNothingElse(t *testing.T) {
	text := func(s string) *string { return &s }
	list := func(s ...string) *[]string { return &s }
	const doc = `{"x.own":1.50,"config":{"Odd":{"b":1,"a":2},"Cmd":["old"],"Entrypoint":["e"],"User":"me","Env":["A=1","AB=2"],"Labels":{"z":"1"}}}`
	for name, c := range map[string]struct {
		s    layer.Settings
		want string // in what is written, without blanks
		not  string
	}{
		"nothing":         {layer.Settings{}, `"Cmd":["old"],"Entrypoint":["e"],"User":"me"`, "WorkingDir"},
		"a user":          {layer.Settings{User: text("1000")}, `"User":"1000"`, `"me"`},
		"no user":         {layer.Settings{User: text("")}, `"Cmd":["old"]`, "User"},
		"an entrypoint":   {layer.Settings{Entrypoint: list("n", "m")}, `"Entrypoint":["n","m"]`, "Cmd"},
		"both":            {layer.Settings{Entrypoint: list("n"), Cmd: list("c")}, `"Cmd":["c"],"Entrypoint":["n"]`, "old"},
		"no command":      {layer.Settings{Cmd: list()}, `"Entrypoint":["e"]`, "Cmd"},
		"a variable":      {layer.Settings{Env: []string{"A=x=y", "B=<&>"}}, `"Env":["A=x=y","AB=2","B=<&>"]`, "A=1"},
		"a label":         {layer.Settings{Labels: map[string]string{"b": "2", "a": "", "z": "3"}}, `"Labels":{"z":"3","a":"","b":"2"}`, `"z":"1"`},
		"ports":           {layer.Settings{Expose: []string{"80", "53/udp"}}, `"ExposedPorts":{"53/udp":{},"80/tcp":{}}`, ""},
		"a volume":        {layer.Settings{Volumes: []string{"/data", `C:\data`}}, `"Volumes":{"/data":{},"C:\\data":{}}`, ""},
		"a signal":        {layer.Settings{StopSignal: text("SIGRTMIN+3")}, `"StopSignal":"SIGRTMIN+3"`, ""},
		"a folder to run": {layer.Settings{WorkDir: text("/srv")}, `"WorkingDir":"/srv"`, ""},
	} {
		_, got := configured(t, doc, c.s)
		got = strings.Join(strings.Fields(got), "")
		if !strings.Contains(got, c.want) || c.not != "" && strings.Contains(got, c.not) ||
			!strings.Contains(got, `{"x.own":1.50,"config":{"Odd":{"b":1,"a":2}`) {
			t.Errorf("%s: %s", name, got)
		}
	}
	const twice = `{"config":{"Env":["A=1","AB=1","A=2","B=1","A=3"]}}`
	if got, _ := configured(t, twice, layer.Settings{Env: []string{"A=4", "B=2"}}); !slices.Equal(got.Env, []string{"A=4", "AB=1", "B=2"}) {
		t.Errorf("a variable that was there thrice: %q", got.Env)
	}
	for _, empty := range []string{`{"x":1}`, `{"config":null}`} {
		if got, _ := configured(t, empty, layer.Settings{Env: []string{"A=1"}}); len(got.Env) != 1 {
			t.Errorf("%s: %+v", empty, got)
		}
	}
}

func TestSettingsThatNoRuntimeCouldFollowAreRefused(t *testing.T) {
	text := func(s string) *string { return &s }
	for _, s := range []layer.Settings{
		{Env: []string{"A"}},
		{Env: []string{"=1"}},
		{Env: []string{"A=1", "A=2"}},
		{Env: []string{"A=\x00"}},
		{Env: []string{"A=\xff"}},
		{Labels: map[string]string{"": "x"}},
		{Labels: map[string]string{"a": "\xff"}},
		{Expose: []string{""}},
		{Expose: []string{"0"}},
		{Expose: []string{"080"}},
		{Expose: []string{"65536"}},
		{Expose: []string{"80/"}},
		{Expose: []string{"80-90"}},
		{Volumes: []string{""}},
		{Volumes: []string{"data"}},
		{WorkDir: text("srv")},
		{StopSignal: text("TERM")},
		{StopSignal: text("0")},
		{StopSignal: text("SIG")},
		{User: text("a\x00")},
		{Entrypoint: &[]string{"a\x00"}},
	} {
		if s.IsZero() {
			t.Errorf("%+v counts as nothing", s)
		}
		if err := s.Check(); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("%+v: %v", s, err)
		}
	}
	if !(layer.Settings{}).IsZero() || (layer.Settings{}).Check() != nil {
		t.Error("nothing is something")
	}
}

func TestConfigureRefusesWhatTwoReadersWouldReadInTwoWays(t *testing.T) {
	o := someImage(t)
	_, manifest, _, desc, err := layer.Image(o)
	must(t, err)
	for _, doc := range []string{`[]`, `{"config":[]}`, `{"Config":{}}`, `{"config":{"env":[]}}`, `{"config":{"Env":"A=1"}}`, `{"config":{"Env":[],"Env":[]}}`} {
		_, _, _, _, err := layer.Configure(layer.Base{MediaType: desc.MediaType, Manifest: manifest, Config: []byte(doc)}, layer.Settings{Env: []string{"A=1"}})
		if !errors.Is(err, content.ErrInvalid) {
			t.Errorf("%s: %v", doc, err)
		}
	}
}

func TestAnImageOnABaseBeginsWithIt(t *testing.T) {
	o := someImage(t)
	o.Document = config(`,"rootfs":{"type":"layers",` + diffIDs(o.Layers...) + `}`)
	config, manifest, _, desc, err := layer.Image(o)
	must(t, err)
	docker := strings.NewReplacer(oci.MediaTypeManifest, oci.MediaTypeDockerManifest, oci.MediaTypeImageConfig, oci.MediaTypeDockerConfig,
		oci.MediaTypeLayerGzip, oci.MediaTypeDockerLayer)
	for _, base := range []layer.Base{
		{MediaType: desc.MediaType, Manifest: manifest, Config: config},
		{MediaType: oci.MediaTypeDockerManifest, Manifest: []byte(docker.Replace(string(manifest))), Config: config},
	} {
		top := someLayer("top")
		got, made, _, madeDesc, err := layer.Image(layer.ImageOptions{
			Platform: o.Platform, Layers: []layer.LayerInfo{top}, Base: &base, Annotations: map[string]string{"a": "b"},
		})
		must(t, err)
		m, err := oci.ParseManifest(madeDesc.MediaType, made)
		must(t, err)
		var img oci.Image
		must(t, json.Unmarshal(got, &img))
		if madeDesc.MediaType != oci.MediaTypeManifest || len(m.Layers) != 3 || m.Layers[0].Digest != o.Layers[0].Descriptor.Digest ||
			m.Layers[0].MediaType != oci.MediaTypeLayerGzip || m.Layers[2].Digest != top.Descriptor.Digest || m.Config.MediaType != oci.MediaTypeImageConfig ||
			len(m.Annotations) != 1 || len(img.RootFS.DiffIDs) != 3 || img.Architecture != "s390x" || !strings.Contains(string(got), `"b": 1.50`) {
			t.Errorf("%s\n%s", made, got)
		}
		base.Config = []byte(`{"rootfs":{"type":"layers","diff_ids":[]}}`)
		if _, _, _, _, err := layer.Image(layer.ImageOptions{Platform: o.Platform, Base: &base}); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("a configuration of other layers: %v", err)
		}
	}
}
