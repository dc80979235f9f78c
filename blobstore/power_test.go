package blobstore_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/fsys"
	"dist.example/fsys/fsystest"
	"dist.example/oci"
)

// The power goes at every step of scripted work, and takes with it any part of what
// was not synced: a catalog as SQLite had committed it then, with every allowed state
// of the store's own files. Of all pairs a sample is looked at.
const (
	// powerVar is how many pairs of each work are looked at.
	powerVar = "DIST_POWER"
	powerFew = 16
	// powerShort is how many -short does: the race detector sees as much in those.
	powerShort = 4
	powerEach  = 24 // and at most so many of one moment
	// seedVar replays a choice of pairs.
	seedVar = "DIST_SEED"
)

// work is done once, step by step, while all that a power cut may leave is noted.
type work struct {
	name string
	// before is there and durable when it begins; prepared is the closed store.
	before   func(t *testing.T, s *blobstore.Store)
	prepared func(t *testing.T, dir string)
	steps    []workStep

	fresh bool // the store is not there yet; unless it is to be restored, opening it makes it
	// rebuilds says that the catalog's own files are moved: then these, too, are lost
	// like others, and a store without them is refused until the work is done again.
	rebuilds bool
	// hurt says that check finds something until the work is done again.
	hurt bool
}

// workStep is an operation that succeeds when it is done again, whatever of it a power
// cut has left.
type workStep struct {
	name string
	run  func(b *bench) error
}

// bench is where work is done: on a store, and by who notes what was promised.
type bench struct {
	t    *testing.T
	ctx  context.Context
	dir  string
	s    *blobstore.Store // nil while it is closed
	o    blobstore.Options
	boot string // "" for that of this machine
	lock *sync.Mutex
	*promises
}

// promises is what an operation that has returned stands for.
type promises struct {
	version int
	blobs   map[oci.Digest]bool              // they are there; false: they are not
	names   map[string][]oci.Digest          // what each may stand for, "" for nothing
	parts   map[string]int64                 // up to where the ingest with a key is durable
	streams map[string]content.IngestOptions // and how to ask for it
	copied  []oci.Digest                     // they are in the backup in the folder beside the store
}

func (p *promises) clone() *promises {
	return &promises{p.version, maps.Clone(p.blobs), maps.Clone(p.names), maps.Clone(p.parts), maps.Clone(p.streams), p.copied}
}

// promise changes what is promised.
func (b *bench) promise(change func(p *promises)) {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.version++
	change(b.promises)
}

func (b *bench) held(ds ...oci.Digest) {
	b.promise(func(p *promises) {
		for _, d := range ds {
			p.blobs[d] = true
		}
	})
}

// naming does what lets a name stand for d: before it returns, it may have happened
// or not.
func (b *bench) naming(do func() error, d oci.Digest, names ...string) error {
	b.promise(func(p *promises) {
		for _, name := range names {
			may := p.names[name]
			if len(may) == 0 { // nothing was said of it yet
				was, _ := b.s.Resolve(b.ctx, reference(b.t, name))
				may = []oci.Digest{was.Digest}
			}
			p.names[name] = append(slices.Clone(may), d)
		}
	})
	if err := do(); err != nil {
		return err
	}
	b.promise(func(p *promises) {
		for _, name := range names {
			p.names[name] = []oci.Digest{d}
		}
	})
	return nil
}

// catalogCopy are SQLite's files as of one COMMIT, by name.
type catalogCopy map[string][]byte

// moment is when the power may go.
type moment struct {
	at       string
	step     int
	cut      *fsystest.Cut
	catalog  catalogCopy
	commits  int
	promises *promises
}

// record does the work and returns its moments: before each change of a file, before
// and after each COMMIT, and the end.
func (w work) record(t *testing.T) []moment {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "store")
	if !w.fresh {
		dir = empty(t)
		w.prepare(t, dir)
	}
	f, err := fsystest.New(fsys.OS(), filepath.Dir(dir))
	must(t, err)
	must(t, f.TakeOver(func(path string) bool { return !w.rebuilds && filepath.Dir(path) == dir && isCatalog(path) }))
	r := &recording{
		t: t, w: w, f: f, dir: dir, catalog: readCatalog(t, dir),
		b: &bench{t: t, ctx: t.Context(), dir: dir, lock: new(sync.Mutex), promises: &promises{
			blobs: map[oci.Digest]bool{}, names: map[string][]oci.Digest{}, parts: map[string]int64{}, streams: map[string]content.IngestOptions{},
		}},
	}
	r.b.o = blobstore.Options{FS: f, Hook: r.point, Create: w.fresh && !w.rebuilds}
	f.Hook(func(op fsystest.Op, name string) error {
		if slices.Contains(changes, op) {
			r.note(fmt.Sprintf("%s %s", op, strings.TrimPrefix(name, dir)))
		}
		return nil
	})
	for i, st := range w.steps {
		r.step = i
		must(t, r.b.do(st, w))
	}
	r.step = len(w.steps)
	f.Hook(nil)
	r.note("the end")
	if r.b.s != nil {
		must(t, r.b.s.Close())
	}
	return r.moments
}

