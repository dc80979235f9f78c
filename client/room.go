package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/gc"
	"dist.example/oci"
)

// lowSpace is how much room on the disk is so little that a command that has written
// says so.
const lowSpace = 1 << 30

// RoomError says that something does not fit into the store; see package blobstore.
type RoomError = blobstore.RoomError

// coming adds up what copies into the store will bring, before the first blob comes.
// What it reads for that, the copies need not read again.
type coming struct {
	*planned
	store *blobstore.Store
	bytes int64
	held  []oci.Descriptor // what is here of it
	parts map[string]bool  // keys of ingests that go on
}

func newComing(s *blobstore.Store) *coming {
	p := newPlanned(content.HeldBy(s))
	p.manifests = &content.Manifests{}
	return &coming{planned: p, store: s, parts: map[string]bool{}}
}

// add adds a copy of root. What is about it is not looked at: that is little, and to
// find it costs requests. Errors: those that the copy would meet.
func (c *coming) add(ctx context.Context, src content.Fetcher, root oci.Descriptor, o content.CopyOptions) error {
	o.Referrers, o.Manifests = false, c.manifests
	c.src = src
	work, err := content.PlanCopy(ctx, c.planned, src, root, o)
	if err != nil {
		return err
	}
	c.bring(work)
	c.bytes += work.MoveBytes
	for _, i := range work.Items {
		switch i.Action {
		case content.PlanHeld:
			c.held = append(c.held, i.Descriptor)
		case content.PlanResume:
			c.parts[i.Descriptor.Digest.String()] = true
		}
	}
	return nil
}

// fit finds out whether what has to come fits into the store, before any of it comes.
func (p *pull) fit(ctx context.Context, ses *blobstore.Session) error {
	all := newComing(p.store)
	for _, im := range p.images {
		if !im.needed {
			continue
		}
		err := p.open(ctx, im)
		if err == nil {
			err = all.add(ctx, p.source(im), im.desc, p.options(im))
		}
		if err != nil {
			return fmt.Errorf("pull %s: %w", im.Word, im.at(err))
		}
	}
	p.manifests = all.manifests
	return p.c.makeRoom(ctx, all, ses, p.o.Evict, p.names())
}

// fit is for a copy into the store.
func (j *copyJob) fit(ctx context.Context, to any, src content.Fetcher) error {
	s, ok := to.(*toStore)
	if !ok {
		return nil
	}
	all := newComing(s.store)
	if err := all.add(ctx, src, j.root, j.options(ctx, to)); err != nil {
		return err
	}
	j.manifests = all.manifests
	return j.c.makeRoom(ctx, all, s.Session, j.o.Evict, []oci.Reference{s.change.Reference})
}

// makeRoom sees to it that what is coming fits into the store. With evict, garbage is
// collected and names go for that, where it is enough: not those of spare, nor what of
// the coming is here, in part too. Errors: a RoomError, which says what would help.
func (c *Client) makeRoom(ctx context.Context, all *coming, ses *blobstore.Session, evict bool, spare []oci.Reference) error {
	s := all.store
	var room *RoomError
	err := s.Fits(ctx, all.bytes)
	if !errors.As(err, &room) {
		return err
	}
	told, serr := s.Settings(ctx)
	if serr != nil {
		return serr
	}
	o := gc.EvictOptions{Options: CollectOptions{}.options(told), Spare: spare}
	o.Resumes = all.parts
	if !evict {
		return c.wouldFree(ctx, s, o, err, room)
	}
	for _, desc := range all.held {
		if _, err := ses.Exists(ctx, desc); err != nil {
			return err
		}
	}
	if err := ses.Flush(ctx); err != nil { // what is here is under its lease now
		return err
	}
	gerr, err := c.evict(ctx, s, all.bytes, o)
	if errors.As(err, &room) {
		return errors.Join(c.notEnough(ctx, s, o, err, room), gerr)
	}
	return err
}

// evict collects garbage and gives up names until so many bytes fit, and tells of each
// name that goes. Errors: a RoomError where nothing more may go, and beside it what could
// not be removed; that is a warning alone where it need not be.
func (c *Client) evict(ctx context.Context, s *blobstore.Store, bytes int64, o gc.EvictOptions) (stayed, err error) {
	var room *RoomError
	o.Lack = func(ctx context.Context) (int64, error) {
		if err := s.Fits(ctx, bytes); !errors.As(err, &room) {
			return 0, err
		}
		return room.Lack(), nil
	}
	report, stayed := gc.Evict(ctx, s, o)
	for _, n := range report.Evicted {
		c.opts.Warn(fmt.Sprintf("%s made room: it was last used on %s", n.Reference, n.LastUsed.Format(time.DateOnly)))
	}
	if stayed != nil && ctx.Err() != nil {
		return nil, stayed
	}
	if err = s.Fits(ctx, bytes); err == nil && stayed != nil {
		c.opts.Warn(stayed.Error())
	}
	return stayed, err
}

