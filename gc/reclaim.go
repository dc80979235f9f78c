package gc

import (
	"context"

	"dist.example/blobstore"
	"dist.example/db"
)

// packs gives up those of the plan, as far as they are to go still.
func (c *collection) packs(ctx context.Context) error {
	for _, planned := range c.plan.Packs {
		if err := c.goOn(ctx); err != nil {
			return err
		}
		var row db.Pack
		err := c.s.View(ctx, func(tx *db.Tx) (err error) {
			row, _, err = tx.Pack(planned.ID)
			return err
		})
		if err != nil {
			return err
		}
		if row.ID == 0 || c.o.action(row) == "" {
			continue
		}
		got, err := c.m.EmptyPack(ctx, row.ID, c.advance)
		if err != nil {
			got.Kept = err.Error()
			err = c.failing(ctx, err)
		}
		c.emptied(row.ID, got)
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *collection) emptied(id int64, got blobstore.Emptied) {
	c.report.Copied += got.Copied
	c.report.Freed -= got.Grown
	if got.Kept != "" {
		c.report.KeptPack = append(c.report.KeptPack, KeptPack{id, got.Kept})
		return
	}
	c.report.Packs.add(got.Bytes)
	c.report.Freed += got.Bytes
	c.advance(got.Bytes - got.Copied)
}

// remove removes what crashes have left behind.
func (c *collection) remove(ctx context.Context) error {
	for _, g := range c.plan.files {
		if err := c.goOn(ctx); err != nil {
			return err
		}
		gone, err := c.m.Remove(ctx, g)
		if err != nil {
			if err := c.failing(ctx, err); err != nil {
				return err
			}
		}
		if gone {
			c.removed(string(g.Kind), 1, g.Bytes)
			c.advance(g.Bytes)
		}
	}
	return nil
}

func (c *collection) removed(kind string, n, bytes int64) {
	if n == 0 {
		return
	}
	i, ok := c.files[kind]
	if !ok {
		i = len(c.report.Files)
		c.files[kind] = i
		c.report.Files = append(c.report.Files, blobstore.Waste{Kind: kind})
	}
	c.report.Files[i].Count += n
	c.report.Files[i].Bytes += bytes
	c.report.Freed += bytes
}

// history forgets changes of names that cannot be undone any more.
func (c *collection) history(ctx context.Context) error {
	var old [][]int64 // what one transaction changed goes in one
	err := c.s.View(ctx, func(tx *db.Tx) error {
		return tx.OldHistory(undoable(c.plan.now, c.o.KeepHistory), func(seqs []int64) {
			if last := len(old) - 1; last >= 0 && len(old[last])+len(seqs) <= historyRows {
				old[last] = append(old[last], seqs...)
				return
			}
			old = append(old, seqs)
		})
	})
	if err != nil {
		return err
	}
	for _, some := range old {
		if err := c.goOn(ctx); err != nil {
			return err
		}
		if err := c.m.Change(ctx, func(tx *db.Tx) error { return tx.ForgetHistory(some) }); err != nil {
			return err
		}
		c.report.Changes += int64(len(some))
	}
	return nil
}
