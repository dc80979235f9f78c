package gc

import (
	"context"
	"iter"
	"slices"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/db"
)

// rowsAtOnce is how many rows of objects are read at a time.
const rowsAtOnce = 256

// Unreferenced lists what a collection with these options would give up now, as of one
// moment. What nothing holds comes first, then what that holds, and so on; among equals
// the order is that of coming. What was given up before is not listed, nor is what is
// given up meanwhile. No snapshot waits for who takes them.
//
// Errors: those of reading the catalog; the cause of ctx.
func Unreferenced(ctx context.Context, s *blobstore.Store, o Options) iter.Seq2[content.Info, error] {
	return func(yield func(content.Info, error) bool) {
		ids, err := unreferenced(ctx, s, o)
		for chunk := range slices.Chunk(ids, rowsAtOnce) {
			var rows map[int64]db.Object
			err = s.View(ctx, func(tx *db.Tx) (err error) {
				rows, err = tx.ObjectsByID(chunk)
				return err
			})
			if err != nil {
				break
			}
			for _, id := range chunk {
				o, ok := rows[id]
				if !ok || o.Loc == db.LocDoomed || o.Loc == db.LocAbsent {
					continue
				}
				if !yield(blobstore.InfoOf(o), nil) {
					return
				}
			}
		}
		if err != nil {
			yield(content.Info{}, err)
		}
	}
}

// unreferenced are the ids of what Unreferenced lists, in that order.
func unreferenced(ctx context.Context, s *blobstore.Store, o Options) (ids []int64, err error) {
	err = s.View(ctx, func(tx *db.Tx) error {
		p := new(Plan)
		if err := p.mark(tx, o.rules(s)); err != nil {
			return err
		}
		slices.Reverse(p.garbage) // it is by id now
		ids = p.graph.holdersFirst(p.garbage)
		return nil
	})
	return ids, err
}

// holdersFirst sorts ids level by level: one comes on the level after its last holder
// among them. What holds itself in a circle, and what that holds, comes at the end.
func (g *graph) holdersFirst(ids []int64) []int64 {
	among, holders := newBits(g.top), map[int64]int{}
	for _, id := range ids {
		among.set(id)
	}
	held := func(id int64, fn func(int64)) {
		g.held(id, func(below int64) {
			if among.get(below) {
				fn(below)
			}
		})
	}
	for _, id := range ids {
		held(id, func(below int64) { holders[below]++ })
	}
	order := make([]int64, 0, len(ids))
	for _, id := range ids {
		if holders[id] == 0 {
			order = append(order, id)
		}
	}
	for level := 0; level < len(order); {
		end := len(order)
		for _, id := range order[level:end] {
			held(id, func(below int64) {
				if holders[below]--; holders[below] == 0 {
					order = append(order, below)
				}
			})
		}
		slices.Sort(order[end:])
		level = end
	}
	for _, id := range ids {
		if holders[id] > 0 {
			order = append(order, id)
		}
	}
	return order
}
