package oci_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
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

// documents are manifests and indexes as registries of the world hold them.
func documents(t testing.TB) map[string]string {
	t.Helper()
	files, err := filepath.Glob("testdata/manifests/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no documents", err)
	}
	docs := map[string]string{}
	for _, name := range files {
		p, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		docs[filepath.Base(name)] = string(p)
	}
	return docs
}

func TestDocumentsOfTheWorld(t *testing.T) {
	want := map[string]int{
		"attestation.json": 3, "docker-image.json": 3, "docker-list.json": 1, "docker-schema1.json": -1,
		"helm-chart.json": 2, "index-attested.json": 2, "index-nested.json": 2, "signature.json": 3,
	}
	docs := documents(t)
	if len(docs) != len(want) {
		t.Errorf("%d documents, want %d", len(docs), len(want))
	}
	for name, doc := range docs {
		typ := oci.DetectManifest([]byte(doc))
		edges, err := oci.Successors(typ, []byte(doc))
		if n := want[name]; n < 0 {
			if !oci.IsSchema1(typ) {
				t.Errorf("%s is %q", name, typ)
			}
		} else if err != nil || len(edges) != n {
			t.Errorf("%s: %q, %v", name, roles(edges), err)
		}
	}
}

func FuzzSuccessors(f *testing.F) {
	seeds := []string{manifest, index, "", "{}", "null", `{"schemaVersion":2,"manifests":[]}`, manifest + "}", strings.Replace(manifest, "layers", "Layers", 1)}
	for _, doc := range []string{manifest, index} {
		for _, more := range []string{`"manifests":[` + desc("1") + `],`, `"config":` + desc("1") + `,`, `"layers":[` + desc("1") + `],`, `"subject":` + desc("1") + `,`, `"fsLayers":[],`} {
			seeds = append(seeds, "{"+more+doc[1:], strings.Replace(doc, `"mediaType":"`, more+`"mediaTypes":"`, 1))
		}
	}
	docs := documents(f)
	for _, name := range slices.Sorted(maps.Keys(docs)) {
		seeds = append(seeds, docs[name])
	}
	for _, s := range seeds {
		for typ := range manifestTypes {
			f.Add(s, uint8(typ))
		}
	}
	f.Fuzz(func(t *testing.T, s string, n uint8) {
		typ := manifestTypes[int(n)%len(manifestTypes)]
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
		if detected := oci.DetectManifest([]byte(s)); detected != "" && oci.IsIndex(detected) != oci.IsIndex(typ) {
			t.Errorf("%s, but it is taken for %s", typ, detected)
		}
		// What is one is never the other, unless it says nothing at all.
		other := oci.MediaTypeIndex
		if oci.IsIndex(typ) {
			other = oci.MediaTypeManifest
		}
		if twice, err := oci.Successors(other, []byte(s)); err == nil && len(edges)+len(twice) > 0 && roles(edges) != roles(twice) {
			t.Errorf("both a manifest (%s) and an index (%s)", roles(edges), roles(twice))
		}
		// A reader that knows nothing of manifests finds the same digests.
		if got, want := digests(edges), digestsWithin(t, s); !slices.Equal(got, want) {
			t.Errorf("%s has %q, another reader finds %q", s, got, want)
		}
		// And so do those that decode the whole of it.
		if got := decodedDigests(typ, s); got != nil && !slices.Equal(got, digests(edges)) {
			t.Errorf("%s has %q, decoded %q", s, digests(edges), got)
		}
	})
}

var manifestTypes = []string{oci.MediaTypeManifest, oci.MediaTypeIndex, oci.MediaTypeDockerManifest, oci.MediaTypeDockerList}

func digests(edges []oci.Edge) []string {
	var all []string
	for _, e := range edges {
		all = append(all, e.Digest.String())
	}
	return all
}

// digestsWithin collects the digests of a document's descriptors, in the order of
// roles.
func digestsWithin(t *testing.T, s string) []string {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal([]byte(s), &doc); err != nil {
		t.Fatalf("%s is no object: %v", s, err)
	}
	var all []string
	add := func(v any) {
		if d, ok := v.(map[string]any); ok {
			all = append(all, fmt.Sprint(d["digest"]))
		}
	}
	for _, key := range []string{"config", "layers", "manifests", "subject"} {
		if list, ok := doc[key].([]any); ok {
			for _, v := range list {
				add(v)
			}
			continue
		}
		add(doc[key])
	}
	return all
}

// decodedDigests are those of ParseManifest and ParseIndex; nil when these refuse
// a field that Successors does not look at.
func decodedDigests(typ, s string) []string {
	var ds []oci.Descriptor
	var subject *oci.Descriptor
	if oci.IsIndex(typ) {
		x, err := oci.ParseIndex(typ, []byte(s))
		if err != nil {
			return nil
		}
		ds, subject = x.Manifests, x.Subject
	} else {
		m, err := oci.ParseManifest(typ, []byte(s))
		if err != nil {
			return nil
		}
		ds, subject = append([]oci.Descriptor{m.Config}, m.Layers...), m.Subject
	}
	if subject != nil {
		ds = append(ds, *subject)
	}
	var all []string
	for _, d := range ds {
		all = append(all, d.Digest.String())
	}
	return all
}
