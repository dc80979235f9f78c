package oci_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"dist.example/oci"
)

// desc is a descriptor in JSON, told apart by one digit.
func desc(digit string) string {
	return fmt.Sprintf(`{"mediaType":"application/x","digest":"sha256:%s","size":1}`, strings.Repeat(digit, 64))
}

var (
	manifest = `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeManifest + `","config":` + desc("a") + `,"layers":[` + desc("b") + `,` + desc("c") + `],"subject":` + desc("d") + `}`
	index    = `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeIndex + `","manifests":[` + desc("e") + `,` + desc("f") + `],"subject":` + desc("d") + `}`
)

func roles(edges []oci.Edge) string {
	var b strings.Builder
	for _, e := range edges {
		fmt.Fprintf(&b, "%s:%s ", e.Role, e.Digest.Encoded()[:1])
	}
	return strings.TrimSpace(b.String())
}

func TestSuccessorsInTheOrderOfTheDocument(t *testing.T) {
	for _, c := range []struct{ name, typ, doc, want string }{
		{"manifest", oci.MediaTypeManifest, manifest, "config:a layer:b layer:c subject:d"},
		{"index", oci.MediaTypeIndex, index, "manifest:e manifest:f subject:d"},
		{"no mediaType field", oci.MediaTypeManifest, `{"schemaVersion":2,"config":` + desc("a") + `,"layers":[]}`, "config:a"},
		{"no layers", oci.MediaTypeManifest, `{"schemaVersion":2,"config":` + desc("a") + `}`, "config:a"},
		{"empty index", oci.MediaTypeIndex, `{"schemaVersion":2,"manifests":[]}`, ""},
		{"the same layer twice", oci.MediaTypeManifest, `{"schemaVersion":2,"config":` + desc("a") + `,"layers":[` + desc("b") + `,` + desc("b") + `]}`, "config:a layer:b layer:b"},
		{"unknown fields", oci.MediaTypeManifest, `{"schemaVersion":2,"x":{"config":1,"config2":[]},"config":` + desc("a") + `,"layers":[]}` + "\n\t ", "config:a"},
		{"annotations of any case", oci.MediaTypeIndex, `{"schemaVersion":2,"manifests":[],"annotations":{"Digest":"1","digest":"2","DIGEST":"3"}}`, ""},
		{"docker", oci.MediaTypeDockerManifest, `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeDockerManifest + `","config":` + desc("a") + `,"layers":[` + desc("b") + `]}`, "config:a layer:b"},
		{"anything else", oci.MediaTypeImageConfig, "not json", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			edges, err := oci.Successors(c.typ, []byte(c.doc))
			if err != nil || roles(edges) != c.want {
				t.Errorf("%q, %v; want %q", roles(edges), err, c.want)
			}
		})
	}
}

func TestSuccessorsRefusesWhatCanBeReadInTwoWays(t *testing.T) {
	m, x := oci.MediaTypeManifest, oci.MediaTypeIndex
	edit := func(doc, old, with string) string {
		if !strings.Contains(doc, old) {
			t.Fatalf("%q is not in %s", old, doc)
		}
		return strings.Replace(doc, old, with, 1)
	}
	for name, c := range map[string]struct{ typ, doc string }{
		"index as manifest":           {m, index},
		"manifest as index":           {x, manifest},
		"OCI as Docker":               {oci.MediaTypeDockerManifest, manifest},
		"manifest with manifests":     {m, edit(manifest, `"layers"`, `"manifests":[],"layers"`)},
		"index with config":           {x, edit(index, `"manifests"`, `"config":`+desc("a")+`,"manifests"`)},
		"index with layers":           {x, edit(index, `"manifests"`, `"layers":[],"manifests"`)},
		"a key twice":                 {m, edit(manifest, `"subject"`, `"layers":[],"subject"`)},
		"a key in another case":       {m, edit(manifest, `"layers"`, `"Layers"`)},
		"a second key, other case":    {m, edit(manifest, `"subject"`, `"CONFIG":`+desc("e")+`,"subject"`)},
		"a key spelt with a long s":   {m, edit(manifest, `"layers"`, `"layer\u017f":[],"layers"`)},
		"a digest twice":              {m, edit(manifest, `"size":1`, `"size":1,"digest":"sha256:`+hex64+`"`)},
		"a digest in another case":    {m, edit(manifest, `"size":1`, `"size":1,"Digest":"sha256:`+hex64+`"`)},
		"a mediaType in another case": {m, edit(manifest, `"mediaType"`, `"mediatype"`)},
		"a key twice, escaped":        {m, edit(manifest, `"subject"`, `"layer\u0073":[],"subject"`)},
		"data after it":               {m, manifest + "{}"},
		"a brace after it":            {m, manifest + "}"},
		"a bracket after it":          {x, index + "]"},
		"cut short":                   {m, manifest[:len(manifest)-1]},
		"empty":                       {m, ""},
		"null":                        {m, "null"},
		"a list":                      {x, "[]"},
		"html":                        {m, "<html>"},
		"no config":                   {m, `{"schemaVersion":2,"layers":[]}`},
		"no schemaVersion":            {m, `{"config":` + desc("a") + `,"layers":[]}`},
		"schema 1":                    {m, `{"schemaVersion":1,"fsLayers":[]}`},
		"fsLayers":                    {m, edit(manifest, `"layers"`, `"fsLayers":[],"layers"`)},
		"malformed digest":            {m, edit(manifest, "sha256:bb", "sha256:Bb")},
		"short digest":                {m, edit(manifest, "sha256:bb", "sha256:b")},
		"unknown algorithm":           {x, edit(index, "sha256:e", "sha384:e")},
		"malformed subject":           {m, edit(manifest, "sha256:d", "sha1:d")},
		"negative size":               {m, edit(manifest, `"size":1`, `"size":-1`)},
		"size no number":              {m, edit(manifest, `"size":1`, `"size":"1"`)},
		"no media type":               {m, edit(manifest, `"mediaType":"application/x",`, ``)},
		"media type no media type":    {m, edit(manifest, `"mediaType":"application/x"`, `"mediaType":"x\n"`)},
		"layers no list":              {m, edit(manifest, `"layers":[`+desc("b")+`,`+desc("c")+`]`, `"layers":{}`)},
		"too large":                   {m, manifest + strings.Repeat(" ", oci.MaxManifestSize)},
	} {
		t.Run(name, func(t *testing.T) {
			if edges, err := oci.Successors(c.typ, []byte(c.doc)); !errors.Is(err, oci.ErrInvalid) || edges != nil {
				t.Errorf("%q, %v", roles(edges), err)
			}
		})
	}
}

