package db

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"dist.example/content"
	"dist.example/oci"
)

func TestParseTerms(t *testing.T) {
	for text, want := range map[string][]Term{
		"Redis":                     {{[]string{"redis"}, false}},
		" a  b* ":                   {{[]string{"a"}, false}, {[]string{"b"}, true}},
		`"two words" x`:             {{[]string{"two", "words"}, false}, {[]string{"x"}, false}},
		`"two wor"* "open`:          {{[]string{"two", "wor"}, true}, {[]string{"open"}, false}},
		"docker.io/library/redis:7": {{[]string{"docker", "io", "library", "redis", "7"}, false}},
		`a"b"c`:                     {{[]string{"a"}, false}, {[]string{"b"}, false}, {[]string{"c"}, false}},
		"- * () x\xff y·z":          {{[]string{"x"}, false}, {[]string{"y", "z"}, false}},
		"ÄRGER":                     {{[]string{"ärger"}, false}},
	} {
		if got, err := ParseTerms(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", " ", `"`, `""`, "*", "-- ()", "\x00", strings.Repeat("a ", maxSearchWords+1)} {
		if got, err := ParseTerms(text); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

// library is a catalog of documents by number, of which so many are in the index.
func library(tb testing.TB, indexed int, docs ...Document) (g *graph, rest func([]Object) ([]Document, error)) {
	g = newGraph(tb)
	byID := map[int64]Document{}
	write(tb, g.d, func(tx *Tx) error {
		for i := range docs {
			put, err := tx.PutObjects([]Present{{Digest: digest(i), Size: 1, Loc: LocLoose, Stored: 1, Media: oci.MediaTypeManifest}})
			if err != nil {
				return err
			}
			g.ids[i], docs[i].Object = put[0].ID, put[0].ID
			byID[put[0].ID] = docs[i]
		}
		return tx.PutDocuments(docs[:indexed])
	})
	return g, func(rows []Object) (docs []Document, err error) {
		for _, o := range rows {
			d := byID[o.ID]
			d.Object = o.ID
			docs = append(docs, d)
		}
		return docs, nil
	}
}

// find are the numbers of what a search finds, and in order.
func (g *graph) find(tb testing.TB, text string, rest func([]Object) ([]Document, error)) (found []int) {
	tb.Helper()
	terms, err := ParseTerms(text)
	check(tb, err)
	hits, _, err := g.d.Search(context.Background(), SearchOptions{Terms: terms}, rest)
	check(tb, err)
	for _, h := range hits {
		for n, id := range g.ids {
			if id == h.Object.ID {
				found = append(found, n)
			}
		}
	}
	slices.Sort(found)
	return found
}

func texts(facts ...string) (d Document) {
	for _, f := range facts {
		d.Facts = append(d.Facts, Fact{Field(f[0]), f[1:]})
	}
	return d
}

// TestSearchIsRightWhateverIsIndexed: the same is found with all, some and nothing in
// the index.
func TestSearchIsRightWhateverIsIndexed(t *testing.T) {
	docs := []Document{
		texts("aquick brown", "fdata.bin"), texts("afox", "aquick"), texts("lbrown=fox", "plinux/arm64"), texts("abrowned", "tÄrger"), {},
	}
	for indexed := range len(docs) + 1 {
		g, rest := library(t, indexed, docs...)
		g.name("example.com/fox:1", 4)
		for text, want := range map[string][]int{
			"brown": {0, 2}, "brow*": {0, 2, 3}, "BROWN fox": {2}, `"quick brown"`: {0}, `"fox quick"`: nil, "quick": {0, 1}, "fox": {1, 2, 4},
			"arm64 linux": {2}, "ärger": {3}, "data.bin": {0}, "nothing": nil, "example.com": {4}, "fox example": {4}, "a": nil,
			"and": nil, "brown OR fox": nil, "annotation:fox": nil, "NEAR(quick brown)": nil, "type": nil,
		} {
			if found := g.find(t, text, rest); !reflect.DeepEqual(found, want) {
				t.Errorf("%d indexed, %q: %v, want %v", indexed, text, found, want)
			}
		}
	}
}

func TestSearchPassesOverWhatIsGone(t *testing.T) {
	g, rest := library(t, 3, texts("afox"), texts("afox"), texts("afox"))
	write(t, g.d, func(tx *Tx) error {
		_, err := tx.exec(`DELETE FROM objects WHERE id = ?`, g.ids[0])
		if err == nil {
			_, err = tx.exec(`UPDATE objects SET loc = 4 WHERE id = ?`, g.ids[1])
		}
		return err
	})
	if found := g.find(t, "fox", rest); !reflect.DeepEqual(found, []int{2}) {
		t.Errorf("found %v", found)
	}
	read(t, g.d, func(tx *Tx) error {
		b, err := tx.SearchBacklog()
		if slices.Sort(b.Stale); len(b.Missing) != 0 || !reflect.DeepEqual(b.Stale, []int64{g.ids[0], g.ids[1]}) {
			t.Errorf("the backlog is %+v", b)
		}
		return err
	})
}

func TestSearchMarkHoldsUntilSomebodyWrites(t *testing.T) {
	g, _ := library(t, 0, texts("afox"))
	var b Backlog
	look := func() {
		read(t, g.d, func(tx *Tx) (err error) {
			b, err = tx.SearchBacklog()
			return err
		})
	}
	look()
	write(t, g.d, func(tx *Tx) error { return tx.PutDocuments([]Document{{Object: g.ids[0]}}) })
	write(t, g.d, func(tx *Tx) error { return tx.MarkSearchable(b, 1) })
	look()
	if marked, _, _ := metaOf(t, g.d, searchMark); marked != fmt.Sprint(b.generation) {
		t.Errorf("marked %s at generation %d", marked, b.generation)
	}
	// Another writer between the look and the mark, whose object is not to be missed.
	g.name("example.com/a:1", 0)
	look()
	g.held(7)
	g.name("example.com/b:1", 7)
	write(t, g.d, func(tx *Tx) error { return tx.MarkSearchable(b, 0) })
	if look(); !reflect.DeepEqual(b.Missing, []int64{g.ids[7]}) {
		t.Errorf("missing are %v", b.Missing)
	}
}

func metaOf(tb testing.TB, d *DB, key string) (value string, found bool, err error) {
	read(tb, d, func(tx *Tx) error {
		value, found, err = tx.Meta(key)
		return err
	})
	return value, found, err
}

func TestIndexIsSoundForCheck(t *testing.T) {
	g, _ := library(t, 2, texts("afox"), texts("lbrown=fox"), texts("x"))
	write(t, g.d, func(tx *Tx) error { return tx.DropDocuments([]int64{g.ids[0], 99}) })
	if found := contradictionsOf(t, g.d); len(found) > 0 {
		t.Errorf("%q", found)
	}
	read(t, g.d, func(tx *Tx) error {
		complaints, err := tx.Integrity(10)
		if len(complaints) > 0 {
			t.Errorf("%q", complaints)
		}
		return err
	})
}

func TestFactsAreReadBack(t *testing.T) {
	d := texts("aone\ntwo", "l", "fx\x00y")
	if got, want := readFacts(d.facts()), texts("aone two", "l", "fx y").Facts; !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// FuzzSearch: no text is malformed, and the index finds what its words say.
func FuzzSearch(f *testing.F) {
	for _, s := range []string{"fox", `"quick brown"*`, "a AND b", "NEAR(a b, 3)", "col:x", "^x", "-x", `""`, "\x00", "x·y", "ÄÖ*", "İ", "ǅ", "x* y*"} {
		f.Add(s, "quick brown fox")
		f.Add(s, s)
	}
	g, _ := library(f, 1, texts("aquick"))
	f.Fuzz(func(t *testing.T, text, fact string) {
		terms, err := ParseTerms(text)
		if err != nil {
			if !errors.Is(err, content.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		doc := Document{Object: g.ids[0], Facts: []Fact{{FieldAnnotation, fact}}}
		write(t, g.d, func(tx *Tx) error { return tx.PutDocuments([]Document{doc}) })
		hits, _, err := g.d.Search(context.Background(), SearchOptions{Terms: terms}, nil)
		check(t, err)
		want := true
		for _, term := range terms {
			want = want && term.In(Words(fact))
		}
		if want != (len(hits) == 1) {
			t.Errorf("%q in %q: %d hits, want some: %v", text, fact, len(hits), want)
		}
	})
}

// BenchmarkSearch is a search of a million objects with 10,000 manifests, all of them
// in the index, after somebody has written.
func BenchmarkSearch(b *testing.B) {
	const manifests, objects = 10_000, 1_000_000
	d := openDB(b, b.TempDir(), Options{})
	for from := 0; from < objects; from += 10_000 {
		write(b, d, func(tx *Tx) error {
			rows := make([]Present, 10_000)
			for i := range rows {
				rows[i] = Present{Digest: digest(from + i), Size: 1, Loc: LocLoose, Stored: 1, Media: oci.MediaTypeLayer}
				if i%(objects/manifests) == 0 {
					rows[i].Media = oci.MediaTypeManifest
				}
			}
			_, err := tx.PutObjects(rows)
			return err
		})
	}
	docs := func(rows []Object) (docs []Document, err error) {
		for _, o := range rows {
			docs = append(docs, Document{o.ID, []Fact{
				{FieldType, oci.MediaTypeManifest},
				{FieldPlatform, "linux/amd64"},
				{FieldAnnotation, "org.opencontainers.image.title=" + o.Digest.Encoded()[:8]},
				{FieldLabel, fmt.Sprintf("maintainer=person %d", o.ID%1000)},
			}})
		}
		return docs, nil
	}
	search := func(text string) {
		terms, err := ParseTerms(text)
		check(b, err)
		hits, _, err := d.Search(context.Background(), SearchOptions{Terms: terms, Limit: 50}, docs)
		check(b, err)
		if len(hits) == 0 {
			b.Fatal("nothing was found")
		}
	}
	b.Run("nothing indexed", func(b *testing.B) {
		for b.Loop() {
			search("person 1")
		}
	})
	var backlog Backlog
	read(b, d, func(tx *Tx) (err error) {
		backlog, err = tx.SearchBacklog()
		return err
	})
	b.Run("index", func(b *testing.B) {
		for b.Loop() {
			for ids := range slices.Chunk(backlog.Missing, 64) {
				write(b, d, func(tx *Tx) error {
					rows, err := tx.ObjectsByID(ids)
					check(b, err)
					all, _ := docs(slices.Collect(func(yield func(Object) bool) {
						for _, o := range rows {
							if !yield(o) {
								return
							}
						}
					}))
					return tx.PutDocuments(all)
				})
			}
		}
	})
	for _, text := range []string{"person 1", "amd64 linux maint*"} {
		b.Run(text, func(b *testing.B) {
			for b.Loop() {
				search(text)
			}
		})
	}
}
