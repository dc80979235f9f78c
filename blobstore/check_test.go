package blobstore_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
)

// check checks the whole store.
func check(t testing.TB, s *blobstore.Store) blobstore.CheckReport {
	t.Helper()
	r, err := s.CheckAll(context.Background(), blobstore.CheckOptions{})
	must(t, err)
	return r
}

// clean fails the test unless a check of the store finds nothing.
func clean(t testing.TB, s *blobstore.Store) blobstore.CheckReport {
	t.Helper()
	r := check(t, s)
	if !r.Clean() {
		t.Fatalf("the check found: %+v", r)
	}
	return r
}

// rebuild makes the catalog of a store that nobody has open anew.
func rebuild(t testing.TB, dir string) blobstore.RebuildReport {
	t.Helper()
	r, err := blobstore.Rebuild(context.Background(), dir, blobstore.RebuildOptions{})
	must(t, err)
	return r
}

const (
	typeUnhinted = "application/vnd.example.thing" // of which no record's header can tell
	typeLicense  = "text/x-license"
)

// rich is a closed store with something of everything: small and large blobs of
// known, unknown and no types, images with and without a layer in common, an
// index, a referrer, names that moved and one that went.
func rich(t testing.TB) (dir string) {
	t.Helper()
	richOnce.Do(func() { makeRich(t) })
	dir = filepath.Join(t.TempDir(), "store")
	must(t, os.CopyFS(dir, os.DirFS(filepath.Join(richDir, "store"))))
	return dir
}

// The store of rich is made once, in a folder that TestMain removes, and copied.
var (
	richOnce sync.Once
	richDir  string
)

func makeRich(t testing.TB) {
	t.Helper()
	var err error
	richDir, err = os.MkdirTemp("", "blobstore-rich-")
	must(t, err)
	dir := filepath.Join(richDir, "store")
	must(t, os.CopyFS(dir, os.DirFS(empty(t))))
	s, err := blobstore.Open(t.Context(), dir, blobstore.Options{})
	must(t, err)
	defer s.Close()
	for i, mediaType := range []string{oci.MediaTypeOctets, "text/plain", typeUnhinted, oci.MediaTypeJSON, ""} {
		ses := begin(t, s, blobstore.SessionOptions{Note: "put", Keep: 1 << 40})
		put(t, ses, mediaType, noise(uint64(i), 700+i))
		put(t, ses, mediaType, noise(uint64(10+i), 270_000+i))
		put(t, ses, mediaType, []byte(strings.Repeat(fmt.Sprintf(`{"n":%d}`, i), 100)))
		must(t, ses.Commit(t.Context()))
		must(t, ses.Close())
	}
	retyped := noise(2, 702)
	ses := begin(t, s, blobstore.SessionOptions{Note: "put", Keep: 1 << 40})
	put(t, ses, typeLicense, retyped)
	must(t, ses.Commit(t.Context()))
	must(t, ses.Close())
	first, second := newImage(t, noise(20, 900), noise(21, 280_000)), newImage(t, noise(20, 900), noise(22, 100))
	named(t, s, first, "app:v1", "app:latest", "registry.example/other:1")
	named(t, s, second, "app:latest", "app:v2")
	index := oci.Index{MediaType: oci.MediaTypeIndex, Manifests: []oci.Descriptor{first.manifest(), second.manifest(), describe(oci.MediaTypeManifest, []byte("not here"))}}
	index.SchemaVersion = 2
	named(t, s, image{[]string{oci.MediaTypeIndex}, [][]byte{document(t, index)}}, "app:all")
	signature := newImage(t, noise(23, 50))
	m := oci.Manifest{MediaType: oci.MediaTypeManifest, Config: signatureConfig, Layers: []oci.Descriptor{describe(oci.MediaTypeLayer, noise(23, 50))}}
	m.SchemaVersion = 2
	subject := first.manifest()
	m.Subject = &subject
	signature.blobs[0], signature.types[0] = []byte("{}"), oci.MediaTypeEmpty
	signature.blobs[len(signature.blobs)-1] = document(t, m)
	named(t, s, signature, "app:signature")
	must(t, s.SetNames(t.Context(), content.NameChange{Reference: reference(t, "app:v2"), Why: "remove"}))
}

