package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
)

// RepairOptions direct Repair.
type RepairOptions struct {
	// From are locators, and folders of other stores, that are asked before the
	// sources which the store remembers. What the client's options say of plain HTTP,
	// certificates and a file with credentials counts for their registries alone.
	From []string
	// Check has all content of the store read first. Without it, what is gone or has
	// another size is found, and what is marked.
	Check bool
}

// Repaired is an object that is right again.
type Repaired struct {
	Lack
	From    string  // where it came from
	Fetched int64   // bytes that came from there
	Ranges  []Range // the stretches that did, none for all of it
}

// Unrepaired is an object that no source could give.
type Unrepaired struct {
	Lack
	Reasons []RepairReason // in the order of asking, none where no source is known
}

// RepairReason is why a source did not give an object.
type RepairReason struct {
	From string
	Err  error
}

// CheckFindings are what the check before a repair has found beside damage, with a
// sentence for each.
type CheckFindings struct {
	// Catalog is wrong there: only making it anew helps.
	Catalog []string
	// Mended was wrong with the packs, and that check has put it right; before a plan it
	// is to be.
	Mended []string
	// Newer is what only a newer version understands: it was not judged.
	Newer []string
}

// RepairReport is what Repair did.
type RepairReport struct {
	Repaired []Repaired
	Left     []Unrepaired
	CheckFindings
	Fetched  int64 // bytes, those of tries that failed included
	Requests int64
	Elapsed  time.Duration
}

// Repair brings again what is damaged, and what is missing where a name reaches it, by
// ids only what these lack, all of whose content is read first. Each object comes from
// the first source that has it right: of a large blob with checksums the damaged
// stretches alone, everything else whole. Until its content is verified, what is there
// stays. Other processes may use the store meanwhile.
//
// What could not be had is in the report and is no error. An object is named as repaired
// once it is durable, beside an error too. Errors: those of the store,
// ErrDenied for one that can only be read; ErrInvalid and ErrNotFound for ids and
// locators; ErrNoSpace.
func (c *Client) Repair(ctx context.Context, ids []string, o RepairOptions) (RepairReport, error) {
	start, asked := time.Now(), c.Traffic().Requests
	s, err := c.Open(ctx)
	if err != nil {
		return RepairReport{}, err
	}
	r, err := c.newRepair(ctx, s, o.From)
	if err != nil {
		return RepairReport{}, err
	}
	defer r.close()
	roots, err := r.find(ctx, ids, o)
	if err == nil {
		err = r.run(ctx, roots)
	}
	if err != nil {
		r.close() // which commits what it can
		r.settle(context.WithoutCancel(ctx))
	}
	r.report.Requests, r.report.Elapsed = c.Traffic().Requests-asked, time.Since(start)
	slices.SortFunc(r.report.Repaired, func(a, b Repaired) int { return cmpDigests(a.Lack, b.Lack) })
	slices.SortFunc(r.report.Left, func(a, b Unrepaired) int { return cmpDigests(a.Lack, b.Lack) })
	return r.report, err
}

func cmpDigests(a, b Lack) int {
	if a.Digest < b.Digest {
		return -1
	}
	return 1 // one digest comes once
}

// repair is one run of Repair.
type repair struct {
	c      *Client
	store  *blobstore.Store
	from   []*repairSource
	hurry  bool               // a reader waits
	ses    *blobstore.Session // nil while nothing is fetched
	found  []oci.Digest       // damaged, which only a store that can be written to marks
	report RepairReport

	mu     sync.Mutex
	fresh  []Repaired // accepted, and not known to be durable yet
	repos  map[string]*repairSource
	silent map[string]error    // registries that did not answer
	done   map[oci.Digest]bool // tried in this run
}

func (c *Client) newRepair(ctx context.Context, s *blobstore.Store, from []string) (*repair, error) {
	r := &repair{c: c, store: s, repos: map[string]*repairSource{}, silent: map[string]error{}, done: map[oci.Digest]bool{}}
	for _, word := range from {
		src, err := c.repairFrom(ctx, s, word)
		if err != nil {
			r.close()
			return nil, fmt.Errorf("source %s: %w", word, err)
		}
		r.from = append(r.from, src)
	}
	return r, nil
}

