package blobstore_test

import (
	"path/filepath"
	"testing"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
)

func settings(t *testing.T, s *blobstore.Store) blobstore.Settings {
	t.Helper()
	got, err := s.Settings(t.Context())
	must(t, err)
	return got
}

func pinned(t *testing.T, s *blobstore.Store, name string) bool {
	t.Helper()
	n, err := s.Name(t.Context(), parse(t, name))
	must(t, err)
	return n.Pinned
}

func parse(t *testing.T, name string) oci.Reference {
	t.Helper()
	ref, err := oci.ParseReference(name)
	must(t, err)
	return ref
}

func TestSettingsSurviveTheLossOfTheCatalog(t *testing.T) {
	t.Parallel()
	dir := empty(t)
	s := open(t, dir)
	if got := settings(t, s); got != blobstore.DefaultSettings() {
		t.Errorf("a new store has %+v", got)
	}
	must(t, s.SetSettings(t.Context(), func(now *blobstore.Settings) { now.Quota, now.Grace = 1<<30, time.Minute }))
	must(t, s.SetSettings(t.Context(), func(now *blobstore.Settings) { now.KeepHistory, now.Grace = 0, blobstore.DefaultGrace }))
	want := blobstore.Settings{Quota: 1 << 30, Grace: blobstore.DefaultGrace}
	if got := settings(t, s); got != want {
		t.Errorf("set to %+v, want %+v", got, want)
	}
	must(t, s.Close())
	if r := rebuild(t, dir); !r.Whole() {
		t.Errorf("%+v", r)
	}
	s = open(t, dir)
	if got := settings(t, s); got != want {
		t.Errorf("after a rebuild %+v, want %+v", got, want)
	}
	must(t, s.SetSettings(t.Context(), func(now *blobstore.Settings) { now.Quota = 2 << 30 }))
	must(t, s.Close())
	rebuild(t, dir)
	if got := settings(t, open(t, dir)); got.Quota != 2<<30 {
		t.Errorf("the change after a rebuild was lost: %+v", got)
	}
}

func TestSettingsThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	for _, change := range []func(*blobstore.Settings){
		func(now *blobstore.Settings) { now.Quota = -1 },
		func(now *blobstore.Settings) { now.Grace = -time.Second },
		func(now *blobstore.Settings) { now.KeepHistory = 1<<63 - 1 },
	} {
		want(t, content.ErrInvalid, s.SetSettings(t.Context(), change))
	}
	if got := settings(t, s); got != blobstore.DefaultSettings() {
		t.Errorf("%+v", got)
	}
}

// A value that none can be is not in the way of one that can.
func TestSettingsAreWrittenOverDamagedOnes(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"much", "-5"} {
		dir := empty(t)
		s := open(t, dir)
		must(t, s.SetSettings(t.Context(), func(now *blobstore.Settings) { now.Grace = time.Minute }))
		must(t, s.Close())
		change(t, dir, "UPDATE meta SET v = '"+bad+"' WHERE k = 'setting grace'")
		s = open(t, dir)
		_, err := s.Settings(t.Context())
		want(t, content.ErrCorrupt, err)
		must(t, s.SetSettings(t.Context(), func(now *blobstore.Settings) { now.Grace, now.KeepHistory = 0, 0 }))
		if got := settings(t, s); got != (blobstore.Settings{}) {
			t.Errorf("over %s: %+v", bad, got)
		}
	}
}

func TestPinsStayWithTheNameAndGoWithIt(t *testing.T) {
	t.Parallel()
	dir := empty(t)
	s := open(t, dir)
	a, b := newImage(t, noise(1, 500)), newImage(t, noise(2, 500))
	for _, name := range []string{"app:a", "app:b", "app:c"} {
		named(t, s, a, name)
	}
	must(t, s.SetPinned(t.Context(), true, parse(t, "app:a"), parse(t, "app:b"), parse(t, "app:c")))
	must(t, s.SetPinned(t.Context(), false, parse(t, "app:c")))
	named(t, s, b, "app:a")
	must(t, s.SetNames(t.Context(), content.NameChange{Reference: parse(t, "app:b"), Why: "remove"}))
	named(t, s, a, "app:b")
	expect := func(when string) {
		t.Helper()
		for name, want := range map[string]bool{"app:a": true, "app:b": false, "app:c": false} {
			if pinned(t, s, name) != want {
				t.Errorf("%s: %s pinned: %t", when, name, !want)
			}
		}
	}
	expect("before")
	must(t, s.Close())
	rebuild(t, dir)
	s = open(t, dir)
	expect("after a rebuild")
	clean(t, s)
}

func TestPinsAreSetTogetherOrNotAtAll(t *testing.T) {
	t.Parallel()
	s := open(t, empty(t))
	named(t, s, newImage(t, noise(1, 500)), "app:a")
	want(t, content.ErrNotFound, s.SetPinned(t.Context(), true, parse(t, "app:a"), parse(t, "app:missing")))
	if pinned(t, s, "app:a") {
		t.Error("one of them was pinned")
	}
}

func TestThePinOfALostNameIsLostForGood(t *testing.T) {
	t.Parallel()
	dir := empty(t)
	s := open(t, dir)
	im := newImage(t, noise(1, 500))
	named(t, s, im, "app:a")
	must(t, s.SetPinned(t.Context(), true, parse(t, "app:a")))
	must(t, s.Close())
	file := filepath.Join(dir, "packs", "1.pack")
	flip(t, file, payloadOf(t, file, im.blobs[len(im.blobs)-1])+8)
	if r := rebuild(t, dir); len(r.LostNames) != 1 {
		t.Fatalf("%+v", r)
	}
	s = open(t, dir)
	named(t, s, im, "app:a")
	must(t, s.Close())
	rebuild(t, dir)
	if pinned(t, open(t, dir), "app:a") {
		t.Error("a name that was given anew is pinned")
	}
}