func (w work) prepare(t *testing.T, dir string) {
	t.Helper()
	if w.before != nil {
		s, err := blobstore.Open(t.Context(), dir, blobstore.Options{})
		must(t, err)
		w.before(t, s)
		must(t, s.Close())
	}
	if w.prepared != nil {
		w.prepared(t, dir)
	}
}

// do does a step, in a store that is open unless the work makes its catalog anew.
func (b *bench) do(st workStep, w work) (err error) {
	if b.s == nil && !w.rebuilds {
		if err := b.open(); err != nil {
			return err
		}
	}
	if err := st.run(b); err != nil {
		return fmt.Errorf("%s: %w", st.name, err)
	}
	return nil
}

func (b *bench) open() (err error) {
	if b.s, err = blobstore.Open(b.ctx, b.dir, b.o); err != nil {
		return err
	}
	b.s.HoldBatches()
	if b.boot != "" {
		b.s.BootedAs(b.boot)
	}
	return nil
}

// recording is the first run of some work.
type recording struct {
	t   *testing.T
	w   work
	f   *fsystest.FS
	dir string
	b   *bench

	mu      sync.Mutex
	step    int
	catalog catalogCopy
	commits int
	moments []moment
}

// point is the hook of the store. (Copying the catalog drops the locks that SQLite has
// on it. Nobody else has this store open.)
func (r *recording) point(p string) {
	switch p {
	case "db.commit":
		r.note("hook " + p)
	case "db.committed", "db.migrated", "db.checkpoint", "db.checkpointed":
		if !r.w.rebuilds {
			r.mu.Lock()
			r.catalog = readCatalog(r.t, r.dir)
			r.commits++
			r.mu.Unlock()
		}
		r.note("hook " + p)
	}
}

func (r *recording) note(at string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	cut, err := r.f.Cut()
	if err != nil {
		r.t.Error(err)
		return
	}
	r.b.lock.Lock()
	defer r.b.lock.Unlock()
	m := moment{at: at, step: r.step, cut: cut, commits: r.commits, promises: r.b.clone()}
	if !r.w.rebuilds {
		m.catalog = r.catalog
	}
	r.moments = append(r.moments, m)
}

func isCatalog(path string) bool { return strings.HasPrefix(filepath.Base(path), "catalog.db") }

// readCatalog reads the catalog and its log. The index of the log is made anew by who
// finds none.
func readCatalog(t *testing.T, dir string) catalogCopy {
	c := catalogCopy{}
	for _, name := range []string{"catalog.db", "catalog.db-wal"} {
		p, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Error(err)
		}
		c[name] = p
	}
	return c
}

// pair is one state that the power may leave.
type pair struct {
	moment
	outcome fsystest.Outcome
	tree    fsystest.Tree
}

// pairs picks among all that the moments may leave, each of them once, and of each
// moment one after the other.
func pairs(moments []moment, r *rand.Rand, each, limit int) (picked []pair) {
	seen := map[string]bool{}
	byMoment := make([][]pair, len(moments))
	for i, m := range moments {
		for o := range m.cut.Outcomes(r, each) {
			tree := m.cut.After(o)
			key := fmt.Sprint(tree.Sum(), m.commits, m.step, m.promises.version)
			if !seen[key] {
				seen[key] = true
				byMoment[i] = append(byMoment[i], pair{m, o, tree})
			}
		}
		r.Shuffle(len(byMoment[i]), func(a, b int) { byMoment[i][a], byMoment[i][b] = byMoment[i][b], byMoment[i][a] })
	}
	r.Shuffle(len(byMoment), func(a, b int) { byMoment[a], byMoment[b] = byMoment[b], byMoment[a] })
	for round := 0; len(picked) < limit; round++ {
		before := len(picked)
		for _, some := range byMoment {
			if round < len(some) && len(picked) < limit {
				picked = append(picked, some[round])
			}
		}
		if len(picked) == before {
			break // these are all
		}
	}
	return picked
}