func (r *repair) close() {
	if r.ses != nil {
		r.ses.Close()
	}
	for _, s := range r.from {
		s.close()
	}
	r.from = nil
}

// settle reports, after a failure, what of that which was accepted is durable all the
// same.
func (r *repair) settle(ctx context.Context) {
	for _, f := range r.fresh {
		if info, err := r.store.Info(ctx, f.Digest); err == nil && info.Place != "damaged" {
			r.report.Repaired = append(r.report.Repaired, f)
		}
	}
	r.fresh = nil
}

// find looks for damage, and returns the roots of what is to be repaired, none for all.
func (r *repair) find(ctx context.Context, ids []string, o RepairOptions) (roots []oci.Digest, err error) {
	ctx = blobstore.AsItIs(ctx)
	read := map[oci.Digest]bool{}
	for _, id := range ids {
		d, err := r.lookup(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("repair %s: %w", id, err)
		}
		roots = append(roots, d)
		if err := readBelow(ctx, r.store, d, read); err != nil {
			return nil, fmt.Errorf("repair %s: %w", id, err)
		}
	}
	for d, damaged := range read {
		if damaged {
			r.found = append(r.found, d)
		}
	}
	if len(ids) > 0 {
		return roots, nil
	}
	found, err := r.store.CheckAll(ctx, blobstore.CheckOptions{Quick: !o.Check, Observe: r.c.opts.Observe})
	r.report.CheckFindings = CheckFindings{found.Catalog, found.Mended, found.Newer}
	if err != nil {
		return nil, err
	}
	for _, d := range found.Damaged {
		r.found = append(r.found, d.Digest)
	}
	return roots, r.unmarked(ctx, found.Unmarked)
}

// unmarked reports what the check before has found right.
func (r *repair) unmarked(ctx context.Context, ds []oci.Digest) error {
	for _, d := range ds {
		l, _, err := r.store.LackOf(ctx, d)
		if err != nil {
			return err
		}
		r.report.Repaired = append(r.report.Repaired, Repaired{Lack: l, From: ownCopy().name})
	}
	return nil
}

// lookup finds what a word means, be it held or only known of.
func (r *repair) lookup(ctx context.Context, word string) (oci.Digest, error) {
	desc, err := peek(ctx, r.store, word)
	if errors.Is(err, content.ErrNotFound) {
		if d, perr := oci.ParseDigest(word); perr == nil {
			lacking, lerr := r.store.Lacking(ctx, d)
			if lerr == nil && len(lacking) > 0 {
				return d, nil
			}
		}
	}
	return desc.Digest, err
}

// readBelow reads all that is held of d and of what it reaches, but for what was read
// already: what is damaged is marked by that, where it can be, and true in read.
func readBelow(ctx context.Context, s *blobstore.Store, d oci.Digest, read map[oci.Digest]bool) error {
	if _, before := read[d]; before {
		return nil
	}
	err := s.Check(ctx, d)
	read[d] = errors.Is(err, content.ErrCorrupt)
	if err != nil && !errors.Is(err, content.ErrCorrupt) && !errors.Is(err, content.ErrNotFound) {
		return err
	}
	children, err := s.Children(ctx, d)
	if err != nil && !errors.Is(err, content.ErrNotFound) {
		return err
	}
	for _, c := range children {
		if c.Role != oci.RoleSubject { // marked ones have children, too
			if err := readBelow(ctx, s, c.Digest, read); err != nil {
				return err
			}
		}
	}
	return nil
}

// alone repairs one object that is damaged, without a look at any other: who heals many
// one by one comes here for each.
func (r *repair) alone(ctx context.Context, d oci.Digest) error {
	l, _, err := r.store.LackOf(ctx, d)
	if err != nil || l.Info.Place != "damaged" {
		return err
	}
	if err := r.round(ctx, []Lack{l}); err != nil {
		return err
	}
	return r.ses.Commit(ctx)
}

// run repairs what is lacking, and then what a manifest that came has shown to be.
func (r *repair) run(ctx context.Context, roots []oci.Digest) error {
	for {
		lacking, err := r.store.Lacking(ctx, roots...)
		if err != nil {
			return err
		}
		lacking = slices.DeleteFunc(lacking, func(l Lack) bool { return r.done[l.Digest] })
		if len(lacking) == 0 {
			break
		}
		if err := r.round(ctx, lacking); err != nil {
			return err
		}
	}
	if r.ses == nil {
		return nil
	}
	return r.ses.Commit(ctx)
}

