package testscripts

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"dist.example/client"
	"dist.example/oci"
)

// gcEverything collects all that nothing holds at this moment.
var gcEverything = []string{"gc", "--grace", "0s", "--keep-history", "0s"}

// caring are the commands that look after a store, as far as this program has them.
func (s *storm) caring() (care [][]string) {
	for _, c := range [][]string{
		gcEverything, gcEverything, append(slices.Clone(gcEverything), "--compact"), {"gc"}, {"check"}, {"repair"},
	} {
		if s.run(call(c[0], "--help")).exit == 0 {
			care = append(care, c)
		}
	}
	return care
}

func (s *storm) collects() bool {
	return slices.ContainsFunc(s.care, func(c []string) bool { return c[0] == "gc" })
}

// keep looks after the store as long as the storm lasts. One keeper may find another
// at work (exit 8).
func (s *storm) keep(id int) {
	for n := 1; time.Now().Before(s.end) && !s.t.Failed(); n++ {
		r := rand.New(rand.NewPCG(s.seed, uint64(id)<<32|uint64(n)))
		c := call(s.care[r.IntN(len(s.care))]...)
		out := s.disturbed(r, c, 10) // among these are those at which it has marked
		if !out.killed && out.exit != 0 && out.exit != 8 {
			s.t.Errorf("keeper %d, step %d: dist %s: exit %d\n%s%s", id, n, strings.Join(c.args, " "), out.exit, out.stdout, out.stderr)
		}
	}
}

// emptied ends all that holds content but the names, and lets what they do not reach
// be collected: then the store has what they need, and no more.
func (s *storm) emptied() {
	if !s.collects() {
		return
	}
	s.released()
	s.dist(append(slices.Clone(gcEverything), "--compact")...)
	s.sound("collected,")
	got := s.state()
	want := s.reach(got.names)
	for d := range got.blobs {
		if !want[d] {
			s.t.Errorf("collected, %s is there, which no name reaches", d)
		}
	}
	for d := range want {
		if !got.blobs[d] {
			s.t.Errorf("collected, %s is gone, which a name reaches", d)
		}
	}
	for _, dir := range []string{"ingest", "leases", "trash"} {
		files, err := filepath.Glob(filepath.Join(s.store(), dir, "*"))
		s.must(err)
		if len(files) > 0 {
			s.t.Errorf("collected, %s/ has %q", dir, files)
		}
	}
	for kind, n := range s.waste() {
		if kind != "dead bytes in packs" { // lean has a bound for them
			s.t.Errorf("collected, check tells of %d %s", n, kind)
		}
	}
	s.lean(want)
}

// released ends all leases and ingests, and the time for which copies are kept.
func (s *storm) released() {
	c := client.New(client.Options{Store: s.store()})
	defer c.Close()
	store, err := c.Open(s.t.Context())
	s.must(err)
	var ids []string
	for l, err := range store.AllLeases(s.t.Context()) {
		s.must(err)
		ids = append(ids, l.ID)
	}
	for _, id := range ids {
		s.must(store.Release(s.t.Context(), id))
	}
	for _, key := range strings.Fields(s.dist("active", "--stale", "-q")) {
		s.dist("active", "--abort", key)
	}
	long := time.Now().Add(-48 * time.Hour)
	s.must(filepath.WalkDir(filepath.Join(s.store(), "views"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		return os.Chtimes(path, long, long)
	}))
}

// waste is what check says a collection would remove, by kind.
func (s *storm) waste() map[string]int {
	var (
		out    bytes.Buffer
		report struct {
			Waste []struct {
				Kind  string
				Count int
			}
		}
	)
	s.check(&out, "--format", "json")
	s.must(json.Unmarshal(out.Bytes(), &report))
	waste := map[string]int{}
	for _, w := range report.Waste {
		waste[w.Kind] = w.Count
	}
	return waste
}

// lean holds what packs and files take against what is in them.
func (s *storm) lean(want map[oci.Digest]bool) {
	c := client.New(client.Options{Store: s.store()})
	defer c.Close()
	var needed, taken int64
	for info, err := range c.List(s.t.Context()) {
		s.must(err)
		needed += info.Stored
	}
	for _, dir := range []string{"blobs", "packs", "views"} {
		err := filepath.WalkDir(filepath.Join(s.store(), dir), func(_ string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			fi, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			taken += fi.Size()
			return err
		})
		s.must(err)
	}
	// Records have headers, and names their notes.
	if room := needed + needed/10 + int64(len(want))*1000 + 256<<10; taken > room {
		s.t.Errorf("collected, %d bytes are taken for %d of content", taken, needed)
	}
}