func TestParseManifestAndIndex(t *testing.T) {
	m, err := oci.ParseManifest(oci.MediaTypeManifest, []byte(manifest))
	if err != nil || len(m.Layers) != 2 || m.Subject == nil {
		t.Errorf("%+v, %v", m, err)
	}
	x, err := oci.ParseIndex(oci.MediaTypeIndex, []byte(index))
	if err != nil || len(x.Manifests) != 2 {
		t.Errorf("%+v, %v", x, err)
	}
	for _, typ := range []string{oci.MediaTypeIndex, oci.MediaTypeImageConfig, ""} {
		if _, err := oci.ParseManifest(typ, []byte(manifest)); !errors.Is(err, oci.ErrInvalid) {
			t.Errorf("manifest as %q: %v", typ, err)
		}
	}
	if _, err := oci.ParseIndex(oci.MediaTypeManifest, []byte(index)); !errors.Is(err, oci.ErrInvalid) {
		t.Errorf("index as manifest: %v", err)
	}
	// Fields that Successors does not look at are still typed.
	if _, err := oci.ParseManifest(oci.MediaTypeManifest, []byte(strings.Replace(manifest, `"subject"`, `"annotations":{"a":1},"subject"`, 1))); !errors.Is(err, oci.ErrInvalid) {
		t.Errorf("annotation no text: %v", err)
	}
}

func TestDetectManifest(t *testing.T) {
	for doc, want := range map[string]string{
		manifest: oci.MediaTypeManifest,
		index:    oci.MediaTypeIndex,
		`{"schemaVersion":2,"config":` + desc("a") + `,"layers":[]}`:                oci.MediaTypeManifest,
		`{"schemaVersion":2,"manifests":[]}`:                                        oci.MediaTypeIndex,
		`{"schemaVersion":2,"manifests":[],"config":` + desc("a") + `,"layers":[]}`: "",
		`{"schemaVersion":1,"fsLayers":[]}`:                                         "application/vnd.docker.distribution.manifest.v1+prettyjws",
		`{"mediaType":"application/x","schemaVersion":2,"manifests":[]}`:            "",
		`{}`: "", ``: "", `[]`: "", `text`: "", `{"architecture":"amd64"}`: "",
	} {
		if got := oci.DetectManifest([]byte(doc)); got != want {
			t.Errorf("%s: %q, want %q", doc, got, want)
		}
	}
}

func TestRolesHaveWords(t *testing.T) {
	var got []string
	for r := oci.Role(0); r <= 5; r++ {
		got = append(got, r.String())
	}
	if want := []string{"role(0)", "config", "layer", "manifest", "subject", "role(5)"}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q", got)
	}
}

func FuzzSuccessors(f *testing.F) {
	for _, s := range []string{manifest, index, "", "{}", "null", `{"schemaVersion":2,"manifests":[]}`, manifest + "}", strings.Replace(manifest, "layers", "Layers", 1)} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, s string, isIndex bool) {
		typ, other := oci.MediaTypeManifest, oci.MediaTypeIndex
		if isIndex {
			typ, other = other, typ
		}
		edges, err := oci.Successors(typ, []byte(s))
		if err != nil {
			if !errors.Is(err, oci.ErrInvalid) || edges != nil {
				t.Fatalf("%v, %v", edges, err)
			}
			return
		}
		for _, e := range edges {
			if err := oci.ValidateDescriptor(e.Descriptor); err != nil {
				t.Errorf("%v", err)
			}
		}
		// What is one is never the other, unless it says nothing at all.
		if twice, err := oci.Successors(other, []byte(s)); err == nil && len(edges)+len(twice) > 0 && roles(edges) != roles(twice) {
			t.Errorf("both a manifest (%s) and an index (%s)", roles(edges), roles(twice))
		}
	})
}
