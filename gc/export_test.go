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
