package gc

import (
	"cmp"
	"context"
	"slices"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/db"
)

// When a pack is copied, so that its dead bytes come back.
const (
	deadEnough   = 8 << 20
	compactShare = 0.05
)

// recordHeader is what a record takes beside its payload, as a rule.
const recordHeader = 64

// oldCatalogsLast is how long a catalog that a rebuild has set aside is kept.
const oldCatalogsLast = 14 * 24 * time.Hour

// Options direct a collection.
type Options struct {
	// Grace is how long an object is kept after it was written, whoever holds it.
	// Files without a row are left alone as long.
	Grace time.Duration
	// KeepHistory is how long a change of a name can be undone.
	KeepHistory time.Duration
	// MaxTime ends the collection after that long, at the next step that can be left
	// off; 0 for no limit. The next collection goes on.
	MaxTime time.Duration
	// Compact gives back the dead bytes of every pack that has more than a twentieth
	// of them, open ones too.
	Compact bool
	// Snapshots gives up all layers that are kept unpacked and not in use: those of images
	// that no lease holds.
	Snapshots bool
	// Resumes are keys of ingests that somebody is about to go on with: they are left
	// alone, abandoned or not.
	Resumes map[string]bool
	// Observe is told how far the collection is: a blob with the name "gc", whose size
	// is what is to be given back and copied. nil is fine.
	Observe content.Observer

	until time.Time // when MaxTime is over, once it has begun
}

// started lets the time of MaxTime begin, unless it has.
func (o Options) started() Options {
	if o.MaxTime > 0 && o.until.IsZero() {
		o.until = time.Now().Add(o.MaxTime)
	}
	return o
}

// Count is a number of things, and the bytes that they take on the disk.
type Count struct{ Objects, Bytes int64 }

func (c *Count) add(bytes int64) {
	c.Objects++
	c.Bytes += bytes
}

// Action is what is to become of a pack.
type Action string

// The actions.
const (
	Remove Action = "remove" // nothing in it is live
	Copy   Action = "copy"   // what is live moves to another pack, and it goes
)

// PackPlan is a pack that is to go.
type PackPlan struct {
	ID         int64
	Action     Action
	Live, Dead int64 // bytes of objects once the garbage is given up
	Bytes      int64 // of the file
}

// Plan is what a collection would do: garbage and packs as of one moment each, and files
// as they are met.
type Plan struct {
	Held    Count          // all objects that are here
	Kept    [reasons]Count // by reason; each object counts for the first that holds it
	Garbage Count          // nothing holds them
	Given   Count          // given up earlier, and not collected yet
	Packs   []PackPlan     // the worst first
	Files   []blobstore.Waste
	Changes int64 // of names, too old to be undone
	Frees   int64 // bytes that come back, in all
	// Counted are bytes that count against the quota of the store now, and not then: not
	// those of files that nobody counts, as tails of packs and copies made for `path`.
	Counted int64
	// Idle are the layers that are kept unpacked, not in use and not to go, the one first that
	// was not used for longest: they make room before any name goes.
	Idle []blobstore.Garbage
	// Evicts are the names that would be given up then. NewPlan leaves that open.
	Evicts []EvictedName

	graph   *graph
	marked  bits
	leased  bits    // what leases hold
	garbage []int64 // ids; holders come before what they hold, as a rule
	files   []blobstore.Garbage
	gen     int64 // of the changes that the marks take into account
	now     time.Time
}

// NewPlan finds out what a collection would do now. It changes nothing.
//
// Errors: those of reading the catalog; the cause of ctx.
func NewPlan(ctx context.Context, s *blobstore.Store, o Options) (*Plan, error) {
	p := new(Plan)
	err := s.View(ctx, func(tx *db.Tx) error { return p.mark(tx, o.rules(s)) })
	if err != nil {
		return nil, err
	}
	err = s.View(ctx, func(tx *db.Tx) error {
		if err := p.packs(tx, o); err != nil {
			return err
		}
		if err := p.snapshots(tx, s, o); err != nil {
			return err
		}
		return tx.OldHistory(undoable(p.now, o.KeepHistory), func(seqs []int64) { p.Changes += int64(len(seqs)) })
	})
	if err != nil {
		return nil, err
	}
	return p, p.findFiles(ctx, s, o)
}

