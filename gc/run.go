package gc

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/db"
)

// How much one transaction does, so that it takes no more than 20 ms.
const (
	doomRows    = 1000
	sweepRows   = 250
	catchUpRows = 2000
	historyRows = 1000
)

// KeptPack is a pack that was to go and stays.
type KeptPack struct {
	ID  int64
	Why string
}

// Report is what a collection has done.
type Report struct {
	Plan     *Plan
	Doomed   Count // objects that nothing held, given up now
	Swept    Count // objects whose rows went; the bytes of loose ones
	Packs    Count // pack files that went
	Copied   int64 // bytes of objects that moved to other packs
	KeptPack []KeptPack
	Files    []blobstore.Waste
	Changes  int64 // of names, forgotten
	Freed    int64 // bytes that the files which went had, less those by which others grew
	// Evicted are the names that were given up to make room, the one first that was not
	// used for longest; only from Evict.
	Evicted []EvictedName
	// Unfinished says that MaxTime has ended it: the next one goes on.
	Unfinished bool
	Took       time.Duration
}

// Run collects garbage. It waits until no other process does.
//
// An error leaves the store whole; what was done is in the report. Errors: those of
// blobstore.Store.Maintain, of reading and writing; the cause of ctx.
func Run(ctx context.Context, s *blobstore.Store, o Options) (Report, error) {
	m, err := s.Maintain(ctx)
	if err != nil {
		return Report{}, err
	}
	defer m.Close()
	report, stayed, err := collect(ctx, s, m, o)
	return report, errors.Join(append(stayed, err)...)
}

// collect is Run under the lock of m. stayed is about what could not be removed, beside
// which the rest went on.
func collect(ctx context.Context, s *blobstore.Store, m *blobstore.Maintenance, o Options) (report Report, stayed []error, err error) {
	c := &collection{s: s, m: m, o: o.started(), began: time.Now(), observe: o.Observe, files: map[string]int{}}
	if c.observe == nil {
		c.observe = func(content.Event) {}
	}
	if err = c.run(ctx); errors.Is(err, errTimeUp) {
		c.report.Unfinished, err = true, nil
	}
	c.tell(content.EventFinished)
	c.report.Took = time.Since(c.began)
	return c.report, c.failed, err
}

// errTimeUp ends a collection at a step that can be left off.
var errTimeUp = errors.New("the time for this collection is over")

// collection is one run.
type collection struct {
	s       *blobstore.Store
	m       *blobstore.Maintenance
	o       Options
	began   time.Time
	plan    *Plan
	report  Report
	files   map[string]int // of report.Files, by kind
	observe content.Observer
	done    int64 // bytes given back or copied
	total   int64
	marking bool    // writers are asked to record what they change
	failed  []error // what could not be removed, beside which the rest goes on
}

