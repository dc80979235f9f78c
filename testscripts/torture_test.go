package testscripts

import (
	"errors"
	"fmt"
	"io"
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
	"dist.example/content"
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
	// tortureKeepers run what looks after the store.
	tortureKeepers = 2
)

// storm is many writers at work on one store.
type storm struct {
	*box
	seed   uint64
	shared [][]byte // content that all of them put
	images map[string]oci.Digest
	parts  map[oci.Digest]bool    // of the images
	target *registrytest.Registry // for pushes
	care   [][]string             // commands that look after a store, those there are
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

	blobs map[oci.Digest]bool     // promised, by a lease, and never named
	ever  map[oci.Digest]bool     // what it may have brought
	names map[string][]oci.Digest // what each may stand for, "" for nothing
	// pushed is what repositories and tags of the registry stand for.
	pushed map[string]oci.Digest
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
	// files are its input, which goes when it is done.
	files []string
}

// TestKilledAtRandom lets many short commands run at once, those that collect garbage
// and look after the store among them, and kills some of them, anywhere. In the end
// nothing that was promised is missing, all that was not finished can be, and once
// nothing holds it any more all garbage goes.
func TestKilledAtRandom(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs kill -9")
	}
	s := newStorm(t)
	var wg sync.WaitGroup
	writers := make([]*writer, tortureWriters)
	for i := range writers {
		w := &writer{
			storm: s, id: i, blobs: map[oci.Digest]bool{}, ever: map[oci.Digest]bool{}, names: map[string][]oci.Digest{}, pushed: map[string]oci.Digest{},
		}
		writers[i] = w
		wg.Go(w.work)
	}
	for i := range tortureKeepers {
		wg.Go(func() { s.keep(tortureWriters + i) })
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
	s.emptied()
	s.rebuilt()
}

func newStorm(t *testing.T) *storm {
	s := &storm{seed: rand.Uint64(), images: map[string]oci.Digest{}, parts: map[oci.Digest]bool{}}
	if v := os.Getenv(seedVar); v != "" {
		var err error
		if s.seed, err = strconv.ParseUint(v, 10, 64); err != nil {
			t.Fatalf("%s: %v", seedVar, err)
		}
	}
	t.Logf("%s=%d replays this", seedVar, s.seed)
	length := tortureTime(t, 3*time.Second)
	reg := registrytest.New(t, registrytest.Options{})
	s.target = registrytest.New(t, registrytest.Options{})
	s.box = newBox(t, map[string]string{"PULL": reg.Host, "PUSH": s.target.Host})
	image := func(path string, seed uint64, size int) {
		layers := [][]byte{registrytest.Bytes(1, 50_000), registrytest.Bytes(2, 400<<10), registrytest.Bytes(seed, size)}
		s.images[path] = reg.PushImage(path, layers...).Digest
		s.learn(reg.Store(), s.images[path])
	}
	for i := range 4 {
		image(fmt.Sprintf("app:v%d", i), uint64(10+i), 300<<10*(1+i))
		s.shared = append(s.shared, registrytest.Bytes(uint64(20+i), 1000+i*(250<<10)))
	}
	for i := range tortureWriters {
		image(fmt.Sprintf("w%d/app:v0", i), uint64(100+i), 10_000)
		image(fmt.Sprintf("w%d/app:v1", i), uint64(200+i), 500<<10)
	}
	s.dist("init", "--store", "store")
	s.care = s.caring()
	s.end = time.Now().Add(length)
	return s
}

// learn finds what an image consists of.
func (s *storm) learn(from content.Fetcher, d oci.Digest) {
	s.parts[d] = true
	r, err := from.Fetch(s.t.Context(), oci.Descriptor{Digest: d, Size: -1})
	s.must(err)
	defer r.Close()
	p, err := io.ReadAll(r)
	s.must(err)
	edges, err := oci.Successors(oci.MediaTypeManifest, p)
	s.must(err)
	for _, e := range edges {
		s.parts[e.Digest] = true
	}
}

// work runs steps until the time is over. The seed and a step's number decide what
// it is and where it is killed; which content it is about, also what came before.
func (w *writer) work() {
	for time.Now().Before(w.end) && !w.t.Failed() {
		w.steps++
		w.rand = rand.New(rand.NewPCG(w.seed, uint64(w.id)<<32|uint64(w.steps)))
		st, retried := w.next()
		out := w.disturbed(rand.New(rand.NewPCG(w.seed+1, uint64(w.id)<<32|uint64(w.steps))), st.command, 30)
		switch {
		case out.killed:
			st.begun(out.stdout)
			w.unfinished = append(w.unfinished, st)
		case out.exit != 0 && !(retried && out.exit == st.late):
			w.t.Errorf("writer %d, step %d: dist %s: exit %d\n%s", w.id, w.steps, strings.Join(st.args, " "), out.exit, out.stderr)
		default:
			st.done(out.stdout)
			w.tidy(st)
		}
	}
}

// disturbed runs a command and perhaps kills it, at a point of its protocols or after
// a while, or lets it rest at one of the first points.
func (s *storm) disturbed(r *rand.Rand, c command, first int) (out outcome) {
	kill, nth, delay := r.IntN(5), 1+r.IntN(60), time.Duration(1+r.IntN(60))*time.Millisecond
	at, rest := 1+r.IntN(first), r.IntN(300)
	switch {
	case kill == 0 && os.Getenv("DIST_BINARY") == "":
		out = s.run(c, fmt.Sprintf("%s=any:%d", crashVar, nth))
	case kill <= 1:
		out = s.runFor(c, delay)
	case kill <= 3:
		out = s.run(c, fmt.Sprintf("%s=%d:%dms", pauseVar, at, rest))
	default:
		out = s.run(c)
	}
	s.count(out)
	return out
}

// tidy removes the input of a step: a storm may last for hours.
func (w *writer) tidy(st step) {
	for _, name := range st.files {
		w.must(os.Remove(name))
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
		w.tidy(st)
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

// settled holds store and registry against all promises, when nothing is unfinished:
// the store has this, and nothing that nobody brought.
func (s *storm) settled(writers []*writer) {
	blobs, names := maps.Clone(s.parts), map[string]oci.Digest{}
	for _, w := range writers {
		w.judge()
		maps.Copy(blobs, w.blobs)
		maps.Copy(blobs, w.ever)
		w.sent()
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
	for d := range got.blobs {
		if !blobs[d] {
			s.t.Errorf("%s is there, which nobody brought", d)
		}
	}
}

// leftovers counts the files that no row speaks of: check knows of each.
func (s *storm) leftovers() {
	waste := s.waste()
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
