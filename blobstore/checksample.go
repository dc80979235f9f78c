package blobstore

import (
	"context"
	"fmt"
	"math/rand/v2"

	"dist.example/blobstore/pack"
	"dist.example/db"
	"dist.example/fsys"
)

// pick chooses what of the content is read.
type pick struct {
	share float64
	seed  uint64
}

func pickOf(o CheckOptions) pick {
	switch {
	case o.Quick:
		return pick{}
	case o.Sample <= 0 || o.Sample >= 1:
		return pick{share: 1}
	}
	return pick{o.Sample, o.Seed}
}

func (p pick) all() bool     { return p.share == 1 }
func (p pick) nothing() bool { return p.share == 0 }

// of is about how many of so many bytes are read.
func (p pick) of(n int64) int64 { return int64(float64(n) * p.share) }

// takes says whether a part of an object is read. It depends on nothing but the seed
// and the two numbers.
func (p pick) takes(object, part int64) bool {
	if p.all() {
		return true
	}
	return rand.New(rand.NewPCG(p.seed^uint64(part)<<40, uint64(object))).Float64() < p.share
}

// judge reads an object, or looks at it as far as is chosen. What looks wrong then is
// read: it may be the catalog that errs. An error is one that says nothing about it.
func (c *checker) judge(ctx context.Context, o db.Object) (*problem, error) {
	switch {
	case c.pick.all():
		return c.read(ctx, o)
	case o.Loc == db.LocPack && c.pick.nothing():
		return c.glancePacked(ctx, o)
	case o.Loc == db.LocPack: // its record was not where it should be
		return c.read(ctx, o)
	case c.pick.nothing() || o.Size > sumsFrom:
		return c.sampleLoose(ctx, o)
	case c.pick.takes(o.ID, 0):
		return c.read(ctx, o)
	}
	return c.glanceLoose(ctx, o)
}

// glanceLoose looks at the size of a loose blob's file.
func (c *checker) glanceLoose(ctx context.Context, o db.Object) (*problem, error) {
	fi, err := c.s.fs.Stat(c.s.blobPath(o.Digest))
	if err != nil || !fi.Mode().IsRegular() || fi.Size() != o.Size {
		return c.read(ctx, o)
	}
	return nil, nil
}

// sampleLoose reads some blocks of a large blob. When one is wrong, all of it is read.
func (c *checker) sampleLoose(ctx context.Context, o db.Object) (*problem, error) {
	if p, err := c.glanceLoose(ctx, o); p != nil || err != nil || c.pick.nothing() {
		return p, err
	}
	sums, err := c.s.blockSums(ctx, o)
	switch {
	case err != nil:
		return nil, err
	case sums.Sums == nil && c.pick.takes(o.ID, 0):
		return c.read(ctx, o)
	case sums.Sums == nil:
		return nil, nil
	}
	f, err := c.s.openContent(c.s.blobPath(o.Digest))
	if err != nil {
		return c.read(ctx, o) // which says what is wrong
	}
	defer f.Close()
	buf := make([]byte, sums.BlockSize)
	for i := int64(0); i*sums.BlockSize < o.Size; i++ {
		if !c.pick.takes(o.ID, i) {
			continue
		}
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		p := buf[:min(sums.BlockSize, o.Size-i*sums.BlockSize)]
		good, err := goodBlock(f, p, i*sums.BlockSize, sums.Sums[4*i:])
		if err != nil || !good {
			return c.read(ctx, o)
		}
		c.readBytes(int64(len(p)))
	}
	return nil, nil
}

// readBytes notes that n bytes of an object were read that is not read whole.
func (c *checker) readBytes(n int64) {
	c.mu.Lock()
	c.report.Bytes += n
	c.mu.Unlock()
	c.advance(n)
}

// packFiles looks at the headers and the lengths of all packs.
func (c *checker) packFiles(ctx context.Context) error {
	rows, err := c.packRows(ctx)
	if err != nil {
		return err
	}
	for _, p := range rows {
		if p.State == db.PackDead {
			continue
		}
		if err := c.packFile(ctx, p); err != nil {
			return err
		}
		c.report.Packs++
	}
	return nil
}

func (c *checker) packFile(ctx context.Context, p db.Pack) error {
	f, err := c.s.openContent(c.s.packPath(p.ID))
	if suspicious(err) {
		return c.fileGone(ctx, p) // its objects tell
	}
	if err != nil {
		return fmt.Errorf("check pack %d: %w", p.ID, fsys.Classify(err))
	}
	defer f.Close()
	if err := c.header(f, p); err != nil {
		return err
	}
	fi, err := f.Stat()
	if err != nil {
		return fmt.Errorf("check pack %d: %w", p.ID, fsys.Classify(err))
	}
	if fi.Size() < p.End {
		c.gap(p.ID, gap{max(fi.Size(), pack.HeaderSize), p.End})
	}
	return nil
}

// glancePacked looks whether a packed blob lies in what its pack's file has.
func (c *checker) glancePacked(ctx context.Context, o db.Object) (*problem, error) {
	end := record(o.Digest, o).End()
	if n, err := c.packLength(o.Pack, end); err != nil || n < end {
		return c.read(ctx, o)
	}
	return nil, nil
}

// packLength is the length of a pack's file. What was seen before does if it is at
// least so many bytes: packs grow.
func (c *checker) packLength(id, least int64) (int64, error) {
	c.mu.Lock()
	n := c.lengths[id]
	c.mu.Unlock()
	if n >= least {
		return n, nil
	}
	f, err := c.s.openContent(c.s.packPath(id))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return 0, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lengths[id] = fi.Size()
	return fi.Size(), nil
}
