package blobstore

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
)

// minLeasePrefix is the least number of digits that may stand for a lease.
const minLeasePrefix = 4

// LeaseInfo is a lease and what it comes to.
type LeaseInfo struct {
	db.Lease
	OwnerAlive bool // a process has its file locked
	Counts     bool // it keeps what is under it from being collected
	// Objects are those under it, what they refer to and what is about them, as far as
	// that is here, and Stored the bytes that they take on disk.
	Objects, Stored int64
}

func freshLeaseID() string {
	var b [12]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// judgeLease says what a lease is worth at a time.
func (s *Store) judgeLease(l db.Lease, now time.Time) LeaseInfo {
	info := LeaseInfo{Lease: l, OwnerAlive: s.leaseAlive(l.ID)}
	info.Counts = l.Counts(now, info.OwnerAlive)
	return info
}

func (s *Store) leaseInfo(tx *db.Tx, l db.Lease) (info LeaseInfo, err error) {
	info = s.judgeLease(l, tx.Now)
	info.Objects, info.Stored, err = tx.KeptByLease(l.ID)
	return info, err
}

// Leases lists all leases by creation, with what they keep, which is found one after
// the other.
func (s *Store) Leases(ctx context.Context) iter.Seq2[LeaseInfo, error] {
	return func(yield func(LeaseInfo, error) bool) {
		var rows []db.Lease // first: no transaction is to wait for who takes them
		for l, err := range listed(ctx, s, (*db.Tx).Leases, func(l db.Lease) db.Lease { return l }) {
			if err != nil {
				yield(LeaseInfo{}, err)
				return
			}
			rows = append(rows, l)
		}
		for _, l := range rows {
			var info LeaseInfo
			err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
				info, err = s.leaseInfo(tx, l)
				return err
			})
			if !yield(info, err) || err != nil {
				return
			}
		}
	}
}

// AddLease makes a lease by hand on objects that are held, for d. No process owns it.
// Errors: content.ErrNotFound for what is not here, and then there is no lease.
func (s *Store) AddLease(ctx context.Context, note string, d time.Duration, digests ...oci.Digest) (info LeaseInfo, err error) {
	var objects, stored int64
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		ids, err := heldIDs(tx, "lease", digests)
		if err == nil {
			objects, stored, err = tx.KeptBy(ids)
		}
		return err
	})
	if err != nil {
		return info, err
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		ids, err := heldIDs(tx, "lease", digests)
		if err != nil {
			return err
		}
		l := db.Lease{ID: freshLeaseID(), Kind: db.LeaseUser, Created: tx.Now, Expires: tx.Now.Add(d), Note: note}
		if err := tx.PutLease(l); err != nil {
			return err
		}
		info = s.judgeLease(l, tx.Now)
		info.Objects, info.Stored = objects, stored
		return tx.HoldObjects(l.ID, ids)
	})
	return info, err
}

// heldIDs are the ids of objects that are held. Errors: content.ErrNotFound.
func heldIDs(tx *db.Tx, verb string, digests []oci.Digest) ([]int64, error) {
	objects, err := heldAll(tx, verb, digests)
	ids := make([]int64, len(objects))
	for i, o := range objects {
		ids[i] = o.ID
	}
	return ids, err
}

// RenewLeases lets leases last for d from now, all of them or none, and returns them.
// A word is an id, or the only one here that begins with it (4 digits at least).
// Errors: content.ErrNotFound; content.ErrInvalid for what several ids begin with.
func (s *Store) RenewLeases(ctx context.Context, d time.Duration, words ...string) ([]LeaseInfo, error) {
	return s.changeLeases(ctx, words, func(tx *db.Tx, l db.Lease) (db.Lease, error) {
		return tx.RenewLease(l.ID, tx.Now.Add(d))
	})
}

// ReleaseLeases ends leases, all of them or none, and returns them as they were.
// Words and errors are those of RenewLeases; besides, a lease whose owner lives is
// content.ErrConflict unless force says that it goes nevertheless. Its owner makes it
// anew for what comes from then on.
func (s *Store) ReleaseLeases(ctx context.Context, force bool, words ...string) ([]LeaseInfo, error) {
	return s.changeLeases(ctx, words, func(tx *db.Tx, l db.Lease) (db.Lease, error) {
		if !force && s.leaseAlive(l.ID) {
			return l, fmt.Errorf("lease %s: %w: the command that made it is at work (%s)", l.ID, content.ErrConflict, l.Note)
		}
		return l, nil
	}, (*db.Tx).ReleaseLease)
}

// changeLeases finds leases by words, does something to each, tells of them as they
// are then, and does the rest. What they keep is counted before, since that is a walk,
// and a transaction that writes is to be short.
func (s *Store) changeLeases(
	ctx context.Context, words []string, change func(*db.Tx, db.Lease) (db.Lease, error), then ...func(*db.Tx, string) error,
) ([]LeaseInfo, error) {
	var infos []LeaseInfo
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		leases, err := leasesByWords(tx, words)
		infos = make([]LeaseInfo, len(leases))
		for i, l := range leases {
			if infos[i], err = s.leaseInfo(tx, l); err != nil {
				return err
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	err = s.db.Write(ctx, func(tx *db.Tx) error {
		for i, was := range infos {
			l, found, err := tx.Lease(was.ID)
			if err == nil && !found {
				err = errNoLease(was.ID)
			}
			if err != nil {
				return err
			}
			if l, err = change(tx, l); err != nil {
				return err
			}
			infos[i] = s.judgeLease(l, tx.Now)
			infos[i].Objects, infos[i].Stored = was.Objects, was.Stored
			for _, do := range then {
				if err := do(tx, l.ID); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return infos, nil
}

func errNoLease(word string) error {
	return fmt.Errorf("lease %s: %w in this store", word, content.ErrNotFound)
}

// leasesByWords finds the lease of each word, each once.
func leasesByWords(tx *db.Tx, words []string) ([]db.Lease, error) {
	var leases []db.Lease
	for _, word := range words {
		l, err := leaseByWord(tx, word)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(leases, func(other db.Lease) bool { return other.ID == l.ID }) {
			leases = append(leases, l)
		}
	}
	return leases, nil
}

// leaseByWord finds a lease by its id or the beginning of it.
func leaseByWord(tx *db.Tx, word string) (db.Lease, error) {
	prefix := strings.ToLower(word)
	if len(prefix) < minLeasePrefix || strings.Trim(prefix, "0123456789abcdef") != "" {
		return db.Lease{}, content.WithHint(fmt.Errorf("lease %q: %w: no id, and not %d or more hex digits that one begins with", word, content.ErrInvalid, minLeasePrefix),
			"`dist lease list` lists them")
	}
	found, err := tx.LeasesBeginning(prefix, 2)
	switch {
	case err != nil:
		return db.Lease{}, err
	case len(found) == 0:
		return db.Lease{}, errNoLease(word)
	case len(found) > 1 && found[0].ID != prefix:
		return db.Lease{}, content.WithHint(fmt.Errorf("lease %s: %w: several begin so: %s and %s", word, content.ErrInvalid, found[0].ID, found[1].ID),
			"give more of the id")
	}
	return found[0], nil
}
