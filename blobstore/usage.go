package blobstore

import (
	"context"

	"dist.example/db"
)

// Usage is what a store takes of the disk, as its quota counts it, in bytes. The
// catalog is not counted, nor are copies made for Path, which garbage collection
// takes away.
type Usage struct {
	Packs   int64 // all of them, what is of no use any more included
	Loose   int64 // blobs in files of their own, those that were given up included
	Ingests int64 // what is on its way in, or was left behind
	// Snapshots are the files of layers that are kept unpacked.
	Snapshots int64
}

// Total is the sum.
func (u Usage) Total() int64 { return u.Packs + u.Loose + u.Ingests + u.Snapshots }

// Usage measures the store. It looks at each pack, at each blob that has a file of its
// own, and at each ingest.
func (s *Store) Usage(ctx context.Context) (u Usage, err error) {
	// The ingests first: what one of them becomes meanwhile is counted twice rather
	// than not at all.
	entries, err := s.list(ingestDir)
	if err != nil {
		return u, err
	}
	for _, e := range entries {
		u.Ingests += sizeOf(e)
	}
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		u.Packs, u.Loose, u.Snapshots, err = tx.Takes()
		return err
	})
	return u, err
}
