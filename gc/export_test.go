package gc

import (
	"context"

	"dist.example/blobstore"
	"dist.example/db"
)

// Mark marks, as the first step of a collection.
func Mark(ctx context.Context, s *blobstore.Store, o Options) error {
	return s.View(ctx, func(tx *db.Tx) error { return new(Plan).mark(tx, o.rules(s)) })
}

// PlacesOf numbers ids, which are in order.
func PlacesOf(ids []int64) (at []int) {
	set := newBits(ids[len(ids)-1])
	for _, id := range ids {
		set.set(id)
	}
	p := newPlaces(set)
	for _, id := range ids {
		at = append(at, p.of(id))
	}
	return at
}
