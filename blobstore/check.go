package blobstore

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"dist.example/blobstore/pack"
	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
)

// CheckOptions direct CheckAll.
type CheckOptions struct {
	// Observe is told how far the check is: one blob with the name "check", whose
	// total is what lies on the disk. From several goroutines; nil is fine.
	Observe content.Observer
	// Quick reads no bytes of content: it looks whether files are there and have their
	// sizes, and at the catalog.
	Quick bool
	// Sample is the share of the content whose bytes are read, chosen at random; 0 and
	// 1 read all. Of a large blob that share of its blocks is read. Of the rest, files
	// and records have to be there, with their sizes.
	Sample float64
	// Seed makes the choice: with the same one, the same bytes of the same store are
	// read again.
	Seed uint64
}

// CheckReport is what a check has found.
type CheckReport struct {
	Held    int64 // objects that were looked at
	Objects int64 // those of them whose bytes were read and hashed
	Bytes   int64 // that were read, as they lie on the disk
	Packs   int64
	Names   int64
	// Damaged are objects whose bytes are bad or gone, by digest.
	Damaged []Damage
	// Unmarked are objects that had been found damaged before and are right now, by
	// digest: they count as held again. A check that is Quick looks for none, and of a
	// read-only store they are among the Damaged.
	Unmarked []oci.Digest
	// Catalog has a sentence for everything in which the catalog is wrong: only
	// making it anew helps. At most 1000, then one that says how many more.
	Catalog []string
	// Faults is how many things the catalog has wrong, those that Catalog does not
	// tell included.
	Faults int
	// Mended has a sentence for everything that was wrong with the packs, hurt
	// nobody yet and has been put right. Of a read-only store: that is to be. A
	// header where the disk cannot be read stays as it is.
	Mended []string
	// Snapshots has a sentence for each layer that is kept unpacked and is damaged. Package
	// client looks at them.
	Snapshots []string
	// Newer has a sentence for everything that a newer version of this program has
	// written and this one does not understand. It was neither judged nor touched.
	Newer []string
	// Waste is what a collection would remove; none of it is an error.
	Waste []Waste
}

// Clean says that nothing was found.
func (r CheckReport) Clean() bool {
	return len(r.Damaged) == 0 && len(r.Catalog) == 0 && len(r.Mended) == 0 && len(r.Snapshots) == 0 && len(r.Newer) == 0
}

// Damage is an object that cannot be read, or that is missing where a name
// reaches it.
type Damage struct {
	Digest  oci.Digest
	Size    int64
	Place   string   // "pack 3", "loose" or "absent"
	Problem string   // what is wrong, in a few words
	Names   []string // that reach it, a few of them
	// Known says that it was marked damaged before.
	Known bool
	// Ranges are the damaged stretches, where checksums tell; none means that
	// all of it may be.
	Ranges []Range
}

// Waste is one kind of garbage.
type Waste struct {
	Kind         string
	Count, Bytes int64
}

const (
	maxComplaints = 1000 // sentences about the catalog
	damageNames   = 5    // names told of a damaged object
	checkBatch    = 256  // records or rows looked at together
)

// CheckAll compares the catalog with the bytes both ways: every object that is
// held has its bytes, where and as the catalog says; every type, edge and name is
// what the bytes and the notes in the packs say; and what the packs hold is in the
// catalog. All bytes are read and hashed. What is found damaged is marked, so that
// the next pull or put replaces it, and what is marked and right again counts as held
// again; a read-only store is checked without that. Large
// blobs that lack the checksums of their blocks get them. With Quick and Sample less is
// read.
//
// Other processes may read and write meanwhile: what looks wrong is looked at
// again before it is reported. Memory is bounded by the names ever given, a few
// bits for each object, and what is found wrong: an entry for each damaged object.
//
// What the packs have lost and the catalog still knows, notes and headers, is
// written again.
//
// What it finds is in the report and is no error, a catalog that cannot be read to
// its end included. Errors are those that kept it from looking: the cause of ctx, a
// disk that cannot be read.
func (s *Store) CheckAll(ctx context.Context, o CheckOptions) (CheckReport, error) {
	c := &checker{
		s: s, observe: o.Observe, pick: pickOf(o), lengths: map[int64]int64{}, ends: map[int64]int64{}, gaps: map[int64][]gap{}, untold: map[int64]string{},
		names: map[string]*nameNotes{}, lost: map[int64]string{}, foreign: map[int64]bool{},
		waste: map[string]*Waste{},
	}
	if c.observe == nil {
		c.observe = func(content.Event) {}
	}
	err := c.run(ctx)
	sortDamage(c.report.Damaged)
	slices.Sort(c.report.Unmarked)
	slices.Sort(c.report.Newer)
	return c.report, err
}

