package gc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/gc"
	"dist.example/oci"
)

var ctx = context.Background()

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB) *blobstore.Store {
	t.Helper()
	s, err := blobstore.Open(ctx, filepath.Join(t.TempDir(), "store"), blobstore.Options{Create: true})
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// noise is content that does not shrink.
func noise(n int, seed uint64) []byte {
	p := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	r.Read(p)
	return p
}

func put(t testing.TB, ses *blobstore.Session, media string, p []byte) oci.Descriptor {
	t.Helper()
	i, err := ses.Put(ctx, blobstore.Blob{Data: p, MediaType: media})
	must(t, err)
	return oci.Descriptor{MediaType: media, Digest: i.Digest, Size: i.Size}
}

// image puts an image with layers of these sizes, and names it.
func image(t testing.TB, s *blobstore.Store, name string, subject *oci.Descriptor, layers ...[]byte) oci.Descriptor {
	t.Helper()
	ses, err := s.Begin(ctx, blobstore.SessionOptions{Note: "test"})
	must(t, err)
	defer ses.Close()
	config := put(t, ses, oci.MediaTypeImageConfig, fmt.Appendf(nil, `{"os":"linux","created_by":%q}`, name))
	m := oci.Manifest{MediaType: oci.MediaTypeManifest, Config: config, Subject: subject}
	m.SchemaVersion = 2
	for _, l := range layers {
		m.Layers = append(m.Layers, put(t, ses, oci.MediaTypeLayer, l))
	}
	encoded, err := json.Marshal(m)
	must(t, err)
	desc := put(t, ses, oci.MediaTypeManifest, encoded)
	var names []content.NameChange
	if name != "" {
		names = append(names, content.NameChange{Reference: ref(t, name), Target: desc.Digest, Why: "test"})
	}
	must(t, ses.Commit(ctx, names...))
	return desc
}

func ref(t testing.TB, name string) oci.Reference {
	t.Helper()
	r, err := oci.ParseReference(name)
	must(t, err)
	return r
}

func remove(t testing.TB, s *blobstore.Store, name string) {
	t.Helper()
	must(t, s.SetNames(ctx, content.NameChange{Reference: ref(t, name), Why: "remove"}))
}

// strict keeps nothing but what names and leases hold.
func strict() gc.Options { return gc.Options{} }

func run(t testing.TB, s *blobstore.Store, o gc.Options) gc.Report {
	t.Helper()
	r, err := gc.Run(ctx, s, o)
	must(t, err)
	report, err := s.CheckAll(ctx, blobstore.CheckOptions{})
	must(t, err)
	if !report.Clean() {
		t.Fatalf("after the collection a check finds: %+v", report)
	}
	return r
}

func held(t testing.TB, s *blobstore.Store, d oci.Digest) bool {
	t.Helper()
	return s.Check(ctx, d) == nil
}

func TestWhatNamesReachIsKept(t *testing.T) {
	s := open(t)
	shared := noise(300<<10, 1)
	kept := image(t, s, "example.com/kept:1", nil, shared, noise(1000, 2))
	gone := image(t, s, "example.com/gone:1", nil, shared, noise(1000, 3), noise(400<<10, 4))
	signature := image(t, s, "", &kept, noise(500, 5))
	lost := image(t, s, "", &gone, noise(500, 6))
	remove(t, s, "example.com/gone:1")

	plan, err := gc.NewPlan(ctx, s, strict())
	must(t, err)
	if !held(t, s, gone.Digest) {
		t.Fatal("a plan removed something")
	}
	r := run(t, s, strict())
	if plan.Garbage != r.Plan.Garbage || plan.Frees != r.Plan.Frees || r.Doomed != r.Plan.Garbage || r.Swept.Objects != r.Doomed.Objects {
		t.Errorf("planned %+v, collected %+v", plan, r)
	}
	for d, want := range map[oci.Digest]bool{
		kept.Digest: true, signature.Digest: true, oci.DigestBytes(shared): true, oci.DigestBytes(noise(1000, 2)): true,
		gone.Digest: false, lost.Digest: false, oci.DigestBytes(noise(1000, 3)): false, oci.DigestBytes(noise(400<<10, 4)): false,
	} {
		if got := held(t, s, d); got != want {
			t.Errorf("%s: held %v, want %v", d, got, want)
		}
	}
	if _, err := os.Stat(filepath.Join(s.Dir(), "blobs/sha256", oci.DigestBytes(noise(400<<10, 4)).Encoded())); err == nil {
		t.Error("the file of a blob that went is there")
	}
	if again := run(t, s, strict()); again.Doomed.Objects+again.Swept.Objects+again.Packs.Objects != 0 {
		t.Errorf("a second collection found %+v", again)
	}
}

func TestGraceHistoryAndLeasesKeep(t *testing.T) {
	s := open(t)
	old := image(t, s, "example.com/a:1", nil, noise(1000, 1))
	image(t, s, "example.com/a:1", nil, noise(1000, 2))
	leased := image(t, s, "", nil, noise(1000, 3))
	l, err := s.Acquire(ctx, "test", time.Hour)
	must(t, err)
	must(t, s.Hold(ctx, l.ID, leased.Digest))
	young := image(t, s, "", nil, noise(1000, 4))

	r := run(t, s, gc.Options{Grace: time.Hour})
	if r.Doomed.Objects != 0 || r.Plan.Kept[gc.ByGrace].Objects == 0 {
		t.Errorf("within the grace: %+v", r)
	}
	r = run(t, s, gc.Options{KeepHistory: time.Hour})
	if !held(t, s, old.Digest) || !held(t, s, leased.Digest) || held(t, s, young.Digest) {
		t.Errorf("history and leases hold: %+v", r.Plan.Kept)
	}
	must(t, s.Release(ctx, l.ID))
	run(t, s, strict())
	if held(t, s, old.Digest) || held(t, s, leased.Digest) {
		t.Error("without history and lease both should be gone")
	}
}

// Of a pack of which much is dead the rest moves, and the notes that count with it: a
// catalog made anew from what is left knows all names and types.
func TestPacksAreCompacted(t *testing.T) {
	s := open(t)
	want := map[string]oci.Digest{}
	for i := range 40 {
		name := fmt.Sprintf("example.com/a:%d", i)
		d := image(t, s, name, nil, noise(200<<10, uint64(i))).Digest
		if i%10 == 0 {
			want[name] = d
		} else {
			remove(t, s, name)
		}
	}
	r := run(t, s, gc.Options{Compact: true})
	if r.Packs.Objects != 1 || r.Freed < 36*200<<10*9/10 {
		t.Errorf("collected %+v", r)
	}
	dir := s.Dir()
	must(t, s.Close())
	for range 2 {
		s, err := blobstore.Open(ctx, dir, blobstore.Options{})
		must(t, err)
		got := map[string]oci.Digest{}
		for n, err := range s.Names(ctx, "") {
			must(t, err)
			got[n.Reference.String()] = n.Target.Digest
			if ok, err := s.Complete(ctx, n.Target.Digest); !ok || err != nil {
				t.Errorf("%s is not whole: %v", n.Reference, err)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("names %v, want %v", got, want)
		}
		must(t, s.Close())
		_, err = blobstore.Rebuild(ctx, dir, blobstore.RebuildOptions{})
		must(t, err)
	}
}

func TestWhatCrashesLeftGoes(t *testing.T) {
	s := open(t)
	image(t, s, "example.com/a:1", nil, noise(1000, 1))
	for name, p := range map[string][]byte{
		"blobs/sha256/" + oci.DigestBytes([]byte("orphan")).Encoded():          []byte("orphan"),
		"blobs/sha256/" + oci.DigestBytes([]byte("orphan")).Encoded() + ".new": []byte("orphan"),
		"ingest/ingest-00112233": []byte("left"),
		"packs/77.pack":          []byte("no pack"),
		"trash/x":                []byte("trash"),
		"leases/0011":            nil,
		"catalog.new/catalog.db": []byte("x"),
		"store.json.0011":        []byte("{}"),
	} {
		must(t, os.MkdirAll(filepath.Join(s.Dir(), filepath.Dir(name)), 0o755))
		must(t, os.WriteFile(filepath.Join(s.Dir(), name), p, 0o644))
	}
	pack := filepath.Join(s.Dir(), "packs/1.pack")
	f, err := os.OpenFile(pack, os.O_WRONLY|os.O_APPEND, 0)
	must(t, err)
	_, err = f.Write(bytes.Repeat([]byte("tail"), 100))
	must(t, err)
	must(t, f.Close())

	if r := run(t, s, gc.Options{Grace: time.Hour}); len(r.Files) != 2 { // trash, and a catalog that nobody makes
		t.Errorf("within the grace: %+v", r.Files)
	}
	r := run(t, s, strict())
	report, err := s.CheckAll(ctx, blobstore.CheckOptions{})
	must(t, err)
	if len(report.Waste) != 0 {
		t.Errorf("removed %+v, left %+v", r.Files, report.Waste)
	}
}

// Changes that come faster than the clock are as old as they are: with no history what
// they gave up goes at once.
func TestChangesOfOneMillisecondAreNoYounger(t *testing.T) {
	for i := range 5 {
		s := open(t)
		image(t, s, "example.com/a:1", nil, noise(1000, 1))
		image(t, s, "example.com/b:1", nil, noise(1000, 2))
		remove(t, s, "example.com/a:1")
		remove(t, s, "example.com/b:1")
		p, err := gc.NewPlan(ctx, s, strict())
		must(t, err)
		if p.Garbage.Objects != 6 || p.Kept[gc.ByHistory].Objects != 0 {
			t.Fatalf("time %d: garbage %+v, kept %+v", i, p.Garbage, p.Kept)
		}
	}
}
