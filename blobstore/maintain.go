package blobstore

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/oci"
)

// Maintenance is a store that nobody else collects garbage in: it holds the lock on
// gc.lock. It has the steps of a collection that touch files, each of which looks
// again, under the locks that it needs, whether what it is to remove is of no use
// (still); what is to go, and in what order, package gc decides. Everybody else may
// read and write meanwhile. It is for one goroutine.
type Maintenance struct {
	s    *Store
	lock fsys.File
}

// Maintain waits until no other process collects garbage in the store, and keeps
// others from it until Close. Errors: content.ErrDenied for a read-only store; the
// cause of ctx.
func (s *Store) Maintain(ctx context.Context) (*Maintenance, error) {
	if err := s.writable(); err != nil {
		return nil, err
	}
	f, err := s.fs.OpenFile(s.path(gcLockFile), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("collect garbage: %w", fsys.Classify(err))
	}
	t := time.AfterFunc(waitNotice, func() { s.warn("waiting for another process that collects garbage in " + s.dir) })
	defer t.Stop()
	if ok, err := f.TryLock(true); err != nil || !ok {
		if err == nil {
			err = f.Lock(ctx, true)
		}
		if err != nil {
			f.Close()
			return nil, fmt.Errorf("collect garbage: %w", err)
		}
	}
	return &Maintenance{s, f}, nil
}

// Close lets others collect.
func (m *Maintenance) Close() error { return m.lock.Close() }

// View runs fn on one snapshot of the catalog.
func (s *Store) View(ctx context.Context, fn func(*db.Tx) error) error { return s.db.Read(ctx, fn) }

// Change runs fn in a transaction on the catalog, which has to be short.
func (m *Maintenance) Change(ctx context.Context, fn func(*db.Tx) error) error {
	return m.s.db.Write(ctx, fn)
}

// Hook calls what a test has set for a named point.
func (m *Maintenance) Hook(point string) { m.s.hook(point) }

// LeaseAlive says whether a lease's owner lives, for db.Lease.Counts.
func (s *Store) LeaseAlive(id string) bool { return s.leaseAlive(id) }

// Swept is what a sweep gave up.
type Swept struct {
	Objects, Bytes int64 // Bytes of loose blobs; those of packs come back with their pack
}

// Sweep takes doomed objects out of the catalog: loose blobs are moved to the trash,
// the rows go, and once that is durable so do the files. What has been written again
// since stays, and so does what cannot be moved because somebody has it open, on a
// system that minds.
func (m *Maintenance) Sweep(ctx context.Context, some []int64) (Swept, error) {
	var (
		out   Swept
		trash []string
	)
	err := m.s.db.Write(ctx, func(tx *db.Tx) error {
		out, trash = Swept{}, nil
		rows, err := tx.ObjectsByID(some)
		if err != nil {
			return err
		}
		ids := make([]int64, 0, len(rows))
		for _, o := range rows {
			if o.Loc != db.LocDoomed {
				continue
			}
			name := ""
			if o.Pack == 0 {
				name, err = m.discard(m.s.blobPath(o.Digest))
				if fsys.InUse(err) {
					continue
				}
				if err != nil {
					return fmt.Errorf("give up %s: %w", o.Digest, fsys.Classify(err))
				}
			}
			ids = append(ids, o.ID)
			out.Objects++
			if name != "" {
				trash = append(trash, name)
				out.Bytes += o.Stored
			}
		}
		m.s.hook("gc.trashed")
		return tx.Forget(ids)
	})
	if err != nil {
		return Swept{}, err
	}
	m.s.hook("gc.swept")
	m.unlink(trash)
	return out, nil
}

// discard moves a file to the trash and returns its name there, "" when there was
// none. Under the write lock, if the catalog may know the file.
func (m *Maintenance) discard(name string) (string, error) {
	var b [8]byte
	rand.Read(b[:])
	to := m.s.path(trashDir, hex.EncodeToString(b[:]))
	err := m.s.fs.Rename(name, to)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return to, err
}

// unlink removes what lies in the trash. What cannot go, because somebody has it open
// on a system that minds, goes with the next collection.
func (m *Maintenance) unlink(names []string) {
	for _, name := range names {
		_ = m.s.fs.Remove(name)
	}
}

// EndLeases removes the rows of leases that do not count any more, and says how many.
func (m *Maintenance) EndLeases(ctx context.Context) (n int64, err error) {
	ended, err := m.s.endedLeases(ctx)
	for _, id := range ended {
		for more := true; more; {
			var gone bool
			werr := m.s.db.Write(ctx, func(tx *db.Tx) error {
				l, found, err := tx.Lease(id)
				if more = found && !l.Counts(tx.Now, m.s.leaseAlive(id)); err != nil || !more {
					return err
				}
				gone, err = tx.ShrinkLease(id, leaseRows)
				more = !gone
				return err
			})
			if werr != nil {
				return n, werr
			}
			if gone {
				n++
			}
		}
	}
	return n, err
}

// leaseRows is how many objects are taken from under a lease in one transaction.
const leaseRows = 2000

// endedLeases lists the leases that do not count any more.
func (s *Store) endedLeases(ctx context.Context) (ids []string, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		for l, err := range tx.Leases() {
			if err != nil {
				return err
			}
			if !l.Counts(tx.Now, s.leaseAlive(l.ID)) {
				ids = append(ids, l.ID)
			}
		}
		return nil
	})
	return ids, err
}

// digestIn is the digest that a file in a folder of blobs or views is named by; false
// where it is named otherwise.
func digestIn(alg oci.Algorithm, name string) (oci.Digest, bool) {
	d, err := oci.ParseDigest(alg.String() + ":" + name)
	return d, err == nil
}

// CompactCatalog writes the catalog anew without free pages. See db.DB.Compact. Errors:
// also a RoomError, before anything is written.
func (s *Store) CompactCatalog(ctx context.Context) (db.Compacted, error) {
	if err := s.writable(); err != nil {
		return db.Compacted{}, err
	}
	return s.db.Compact(ctx, func(need int64) error {
		return content.WithHint(s.fitsDisk(need), "it is written anew beside the old one, which stays as it is: make room on the disk of the store")
	})
}