// lack adds an object that is missing, and a name that reaches it.
func lack(in map[oci.Digest]*Damage, o db.Object, name string) {
	if in[o.Digest] == nil {
		in[o.Digest] = &Damage{Digest: o.Digest, Size: o.Size, Place: db.LocAbsent.String(), Problem: "missing"}
	}
	if d := in[o.Digest]; len(d.Names) < damageNames {
		d.Names = append(d.Names, name)
	}
}

func sortDamage(ds []Damage) {
	slices.SortFunc(ds, func(a, b Damage) int { return cmp.Compare(a.Digest, b.Digest) })
}

// checker is one run of CheckAll.
type checker struct {
	s       *Store
	observe content.Observer
	pick    pick
	total   int64
	done    atomic.Int64

	mu       sync.Mutex
	report   CheckReport
	right    idSet            // objects that are marked as damaged and are not, of a read-only store
	seen     idSet            // objects that were found whole where the catalog says
	typed    idSet            // objects whose type something beside the catalog tells
	untold   map[int64]string // objects whose type nothing tells so far, and that type
	lost     map[int64]string // objects without a type, and one that something tells
	denied   idSet            // objects of which something tells another type
	ends     map[int64]int64  // up to where packs were read
	lengths  map[int64]int64  // of the files of packs that were not read
	gaps     map[int64][]gap  // stretches of packs without records
	moved    bool             // a pack was emptied by a collection while it was looked at
	foreign  map[int64]bool   // packs whose format is a newer version's
	names    map[string]*nameNotes
	agreed   idSet // changes of names that a note tells as the log does
	disputed []dispute
	waste    map[string]*Waste
	rewrite  []pack.Note // to be written again
	losses   []string    // what that is about
	headers  []db.Pack   // whose header is to be written again
}

func (c *checker) run(ctx context.Context) error {
	before := []func(context.Context) error{c.marks, c.measure}
	if c.pick.nothing() {
		before = before[1:]
	}
	for _, step := range before {
		if err := step(ctx); err != nil && !c.unreadable(err) {
			return err
		}
	}
	c.tell(content.EventStarted)
	steps := []func(context.Context) error{
		c.catalog, c.packs, c.objects, c.notes, c.types, c.missing, c.mend, c.garbage,
	}
	if c.pick.nothing() {
		steps = []func(context.Context) error{c.catalog, c.packFiles, c.objects, c.missing, c.mend, c.garbage}
	}
	for _, step := range steps {
		// A catalog that cannot be read here may be readable there.
		if err := step(ctx); err != nil && !c.unreadable(err) {
			return err
		}
	}
	if n := c.report.Faults - len(c.report.Catalog); n > 0 {
		c.report.Catalog = append(c.report.Catalog, fmt.Sprintf("and %d more", n))
	}
	c.done.Store(c.total) // what could not be read included
	c.tell(content.EventFinished)
	return nil
}

// unreadable says whether err means that the catalog is broken, and notes it.
func (c *checker) unreadable(err error) bool {
	if !errors.Is(err, content.ErrCorrupt) {
		return false
	}
	c.complain("it cannot be read: %v", err)
	return true
}

func (c *checker) complain(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	if slices.Contains(c.report.Catalog, text) {
		return
	}
	c.report.Faults++
	if len(c.report.Catalog) < maxComplaints {
		c.report.Catalog = append(c.report.Catalog, text)
	}
}

// newer tells of what only a newer version understands.
func (c *checker) newer(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Newer = append(c.report.Newer, fmt.Sprintf(format, args...)+": it needs a newer version of dist")
}

// advance notes that n bytes of an object were read.
func (c *checker) advance(n int64) {
	c.done.Add(n)
	c.tell(content.EventAdvanced)
}

func (c *checker) tell(kind content.EventKind) {
	if c.pick.nothing() {
		return // there are no bytes to tell of
	}
	c.observe(content.Event{Kind: kind, Name: "check", Offset: min(c.done.Load(), c.total), Total: c.total})
}

// catalog looks at the catalog alone.
func (c *checker) catalog(ctx context.Context) error {
	for _, look := range []func(*db.Tx) ([]string, error){
		func(tx *db.Tx) ([]string, error) { return tx.Integrity(100) },
		func(tx *db.Tx) ([]string, error) { return tx.Contradictions() },
	} {
		err := c.s.db.Read(ctx, func(tx *db.Tx) error {
			found, err := look(tx)
			for _, f := range found {
				c.complain("%s", f)
			}
			return err
		})
		if err != nil && !c.unreadable(err) {
			return err
		}
	}
	return nil
}

