package gc_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/fsys"
	"dist.example/gc"
	"dist.example/oci"
)

// packName is the file of a pack.
func packName(s *blobstore.Store, name string) string { return filepath.Join(s.Dir(), "packs", name) }

// hold locks a pack as its writer does, so that others take the next one.
func hold(t *testing.T, s *blobstore.Store, name string) (release func()) {
	t.Helper()
	f, err := fsys.OS().OpenFile(packName(s, name), os.O_RDWR, 0)
	must(t, err)
	if ok, err := f.TryLock(true); !ok || err != nil {
		t.Fatalf("lock of %s: %v, %v", name, ok, err)
	}
	return func() { f.Close() }
}

// half fills a pack with an image that stays and one that is to go.
func half(t *testing.T, s *blobstore.Store) {
	t.Helper()
	image(t, s, "example.com/stays:1", nil, noise(100<<10, 1))
	image(t, s, "example.com/goes:1", nil, noise(100<<10, 2))
	remove(t, s, "example.com/goes:1")
}

func TestAPackThatIsWrittenStays(t *testing.T) {
	s := open(t)
	half(t, s)
	release := hold(t, s, "1.pack")
	r := run(t, s, gc.Options{Compact: true})
	if len(r.KeptPack) != 1 || r.Packs.Objects != 0 {
		t.Errorf("collected %+v", r)
	}
	release()
	if r := run(t, s, gc.Options{Compact: true}); r.Packs.Objects != 1 || len(r.KeptPack) != 0 {
		t.Errorf("released, it collected %+v", r)
	}
}

// What is damaged is neither copied nor lost: it is marked, and its pack stays until it
// is repaired.
func TestADamagedPackStays(t *testing.T) {
	s := open(t)
	half(t, s)
	p, err := os.ReadFile(packName(s, "1.pack"))
	must(t, err)
	p[bytes.Index(p, noise(100<<10, 1)[:64])+100] ^= 1
	must(t, os.WriteFile(packName(s, "1.pack"), p, 0o644))
	r, err := gc.Run(ctx, s, gc.Options{Compact: true})
	must(t, err)
	if len(r.KeptPack) != 1 || r.KeptPack[0].Why != "it is damaged" {
		t.Fatalf("collected %+v", r)
	}
	report, err := s.CheckAll(ctx, blobstore.CheckOptions{})
	must(t, err)
	if len(report.Damaged) != 1 || report.Faults != 0 {
		t.Errorf("a check finds %+v", report)
	}
	image(t, s, "example.com/stays:1", nil, noise(100<<10, 1)) // puts it again
	if r := run(t, s, gc.Options{Compact: true}); len(r.KeptPack) != 0 || r.Packs.Objects != 1 {
		t.Errorf("repaired, it collected %+v", r)
	}
}

// The note that a name has gone outlives its pack, its history and its content, as long
// as an older note may say that the name is there.
func TestNamesThatWentStayAway(t *testing.T) {
	s := open(t)
	image(t, s, "example.com/stays:1", nil, noise(200<<10, 1))
	image(t, s, "example.com/goes:1", nil, noise(10, 2))
	release := hold(t, s, "1.pack")
	remove(t, s, "example.com/goes:1")
	image(t, s, "example.com/other:1", nil, noise(100<<10, 3))
	remove(t, s, "example.com/other:1")
	release()
	if r := run(t, s, gc.Options{}); r.Packs.Objects != 1 {
		t.Fatalf("collected %+v", r)
	}
	if _, err := os.Stat(packName(s, "2.pack")); err == nil {
		t.Fatal("the second pack is there")
	}
	must(t, s.Close())
	r, err := blobstore.Rebuild(ctx, s.Dir(), blobstore.RebuildOptions{})
	must(t, err)
	if r.Names != 1 || len(r.LostNames) != 0 {
		t.Errorf("rebuilt %+v", r)
	}
}

// A thing that cannot be removed does not keep the rest from going.
func TestOneBadFile(t *testing.T) {
	s := open(t)
	half(t, s)
	must(t, os.MkdirAll(filepath.Join(s.Dir(), "trash/folder/with"), 0o755))
	r, err := gc.Run(ctx, s, gc.Options{Compact: true})
	if err == nil || r.Packs.Objects != 1 {
		t.Errorf("%v, collected %+v", err, r)
	}
}