func (c *collection) run(ctx context.Context) (err error) {
	if err := c.m.Change(ctx, (*db.Tx).BeginMarking); err != nil {
		return err
	}
	c.marking = true
	defer func() {
		if eerr := c.endMarking(ctx); err == nil {
			err = eerr
		}
	}()
	c.m.Hook("gc.marking")
	if c.plan, err = NewPlan(ctx, c.s, c.o); err != nil {
		return err
	}
	c.report.Plan = c.plan
	c.m.Hook("gc.marked")
	c.total = c.plan.Frees
	for _, p := range c.plan.Packs {
		c.total += p.Live
	}
	c.tell(content.EventStarted)
	// What only removes comes before what copies: the disk may be full.
	for _, step := range []func(context.Context) error{c.doom, c.endMarking, c.sweep, c.remove, c.packs, c.leases, c.history} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// endMarking lets writers record no more: only what gives objects up has to know.
func (c *collection) endMarking(ctx context.Context) error {
	c.plan.forget()
	if !c.marking {
		return nil
	}
	c.marking = false
	// Writers that go on recording fill a table that the next collection empties, and do
	// no other harm.
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	return c.m.Change(end, (*db.Tx).EndMarking)
}

// failing keeps an error of one thing that could not be removed, and says whether the
// collection is to end: it has been cancelled, or the catalog cannot be used.
func (c *collection) failing(ctx context.Context, err error) error {
	for _, fatal := range []error{content.ErrCorrupt, content.ErrBusy} {
		if errors.Is(err, fatal) {
			return err
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	c.failed = append(c.failed, err)
	return nil
}

func (c *collection) tell(kind content.EventKind) {
	c.observe(content.Event{Kind: kind, Name: "gc", Offset: min(c.done, c.total), Total: c.total})
}

func (c *collection) advance(n int64) {
	c.done += n
	c.tell(content.EventAdvanced)
}

// goOn says whether there is time for another step.
func (c *collection) goOn(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if !c.o.until.IsZero() && time.Now().After(c.o.until) {
		return errTimeUp
	}
	return nil
}

// leases ends leases that do not count: after the ingests that came in under them.
func (c *collection) leases(ctx context.Context) error {
	n, err := c.m.EndLeases(ctx)
	c.removed(string(blobstore.GarbageLease), n, 0)
	return err
}

// doom gives up what nothing holds. Whatever writers root, link or revive meanwhile is
// marked within the same transaction.
func (c *collection) doom(ctx context.Context) error {
	for todo := c.plan.garbage; len(todo) > 0; {
		// A part of it in any case: the marks may have taken all the time.
		if err := c.goOn(ctx); err != nil && (!errors.Is(err, errTimeUp) || c.report.Doomed.Objects > 0) {
			return err
		}
		// Outside of a write first, where nobody waits: what is left for it is little.
		if err := c.s.View(ctx, func(tx *db.Tx) error { return c.catchUp(tx, math.MaxInt) }); err != nil {
			return err
		}
		c.m.Hook("gc.dooming")
		some := todo[:min(len(todo), doomRows)]
		var given Count
		err := c.m.Change(ctx, func(tx *db.Tx) error {
			given = Count{}
			if err := c.catchUp(tx, catchUpRows); err != nil {
				return err
			}
			return c.give(tx, some, &given)
		})
		if errors.Is(err, errBehind) {
			continue
		}
		if err != nil {
			return err
		}
		c.report.Doomed.Objects += given.Objects
		c.report.Doomed.Bytes += given.Bytes
		todo = todo[len(some):]
		c.m.Hook("gc.doomed")
	}
	return nil
}

// give gives up those of some objects that are not marked.
func (c *collection) give(tx *db.Tx, some []int64, given *Count) error {
	ids := unmarked(some, c.plan.marked)
	rows, err := tx.ObjectsByID(ids)
	if err != nil {
		return err
	}
	for _, o := range rows {
		if o.Loc != db.LocDoomed && o.Loc != db.LocAbsent {
			given.add(o.Stored)
		}
	}
	return tx.Doom(ids)
}

func unmarked(ids []int64, marked bits) []int64 {
	left := make([]int64, 0, len(ids))
	for _, id := range ids {
		if !marked.get(id) {
			left = append(left, id)
		}
	}
	return left
}

// errBehind says that writers have changed more than a transaction can take in.
var errBehind = errors.New("too much has changed since the marks were made")

// catchUp marks what writers have recorded since the last look, and all that it holds.
// Objects with higher ids than the snapshot knew are no garbage of this collection, and
// what they hold was recorded with them. errBehind where more than limit is newly marked:
// then nothing is.
func (c *collection) catchUp(tx *db.Tx, limit int) error {
	changed, gen, err := tx.ChangesAfter(c.plan.gen)
	if err != nil {
		return err
	}
	var fresh []int64
	for next := c.newly(changed); len(next) > 0; {
		fresh = append(fresh, next...)
		if len(fresh) > limit {
			err = errBehind
		} else if changed, err = tx.HeldBy(next); err == nil {
			next = c.newly(changed)
		}
		if err != nil { // the next look is to find them, and what they hold, again
			for _, id := range fresh {
				c.plan.marked.clear(id)
			}
			return err
		}
	}
	c.plan.gen = gen
	return nil
}

// newly marks ids and returns those that were not marked before.
func (c *collection) newly(ids []int64) (fresh []int64) {
	for _, id := range ids {
		if id <= c.plan.graph.top && !c.plan.marked.get(id) {
			c.plan.marked.set(id)
			fresh = append(fresh, id)
		}
	}
	return fresh
}

// sweep takes what is doomed out of the catalog, what was given up earlier included.
func (c *collection) sweep(ctx context.Context) error {
	var doomed []int64
	err := c.s.View(ctx, func(tx *db.Tx) error {
		return tx.EachDoomed(func(id int64) { doomed = append(doomed, id) })
	})
	if err != nil {
		return err
	}
	for some := range slices.Chunk(doomed, sweepRows) {
		got, err := c.m.Sweep(ctx, some)
		if err != nil {
			return err
		}
		c.report.Swept.Objects += got.Objects
		c.report.Swept.Bytes += got.Bytes
		c.report.Freed += got.Bytes
		c.advance(got.Bytes)
		if err := c.goOn(ctx); err != nil {
			return err
		}
	}
	return nil
}
