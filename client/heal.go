package client

import (
	"context"
	"errors"
	"fmt"

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

// heal brings a damaged blob again from the sources that the store remembers, with a
// line about it. Errors: ErrCorrupt where none gives it.
func (c *Client) heal(ctx context.Context, d oci.Digest) error {
	c.heals.Lock()
	defer c.heals.Unlock()
	r, err := c.newRepair(ctx, nil)
	if err != nil {
		return err
	}
	defer r.close()
	r.hurry = true
	// Somebody else may have healed it meanwhile.
	if info, err := r.store.Info(ctx, d); err != nil || info.Place != "damaged" {
		return err
	}
	if err := r.run(ctx, []oci.Digest{d}, d); err != nil {
		return err
	}
	for _, f := range r.report.Repaired {
		c.opts.Warn(fmt.Sprintf("%s was damaged here: %s from %s made it right", f.Digest, oci.HumanSize(f.Fetched), f.From))
	}
	if len(r.report.Repaired) == 0 {
		return fmt.Errorf("heal %s: %w: no source gave it", d, content.ErrCorrupt)
	}
	return nil
}

// mended says whether err tells of damage in the store that has been healed since, so
// that what failed is worth another try.
func (c *Client) mended(ctx context.Context, err error) bool {
	damaged := new(blobstore.DamagedError)
	return errors.As(err, &damaged) && c.heal(blobstore.AsItIs(ctx), damaged.Digest) == nil
}

// mendedBelow reads all that root reaches, after something else than its content has
// come out of the store, and says whether all that is damaged has been healed.
func (c *Client) mendedBelow(ctx context.Context, s *blobstore.Store, root oci.Digest) bool {
	ctx = blobstore.AsItIs(ctx)
	if err := readBelow(ctx, s, root, map[oci.Digest]bool{}); err != nil {
		return false
	}
	lacking, err := s.Lacking(ctx, root)
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