var signatureConfig = describe(oci.MediaTypeEmpty, []byte("{}"))

// named stores an image and gives it names, one after the other.
func named(t testing.TB, s *blobstore.Store, im image, names ...string) {
	t.Helper()
	ses := begin(t, s, blobstore.SessionOptions{Note: "pull"})
	im.put(t, ses)
	must(t, ses.Commit(t.Context()))
	must(t, ses.Close())
	for _, n := range names {
		must(t, s.SetNames(t.Context(), content.NameChange{Reference: reference(t, n), Target: im.manifest().Digest, Why: "pull"}))
	}
}

// settle writes the whole catalog of a closed store into catalog.db, and returns
// its bytes.
func settle(t testing.TB, dir string) []byte {
	t.Helper()
	d, err := db.Open(t.Context(), dir, db.Options{})
	must(t, err)
	must(t, d.Settle(t.Context()))
	must(t, d.Close())
	return restoreFile(t, dir, nil)
}

// restoreFile puts a catalog in place, alone, as if nobody had ever written more,
// and returns it; nil leaves what is there.
func restoreFile(t testing.TB, dir string, p []byte) []byte {
	t.Helper()
	name := filepath.Join(dir, "catalog.db")
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Remove(name + suffix); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	if p != nil {
		must(t, os.WriteFile(name, p, 0o644))
		must(t, os.Truncate(filepath.Join(dir, "write.lock"), 0))
		return p
	}
	p, err := os.ReadFile(name)
	must(t, err)
	return p
}

// change runs a statement on the catalog of a closed store, behind everybody's
// back.
func change(t testing.TB, dir, statement string) {
	t.Helper()
	d, err := sql.Open("sqlite", filepath.Join(dir, "catalog.db"))
	must(t, err)
	defer d.Close()
	res, err := d.Exec(statement)
	must(t, err)
	if n, err := res.RowsAffected(); strings.HasPrefix(statement, "UPDATE") && n == 0 || err != nil {
		t.Fatalf("%s: changed %d rows, %v", statement, n, err)
	}
}

// picture is all that a store promises: what it holds, of which type, what that
// refers to, and what the names stand for.
type picture struct {
	types map[oci.Digest]string
	edges map[oci.Digest][]string
	names map[string]oci.Digest
}

// paint reads everything; an error where anything cannot be read.
func paint(s *blobstore.Store) (p picture, err error) {
	p = picture{map[oci.Digest]string{}, map[oci.Digest][]string{}, map[string]oci.Digest{}}
	for info, err := range s.All(context.Background()) {
		if err != nil {
			return p, err
		}
		if err := s.Check(context.Background(), info.Digest); err != nil {
			return p, err
		}
		p.types[info.Digest] = info.MediaType
		children, err := s.Children(context.Background(), info.Digest)
		if err != nil {
			return p, err
		}
		for _, c := range children {
			p.edges[info.Digest] = append(p.edges[info.Digest], fmt.Sprint(c.Role, c.Digest, c.Held))
		}
		slices.Sort(p.edges[info.Digest])
	}
	for n, err := range s.Names(context.Background(), "") {
		if err != nil {
			return p, err
		}
		p.names[n.Reference.String()] = n.Target.Digest
	}
	return p, nil
}

// lacks says what of p another picture does not have.
func (p picture) lacks(q picture) string {
	for d, mediaType := range p.types {
		if q.types[d] != mediaType {
			return fmt.Sprintf("%s is %q, was %q", d, q.types[d], mediaType)
		}
		if !slices.Equal(p.edges[d], q.edges[d]) {
			return fmt.Sprintf("%s has edges %v, had %v", d, q.edges[d], p.edges[d])
		}
	}
	if !maps.Equal(p.names, q.names) {
		return fmt.Sprintf("names %v, were %v", q.names, p.names)
	}
	return ""
}

func mustPaint(t testing.TB, s *blobstore.Store) picture {
	t.Helper()
	p, err := paint(s)
	must(t, err)
	return p
}

// paintClosed is the picture of a store that nobody has open.
func paintClosed(t testing.TB, dir string) picture {
	t.Helper()
	s, err := blobstore.Open(t.Context(), dir, blobstore.Options{})
	must(t, err)
	defer s.Close()
	return mustPaint(t, s)
}

