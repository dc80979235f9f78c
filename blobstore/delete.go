package blobstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
)

// HeldError says what speaks against a deletion. It is content.ErrConflict.
type HeldError struct{ Holders []db.Holder }

func (e *HeldError) Error() string {
	return fmt.Sprintf("delete: %v: %s", content.ErrConflict, strings.Join(e.Lines(5), "; "))
}

// Lines says in one sentence each what holds what. Beyond limit, the last one
// says only how many there are besides.
func (e *HeldError) Lines(limit int) []string {
	lines := make([]string, 0, min(len(e.Holders), limit+1))
	for i, h := range e.Holders {
		if i == limit {
			return append(lines, fmt.Sprintf("and %d more", len(e.Holders)-i))
		}
		lines = append(lines, holderText(h))
	}
	return lines
}

func holderText(h db.Holder) string {
	root := ""
	switch {
	case h.Name != "":
		root = "the name " + h.Name
	case h.Lease.ID != "":
		root = "lease " + h.Lease.ID
		if h.Lease.Note != "" {
			root += " (" + h.Lease.Note + ")"
		}
	}
	switch {
	case root == "":
		return fmt.Sprintf("%s is held by %s", h.Object.Digest, h.Via.Digest)
	case h.Via.ID == h.Object.ID:
		return fmt.Sprintf("%s is held by %s", h.Object.Digest, root)
	}
	return fmt.Sprintf("%s is held by %s through %s", h.Object.Digest, root, h.Via.Digest)
}

// Unwrap returns content.ErrConflict.
func (e *HeldError) Unwrap() error { return content.ErrConflict }

// Delete implements content.Manager. Leases count when they were made by hand or
// their owner lives. The bytes go with the next collection. Errors: *HeldError.
func (s *Store) Delete(ctx context.Context, digests ...oci.Digest) error {
	_, err := s.DeleteSet(ctx, digests...)
	return err
}

// Deletion is what a deletion did.
type Deletion struct {
	Objects int      // that were here and went
	Bytes   int64    // that they take on disk until they are collected
	Names   []string // that stood for them and went too, in order
}

// DeleteSet is Delete, and tells what went.
func (s *Store) DeleteSet(ctx context.Context, digests ...oci.Digest) (Deletion, error) {
	b := newBatch(nil)
	b.doomed = digests
	if err := s.commit(ctx, b); err != nil {
		return Deletion{}, err
	}
	return b.deleted, nil
}

// doom judges the batch's deletions and carries them out; the removals of names
// that go with them come back.
func (c *committing) doom(tx *db.Tx) ([]db.RefChange, error) {
	if len(c.b.doomed) == 0 {
		return nil, nil
	}
	rows, err := tx.Objects(c.b.doomed)
	if err != nil {
		return nil, err
	}
	ids := make([]int64, 0, len(rows))
	for _, o := range rows {
		ids = append(ids, o.ID)
	}
	verdict, err := tx.Judge(ids, c.s.leaseHolds)
	if err != nil {
		return nil, err
	}
	if len(verdict.Holders) > 0 {
		return nil, &HeldError{verdict.Holders}
	}
	var changes []db.RefChange
	c.b.deleted = Deletion{Objects: len(verdict.Members)}
	for _, r := range verdict.Names {
		changes = append(changes, db.RefChange{Name: r.Name, Expect: &r.Object.Digest, Why: whyDelete, Forget: true})
		c.b.deleted.Names = append(c.b.deleted.Names, r.Name)
	}
	ids = ids[:0]
	for _, o := range verdict.Members {
		ids = append(ids, o.ID)
		c.b.deleted.Bytes += o.Stored
	}
	err = tx.Doom(ids)
	c.s.hook("delete.doomed")
	return changes, err
}

// leaseHolds says whether a lease stands in the way of deleting: it was made by
// hand and lasts, or its owner is at work.
func (s *Store) leaseHolds(l db.Lease) bool {
	alive := s.leaseAlive(l.ID)
	return alive || l.Kind == db.LeaseUser && l.Counts(time.Now(), alive)
}

// leaseAlive says whether a process has the lease's file locked, as far as can be told:
// where it cannot, it may, save for the file of another user, whose lease lasts for as
// long as it is renewed. It asks for its share only, as others that look may do at the
// same time.
func (s *Store) leaseAlive(id string) bool {
	f, err := s.fs.OpenFile(s.leasePath(id), os.O_RDONLY, 0)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission)
	}
	defer f.Close()
	free, err := f.TryLock(false)
	return err != nil || !free
}
