package client

import (
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

// defaultSyncJobs is how many tags and blobs a sync works on at once.
const defaultSyncJobs = 8

// SyncOptions direct Sync.
type SyncOptions struct {
	// To is where to: REGISTRY or REGISTRY/PREFIX. Each image keeps the path of its
	// repository below it.
	To string
	// WithHost puts the source's host before that path; a port follows it with "_".
	WithHost bool
	// Platform takes, of an index, the image for this platform alone.
	Platform *oci.Platform
	// KeepGoing gives the tags that can be given when something fails elsewhere.
	KeepGoing bool
	// Delete takes away the tags of the target's repositories that the selection does
	// not have. Approve is shown the plan before that, unless there is nothing to
	// delete, and says no with an error; nil approves.
	Delete  bool
	Approve func(Plan) error
	// Lock is a file to write when all is done: the sources with their digests. ""
	// writes none.
	Lock string
	// Referrers says whether what is about the images goes along.
	Referrers Referrers
	// Revalidate is how long it is not asked again what is about an image that is at
	// the target, as far as there is a store to remember that. 0 means
	// DefaultRevalidate, less than 0 that it always is.
	Revalidate time.Duration
}

// SyncFailure is what one of many came to.
type SyncFailure struct {
	Name string // of the target, or the word that leads to no image
	Err  error
}

// SyncSummary is the account of Sync.
type SyncSummary struct {
	Summary
	Deleted  []string // tags that went
	Kept     []string // tags that the registry lets nobody delete by themselves
	Failures []SyncFailure
}

// Sync brings images from registries and other places to the same paths below one
// registry. Entries are references, locators, and repositories with a glob or a
// range of versions in place of the tag (redis:7.*, redis:^7.2). All content goes
// first, each blob once and mounted where a second repository needs it; the tags
// come last, and only when all content has arrived. What is there already costs a
// request at the source and one at the target, an entry with a digest only the
// latter. What a registry cannot give comes from elsewhere, as in Copy.
//
// Errors: ErrInvalid, before anything moves, when two sources fall on one name;
// those of the registries; ErrPartial under KeepGoing, with the failures in the
// summary.
func (c *Client) Sync(ctx context.Context, entries []ListEntry, o SyncOptions) (SyncSummary, error) {
	r, err := c.newSync(o)
	if err != nil {
		return SyncSummary{}, err
	}
	defer r.close()
	err = r.run(ctx, entries)
	return r.summary(), err
}

// PlanSync says what Sync would do. Errors: as Sync.
func (c *Client) PlanSync(ctx context.Context, entries []ListEntry, o SyncOptions) (Plan, error) {
	ctx = blobstore.AsItIs(ctx) // a plan changes nothing
	r, err := c.newSync(o)
	if err != nil {
		return Plan{}, err
	}
	defer r.close()
	if err := r.look(ctx, entries); err != nil {
		return Plan{}, err
	}
	plan, err := r.plan(ctx)
	if err == nil {
		err = r.partial()
	}
	for _, f := range r.failures {
		c.opts.Warn(f.Err.Error()) // a plan has no place for them
	}
	return plan, err
}

// syncRun is one run of Sync.
type syncRun struct {
	c     *Client
	o     SyncOptions
	base  syncBase
	jobs  int
	start time.Time
	asked int64

	items  []*syncItem
	byName map[string]*syncItem
	tags   *tagLists   // of source repositories
	extra  []*extraTag // to be deleted
	stay   map[oci.Reference]map[oci.Digest]oci.Reference
	share  *sharing
	spent  int64 // requests that only planning made

	mu       sync.Mutex
	stats    content.Stats
	blind    bool // part of the selection is not known
	failures []SyncFailure
	deleted  []string
	kept     []string
}

// syncItem is one image of a sync.
type syncItem struct {
	ListEntry
	where  Locator
	src    content.ImageSource
	to     *toRegistry
	name   oci.Reference  // the target's
	listed oci.Digest     // what the source's name stands for
	root   oci.Descriptor // what goes; only its digest, when that is all that is known
	old    oci.Descriptor
	look   bool // it is there, and it is to be asked what is about it
	failed bool
	moved  bool
}

func (it *syncItem) same() bool { return it.old.Digest == it.root.Digest }

func (c *Client) newSync(o SyncOptions) (*syncRun, error) {
	base, err := parseSyncBase(o.To, o.WithHost)
	if err != nil {
		return nil, err
	}
	r := &syncRun{
		c: c, o: o, base: base, jobs: c.opts.Jobs, start: time.Now(), asked: c.Traffic().Requests,
		byName: map[string]*syncItem{}, tags: newTagLists(c), share: newSharing(),
		stay: map[oci.Reference]map[oci.Digest]oci.Reference{},
	}
	if r.jobs <= 0 {
		r.jobs = defaultSyncJobs
	}
	return r, nil
}

// close gives back what was opened.
func (r *syncRun) close() {
	for _, it := range r.items {
		if it.src != nil {
			_ = it.src.Close() // it was only read
		}
	}
}

func (r *syncRun) run(ctx context.Context, entries []ListEntry) error {
	if err := r.look(ctx, entries); err != nil {
		return err
	}
	if err := r.approve(ctx); err != nil {
		return err
	}
	if err := r.transfer(ctx); err != nil {
		return err
	}
	r.noteLooks(ctx)
	r.c.hook("sync.copied")
	if err := r.tagAll(ctx); err != nil {
		return err
	}
	if err := r.deleteAll(ctx); err != nil {
		return err
	}
	if err := r.partial(); err != nil || r.o.Lock == "" {
		return err
	}
	return writeLock(ctx, r.o.Lock, r.lock())
}

// look finds out which images there are, what they are, and what the target has.
func (r *syncRun) look(ctx context.Context, entries []ListEntry) error {
	if err := r.expand(ctx, entries); err != nil {
		return err
	}
	if err := r.each(ctx, r.jobs, r.items, r.resolve); err != nil {
		return err
	}
	for _, it := range r.items {
		if it.same() && !it.failed {
			r.reuse(it)
		}
	}
	if !r.o.Delete || r.blind {
		return nil
	}
	return r.findExtra(ctx)
}

// each works on the items that have not failed, at most n at once. An error ends
// all of it, or under KeepGoing is the item's.
func (r *syncRun) each(ctx context.Context, n int, items []*syncItem, do func(context.Context, *syncItem) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(n)
	for _, it := range items {
		if it.failed {
			continue
		}
		g.Go(func() error {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			err := do(ctx, it)
			if err == nil {
				return nil
			}
			return r.fail(ctx, it, it.name.String(), fmt.Errorf("sync %s: %w", it.Word, it.at(err)))
		})
	}
	return g.Wait()
}

// fail notes a failure; without KeepGoing, and when the run was interrupted, it is
// the end.
func (r *syncRun) fail(ctx context.Context, it *syncItem, name string, err error) error {
	if !r.o.KeepGoing || ctx.Err() != nil || errors.Is(err, content.ErrInvalid) && it == nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if it != nil {
		it.failed = true
	}
	r.failures = append(r.failures, SyncFailure{name, err})
	return nil
}

// partial is the error of a run in which something failed.
func (r *syncRun) partial() error {
	if len(r.failures) == 0 {
		return nil
	}
	done := 0
	for _, it := range r.items {
		if !it.failed {
			done++
		}
	}
	return fmt.Errorf("sync to %s: %w: %d of %d failed", r.o.To, content.ErrPartial, len(r.failures), len(r.failures)+done)
}

// resolve asks the source for the digest, unless the entry says it, and the target
// for what its tag stands for.
func (r *syncRun) resolve(ctx context.Context, it *syncItem) error {
	if it.src == nil {
		var err error
		if it.src, err = r.c.source(ctx, it.where); err != nil {
			return err
		}
	}
	if d := it.where.Reference.Digest; d != "" && it.Platform == nil && it.where.Transport == TransportRegistry {
		it.listed, it.root = d, oci.Descriptor{Digest: d}
	} else if err := r.describe(ctx, it); err != nil {
		return err
	}
	to, err := r.c.target(ctx, Locator{Transport: TransportRegistry, Place: it.name.String()})
	if err != nil {
		return err
	}
	it.to = to.(*toRegistry) // what that transport gives
	if it.name.Digest != "" && it.name.Digest != it.root.Digest {
		it.name = it.name.WithDigest(it.root.Digest)
		it.to.ref = it.name
	}
	if it.old, err = it.to.current(ctx, it.name); err != nil || !it.same() {
		return err
	}
	it.look, err = r.lookDue(ctx, it)
	return err
}

// describe asks the source what the image is, and chooses by platform.
func (r *syncRun) describe(ctx context.Context, it *syncItem) error {
	_, desc, err := it.src.Image(ctx)
	if err != nil {
		return err
	}
	if !oci.HasSuccessors(desc.MediaType) {
		return notNameable(desc)
	}
	it.listed, it.root = desc.Digest, desc
	if it.Platform != nil && oci.IsIndex(desc.MediaType) {
		it.root, err = selectImage(ctx, it.src, desc, Platforms{Only: it.Platform})
	}
	return err
}

// reuse is the account of an image that is there.
func (r *syncRun) reuse(it *syncItem) {
	r.stats = r.stats.Add(content.Stats{ReusedBytes: it.old.Size, ReusedBlobs: 1})
	r.c.opts.Observe(content.Event{Kind: content.EventReused, Descriptor: it.old, Offset: it.old.Size, Total: it.old.Size})
}

// pending are the images of which something is to be moved.
func (r *syncRun) pending() []*syncItem {
	return slices.DeleteFunc(slices.Clone(r.items), func(it *syncItem) bool {
		return it.failed || it.same() && !it.look
	})
}

// transfer moves all content. A few images at once share the blobs that may be in
// flight.
func (r *syncRun) transfer(ctx context.Context) error {
	items := r.pending()
	jobs := r.c.pairs(slices.ContainsFunc(items, func(it *syncItem) bool { return within(it.src, it.to) }), r.jobs)
	images := max(1, min(4, len(items), jobs))
	return r.each(ctx, images, items, func(ctx context.Context, it *syncItem) error {
		if err := r.complete(ctx, it); err != nil {
			return err
		}
		release, err := r.c.using(ctx, it.src, "sync", it.root.Digest)
		if err != nil {
			return err
		}
		defer release()
		to := &sharedTarget{it.to, r.share}
		defer r.share.leave(to)
		r.c.alone(it.src, it.to)
		send := func() (content.Stats, error) {
			return content.Copy(ctx, to, r.c.federate(it.src), it.root, r.options(ctx, it, max(1, jobs/images)))
		}
		stats, err := send()
		if err != nil && r.c.mendedSource(ctx, it.src, it.root.Digest, err) {
			stats, err = send()
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if it.same() { // told of by reuse
			stats.ReusedBytes -= it.root.Size
			stats.ReusedBlobs--
		}
		r.stats = r.stats.Add(stats)
		return err
	})
}

// complete fills in what an entry with a digest did not tell.
func (r *syncRun) complete(ctx context.Context, it *syncItem) error {
	if it.root.MediaType == "" {
		if err := r.describe(ctx, it); err != nil {
			return err
		}
	}
	_, err := it.to.settle(it.root, it.name)
	return err
}

func (r *syncRun) options(ctx context.Context, it *syncItem, jobs int) content.CopyOptions {
	next := neighbour(it.src, it.to)
	return content.CopyOptions{
		Jobs: jobs, Referrers: r.o.Referrers != ReferrersNone, Observe: r.c.opts.Observe, Children: r.c.wholeImages(ctx, it.src),
		Warn: r.c.opts.Warn,
		MountFrom: func(desc oci.Descriptor) []oci.Reference {
			refs := r.share.neighbours(desc.Digest, it.to.Reference())
			if next != nil {
				refs = append(next(desc), refs...)
			}
			return refs
		},
	}
}

// tagAll gives the tags, since all content is there. Those of indexes come after
// those of images: a registry that looks at what an index lists may find an image
// that is just being written again, for its tag, and call that damaged.
func (r *syncRun) tagAll(ctx context.Context) error {
	items := slices.DeleteFunc(r.pending(), (*syncItem).same)
	give := func(ctx context.Context, it *syncItem) error {
		err := it.to.Finish(ctx, it.root, it.name)
		it.moved = err == nil
		return err
	}
	var images, indexes []*syncItem
	for _, it := range items {
		if oci.IsIndex(it.root.MediaType) {
			indexes = append(indexes, it)
		} else {
			images = append(images, it)
		}
	}
	err := r.each(ctx, r.jobs, images, give)
	if err == nil {
		err = r.each(ctx, r.jobs, indexes, give)
	}
	if err == nil {
		return nil
	}
	done := 0
	for _, it := range items {
		if it.moved {
			done++
		}
	}
	return content.WithHint(err, "the content has arrived; %d of %d tags were moved before this", done, len(items))
}

func (r *syncRun) summary() SyncSummary {
	s := SyncSummary{
		Summary: Summary{Stats: r.stats, Requests: r.c.Traffic().Requests - r.asked, Elapsed: time.Since(r.start)},
		Deleted: r.deleted, Kept: r.kept, Failures: r.failures,
	}
	for _, it := range r.items {
		if !it.failed && (it.moved || it.same()) {
			s.Names = append(s.Names, Moved{Name: it.name.String(), Target: it.root, Changed: it.moved})
		}
	}
	return s
}

// lock is what was synced, as lines of a lock.
func (r *syncRun) lock() []lockLine {
	var lines []lockLine
	for _, it := range r.items {
		if it.where.Transport != TransportRegistry {
			continue // no list can say where it was
		}
		name := it.where.Reference
		if name.Tag != "" {
			name.Digest = ""
		}
		lines = append(lines, lockLine{name, it.listed, it.Platform})
	}
	return lines
}