// measure finds out how much there is to read.
func (c *checker) measure(ctx context.Context) error {
	return c.s.db.Read(ctx, func(tx *db.Tx) error {
		t, err := tx.Totals()
		c.total = c.pick.of(t.Objects[db.LocPack].Stored + t.Objects[db.LocLoose].Stored)
		return err
	})
}

// Problems that say no more than that there is damage.
const (
	foundBefore = "found damaged before"
	foundRight  = "found damaged before, and right now: the owner's next check takes that back"
	hashesTo    = "the bytes hash to "
)

// damaged reports an object, and marks it unless it is marked already.
func (c *checker) damaged(ctx context.Context, o db.Object, place string, problem string) error {
	d, err := damageOf(ctx, c.s.db, o, problem)
	if err != nil && !c.unreadable(err) {
		return err
	}
	d.Place, d.Known = place, o.Loc == db.LocDamaged
	if err := c.ranges(ctx, o, &d); err != nil {
		return err
	}
	if o.Loc.Held() {
		c.s.markDamaged(o.Digest, o)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.report.Damaged = append(c.report.Damaged, d)
	return nil
}

// damageOf is what a report says of a damaged object, with names that reach it.
func damageOf(ctx context.Context, d *db.DB, o db.Object, problem string) (Damage, error) {
	found := Damage{Digest: o.Digest, Size: o.Size, Place: placeOf(o), Problem: problem}
	err := d.Read(ctx, func(tx *db.Tx) (err error) {
		found.Names, err = tx.NamesAbove(o.ID, damageNames)
		return err
	})
	slices.Sort(found.Names)
	return found, err
}

// ranges finds out which stretches of a large blob are damaged.
func (c *checker) ranges(ctx context.Context, o db.Object, d *Damage) error {
	if d.Place != placeLoose || o.Size <= sumsFrom || c.pick.nothing() {
		return nil
	}
	v, err := c.s.salvage(ctx, o)
	switch {
	case errors.Is(err, content.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	defer v.Close()
	switch d.Ranges = v.Bad; {
	case len(v.Bad) == 0:
	case strings.HasPrefix(d.Problem, hashesTo):
		d.Problem = v.describe()
	default:
		d.Problem += "; " + v.describe()
	}
	return nil
}

// blockSums compares the checksums of a sound blob with the catalog's, which gets
// them where it lacks them.
func (c *checker) blockSums(ctx context.Context, o db.Object, sums []byte) error {
	if sums == nil {
		return nil
	}
	known, err := c.s.blockSums(ctx, o)
	if err != nil || known.BlockSize == sumBlock && bytes.Equal(known.Sums, sums) || known.BlockSize != sumBlock {
		return err
	}
	if known.Sums != nil {
		c.mu.Lock()
		c.mended(!c.s.readOnly, fmt.Sprintf("the list of the sums of %s was wrong", o.Digest))
		c.mu.Unlock()
	}
	if c.s.readOnly {
		return nil
	}
	return c.s.db.Write(ctx, func(tx *db.Tx) error {
		now, found, err := tx.ObjectByID(o.ID)
		if err != nil || !found || !now.Loc.Held() {
			return err
		}
		return tx.PutBlockSums(db.BlockSums{Object: o.ID, BlockSize: sumBlock, Sums: sums})
	})
}

// workers is how many goroutines read and hash.
func workers() int { return max(2, runtime.GOMAXPROCS(0)) }

// placeOf is where an object is, for people.
func placeOf(o db.Object) string {
	switch {
	case o.Pack != 0:
		return fmt.Sprintf("pack %d", o.Pack)
	case o.Loc == db.LocAbsent || o.Loc == db.LocDoomed:
		return "absent"
	}
	return placeLoose
}

// idSet is a set of ids of objects: a bit for each, in pages, since a damaged
// catalog may have any.
type idSet struct {
	mu    sync.Mutex
	pages map[int64]*[1024]uint64
}

const idPage = 64 * 1024

func (s *idSet) add(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	page, bit := id/idPage, uint64(id)%idPage
	if s.pages == nil {
		s.pages = map[int64]*[1024]uint64{}
	}
	if s.pages[page] == nil {
		s.pages[page] = new([1024]uint64)
	}
	s.pages[page][bit/64] |= 1 << (bit % 64)
}

func (s *idSet) has(id int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, bit := s.pages[id/idPage], uint64(id)%idPage
	return p != nil && p[bit/64]&(1<<(bit%64)) != 0
}