func (o Options) rules(s *blobstore.Store) rules {
	return rules{grace: o.Grace, history: o.KeepHistory, alive: s.LeaseAlive}
}

// mark reads the graph and marks what is kept.
func (p *Plan) mark(tx *db.Tx, r rules) (err error) {
	p.now = tx.Now
	if _, p.gen, err = tx.ChangesAfter(0); err != nil {
		return err
	}
	if p.graph, err = r.readGraph(tx); err != nil {
		return err
	}
	found, err := r.readRoots(tx, p.graph)
	if err != nil {
		return err
	}
	p.marked = newBits(p.graph.top)
	why := make([]byte, len(p.graph.objects))
	for reason, ids := range found {
		p.graph.reach(p.marked, nil, ids...)
		p.count(Reason(reason), why)
	}
	p.leased = newBits(p.graph.top)
	p.graph.reach(p.leased, nil, found[ByLease]...)
	p.collect(why)
	return nil
}

// count counts what was marked for a reason. why has for each object 1 more than the
// reason that was found for it.
func (p *Plan) count(reason Reason, why []byte) {
	for i, o := range p.graph.objects {
		if why[i] == 0 && p.marked.get(o.ID) {
			why[i] = byte(reason) + 1
			p.Kept[reason].add(o.Stored)
		}
	}
}

// collect lists what is not marked. What holds something has, as a rule, the higher
// id, and is to be given up first.
func (p *Plan) collect(why []byte) {
	for i, o := range slices.Backward(p.graph.objects) {
		switch {
		case o.Loc == db.LocDoomed:
			p.Given.add(o.Stored)
			continue
		case why[i] == 0:
			p.Garbage.add(o.Stored)
			p.garbage = append(p.garbage, o.ID)
		}
		p.Held.add(o.Stored)
		if why[i] == 0 && o.Pack == 0 {
			p.frees(o.Stored)
		}
	}
	for _, o := range p.graph.objects {
		if o.Loc == db.LocDoomed && o.Pack == 0 {
			p.frees(o.Stored)
		}
	}
}

// frees adds bytes that come back, and count against the quota.
func (p *Plan) frees(bytes int64) {
	p.Frees += bytes
	p.Counted += bytes
}

// forget lets go of the graph: what is left to do needs only the lists.
func (p *Plan) forget() {
	if p != nil {
		p.graph, p.marked, p.leased, p.garbage = nil, nil, nil, nil
	}
}

// packs finds the packs that are to go once the garbage is given up.
func (p *Plan) packs(tx *db.Tx, o Options) error {
	dying, live := map[int64]int64{}, map[int64]int64{}
	for _, obj := range p.graph.objects {
		switch {
		case obj.Pack == 0 || obj.Loc == db.LocDoomed:
		case p.marked.get(obj.ID):
			live[obj.Pack]++
		default:
			dying[obj.Pack] += obj.Stored
		}
	}
	for row, err := range tx.Packs() {
		if err != nil {
			return err
		}
		row.Live -= dying[row.ID]
		row.Dead += dying[row.ID]
		if action := o.action(row); action != "" {
			p.Packs = append(p.Packs, PackPlan{row.ID, action, row.Live, row.Dead, row.End})
			p.frees(row.End - row.Live - live[row.ID]*recordHeader)
		}
		if row.State == db.PackDead { // its file is found where files are, if it is there
			p.Counted += row.End
		}
	}
	slices.SortStableFunc(p.Packs, func(a, b PackPlan) int { return cmp.Compare(share(b), share(a)) })
	return nil
}

