package bundle

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"dist.example/content"
	"dist.example/oci"
)

// A layout that another process adds to is served as it is then; a list that cannot be
// read changes nothing, and is told of once.
func TestALayoutThatChangesIsReadAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	list := func(items ...oci.Descriptor) {
		data, err := addTo(nil, items)
		if err != nil {
			t.Fatal(err)
		}
		replaceFile(t, filepath.Join(dir, "index.json"), data)
	}
	item := func(tag string) oci.Descriptor {
		return listed(oci.Describe(oci.MediaTypeManifest, []byte(tag)), oci.Reference{}, tag)
	}
	list(item("v1"))
	var told []string
	l, err := OpenLibrary(t.Context(), dir, func(line string) { told = append(told, line) })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	has := func(tag string) bool {
		ref, err := l.own.WithTag(tag)
		if err != nil {
			t.Fatal(err)
		}
		_, err = l.Resolve(t.Context(), ref)
		return err == nil
	}
	l.pause = 0
	if !has("v1") || has("v2") {
		t.Error("the first list is not served")
	}
	list(item("v1"), item("v2"))
	if !has("v1") || !has("v2") {
		t.Error("the second list is not served")
	}
	replaceFile(t, filepath.Join(dir, "index.json"), []byte("{"))
	for range 2 {
		if !has("v2") || len(told) != 1 {
			t.Errorf("after a damaged list, told: %q", told)
		}
	}
	list(item("v3"))
	if has("v1") || !has("v3") {
		t.Error("the third list is not served")
	}
}

func replaceFile(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name+".new", data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// What was read once is not read again when the list changes.
func TestManifestsAreReadOnceHoweverOftenTheListChanges(t *testing.T) {
	t.Parallel()
	h, subject := pile(t, 5)
	entries, err := parseListing(h.index)
	if err != nil {
		t.Fatal(err)
	}
	first := surveyor{shelf: h, nodes: map[oci.Digest]*node{}}
	if err := first.survey(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
	opened := h.opened
	again := surveyor{shelf: h, nodes: map[oci.Digest]*node{}, known: first.nodes}
	if err := again.survey(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
	v, err := again.arrange(entries, oci.Reference{Registry: "localhost", Repository: "x"}, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	if h.opened != opened || len(v.about[subject]) != 5 || len(again.nodes) != len(first.nodes) {
		t.Errorf("%d were read again, %d referrers, %d of %d nodes", h.opened-opened, len(v.about[subject]), len(again.nodes), len(first.nodes))
	}
}

// A list and an index of a megabyte each have more pairs of a name and a manifest than
// fit into memory.
func TestAllRepositoriesTogetherAreBounded(t *testing.T) {
	t.Parallel()
	top := &node{mediaType: oci.MediaTypeIndex, read: true}
	s := surveyor{nodes: map[oci.Digest]*node{"top": top}}
	for i := range maxMarks/1000 + 1 {
		d := oci.Digest(strconv.Itoa(i))
		s.nodes[d], top.below = &node{}, append(top.below, d)
	}
	var entries []entry
	for i := range 1000 {
		ref := oci.Reference{Registry: "localhost", Repository: strconv.Itoa(i), Tag: "v1"}
		entries = append(entries, entry{Descriptor: oci.Descriptor{Digest: "top"}, full: ref})
	}
	if _, err := s.arrange(entries[:100], oci.Reference{}, nil); err != nil {
		t.Error(err)
	}
	for _, n := range s.nodes {
		n.in = nil
	}
	if _, err := s.arrange(entries, oci.Reference{}, nil); !errors.Is(err, content.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}

// What is no manifest, though it is called one, is as dear to read as any other.
func TestAManifestThatLeadsNowhereIsReadOnce(t *testing.T) {
	t.Parallel()
	wrong := oci.Describe(oci.MediaTypeManifest, []byte("[]"))
	h := &heap{blobs: map[oci.Digest][]byte{wrong.Digest: []byte("[]")}, opens: func(int) {}}
	s := surveyor{shelf: h, nodes: map[oci.Digest]*node{}}
	if err := s.survey(t.Context(), []entry{{Descriptor: wrong}, {Descriptor: wrong}}); err != nil || h.opened != 1 {
		t.Errorf("it was read %d times, %v", h.opened, err)
	}
}

// An index of a few megabytes can list one thing fifty thousand times.
func TestWhatIsListedOverAndOverCountsEachTime(t *testing.T) {
	t.Parallel()
	top := &node{mediaType: oci.MediaTypeIndex, read: true, below: make([]oci.Digest, maxMarks/100)}
	s := surveyor{nodes: map[oci.Digest]*node{"top": top, "": {}}}
	var entries []entry
	for i := range 200 {
		ref := oci.Reference{Registry: "localhost", Repository: strconv.Itoa(i), Tag: "v1"}
		entries = append(entries, entry{Descriptor: oci.Descriptor{Digest: "top"}, full: ref})
	}
	if _, err := s.arrange(entries, oci.Reference{}, nil); !errors.Is(err, content.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
}

func FuzzOwnRepository(f *testing.F) {
	for _, s := range []string{"app.tar", "My App (1).tar", "/", ".", "..", "ä/ö.tar", "a__b.-c", "-x-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		r := ownRepository(path)
		if again, err := oci.ParseRepository(r.Name()); err != nil || again != r || r.Registry != "localhost" {
			t.Fatalf("%q is named %q: %v", path, r.Name(), err)
		}
	})
}
