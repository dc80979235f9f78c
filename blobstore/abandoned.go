package blobstore

import (
	"context"
	"errors"
	"iter"
	"time"

	"dist.example/content"
	"dist.example/db"
)

// Leftover is an ingest that nobody writes. Whoever begins the same key goes on with
// it.
type Leftover struct {
	content.Status
	// Expires is when its lease ends or, where it has none, a day after the last byte.
	Expires time.Time
	// Abandoned says that nothing keeps it any more: a collection drops it.
	Abandoned bool
}

// leftover judges an ingest that nobody writes. Its lease counts as leases do. One
// whose lease has no row, since nothing but this ingest came under it or it was
// released, is kept for as long as a lease lasts that nobody renews.
func (s *Store) leftover(tx *db.Tx, row db.Ingest, st content.Status) (Leftover, error) {
	l, found, err := tx.Lease(row.Lease)
	if err != nil {
		return Leftover{}, err
	}
	if !found {
		l = db.Lease{ID: row.Lease, Created: st.UpdatedAt, Expires: st.UpdatedAt.Add(DefaultLease)}
	}
	alive := row.Lease != "" && s.leaseAlive(row.Lease)
	return Leftover{Status: st, Expires: l.Expires, Abandoned: !l.Counts(tx.Now, alive)}, nil
}

// Leftovers lists by key the ingests that nobody writes.
func (s *Store) Leftovers(ctx context.Context) iter.Seq2[Leftover, error] {
	return func(yield func(Leftover, error) bool) {
		for st, err := range s.Active(ctx) {
			if err != nil {
				yield(Leftover{}, err)
				return
			}
			if st.Live {
				continue
			}
			var (
				left  Leftover
				found bool
			)
			err := s.db.Read(ctx, func(tx *db.Tx) error {
				row, here, err := tx.Ingest(st.Key)
				if found = here; err != nil || !here {
					return err
				}
				left, err = s.leftover(tx, row, st)
				return err
			})
			if err == nil && !found {
				continue // finished or gone meanwhile
			}
			if !yield(left, err) || err != nil {
				return
			}
		}
	}
}

// Abandoned lists by key the ingests that nobody writes and nothing keeps, see
// Leftover. AbortAbandoned drops one of them.
func (s *Store) Abandoned(ctx context.Context) iter.Seq2[content.Status, error] {
	return func(yield func(content.Status, error) bool) {
		for left, err := range s.Leftovers(ctx) {
			if (err != nil || left.Abandoned) && !yield(left.Status, err) {
				return
			}
		}
	}
}

// AbortAbandoned is Abort for an ingest that is abandoned. False when it is not, or not
// any more: somebody went on with it, or it is gone.
func (s *Store) AbortAbandoned(ctx context.Context, key string) (dropped bool, err error) {
	err = s.abort(ctx, key, func(tx *db.Tx) error {
		row, found, err := tx.Ingest(key)
		if err != nil || !found {
			return err
		}
		left, err := s.leftover(tx, row, s.statusOf(row))
		if err == nil && !left.Abandoned {
			err = errKept
		}
		return err
	})
	switch {
	case errors.Is(err, errKept), errors.Is(err, content.ErrNotFound), errors.Is(err, content.ErrConflict):
		return false, nil
	}
	return err == nil, err
}

// errKept ends a look at an ingest that is not abandoned.
var errKept = errors.New("it is kept")
