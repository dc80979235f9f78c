package client

import (
	"context"
	"errors"
	"fmt"

	"dist.example/blobstore"
	"dist.example/content"
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
	bytes int64
}

func newComing(s *blobstore.Store) *coming {
	p := newPlanned(content.HeldBy(s))
	p.manifests = &content.Manifests{}
	return &coming{planned: p}
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
	return nil
}

// fit finds out whether what has to come fits into the store, before any of it comes.
func (p *pull) fit(ctx context.Context) error {
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
	return p.c.makeRoom(ctx, p.store, all.bytes)
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
	return j.c.makeRoom(ctx, s.store, all.bytes)
}

// makeRoom says whether so many bytes fit into the store. Errors: a RoomError.
func (c *Client) makeRoom(ctx context.Context, s *blobstore.Store, need int64) error {
	return roomHint(s.Fits(ctx, need))
}

// roomHint adds to a RoomError what helps.
func roomHint(err error) error {
	var room *RoomError
	if !errors.As(err, &room) || room.Quota == 0 {
		return err
	}
	return content.WithHint(err, "`dist store set quota=SIZE` raises the quota")
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