// What one transaction changed leaves the history together, and not while it is what a
// name goes by.
func TestHistoryGoesByTransactions(t *testing.T) {
	s := open(t)
	d := image(t, s, "", nil, noise(1000, 1))
	var both []content.NameChange
	for _, name := range []string{"example.com/a:1", "example.com/b:1"} {
		both = append(both, content.NameChange{Reference: ref(t, name), Target: d.Digest, Why: "test"})
	}
	must(t, s.SetNames(ctx, both...))
	remove(t, s, "example.com/a:1")
	if r := run(t, s, gc.Options{}); r.Changes != 1 { // the removal: b is what it is since the first change
		t.Errorf("forgot %d changes, want 1", r.Changes)
	}
	remove(t, s, "example.com/b:1")
	if r := run(t, s, gc.Options{}); r.Changes != 3 {
		t.Errorf("forgot %d changes, want 3", r.Changes)
	}
}

func TestTimeIsUp(t *testing.T) {
	s := open(t)
	half(t, s)
	r := run(t, s, gc.Options{Compact: true, MaxTime: 1})
	if !r.Unfinished || r.Packs.Objects != 0 {
		t.Errorf("without time it collected %+v", r)
	}
	if r := run(t, s, gc.Options{Compact: true}); r.Unfinished || r.Packs.Objects != 1 {
		t.Errorf("with time it collected %+v", r)
	}
}

// spoil overwrites the header of the record that has p, and some of p, in the first pack:
// what lies behind it is found by its magic alone.
func spoil(t *testing.T, s *blobstore.Store, p []byte) {
	t.Helper()
	data, err := os.ReadFile(packName(s, "1.pack"))
	must(t, err)
	at := bytes.Index(data, p[:64])
	if at < 64 {
		t.Fatalf("the record is at %d", at)
	}
	copy(data[at-64:], noise(1000, 99))
	must(t, os.WriteFile(packName(s, "1.pack"), data, 0o644))
}

// whole fails the test unless a check finds nothing, names are there with all that they
// reach, and a rebuilt catalog has the same names and settings.
func whole(t *testing.T, s *blobstore.Store, names ...string) {
	t.Helper()
	report, err := s.CheckAll(ctx, blobstore.CheckOptions{})
	must(t, err)
	if !report.Clean() {
		t.Errorf("a check finds %+v", report)
	}
	settings, err := s.Settings(ctx)
	must(t, err)
	dir := s.Dir()
	must(t, s.Close())
	r, err := blobstore.Rebuild(ctx, dir, blobstore.RebuildOptions{})
	must(t, err)
	if !r.Whole() || r.Names != int64(len(names)) {
		t.Errorf("rebuilt %+v", r)
	}
	s, err = blobstore.Open(ctx, dir, blobstore.Options{})
	must(t, err)
	defer s.Close()
	for _, name := range names {
		ref, err := oci.ParseReference(name)
		must(t, err)
		desc, err := s.Resolve(ctx, ref)
		must(t, err)
		if missing, err := s.Missing(ctx, desc.Digest); err != nil || len(missing) > 0 {
			t.Errorf("%s lacks %v, %v", name, missing, err)
		}
	}
	if now, err := s.Settings(ctx); err != nil || now != settings {
		t.Errorf("settings: %+v, %v, want %+v", now, err, settings)
	}
}

// A pack that has lost records goes once nothing is in it: what is live moves, what it has
// lost of names and settings is told again, and nothing shows the loss any more.
func TestADamagedPackGoesOnceItIsEmpty(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(t *testing.T, s *blobstore.Store)
		stays  bool // until what is lost is put again
	}{
		"garbage is lost":      {func(t *testing.T, s *blobstore.Store) { spoil(t, s, noise(100<<10, 2)) }, false},
		"something live is":    {func(t *testing.T, s *blobstore.Store) { spoil(t, s, noise(100<<10, 1)) }, true},
		"the end of it is":     {func(t *testing.T, s *blobstore.Store) { must(t, os.Truncate(packName(s, "1.pack"), 150<<10)) }, false},
		"the file is gone":     {func(t *testing.T, s *blobstore.Store) { must(t, os.Remove(packName(s, "1.pack"))) }, true},
		"nothing is, at first": {func(*testing.T, *blobstore.Store) {}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			must(t, s.SetSettings(ctx, func(v *blobstore.Settings) { v.KeepHistory *= 2 }))
			half(t, s)
			c.damage(t, s)
			r, err := gc.Run(ctx, s, gc.Options{Compact: true})
			must(t, err)
			if c.stays != (len(r.KeptPack) == 1) {
				t.Errorf("collected %+v", r)
			}
			if c.stays {
				_, err := s.CheckAll(ctx, blobstore.CheckOptions{})
				must(t, err)
				image(t, s, "example.com/stays:1", nil, noise(100<<10, 1)) // puts it again
				r = run(t, s, gc.Options{Compact: true})
			}
			if _, err := os.Stat(packName(s, "1.pack")); err == nil || len(r.KeptPack) != 0 {
				t.Errorf("the pack is there: %+v", r)
			}
			whole(t, s, "example.com/stays:1")
		})
	}
}