func TestCheckOfASoundStoreIsClean(t *testing.T) {
	t.Parallel()
	s := open(t, rich(t))
	want := mustPaint(t, s)
	var (
		mu     sync.Mutex
		events []content.Event
	)
	r, err := s.CheckAll(t.Context(), blobstore.CheckOptions{Observe: func(e content.Event) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, e)
	}})
	must(t, err)
	if !r.Clean() || r.Objects != int64(len(want.types)) || r.Names != int64(len(want.names)) || r.Packs == 0 {
		t.Errorf("%d objects and %d names: %+v", len(want.types), len(want.names), r)
	}
	last := events[len(events)-1]
	if last.Kind != content.EventFinished || last.Offset != last.Total || last.Total != r.Bytes {
		t.Errorf("the last of %d events is %+v, of %d bytes", len(events), last, r.Bytes)
	}
}

func TestRebuildRestoresWhatTheContentTells(t *testing.T) {
	t.Parallel()
	dir := rich(t)
	before := paintClosed(t, dir)
	r := rebuild(t, dir)
	if !r.Whole() || r.Objects != int64(len(before.types)) || r.Names != int64(len(before.names)) {
		t.Errorf("%+v", r)
	}
	s := open(t, dir)
	if diff := before.lacks(mustPaint(t, s)); diff != "" {
		t.Error(diff)
	}
	clean(t, s)
	mustStore(t, s, noise(99, 100)) // and it can be written to
	clean(t, s)
}

func TestDamageOfContentIsFoundAndHealed(t *testing.T) {
	t.Parallel()
	for name, c := range damages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p, _ := damaged(t, c.size, c.damage)
			for range 2 { // the second finds it marked
				r := check(t, s)
				if len(r.Damaged) != 1 || r.Damaged[0].Digest != oci.DigestBytes(p) || len(r.Catalog) != 0 {
					t.Fatalf("%+v", r)
				}
			}
			if info, err := s.Info(t.Context(), oci.DigestBytes(p)); err != nil || info.Place != "damaged" {
				t.Errorf("it is not marked: %+v, %v", info, err)
			}
			mustStore(t, s, p)
			clean(t, s)
		})
	}
}

func TestADamagedRecordHeaderIsFoundAndHealed(t *testing.T) {
	t.Parallel()
	for _, at := range []int64{0, 8, 20, 63} { // magic, size, digest, checksum
		s, p, _ := damaged(t, 1000, func(t *testing.T, s *blobstore.Store, _ []byte) { flip(t, packName(s, "2"), 64+at) })
		r := check(t, s)
		if len(r.Damaged) != 1 || r.Damaged[0].Digest != oci.DigestBytes(p) || len(r.Catalog) != 0 {
			t.Fatalf("byte %d: %+v", at, r)
		}
		mustStore(t, s, p)
		check(t, s) // it writes the note of its type again, which lay behind the damage
		clean(t, s)
	}
}

func TestADamagedPackHeaderIsMended(t *testing.T) {
	t.Parallel()
	dir := rich(t)
	for _, at := range []int64{0, 10, 25, 40, 63} {
		flip(t, filepath.Join(dir, "packs", "1.pack"), at)
		s := open(t, dir)
		if r := check(t, s); len(r.Mended) != 1 || len(r.Damaged) != 0 || len(r.Catalog) != 0 {
			t.Fatalf("byte %d: %+v", at, r)
		}
		clean(t, s)
		must(t, s.Close())
		flip(t, filepath.Join(dir, "packs", "1.pack"), at)
		if r := rebuild(t, dir); len(r.Mended) != 1 || len(r.Damaged) != 0 {
			t.Fatalf("byte %d: %+v", at, r)
		}
		s = open(t, dir)
		clean(t, s)
		must(t, s.Close())
	}
}

func TestALostNoteIsWrittenAgain(t *testing.T) {
	t.Parallel()
	dir := rich(t)
	s := open(t, dir)
	before := mustPaint(t, s)
	name := packName(s, "1")
	data, err := os.ReadFile(name)
	must(t, err)
	at := strings.LastIndex(string(data), `"name":`) // that of the removal
	flip(t, name, int64(at))
	if r := check(t, s); len(r.Mended) != 1 || !strings.Contains(r.Mended[0], "app:v2") || len(r.Damaged)+len(r.Catalog) != 0 {
		t.Fatalf("%+v", r)
	}
	clean(t, s)
	must(t, s.Close())
	if r := rebuild(t, dir); len(r.Left) != 1 { // the note that is of no use
		t.Errorf("%+v", r)
	}
	s = open(t, dir)
	if diff := before.lacks(mustPaint(t, s)); diff != "" {
		t.Error(diff)
	}
	clean(t, s)
}

