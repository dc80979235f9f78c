package blobstore_test

import (
	"bytes"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
)

// flips is how many positions of the catalog TestNoFlippedBitOfTheCatalogIsBelieved
// tries.
const flips = 100

// A flipped bit in catalog.db never passes for the truth: the store is refused, or
// a check complains, or all that was promised still reads right.
func TestNoFlippedBitOfTheCatalogIsBelieved(t *testing.T) {
	t.Parallel()
	dir := rich(t)
	before := paintClosed(t, dir)
	good := settle(t, dir)
	rnd := rand.New(rand.NewPCG(1, 2))
	counts := map[string]int{}
	for range flips {
		at := interesting(rnd, good)
		bit := byte(1) << rnd.IntN(8)
		p := bytes.Clone(good)
		p[at] ^= bit
		restoreFile(t, dir, p)
		outcome := believed(t, dir, before)
		counts[outcome]++
		if outcome == "believed" {
			t.Errorf("bit %#x of byte %d (page %d) was flipped: the check is clean, and", bit, at, at/4096+1)
			restoreFile(t, dir, p)
			tellDifference(t, dir, before)
		}
	}
	t.Log(counts)
	for _, outcome := range []string{"refused", "found", "harmless"} {
		if counts[outcome] == 0 {
			t.Errorf("none of %d flips was %s: what is tried here?", flips, outcome)
		}
	}
	restoreFile(t, dir, good)
	rebuild(t, dir)
	s := open(t, dir)
	clean(t, s)
	if diff := before.lacks(mustPaint(t, s)); diff != "" {
		t.Error(diff)
	}
}

// interesting is a position near a byte that is not zero: most of a small catalog
// is empty.
func interesting(rnd *rand.Rand, p []byte) int {
	for {
		at := rnd.IntN(len(p))
		for _, b := range p[max(0, at-2):min(len(p), at+3)] {
			if b != 0 {
				return at
			}
		}
	}
}

// believed says what became of a store with a damaged catalog: refused, found,
// harmless or believed.
func believed(t *testing.T, dir string, before picture) string {
	s, err := blobstore.Open(t.Context(), dir, blobstore.Options{})
	if err != nil {
		if !errors.Is(err, content.ErrCorrupt) && !errors.Is(err, content.ErrNoStore) {
			t.Errorf("refused without a class: %v", err)
		}
		return "refused"
	}
	defer s.Close()
	r, err := s.CheckAll(t.Context(), blobstore.CheckOptions{})
	if err != nil && !errors.Is(err, content.ErrCorrupt) {
		t.Errorf("not checked, without a class: %v", err)
	}
	if err != nil || !r.Clean() {
		return "found"
	}
	after, err := paint(s)
	if err != nil || before.lacks(after) != "" {
		return "believed"
	}
	return "harmless"
}

func tellDifference(t *testing.T, dir string, before picture) {
	s := open(t, dir)
	defer s.Close()
	after, err := paint(s)
	t.Error(err, before.lacks(after))
}

// stranger is the folder of a closed store that shares nothing with the others.
func stranger(t *testing.T) string {
	dir := filepath.Join(t.TempDir(), "stranger")
	s, err := blobstore.Open(t.Context(), dir, blobstore.Options{Create: true})
	must(t, err)
	must(t, s.Close())
	return dir
}

// first is one of the objects.
func first(p picture) oci.Digest { return slices.Min(slices.Collect(maps.Keys(p.types))) }

func TestRebuildWhateverTheCatalogIs(t *testing.T) {
	t.Parallel()
	dir := rich(t)
	before := paintClosed(t, dir)
	good := settle(t, dir)
	file := filepath.Join(dir, "catalog.db")
	for name, spoil := range map[string]func(){
		"deleted":            func() { must(t, os.Remove(file)) },
		"empty":              func() { must(t, os.Truncate(file, 0)) },
		"cut":                func() { must(t, os.Truncate(file, 10_000)) },
		"zeros":              func() { must(t, os.WriteFile(file, make([]byte, len(good)), 0o644)) },
		"no database":        func() { must(t, os.WriteFile(file, bytes.Repeat([]byte("text"), 5000), 0o644)) },
		"of another program": func() { must(t, os.Remove(file)); change(t, dir, "CREATE TABLE somebody (elses TEXT)") },
		"of another store":   func() { other := stranger(t); restoreFile(t, dir, settle(t, other)) },
		"a log without it":   func() { must(t, os.Rename(file, file+"-wal")) },
		"left half new":      func() { must(t, os.CopyFS(filepath.Join(dir, "catalog.new"), os.DirFS(filepath.Join(dir, "packs")))) },
		"nothing is wrong":   func() {},
	} {
		restoreFile(t, dir, good)
		spoil()
		if s, err := blobstore.Open(t.Context(), dir, blobstore.Options{}); err == nil {
			if _, err := s.Info(t.Context(), first(before)); err != nil {
				t.Errorf("%s: the store opens, and: %v", name, err)
			}
			must(t, s.Close())
		} else if !errors.Is(err, content.ErrCorrupt) || content.Hint(err) == "" {
			t.Errorf("%s: %v, hint %q", name, err, content.Hint(err))
		}
		if r := rebuild(t, dir); !r.Whole() {
			t.Errorf("%s: %+v", name, r)
		}
		s := open(t, dir)
		if diff := before.lacks(mustPaint(t, s)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		clean(t, s)
		must(t, s.Close())
	}
}
