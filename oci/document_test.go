package oci

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestDocumentKeepsWhatIsNotChanged(t *testing.T) {
	given := `{"z":1.50,"list":[{"b":"<&>","a":2}],"sub":{"x":null},"a":"é"}`
	d, err := ParseDocument([]byte(given), "list", "a")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := d.MarshalJSON(); err != nil || string(got) != given {
		t.Errorf("unchanged: %s, %v", got, err)
	}
	for _, change := range []error{
		AppendTo(d, "list", []any{"<new>", 3}), d.Set("a", []int{1}), d.Set("last", true), AppendTo(d, "made", []int{1}),
	} {
		if change != nil {
			t.Error(change)
		}
	}
	d.Delete("z")
	d.Delete("nobody")
	want := `{"list":[{"b":"<&>","a":2},"<new>",3],"sub":{"x":null},"a":[1],"last":true,"made":[1]}`
	if got, err := d.MarshalJSON(); err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
	if err := AppendTo(d, "last", []int{1}); !errors.Is(err, ErrInvalid) {
		t.Errorf("append to what is no list: %v", err)
	}
}

func TestDocumentGet(t *testing.T) {
	d, err := ParseDocument([]byte(`{"n":7,"null":null}`))
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if found, err := d.Get("n", &n); !found || err != nil || n != 7 {
		t.Errorf("n: %v, %v, %d", found, err, n)
	}
	for _, key := range []string{"null", "absent"} {
		if found, err := d.Get(key, &n); found || err != nil {
			t.Errorf("%s: %v, %v", key, found, err)
		}
	}
	var s string
	if _, err := d.Get("n", &s); !errors.Is(err, ErrInvalid) {
		t.Errorf("a number as text: %v", err)
	}
}

func TestDocumentRefusesWhatReadsInTwoWays(t *testing.T) {
	for _, text := range []string{
		"", "null", "[]", `"a"`, `{"a":1}{}`, `{"a":1`, `{"a":1,"a":1}`, `{"x":[{"b":1,"b":2}]}`, `{"Rootfs":{}}`, "{\"a\":\"\xff\"}",
	} {
		if _, err := ParseDocument([]byte(text), "rootfs"); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzDocument(f *testing.F) {
	f.Add(`{"a":1,"rootfs":{"diff_ids":[]},"history":null}`)
	f.Add(`{"layers":[{"digest":"sha256:x"},{}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseDocument([]byte(text))
		if err != nil {
			return
		}
		once, err := d.MarshalJSON()
		if err != nil || !json.Valid(once) {
			t.Fatalf("%q became %q, %v", text, once, err)
		}
		again, err := ParseDocument(once)
		if err != nil {
			t.Fatalf("%q became %q: %v", text, once, err)
		}
		twice, err := again.MarshalJSON()
		if err != nil || string(twice) != string(once) {
			t.Fatalf("%q, then %q, %v", once, twice, err)
		}
	})
}

func TestEncodeHoldsManifestsToTheRules(t *testing.T) {
	x := Index{MediaType: MediaTypeIndex, Manifests: []Descriptor{}}
	x.SchemaVersion = 2
	data, desc, err := Encode(MediaTypeIndex, x)
	if err != nil || desc.Digest != DigestBytes(data) || !strings.HasSuffix(string(data), "\n}\n") {
		t.Errorf("%s %+v %v", data, desc, err)
	}
	x.Annotations = map[string]string{"long": strings.Repeat("x", MaxManifestSize)}
	if _, _, err := Encode(MediaTypeIndex, x); !errors.Is(err, ErrInvalid) {
		t.Errorf("an index of more than %d bytes: %v", MaxManifestSize, err)
	}
}

func TestArtifactType(t *testing.T) {
	for _, tc := range []struct{ said, config, want string }{
		{"", MediaTypeImageConfig, ""},
		{"", MediaTypeDockerConfig, ""},
		{"a/b", MediaTypeImageConfig, "a/b"},
		{"a/b", MediaTypeEmpty, "a/b"},
		{"", "application/vnd.cncf.helm.config.v1+json", "application/vnd.cncf.helm.config.v1+json"},
	} {
		m := Manifest{ArtifactType: tc.said, Config: Descriptor{MediaType: tc.config}}
		if got := ArtifactType(m); got != tc.want {
			t.Errorf("%q with %s: %q, want %q", tc.said, tc.config, got, tc.want)
		}
	}
}

func TestSamePlatform(t *testing.T) {
	arm := Platform{OS: "linux", Architecture: "arm64"}
	v8 := Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}
	if !SamePlatform(arm, v8) {
		t.Error("arm64 and arm64/v8 are two")
	}
	older, newer := Platform{OS: "windows", Architecture: "amd64", OSVersion: "10.0.1"}, Platform{OS: "windows", Architecture: "amd64", OSVersion: "10.0.2"}
	if SamePlatform(older, newer) || SamePlatform(arm, older) {
		t.Error("two platforms are one")
	}
}

func TestSetInKeepsWhatItDoesNotSet(t *testing.T) {
	for _, c := range []struct{ before, after string }{
		{`{"x":1}`, `{"x":1,"in":{"a":"1","b":"2"}}`},
		{`{"in":null}`, `{"in":{"a":"1","b":"2"}}`},
		{`{"in":{"z":1.50,"b":[0]},"x":1}`, `{"in":{"z":1.50,"b":"2","a":"1"},"x":1}`},
	} {
		d, err := ParseDocument([]byte(c.before))
		if err != nil {
			t.Fatal(err)
		}
		if err := SetIn(d, "in", map[string]string{"b": "2", "a": "1"}); err != nil {
			t.Fatal(err)
		}
		if got, err := d.MarshalJSON(); err != nil || string(got) != c.after {
			t.Errorf("%s became %s, %v", c.before, got, err)
		}
	}
	d, err := ParseDocument([]byte(`{"in":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := SetIn(d, "none", map[string]string{}); err != nil || d.find("none") != nil {
		t.Errorf("nothing to set: %v", err)
	}
	if err := SetIn(d, "in", map[string]string{"a": "1"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("a list: %v", err)
	}
}
