package blobstore

import (
	"context"

	"dist.example/db"
)

// What a query is bounded by, and its answer; see package db.
type (
	QueryOptions = db.QueryOptions
	Rows         = db.Rows
)

// Query answers one SELECT over the views of package schema; see db.DB.Query.
func (s *Store) Query(ctx context.Context, text string, o QueryOptions) (*Rows, error) {
	return s.db.Query(ctx, text, o)
}
