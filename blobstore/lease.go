package blobstore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"sync"
	"time"

	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/oci"
)

// lease is one of this process. Its file is locked as long as the process lives,
// which makes the lease count whatever the clock says; its row comes with the
// first transaction that puts something under it, so that a command that finds
// nothing to protect costs none.
type lease struct {
	s     *Store
	id    string
	kind  db.LeaseKind
	note  string
	lasts time.Duration
	file  fsys.File

	ctx    context.Context // of renewals, which end with close
	cancel context.CancelFunc
	run    sync.Mutex // held while it is renewed

	mu      sync.Mutex
	stored  bool
	closed  bool
	renewal *time.Timer
}

func (l layout) leasePath(id string) string { return l.path(leasesDir, id) }

// newLease makes the file of a lease and locks it.
func (s *Store) newLease(ctx context.Context, kind db.LeaseKind, note string, lasts time.Duration) (*lease, error) {
	l := &lease{s: s, kind: kind, note: note, lasts: lasts}
	l.ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	for l.file == nil {
		l.id = freshLeaseID()
		if err := l.open(ctx); err != nil {
			l.cancel()
			return nil, fmt.Errorf("lease: %w", err)
		}
	}
	s.hook("lease.made")
	return l, nil
}

// open makes the lease's file and locks it; without an error and without a file where
// a collection has taken the name away in between.
func (l *lease) open(ctx context.Context) error {
	name := l.s.leasePath(l.id)
	f, err := l.s.fs.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fsys.Classify(err)
	}
	ok, err := f.TryLock(true)
	if err == nil && !ok { // somebody looks whether its owner lives, and is gone in a moment
		err = f.Lock(ctx, true)
	}
	same := false
	if err == nil {
		same, err = fsys.SameFile(f, name, l.s.fs)
	}
	if err != nil || !same {
		f.Close()
		return err
	}
	l.file = f
	return nil
}

// store makes sure within tx that the lease has its row. One that it had may be
// gone: a name came to reach all that it held, or somebody released it.
func (l *lease) store(tx *db.Tx) error {
	if _, found, err := tx.Lease(l.id); found || err != nil {
		return err
	}
	return tx.PutLease(db.Lease{ID: l.id, Kind: l.kind, Created: tx.Now, Expires: tx.Now.Add(l.lasts), Note: l.note})
}

// committed says that the transaction with store has been committed: from now on
// the lease is renewed at a third of its time.
func (l *lease) committed(released bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stored = !released
	if released && l.renewal != nil {
		l.renewal.Stop()
		l.renewal = nil
	}
	if l.stored && l.renewal == nil && !l.closed {
		l.renewal = time.AfterFunc(l.lasts/3, l.renew)
	}
}

func (l *lease) isStored() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stored
}

func (l *lease) renew() {
	l.run.Lock()
	defer l.run.Unlock()
	ctx, cancel := context.WithTimeout(l.ctx, lockWait)
	defer cancel()
	if ctx.Err() != nil {
		return
	}
	// One that has ended is no trouble: names reach what it held.
	if _, err := l.s.Renew(ctx, l.id, l.lasts); err != nil && !errors.Is(err, content.ErrNotFound) && l.ctx.Err() == nil {
		l.s.warn(fmt.Sprintf("the lease of this command could not be renewed: %v", err))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.renewal != nil {
		l.renewal = time.AfterFunc(l.lasts/3, l.renew)
	}
}

// close lets go of the file, and waits until nothing renews it. The row, if it is still
// there, lasts for its time.
func (l *lease) close() {
	l.cancel()
	l.mu.Lock()
	l.closed = true
	if l.renewal != nil {
		l.renewal.Stop()
		l.renewal = nil
	}
	l.mu.Unlock()
	l.run.Lock()
	defer l.run.Unlock()
	l.s.hook("lease.ended")
	fsys.RemoveHeld(l.file, l.s.leasePath(l.id), l.s.fs) // what stays, a collection removes
}

// Acquire implements content.Leases.
func (s *Store) Acquire(ctx context.Context, note string, d time.Duration, digests ...oci.Digest) (content.Lease, error) {
	if err := s.writable(); err != nil {
		return content.Lease{}, err
	}
	l, err := s.newLease(ctx, db.LeaseCommand, note, d)
	if err != nil {
		return content.Lease{}, err
	}
	var out content.Lease
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		out = content.Lease{ID: l.id, Note: note, CreatedAt: tx.Now, ExpiresAt: tx.Now.Add(d)}
		ids, err := heldIDs(tx, "hold", digests)
		if err == nil {
			err = l.store(tx)
		}
		if err != nil || len(ids) == 0 {
			return err
		}
		return tx.HoldObjects(l.id, ids)
	})
	if err != nil {
		l.close()
		return content.Lease{}, err
	}
	s.hook("lease.stored")
	s.mu.Lock()
	s.leases[l.id] = l
	s.mu.Unlock()
	return out, nil
}

func leaseOf(row db.Lease) content.Lease {
	return content.Lease{ID: row.ID, Note: row.Note, CreatedAt: row.Created, ExpiresAt: row.Expires}
}

// Renew implements content.Leases.
func (s *Store) Renew(ctx context.Context, id string, d time.Duration) (content.Lease, error) {
	var out content.Lease
	err := s.db.Write(ctx, func(tx *db.Tx) error {
		row, err := tx.RenewLease(id, tx.Now.Add(d))
		out = leaseOf(row)
		return err
	})
	return out, err
}

// Hold implements content.Leases.
func (s *Store) Hold(ctx context.Context, id string, digests ...oci.Digest) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		ids, err := heldIDs(tx, "hold", digests)
		if err != nil {
			return err
		}
		return tx.HoldObjects(id, ids)
	})
}

// Unhold implements content.Leases.
func (s *Store) Unhold(ctx context.Context, id string, digests ...oci.Digest) error {
	return s.db.Write(ctx, func(tx *db.Tx) error {
		rows, err := tx.Objects(digests)
		if err != nil {
			return err
		}
		ids := make([]int64, 0, len(rows))
		for _, o := range rows {
			ids = append(ids, o.ID)
		}
		return tx.UnholdObjects(id, ids)
	})
}

// Release implements content.Leases.
func (s *Store) Release(ctx context.Context, id string) error {
	err := s.db.Write(ctx, func(tx *db.Tx) error { return tx.ReleaseLease(id) })
	s.endLease(id)
	return err
}

// endLease lets go of a lease whose row is gone, or stays for its time.
func (s *Store) endLease(id string) {
	s.mu.Lock()
	l := s.leases[id]
	delete(s.leases, id)
	s.mu.Unlock()
	if l != nil {
		l.close()
	}
}

// AllLeases implements content.Leases.
func (s *Store) AllLeases(ctx context.Context) iter.Seq2[content.Lease, error] {
	return listed(ctx, s, func(tx *db.Tx) iter.Seq2[db.Lease, error] { return tx.Leases() }, leaseOf)
}