// planRoom is makeRoom for a plan that brings so many bytes: it says which names would
// go, and changes nothing.
func (c *Client) planRoom(ctx context.Context, s *blobstore.Store, bytes int64, evict bool, spare []oci.Reference) error {
	var room *RoomError
	cause := s.Fits(ctx, bytes)
	if !errors.As(cause, &room) {
		return cause
	}
	told, err := asTold(ctx, s)
	if err != nil {
		return err
	}
	o := gc.EvictOptions{Options: told, Spare: spare}
	if !evict {
		return c.wouldFree(ctx, s, o, cause, room)
	}
	o.Compact, o.Snapshots = true, true
	frees, err := freed(ctx, s, o.Options, room)
	lack := room.Lack() - frees
	if err != nil || lack <= 0 {
		return err
	}
	names, evicted, err := gc.PlanEviction(ctx, s, o, lack)
	if err != nil {
		return err
	}
	if evicted < lack {
		return c.notEnough(ctx, s, o, cause, room)
	}
	for _, n := range names {
		c.opts.Warn(fmt.Sprintf("%s would make room: it was last used on %s", n.Reference, n.LastUsed.Format(time.DateOnly)))
	}
	return nil
}

// notEnough adds to a RoomError that an eviction did not help, and what history keeps.
func (c *Client) notEnough(ctx context.Context, s *blobstore.Store, o gc.EvictOptions, cause error, room *RoomError) error {
	history, err := keptByHistory(ctx, s, o.Options, room)
	if err != nil {
		return errors.Join(cause, err)
	}
	more := ""
	if history > 0 {
		more = fmt.Sprintf("; `dist gc --compact --keep-history 0s` would free %s of what names stood for before", oci.HumanSize(history))
	}
	return content.WithHint(cause, "not even without all names that are not pinned, and what came in longer than %s ago, there is enough%s", o.Grace, more)
}

// wouldFree adds to a RoomError what would help.
func (c *Client) wouldFree(ctx context.Context, s *blobstore.Store, o gc.EvictOptions, cause error, room *RoomError) error {
	help, err := helps(ctx, s, o, room)
	if err != nil {
		return errors.Join(cause, err)
	}
	return content.WithHint(cause, "%s", help)
}

// helps says what gives back what is lacking, in the order of what that costs: a
// collection, one that compacts, one that takes what names stood for before, then names.
func helps(ctx context.Context, s *blobstore.Store, o gc.EvictOptions, room *RoomError) (string, error) {
	lack := room.Lack()
	frees, err := freed(ctx, s, o.Options, room)
	if err != nil || frees >= lack {
		return fmt.Sprintf("`dist gc` would free %s", oci.HumanSize(frees)), err
	}
	help, frees, err := helpsMore(ctx, s, &o.Options, room, frees)
	if err != nil || frees >= lack {
		return help, err
	}
	history, err := keptByHistory(ctx, s, o.Options, room)
	if err != nil {
		return "", err
	}
	if history > 0 {
		help += fmt.Sprintf(", with --keep-history 0s %s more, which names stood for before", oci.HumanSize(history))
	}
	names, evicted, err := gc.PlanEviction(ctx, s, o, lack-frees)
	if len(names) > 0 {
		help += fmt.Sprintf(", and --evict %s more with the names that were not used for longest (%d)", oci.HumanSize(evicted), len(names))
	}
	return help, err
}

// helpsMore goes on where a collection would give back frees bytes and that is not enough:
// with layers that are kept unpacked, and with all of packs, as an eviction does.
func helpsMore(ctx context.Context, s *blobstore.Store, o *gc.Options, room *RoomError, frees int64) (string, int64, error) {
	flags := ""
	o.Snapshots = true
	more, err := freed(ctx, s, *o, room)
	if err == nil && more > frees {
		flags, frees = " --snapshots", more
	}
	if err == nil && frees < room.Lack() {
		o.Compact, flags = true, flags+" --compact"
		frees, err = freed(ctx, s, *o, room)
	}
	return fmt.Sprintf("`dist gc%s` would free %s", flags, oci.HumanSize(frees)), frees, err
}

// keptByHistory is what a collection that compacts would give back besides if no change
// of a name could be undone.
func keptByHistory(ctx context.Context, s *blobstore.Store, o gc.Options, room *RoomError) (int64, error) {
	if o.KeepHistory == 0 {
		return 0, nil
	}
	o.Compact = true
	with, err := freed(ctx, s, o, room)
	if err != nil {
		return 0, err
	}
	o.KeepHistory = 0
	without, err := freed(ctx, s, o, room)
	return without - with, err
}

// freed is what a collection would give back: of what counts against the quota, or of
// the disk, where it is that which lacks room.
func freed(ctx context.Context, s *blobstore.Store, o gc.Options, room *RoomError) (int64, error) {
	plan, err := gc.NewPlan(ctx, s, o)
	switch {
	case err != nil:
		return 0, err
	case room.Quota > 0:
		return plan.Counted, nil
	}
	return plan.Frees, nil
}

// warnOfLowSpace says, after something was written, that the disk is nearly full.
func (c *Client) warnOfLowSpace() {
	if c.store == nil || c.store.Wrote() == 0 {
		return
	}
	if free, ok := c.store.Free(); ok && free < lowSpace {
		c.opts.Warn(fmt.Sprintf("the disk of the store has only %s left", oci.HumanSize(free)))
	}
}