// snapshots finds the layers that are kept unpacked and go: with their layer or, if the options
// say so, because nothing uses them.
func (p *Plan) snapshots(tx *db.Tx, s *blobstore.Store, o Options) error {
	for row, err := range tx.Snapshots() {
		switch {
		case err != nil:
			return err
		case row.Object > p.graph.top: // newer than the marks
		case !p.marked.get(row.Object):
			p.file(s.DyingSnapshot(row))
		case p.leased.get(row.Object):
		case row.Damaged:
			p.file(s.DamagedSnapshot(row))
		case o.Snapshots:
			p.file(s.IdleSnapshot(row))
		default:
			p.Idle = append(p.Idle, s.IdleSnapshot(row))
		}
	}
	return nil
}

// DropIdle has layers that are kept unpacked go until so many bytes come back that count
// against a quota, as far as there are any: those of Idle, as an eviction takes them.
func (p *Plan) DropIdle(bytes int64) {
	for len(p.Idle) > 0 && p.Counted < bytes {
		p.file(p.Idle[0])
		p.Idle = p.Idle[1:]
	}
}

// share is how much of a pack is dead.
func share(p PackPlan) float64 {
	if p.Live+p.Dead == 0 {
		return 1
	}
	return float64(p.Dead) / float64(p.Live+p.Dead)
}

// action says what is to become of a pack, "" for nothing.
func (o Options) action(p db.Pack) Action {
	switch {
	case p.State == db.PackDead:
		return "" // its file is found where files are
	case p.Live == 0 && (p.Dead > 0 || p.State == db.PackSealed):
		return Remove
	case p.State == db.PackSealed && p.Dead > p.Live && p.Dead >= deadEnough,
		o.Compact && float64(p.Dead) > compactShare*float64(p.Live+p.Dead):
		return Copy
	}
	return ""
}

// findFiles finds what crashes have left behind, and leases and ingests that have
// ended.
func (p *Plan) findFiles(ctx context.Context, s *blobstore.Store, o Options) error {
	for g, err := range s.Garbage(ctx) {
		if err != nil {
			return err
		}
		if o.removes(g, p.now) {
			p.file(g)
		}
	}
	return nil
}

// file adds garbage that goes.
func (p *Plan) file(g blobstore.Garbage) {
	p.files = append(p.files, g)
	i := slices.IndexFunc(p.Files, func(w blobstore.Waste) bool { return w.Kind == string(g.Kind) })
	if i < 0 {
		i = len(p.Files)
		p.Files = append(p.Files, blobstore.Waste{Kind: string(g.Kind)})
	}
	p.Files[i].Count++
	p.Files[i].Bytes += g.Bytes
	p.Frees += g.Bytes
	switch g.Kind {
	case blobstore.GarbageAbandoned, blobstore.GarbageIngest, blobstore.GarbageIdleSnapshot:
		p.Counted += g.Bytes
	case blobstore.GarbageSnapshot:
		if g.Since.IsZero() { // it has a row still
			p.Counted += g.Bytes
		}
	}
}

// removes says whether a collection removes garbage: what may be somebody's work under
// way has to be older than the grace, and an old catalog is kept for a person to look
// at.
func (o Options) removes(g blobstore.Garbage, now time.Time) bool {
	var age time.Duration
	switch g.Kind {
	case blobstore.GarbageAbandoned:
		return !o.Resumes[g.Name]
	case blobstore.GarbageOldCatalog:
		age = oldCatalogsLast
	case blobstore.GarbageOrphan, blobstore.GarbageIngest, blobstore.GarbageIngestRow, blobstore.GarbageLeaseFile,
		blobstore.GarbagePack, blobstore.GarbageTail, blobstore.GarbageHead, blobstore.GarbageSnapshot:
		age = o.Grace
	}
	return age == 0 || !g.Since.After(now.Add(-age)) // one from the future counts as now
}