func TestCheckFindsWhatTheCatalogHasWrong(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"a size":                     `UPDATE objects SET size = size + 1 WHERE id = 1`,
		"a place in a pack":          `UPDATE objects SET off = off + 1 WHERE id = (SELECT min(id) FROM objects WHERE loc = 1)`,
		"a place of another":         `UPDATE objects SET off = (SELECT max(off) FROM objects) WHERE id = (SELECT min(id) FROM objects WHERE loc = 1)`,
		"a loose size":               `UPDATE objects SET size = size + 1, stored = size + 1 WHERE id = (SELECT min(id) FROM objects WHERE loc = 2)`,
		"a codec":                    `UPDATE objects SET codec = 1 - codec WHERE id = (SELECT min(id) FROM objects WHERE loc = 1)`,
		"a type":                     `UPDATE objects SET media = (SELECT max(id) FROM media_types) WHERE id = (SELECT min(id) FROM objects WHERE media = (SELECT id FROM media_types WHERE name = 'text/plain'))`,
		"a type of a loose one":      `UPDATE objects SET media = (SELECT id FROM media_types WHERE name = 'text/plain') WHERE id = (SELECT min(o.id) FROM objects o WHERE loc = 2 AND media <> (SELECT id FROM media_types WHERE name = 'text/plain'))`,
		"all of a type":              `UPDATE media_types SET name = 'application/vnd.example.thang' WHERE name = '` + typeUnhinted + `'`,
		"a type that is gone":        `UPDATE objects SET media = 999 WHERE id = 1`,
		"a type that was lost":       `UPDATE objects SET media = NULL WHERE media = (SELECT id FROM media_types WHERE name = 'text/plain')`,
		"a lost type of a loose one": `UPDATE objects SET media = NULL WHERE loc = 2 AND media = (SELECT id FROM media_types WHERE name = '` + typeUnhinted + `')`,
		"an absent object":           `UPDATE objects SET loc = 0 WHERE id = 1`,
		"an end":                     `UPDATE packs SET "end" = "end" - 1`,
		"live bytes":                 `UPDATE packs SET live = live + 1`,
		"dead bytes":                 `UPDATE packs SET dead = dead + 1`,
		"a pack that is gone":        `DELETE FROM packs`,
		"an edge that is gone":       `DELETE FROM edges WHERE role = 2 AND parent = (SELECT min(parent) FROM edges)`,
		"an edge too many":           `INSERT INTO edges SELECT parent, 1, 2 FROM edges WHERE role = 2 LIMIT 1`,
		"an edge's role":             `UPDATE edges SET role = 1 WHERE role = 2`,
		"an edge to nothing":         `UPDATE edges SET child = 999 WHERE role = 1`,
		"a name that is gone":        `DELETE FROM refs WHERE name LIKE '%:v1'`,
		"a name that nobody gave":    `INSERT INTO refs (name, object, seq, updated) SELECT name || 'x', object, seq, updated FROM refs LIMIT 1`,
		"a name of another":          `UPDATE refs SET object = 1 WHERE name LIKE '%:v1'`,
		"a name of nothing":          `UPDATE refs SET object = 999 WHERE name LIKE '%:v1'`,
		"a name's number":            `UPDATE refs SET seq = seq + 1 WHERE name LIKE '%:v1'`,
		"a change":                   `UPDATE ref_log SET new = old WHERE seq = 3`,
		"the counter of changes":     `UPDATE meta SET v = 1 WHERE k = 'ref_seq'`,
		"the counter of ids":         `UPDATE sqlite_sequence SET seq = 1`,
		"a hold on nothing":          `UPDATE lease_objects SET object = 999 WHERE object = 1`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := rich(t)
			change(t, dir, statement)
			s := open(t, dir)
			if r := check(t, s); len(r.Catalog) == 0 {
				t.Fatalf("%+v", r)
			}
		})
	}
}

