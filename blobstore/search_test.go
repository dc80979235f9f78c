package blobstore_test

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/oci"
)

// labelled is an image whose configuration has a label and whose manifest has an
// annotation.
func labelled(t testing.TB, label, note string) image {
	config := []byte(`{"architecture":"arm64","os":"linux","config":{"Labels":{"who":"` + label + `"}}}`)
	m := oci.Manifest{MediaType: oci.MediaTypeManifest, Config: describe(oci.MediaTypeImageConfig, config), Layers: []oci.Descriptor{}, Annotations: map[string]string{"note": note}}
	m.SchemaVersion = 2
	return image{[]string{oci.MediaTypeImageConfig, oci.MediaTypeManifest}, [][]byte{config, document(t, m)}}
}

// searched are the digests that a search finds, in order.
func searched(t testing.TB, s *blobstore.Store, text string) (found []oci.Digest) {
	t.Helper()
	terms, err := db.ParseTerms(text)
	must(t, err)
	hits, _, err := s.Find(context.Background(), blobstore.SearchOptions{Terms: terms})
	must(t, err)
	for _, h := range hits {
		found = append(found, h.Digest)
	}
	slices.Sort(found)
	return found
}

func TestSearchFindsWhatManifestsSay(t *testing.T) {
	s := open(t, t.TempDir())
	im := labelled(t, "alice", "zebra")
	named(t, s, im, "example.com/a:1")
	idx := oci.Index{MediaType: oci.MediaTypeIndex, Manifests: []oci.Descriptor{im.manifest()}, Annotations: map[string]string{"note": "okapi"}}
	idx.SchemaVersion, idx.Manifests[0].Platform = 2, &oci.Platform{OS: "linux", Architecture: "riscv64"}
	ses := begin(t, s, blobstore.SessionOptions{})
	index := put(t, ses, oci.MediaTypeIndex, document(t, idx))
	must(t, ses.Commit(context.Background()))
	for range 2 { // the second time from the index
		for text, want := range map[string][]oci.Digest{
			"alice arm64": {im.manifest().Digest}, "zebra": {im.manifest().Digest}, "okapi riscv64": {index.Digest}, "okapi alice": nil,
		} {
			if found := searched(t, s, text); !reflect.DeepEqual(found, want) {
				t.Errorf("%q: %v, want %v", text, found, want)
			}
		}
	}
	sound(t, s)
}

// TestSearchFindsAConfigurationThatComesLater: what a manifest lacked when it was
// looked at is not missed for ever.
func TestSearchFindsAConfigurationThatComesLater(t *testing.T) {
	s := open(t, t.TempDir())
	im := labelled(t, "alice", "zebra")
	ses := begin(t, s, blobstore.SessionOptions{})
	put(t, ses, im.types[1], im.blobs[1])
	must(t, ses.Commit(context.Background()))
	if found := searched(t, s, "zebra"); len(found) != 1 {
		t.Fatalf("without its configuration: %v", found)
	}
	ses = begin(t, s, blobstore.SessionOptions{})
	put(t, ses, im.types[0], im.blobs[0])
	must(t, ses.Commit(context.Background()))
	if found := searched(t, s, "alice"); len(found) != 1 {
		t.Errorf("with its configuration: %v", found)
	}
}

func TestSearchWritesNothingWhenNothingIsNew(t *testing.T) {
	s := open(t, t.TempDir())
	named(t, s, labelled(t, "alice", "zebra"), "example.com/a:1")
	searched(t, s, "alice")
	before := db.Witness(fsys.OS(), s.Dir())
	searched(t, s, "alice")
	if after := db.Witness(fsys.OS(), s.Dir()); after != before {
		t.Errorf("a search after another wrote: generations %d, %d", before, after)
	}
}

// TestSearchNotesThatNothingIsLacking also where what was written since gave it nothing
// to index: else each search walks over all objects until there is something.
func TestSearchNotesThatNothingIsLacking(t *testing.T) {
	s := open(t, t.TempDir())
	im := labelled(t, "alice", "zebra")
	named(t, s, im, "example.com/a:1")
	searched(t, s, "alice")
	must(t, s.SetNames(t.Context(), content.NameChange{Reference: reference(t, "example.com/a:2"), Target: im.manifest().Digest}))
	for _, marked := range []bool{false, true} {
		catalog(t, s.Dir(), func(tx *db.Tx) error {
			b, err := tx.SearchBacklog()
			if b.Marked != marked || len(b.Missing)+len(b.Stale) > 0 {
				t.Errorf("%+v", b)
			}
			return err
		})
		searched(t, s, "alice")
	}
}

func TestSearchesAtOnceFindTheSame(t *testing.T) {
	s := open(t, t.TempDir())
	for i := range 100 {
		named(t, s, labelled(t, strings.Repeat("x", i+1), "zebra"), "example.com/a:"+strings.Repeat("y", i+1))
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if found := searched(t, s, "zebra"); len(found) != 100 {
				t.Errorf("%d were found", len(found))
			}
		})
	}
	group.Wait()
	sound(t, s)
}

// TestManifestsAreIndexedWithinBounds: what is large or malformed neither fails a
// search nor fills the catalog.
func TestManifestsAreIndexedWithinBounds(t *testing.T) {
	s := open(t, t.TempDir())
	large := labelled(t, "alice", strings.Repeat("zebra ", 100_000))
	named(t, s, large, "example.com/large:1")
	info, err := store(s, content.IngestOptions{Total: -1, MediaType: "application/json"}, []byte(`{"no":"manifest"}`))
	must(t, err)
	must(t, s.SetNames(t.Context(), content.NameChange{Reference: reference(t, "example.com/plain:1"), Target: info.Digest}))
	if found := searched(t, s, "zebra alice"); len(found) != 1 {
		t.Errorf("large: %v", found)
	}
	if found := searched(t, s, "json plain"); len(found) != 1 {
		t.Errorf("no manifest: %v", found)
	}
}
