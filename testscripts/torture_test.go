package testscripts

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"dist.example/client"
	"dist.example/oci"
	"dist.example/registryserver/registrytest"
)

const (
	// seedVar replays a schedule: which commands each writer runs, in which order,
	// and where each is killed.
	seedVar = "DIST_SEED"
	// tortureVar is for how long the writers go on, 3s by default.
	tortureVar = "DIST_TORTURE"

	tortureWriters = 8
)

// storm is many writers at work on one store.
type storm struct {
	*box
	seed   uint64
	shared [][]byte // content that all of them put
	images map[string]oci.Digest
	end    time.Time

	mu     sync.Mutex
	ran    int
	killed int
}

// writer runs one command after the other. What it was promised is its own: no
// other writer deletes its content or moves its names.
type writer struct {
	*storm
	id    int
	steps int
	rand  *rand.Rand // of this step, so that each is the same whatever became of those before

	blobs map[oci.Digest]bool     // promised
	names map[string][]oci.Digest // what each may stand for, "" for nothing
	// unfinished are steps that were killed, to be done again.
	unfinished []step
}

// step is one command and what follows from it.
type step struct {
	command
	// done is told what the command printed once it has ended well, begun when it
	// was killed.
	done, begun func(printed string)
	// late is the exit code of a second try that says that the first one had done it,
	// 0 for none.
	late int
}

// TestKilledAtRandom lets many short commands run at once and kills some of them,
// anywhere. In the end nothing that was promised is missing, and all that was not
// finished can be.
func TestKilledAtRandom(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs kill -9")
	}
	s := newStorm(t)
	var wg sync.WaitGroup
	writers := make([]*writer, tortureWriters)
	for i := range writers {
		w := &writer{
			storm: s, id: i, blobs: map[oci.Digest]bool{}, names: map[string][]oci.Digest{},
		}
		writers[i] = w
		wg.Go(w.work)
	}
	wg.Wait()
	t.Logf("%d commands, %d of them killed", s.ran, s.killed)
	if t.Failed() {
		return
	}
	s.sound("after the storm,")
	for _, w := range writers {
		w.judge()
	}
	for _, w := range writers {
		for _, st := range w.unfinished {
			w.finish(st)
		}
	}
	s.sound("all done,")
	s.settled(writers)
	s.leftovers()
	s.rebuilt()
}

func newStorm(t *testing.T) *storm {
	s := &storm{seed: rand.Uint64(), images: map[string]oci.Digest{}}
	if v := os.Getenv(seedVar); v != "" {
		var err error
		if s.seed, err = strconv.ParseUint(v, 10, 64); err != nil {
			t.Fatalf("%s: %v", seedVar, err)
		}
	}
	t.Logf("%s=%d replays this", seedVar, s.seed)
	length := 3 * time.Second
	if v := os.Getenv(tortureVar); v != "" {
		var err error
		if length, err = time.ParseDuration(v); err != nil {
			t.Fatalf("%s: %v", tortureVar, err)
		}
	}
	reg := registrytest.New(t, registrytest.Options{})
	s.box = newBox(t, map[string]string{"PULL": reg.Host})
	for i := range 4 {
		layers := [][]byte{registrytest.Bytes(1, 50_000), registrytest.Bytes(2, 400<<10), registrytest.Bytes(uint64(10+i), 300<<10*(1+i))}
		s.images[fmt.Sprintf("app:v%d", i)] = reg.PushImage(fmt.Sprintf("app:v%d", i), layers...).Digest
		s.shared = append(s.shared, registrytest.Bytes(uint64(20+i), 1000+i*(250<<10)))
	}
	s.dist("init", "--store", "store")
	s.end = time.Now().Add(length)
	return s
}

// work runs steps until the time is over. The seed and a step's number decide what
// it is and where it is killed; which content it is about, also what came before.
func (w *writer) work() {
	for time.Now().Before(w.end) && !w.t.Failed() {
		w.steps++
		w.rand = rand.New(rand.NewPCG(w.seed, uint64(w.id)<<32|uint64(w.steps)))
		st, retried := w.next()
		kill := w.rand.IntN(5)
		nth, delay := 1+w.rand.IntN(60), time.Duration(1+w.rand.IntN(60))*time.Millisecond
		var out outcome
		switch {
		case kill == 0 && os.Getenv("DIST_BINARY") == "":
			out = w.run(st.command, fmt.Sprintf("%s=any:%d", crashVar, nth))
		case kill <= 1:
			out = w.runFor(st.command, delay)
		default:
			out = w.run(st.command)
		}
		w.count(out)
		switch {
		case out.killed:
			st.begun(out.stdout)
			w.unfinished = append(w.unfinished, st)
		case out.exit != 0 && !(retried && out.exit == st.late):
			w.t.Errorf("writer %d, step %d: dist %s: exit %d\n%s", w.id, w.steps, strings.Join(st.args, " "), out.exit, out.stderr)
		default:
			st.done(out.stdout)
		}
	}
}

