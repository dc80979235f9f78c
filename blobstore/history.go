package blobstore

import (
	"context"
	"fmt"
	"iter"
	"math"
	"time"

	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
)

// Change is one change of a name. Old is "" when the name was new, New when it was
// removed.
type Change = db.LogEntry

// historyPage is how many changes are read at once: a reader that is slow, a terminal
// say, is not to keep the catalog's log from being cut.
const historyPage = 1000

// History lists the changes of a name in its full form, or with "" of all names, the
// newest first. The name may be gone, and one that never was has none. What happens
// meanwhile is not listed.
func (s *Store) History(ctx context.Context, name string) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		for below := int64(math.MaxInt64); ; {
			page, err := s.historyBelow(ctx, name, below)
			for _, c := range page {
				if below = c.Seq; !yield(c, nil) {
					return
				}
			}
			if err != nil {
				yield(Change{}, err)
			}
			if err != nil || len(page) < historyPage {
				return
			}
		}
	}
}

func (s *Store) historyBelow(ctx context.Context, name string, below int64) (page []Change, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		for c, err := range tx.LogBelow(name, below) {
			if err != nil {
				return err
			}
			if page = append(page, c); len(page) == historyPage {
				break
			}
		}
		return nil
	})
	return page, err
}

// gapless calls fn with the changes of a name, the newest first, for as long as each led
// to what the next one began with, and now is what the last led to. whole says that
// nothing is missing up to where fn, or the log, ended. A collection keeps what one
// transaction changed while it is the last change of one of its names, and drops what
// came later of the others: what lies behind such a gap says nothing of the time since.
func gapless(tx *db.Tx, name string, now oci.Digest, fn func(Change) (more bool)) (whole bool, err error) {
	for c, err := range tx.Log(name) {
		if err != nil || c.New != now {
			return false, err
		}
		if !fn(c) {
			break
		}
		now = c.Old
	}
	return true, nil
}

// NameBefore says what a name stood for before the newest n of its changes; 0 is now.
// It need not be held any more. Errors: content.ErrNotFound when the name did not exist
// then, and when its history does not go back that far.
func (s *Store) NameBefore(ctx context.Context, ref oci.Reference, n int) (d oci.Digest, err error) {
	if n == 0 {
		now, err := s.Name(ctx, ref)
		return now.Target.Digest, err
	}
	name, seen := ref.Local().String(), 0
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		now, _, err := tx.Ref(name)
		if err != nil {
			return err
		}
		_, err = gapless(tx, name, now.Object.Digest, func(c Change) bool {
			d = c.Old
			seen++
			return seen < n
		})
		return err
	})
	switch {
	case err != nil:
		return "", err
	case seen == 0:
		return "", fmt.Errorf("name %s: %w: it has no history", name, content.ErrNotFound)
	case seen < n:
		return "", fmt.Errorf("name %s: %w: %d changes ago is before its history, which has %d", name, content.ErrNotFound, n, seen)
	case d == "" && n == 1:
		return "", fmt.Errorf("name %s: %w: it did not exist before its last change", name, content.ErrNotFound)
	case d == "":
		return "", fmt.Errorf("name %s: %w: it did not exist before its last %d changes", name, content.ErrNotFound, n)
	}
	return d, nil
}

// NameAt says what a name stood for at a time; one in the future is now. It need not be
// held any more. Errors: content.ErrNotFound when the name did not exist then, and when
// its history does not go back that far.
func (s *Store) NameAt(ctx context.Context, ref oci.Reference, at time.Time) (d oci.Digest, err error) {
	name := ref.Local().String()
	var known, whole bool // what it was then, and all that came after
	var oldest Change
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		now, found, err := tx.Ref(name)
		if err != nil {
			return err
		}
		if found && !at.Before(now.Updated) { // though nothing else may be known of it
			d, known = now.Object.Digest, true
			return nil
		}
		whole, err = gapless(tx, name, now.Object.Digest, func(c Change) bool {
			if oldest = c; !at.Before(c.At) {
				d, known = c.New, true
			}
			return !known
		})
		return err
	})
	switch {
	case err != nil:
		return "", err
	case !known && !whole && oldest.Name == "":
		return "", fmt.Errorf("name %s: %w: its history does not go back to %s", name, content.ErrNotFound, at.UTC().Format(time.RFC3339))
	case !known && (!whole || oldest.Old != ""):
		return "", fmt.Errorf("name %s: %w: its history begins at %s, after %s",
			name, content.ErrNotFound, oldest.At.Format(time.RFC3339), at.UTC().Format(time.RFC3339))
	case d == "":
		return "", fmt.Errorf("name %s: %w: it did not exist at %s", name, content.ErrNotFound, at.UTC().Format(time.RFC3339))
	}
	return d, nil
}