func (r *repair) round(ctx context.Context, lacking []Lack) error {
	if r.ses == nil {
		var err error
		if r.ses, err = r.store.Begin(ctx, blobstore.SessionOptions{Note: "repair"}); err != nil {
			return err
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(cmp.Or(r.c.opts.Jobs, content.DefaultJobs))
	for _, l := range lacking {
		r.done[l.Digest] = true
		g.Go(func() error { return r.object(gctx, l) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	r.c.hook("repair.fetched")
	if err := r.ses.Flush(ctx); err != nil {
		return err
	}
	r.report.Repaired, r.fresh = append(r.report.Repaired, r.fresh...), nil
	return nil
}

// object repairs one object, and reports.
func (r *repair) object(ctx context.Context, l Lack) error {
	own, bad := r.own(ctx, l)
	sources := r.sources(ctx, l.Digest)
	if own {
		if done, err := r.unmark(ctx, l); done || err != nil {
			return err
		}
		sources = append([]*repairSource{ownCopy()}, sources...)
	}
	left := Unrepaired{Lack: l}
	for _, src := range sources {
		stats, err := r.fetch(ctx, src, l)
		r.mu.Lock()
		r.report.Fetched += stats.MovedBytes
		if err == nil {
			fixed := Repaired{Lack: l, From: src.name, Fetched: stats.MovedBytes}
			if stats.MovedBytes < l.Size {
				fixed.Ranges = bad
			}
			r.fresh = append(r.fresh, fixed)
		}
		r.mu.Unlock()
		if err == nil || ends(ctx, err) {
			return repairing(l, err)
		}
		left.Reasons = append(left.Reasons, RepairReason{src.name, err})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Left = append(r.report.Left, left)
	return nil
}

// ends says whether an error is not of one source alone, so that no other is asked.
func ends(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, content.ErrNoSpace) || errors.Is(err, content.ErrBusy)
}

func repairing(l Lack, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("repair %s: %w", l.Digest, err)
}

// unmark takes the mark from an object whose bytes are right, and says whether that was
// all that it needed.
func (r *repair) unmark(ctx context.Context, l Lack) (done bool, err error) {
	if done, err = r.store.Unmark(ctx, l.Digest); done {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.report.Repaired = append(r.report.Repaired, Repaired{Lack: l, From: ownCopy().name})
	}
	if err != nil && !ends(ctx, err) {
		return false, nil // a source may have it
	}
	return done, repairing(l, err)
}

// fetch brings one object from one source: that alone, nothing that it refers to.
func (r *repair) fetch(ctx context.Context, src *repairSource, l Lack) (content.Stats, error) {
	if err := cmp.Or(src.err, r.silence(src.host)); err != nil {
		return content.Stats{}, err
	}
	stats, err := content.Copy(ctx, r.ses, newMending(src.src, r.store), l.Descriptor(), content.CopyOptions{
		Jobs: 1, Origin: src.origin, Observe: r.c.opts.Observe,
		Children: func(oci.Descriptor, []oci.Edge) ([]oci.Edge, error) { return nil, nil },
	})
	var remote *content.RemoteError
	if src.host != "" && ctx.Err() == nil && errors.As(err, &remote) && remote.Status == 0 && errors.Is(err, content.ErrUnavailable) {
		r.mu.Lock()
		r.silent[src.host] = err
		r.mu.Unlock()
	}
	return stats, err
}

// silence is why a registry is not asked again: it did not answer. The others that
// need it do not wait for that.
func (r *repair) silence(host string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.silent[host]
}

// own says whether what is here of an object may be right after all, and else which
// stretches are not, none where that cannot be told.
func (r *repair) own(ctx context.Context, l Lack) (right bool, bad []Range) {
	switch {
	case l.Info.Place != "damaged":
		return false, nil
	case l.Place != "loose":
		right, err := r.store.Right(ctx, l.Digest)
		return right && err == nil, nil
	}
	v, err := r.store.Salvage(ctx, l.Digest)
	if err != nil {
		return false, nil
	}
	defer v.Close()
	return len(v.Bad) == 0, v.Bad
}