func TestCheckTellsOfWhatANameLacks(t *testing.T) {
	t.Parallel()
	dir := empty(t)
	im := newImage(t, noise(1, 100))
	s := open(t, dir)
	named(t, s, im, "app:v1", "app:v2")
	must(t, s.Close())
	change(t, dir, `UPDATE objects SET loc = 4 WHERE size = 100`)
	change(t, dir, `UPDATE packs SET live = live - 100, dead = dead + 100`)
	r := check(t, open(t, dir))
	want := []blobstore.Damage{{
		Digest: oci.DigestBytes(noise(1, 100)), Size: 100, Place: "absent", Problem: "missing",
		Names: []string{"docker.io/library/app:v1", "docker.io/library/app:v2"},
	}}
	if !reflect.DeepEqual(r.Damaged, want) || len(r.Catalog) != 0 {
		t.Errorf("%+v", r)
	}
}

func TestCheckCountsWaste(t *testing.T) {
	t.Parallel()
	dir := rich(t)
	s := open(t, dir)
	appendTo(t, packName(s, "1"), []byte("junk"))
	must(t, os.WriteFile(packName(s, "7"), []byte("a pack"), 0o644))
	must(t, os.WriteFile(blobFile(s, []byte("orphan")), []byte("orphan"), 0o444))
	must(t, os.WriteFile(filepath.Join(dir, "ingest", "0123"), []byte("part"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "trash", "x"), []byte("trash"), 0o600))
	got := map[string]blobstore.Waste{}
	for _, w := range clean(t, s).Waste {
		got[w.Kind] = w
	}
	for kind, bytes := range map[string]int64{
		"tails of packs": 4, "packs that are not in the catalog": 6, "files without an object": 6,
		"ingests that are not in the catalog": 4, "trash": 5,
	} {
		if w := got[kind]; w.Count != 1 || w.Bytes != bytes {
			t.Errorf("%s: %+v of %+v", kind, w, got)
		}
	}
}

func TestCheckBesideWritersIsClean(t *testing.T) {
	t.Parallel()
	s := open(t, rich(t))
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for w := range 2 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; ctx.Err() == nil; i++ {
				seed := uint64(1000*w + i + 100)
				im := newImage(t, noise(seed, 300), noise(seed, 300_000))
				ses, err := s.Begin(t.Context(), blobstore.SessionOptions{Note: "writer"})
				if err != nil {
					t.Error(err)
					return
				}
				for k, p := range im.blobs {
					if _, err := ses.Put(t.Context(), blobstore.Blob{Data: p, MediaType: im.types[k]}); err != nil {
						t.Error(err)
					}
				}
				name := content.NameChange{Reference: reference(t, fmt.Sprintf("busy:%d-%d", w, i%3)), Target: im.manifest().Digest, Why: "pull"}
				if err := ses.Commit(t.Context(), name); err != nil {
					t.Error(err)
				}
				ses.Close()
			}
		}()
	}
	for range 4 {
		clean(t, s)
	}
	cancel()
	wg.Wait()
	clean(t, s)
}

// One large blob is most of many stores: that it is being read has to show.
func TestProgressIsToldWithinABlob(t *testing.T) {
	t.Parallel()
	dir := empty(t)
	s := open(t, dir)
	mustStore(t, s, noise(1, 3<<20))
	var events []content.Event
	observe := func(e content.Event) { events = append(events, e) } // one blob, one goroutine at a time
	look := func(what string) {
		t.Helper()
		within := 0
		for _, e := range events {
			if e.Total != events[0].Total || e.Total <= 0 {
				t.Errorf("%s: %+v has another total", what, e)
			}
			if e.Offset > 0 && e.Offset < e.Total {
				within++
			}
		}
		if last := events[len(events)-1]; within < 2 || last.Offset != last.Total {
			t.Errorf("%s: %d events within the blob, the last is %+v", what, within, last)
		}
		events = nil
	}
	_, err := s.CheckAll(t.Context(), blobstore.CheckOptions{Observe: observe})
	must(t, err)
	look("check")
	must(t, s.Close())
	_, err = blobstore.Rebuild(t.Context(), dir, blobstore.RebuildOptions{Observe: observe})
	must(t, err)
	look("rebuild")
}