// judge opens what a power cut has left: all that was promised is there, all that is
// to be seen is sound, and the step that was under way succeeds.
func (p pair) judge(t *testing.T, w work) error {
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := p.tree.Write(dir); err != nil {
		return err
	}
	b := &bench{t: t, ctx: t.Context(), dir: filepath.Join(dir, "store"), boot: "the next one", lock: new(sync.Mutex), promises: p.promises.clone()}
	b.o = blobstore.Options{FS: unsynced{fsys.OS()}, Create: w.fresh && !w.rebuilds}
	for name, data := range p.catalog {
		if err := os.WriteFile(filepath.Join(b.dir, name), data, 0o644); err != nil {
			return err
		}
	}
	defer func() {
		if b.s != nil {
			b.s.Close()
		}
	}()
	if err := b.open(); err == nil {
		if err := b.kept(!w.hurt); err != nil {
			return err
		}
	} else if !w.rebuilds || p.step == len(w.steps) || !errors.Is(err, content.ErrCorrupt) && !errors.Is(err, content.ErrNoStore) {
		return err
	}
	if p.step < len(w.steps) {
		if err := b.do(w.steps[p.step], w); err != nil {
			return fmt.Errorf("done again: %w", err)
		}
	}
	if b.s == nil {
		if err := b.open(); err != nil {
			return fmt.Errorf("done again: %w", err)
		}
	}
	if err := b.kept(!w.hurt || p.step < len(w.steps)); err != nil {
		return fmt.Errorf("done again: %w", err)
	}
	if err := collectStep().run(b); err != nil {
		return fmt.Errorf("collected: %w", err)
	}
	if err := b.kept(!w.hurt || p.step < len(w.steps)); err != nil {
		return fmt.Errorf("collected: %w", err)
	}
	return nil
}

// kept holds a store against what was promised, and against itself.
func (b *bench) kept(clean bool) error {
	var errs []error
	for d, there := range b.blobs {
		err := b.s.Check(b.ctx, d)
		if there && err != nil {
			errs = append(errs, fmt.Errorf("%s was promised: %w", d, err))
		}
		if !there && !errors.Is(err, content.ErrNotFound) {
			errs = append(errs, fmt.Errorf("%s was deleted: %w", d, err))
		}
	}
	for name, may := range b.names {
		got, err := b.s.Resolve(b.ctx, reference(b.t, name))
		if err != nil && !errors.Is(err, content.ErrNotFound) {
			errs = append(errs, err)
		}
		if !slices.Contains(may, got.Digest) {
			errs = append(errs, fmt.Errorf("%s stands for %q, want one of %q", name, got.Digest, may))
		}
	}
	for n, err := range b.s.Names(b.ctx, "") {
		if err != nil {
			return err
		}
		if missing, err := b.s.Missing(b.ctx, n.Target.Digest); err != nil || len(missing) > 0 {
			errs = append(errs, fmt.Errorf("%s lacks %v: %w", n.Reference, missing, err))
		}
	}
	r, err := b.s.CheckAll(b.ctx, blobstore.CheckOptions{})
	if err == nil && (clean && !r.Clean() || len(r.Catalog) > 0) {
		err = fmt.Errorf("check found: %+v", r)
	}
	return errors.Join(append(errs, err, b.parted(), b.inBackup())...)
}

// parted asks for what is there of ingests.
func (b *bench) parted() error {
	for key, n := range b.parts {
		w, err := b.s.Writer(b.ctx, b.streams[key])
		if errors.Is(err, content.ErrExists) {
			continue // it is whole by now
		}
		if err != nil {
			return err
		}
		at := w.Status().Offset
		if err := w.Close(); err != nil {
			return err
		}
		if at < n {
			return fmt.Errorf("the ingest %s goes on at %d, %d were promised", key, at, n)
		}
	}
	return nil
}

// unsynced spares the syncs of a store that is looked at and thrown away.
type unsynced struct{ fsys.FS }

func (u unsynced) OpenFile(name string, flag int, perm os.FileMode) (fsys.File, error) {
	f, err := u.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return unsyncedFile{f}, nil
}

func (unsynced) SyncDir(string) error { return nil }

type unsyncedFile struct{ fsys.File }

func (unsyncedFile) Sync() error     { return nil }
func (unsyncedFile) DataSync() error { return nil }

// numberFrom is the number that a variable of the environment has, else one that is
// given.
func numberFrom(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

func TestThePowerGoes(t *testing.T) {
	t.Parallel()
	seed := numberFrom(t, seedVar, rand.Uint64())
	few := uint64(powerFew)
	if testing.Short() {
		few = powerShort
	}
	limit := int(numberFrom(t, powerVar, few))
	each := max(powerEach, limit/20)
	t.Logf("%s=%d %s=%d picks these again", seedVar, seed, powerVar, limit)
	for i, w := range works(t) {
		t.Run(strings.ReplaceAll(w.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			moments := w.record(t)
			if len(moments) < 4 {
				t.Fatalf("only %d moments", len(moments))
			}
			for _, p := range pairs(moments, rand.New(rand.NewPCG(seed, uint64(i))), each, limit) {
				if err := p.judge(t, w); err != nil {
					t.Fatalf("%v\nthe power went in step %d, at %s, after %d commits:\n%s", err, p.step, p.at, p.commits, p.cut.Describe(p.outcome))
				}
			}
		})
	}
}