func (s *storm) count(out outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ran++
	if out.killed {
		s.killed++
	}
}

// finish does a step again that was killed.
func (w *writer) finish(st step) {
	if out := w.run(st.command); out.exit != 0 && out.exit != st.late {
		w.t.Errorf("writer %d, done again: dist %s: exit %d\n%s", w.id, strings.Join(st.args, " "), out.exit, out.stderr)
	} else {
		st.done(out.stdout)
	}
}

// judge holds what the store has against what the writer was promised.
func (w *writer) judge() {
	got := w.state()
	for d := range w.blobs {
		if !got.blobs[d] {
			w.t.Errorf("writer %d was promised %s, which is not there", w.id, d)
		}
	}
	for name, targets := range w.names {
		if !slices.Contains(targets, got.names[name]) {
			w.t.Errorf("writer %d: name %s stands for %q, want one of %q", w.id, name, got.names[name], targets)
		}
	}
}

// settled holds the store against all promises, when nothing is unfinished: it has
// this and no more.
func (s *storm) settled(writers []*writer) {
	blobs, names := map[oci.Digest]bool{}, map[string]oci.Digest{}
	for _, w := range writers {
		w.judge()
		maps.Copy(blobs, w.blobs)
		for name, targets := range w.names {
			if targets[0] != "" {
				names[name] = targets[0]
			}
		}
	}
	got := s.state()
	if !maps.Equal(got.names, names) {
		s.t.Errorf("names are %v, want %v", got.names, names)
	}
	pulled := s.reach(got.names)
	for d := range got.blobs {
		if !blobs[d] && !pulled[d] {
			s.t.Errorf("%s is there, which nobody was promised", d)
		}
	}
}

// leftovers counts the files that no row speaks of: check knows of each.
func (s *storm) leftovers() {
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
	loose := strings.Count(s.dist("list", "--format", "go-template={{.place}}"), "loose")
	rows := strings.Count(s.dist("active", "--stale", "-q"), "\n")
	for _, k := range []struct {
		files, kind  string
		known, doubt int // files that rows speak of, and that more may speak of
	}{
		{"blobs/*/*", "files without an object", loose, waste["given up, not yet removed"]}, // some of it is in packs
		{"ingest/*", "ingests that are not in the catalog", rows, 0},
		{"leases/*", "files of leases that have ended", 0, 0},
	} {
		files, err := filepath.Glob(filepath.Join(s.store(), k.files))
		s.must(err)
		s.t.Logf("%s: %d files, %d of them %s", k.files, len(files), waste[k.kind], k.kind)
		if rest := len(files) - k.known - waste[k.kind]; rest < 0 || rest > k.doubt {
			s.t.Errorf("%s: %d files that neither rows nor check know of", k.files, rest)
		}
	}
}

// rebuilt loses the catalog, and lets a new one tell the same from what the storm
// has left, tails and orphans among it. What was deleted may be there again.
func (s *storm) rebuilt() {
	before := s.state()
	for _, end := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(filepath.Join(s.store(), "catalog.db"+end)); !errors.Is(err, fs.ErrNotExist) {
			s.must(err)
		}
	}
	s.dist("check", "--rebuild")
	s.sound("rebuilt,")
	after := s.state()
	if !maps.Equal(before.names, after.names) {
		s.t.Errorf("rebuilt, the names are\n%v, before\n%v", after.names, before.names)
	}
	for d := range before.blobs {
		if !after.blobs[d] {
			s.t.Errorf("rebuilt, %s is gone", d)
		}
	}
}

// reach finds all that the names lead to.
func (s *storm) reach(names map[string]oci.Digest) map[oci.Digest]bool {
	c := client.New(client.Options{Store: s.store()})
	defer c.Close()
	store, err := c.Open(s.t.Context())
	s.must(err)
	found := map[oci.Digest]bool{}
	for todo := slices.Collect(maps.Values(names)); len(todo) > 0; todo = todo[1:] {
		found[todo[0]] = true
		children, err := store.Children(s.t.Context(), todo[0])
		s.must(err)
		for _, child := range children {
			todo = append(todo, child.Digest)
		}
	}
	return found
}
