package blobstore

import (
	"cmp"
	"context"
	"slices"
	"time"

	"dist.example/db"
	"dist.example/oci"
)

// sourceBatch is how many rows of sources one transaction writes, so that other
// writers need not wait long.
const sourceBatch = 1000

// Sources lists where d came from, or is known to be: locators, the last used
// first.
func (s *Store) Sources(ctx context.Context, d oci.Digest) (locators []string, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		o, found, err := tx.Object(d)
		if err != nil || !found {
			return err
		}
		rows, err := tx.Sources(o.ID)
		for _, r := range rows {
			locators = append(locators, r.Locator)
		}
		return err
	})
	return locators, err
}

// AddSources records that locator (host/repository) has roots, with everything
// held here that they reach. What is not known here is left out. Errors:
// ErrDenied for a store that can only be read.
func (s *Store) AddSources(ctx context.Context, locator string, roots ...oci.Digest) error {
	if err := s.writable(); err != nil {
		return err
	}
	var reached []int64
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		rows, err := tx.Objects(roots)
		if err != nil {
			return err
		}
		var ids []int64
		for _, o := range rows {
			ids = append(ids, o.ID)
		}
		reached, _, err = tx.Reach(ids)
		return err
	})
	if err != nil {
		return err
	}
	// Ids are never used again: what is given up meanwhile is just not there.
	for some := range slices.Chunk(reached, sourceBatch) {
		sources := make([]db.ObjectSource, len(some))
		for i, id := range some {
			sources[i] = db.ObjectSource{Object: id, Locator: locator}
		}
		if err := s.db.Write(ctx, func(tx *db.Tx) error { return tx.PutSources(sources) }); err != nil {
			return err
		}
	}
	return nil
}

// Looked is when locator was last asked what is about d, be it held here or not; the
// zero time for never.
func (s *Store) Looked(ctx context.Context, d oci.Digest, locator string) (at time.Time, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		at, err = tx.Look(d, locator)
		return err
	})
	return at, err
}

// NoteLooks records that locator was asked now what is about roots, and that what
// it named has arrived where it was to go. Errors: ErrDenied for a store that can
// only be read.
func (s *Store) NoteLooks(ctx context.Context, locator string, roots ...oci.Digest) error {
	if err := s.writable(); err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *db.Tx) error {
		for _, d := range roots {
			if err := tx.PutLook(d, locator); err != nil {
				return err
			}
		}
		return nil
	})
}

// What is known of where content comes from, and of who vouches for it; see package db.
type (
	SeenAt   = db.SeenAt
	Vouching = db.Vouching
)

// Provenance is what is known of some objects: where they came from, by locator and
// digest, and for those that are manifests whose signatures were found good, by subject
// and key.
func (s *Store) Provenance(ctx context.Context, digests []oci.Digest) (sources []SeenAt, vouched []Vouching, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) (err error) {
		if sources, err = tx.SourcesOf(digests); err == nil {
			vouched, err = tx.Vouchings(digests)
		}
		return err
	})
	slices.SortFunc(sources, func(a, b SeenAt) int {
		return cmp.Or(cmp.Compare(a.Locator, b.Locator), cmp.Compare(a.Digest, b.Digest))
	})
	slices.SortFunc(vouched, func(a, b Vouching) int {
		return cmp.Or(cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Key, b.Key))
	})
	return sources, vouched, err
}
