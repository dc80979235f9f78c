package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
)

// healing lets readers of s have damage healed that they meet before they have given
// out a byte.
func (c *Client) healing(s *blobstore.Store) *blobstore.Store {
	s.HealWith(c.heal)
	return s
}

// heals is what a client knows of damage that its readers have met. All but turn is
// for whoever has the turn.
type heals struct {
	turn   chan struct{} // of one element: one at a time
	failed map[oci.Digest]error
	silent map[string]error // registries that did not answer
	since  time.Time        // when both were empty
}

// healsAnew is after how long a client tries again what it could not heal.
const healsAnew = 5 * time.Minute

func newHeals() heals {
	return heals{make(chan struct{}, 1), map[oci.Digest]error{}, map[string]error{}, time.Now()}
}

// forget lets what failed be tried again, once that is long ago.
func (h *heals) forget() {
	if time.Since(h.since) > healsAnew {
		clear(h.failed)
		clear(h.silent)
		h.since = time.Now()
	}
}

// heal brings a damaged blob again from the sources that the store remembers, with a
// line about it. What failed is not tried again for some minutes. Errors: ErrCorrupt
// where none gives it.
func (c *Client) heal(ctx context.Context, d oci.Digest) error {
	select {
	case c.heals.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-c.heals.turn }()
	s, err := c.Open(ctx)
	if err != nil {
		return err
	}
	// Somebody else may have healed it meanwhile.
	if info, err := s.Info(ctx, d); err != nil || info.Place != "damaged" {
		return err
	}
	c.heals.forget()
	if err := c.heals.failed[d]; err != nil || s.ReadOnly() {
		return cmp.Or(err, error(content.ErrDenied))
	}
	if err = c.healNow(ctx, d); err != nil && ctx.Err() == nil {
		c.heals.failed[d] = err
	}
	return err
}

// healNow is heal for whoever has the turn.
func (c *Client) healNow(ctx context.Context, d oci.Digest) error {
	s, err := c.Open(ctx)
	if err != nil {
		return err
	}
	r, err := c.newRepair(ctx, s, nil)
	if err != nil {
		return err
	}
	defer r.close()
	r.hurry, r.silent = true, c.heals.silent
	if err := r.alone(ctx, d); err != nil {
		if ctx.Err() == nil {
			c.opts.Warn(fmt.Sprintf("%s could not be healed: %v", d, err))
		}
		return err
	}
	for _, f := range r.report.Repaired {
		c.opts.Warn(fmt.Sprintf("%s was damaged here: %s from %s made it right", f.Digest, oci.HumanSize(f.Fetched), f.From))
	}
	if len(r.report.Repaired) > 0 {
		return nil
	}
	var why []string
	for _, l := range r.report.Left {
		for _, reason := range l.Reasons {
			why = append(why, fmt.Sprintf("%s: %v", reason.From, reason.Err))
		}
	}
	if len(why) > 0 {
		c.opts.Warn(fmt.Sprintf("%s could not be healed: %s", d, strings.Join(why, "; ")))
	}
	return fmt.Errorf("heal %s: %w: no source gave it", d, content.ErrCorrupt)
}

// wouldHeal says, for a plan, which heals nothing, whether what is damaged could be
// healed: some place is known to have it.
func (c *Client) wouldHeal(ctx context.Context, s *blobstore.Store, d oci.Digest) bool {
	if blobstore.Heals(ctx) {
		return false
	}
	known, err := s.Sources(ctx, d)
	return err == nil && len(known) > 0
}

// mended says whether err tells of damage in the store that has been healed since, so
// that what failed is worth another try.
func (c *Client) mended(ctx context.Context, err error) bool {
	damaged := new(blobstore.DamagedError)
	return errors.As(err, &damaged) && c.heal(blobstore.AsItIs(ctx), damaged.Digest) == nil
}

// mendedSource is mendedBelow for a source that may be a store, of which err tells.
func (c *Client) mendedSource(ctx context.Context, src content.ImageSource, root oci.Digest, err error) bool {
	from, ok := src.(fromStore)
	return ok && errors.Is(err, content.ErrCorrupt) && c.mendedBelow(ctx, from.store, root)
}

// mendedBelow reads all that roots reach, after something else than its content has
// come out of the store, and says whether all that is damaged has been healed.
func (c *Client) mendedBelow(ctx context.Context, s *blobstore.Store, roots ...oci.Digest) bool {
	if len(roots) == 0 {
		return false
	}
	ctx = blobstore.AsItIs(ctx)
	read := map[oci.Digest]bool{}
	for _, root := range roots {
		if err := readBelow(ctx, s, root, read); err != nil {
			return false
		}
	}
	lacking, err := s.Lacking(ctx, roots...)
	healed := false
	for _, l := range lacking {
		if l.Info.Place != "damaged" {
			continue
		}
		if c.heal(ctx, l.Digest) != nil {
			return false
		}
		healed = true
	}
	return healed && err == nil
}

// healsAll says whether all of some blobs were damaged, and are healed.
func (c *Client) healsAll(ctx context.Context, s *blobstore.Store, ds []oci.Digest) bool {
	for _, d := range ds {
		info, err := s.Info(ctx, d)
		if err != nil || info.Place != "damaged" || c.heal(blobstore.AsItIs(ctx), d) != nil {
			return false
		}
	}
	return len(ds) > 0
}
