package blobstore

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
)

// InRepository implements content.RepositoryReader. Of something that many images
// share it takes the longer the more of them are in other repositories: 50 ms for
// ten thousand.
func (s *Store) InRepository(ctx context.Context, repo string, digests ...oci.Digest) ([]bool, error) {
	in := make([]bool, len(digests))
	if len(digests) == 1 {
		one, err := s.db.InRepository(ctx, repo, digests[0])
		in[0] = one
		return in, err
	}
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		// Of a large index next to nothing may be here, which is cheaper to find out for
		// all at once.
		rows, err := tx.Objects(digests)
		for i := 0; i < len(digests) && err == nil; i++ {
			if o, known := rows[digests[i]]; known && o.Loc != db.LocAbsent {
				in[i], err = tx.InRepository(repo, digests[i])
			}
		}
		return err
	})
	return in, err
}

// AnyIncluded says whether something that is held was included in repo. Where there
// is nothing any more it looks at all that is in any repository.
func (s *Store) AnyIncluded(ctx context.Context, repo string) (found bool, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		found, err = tx.AnyIncluded(repo)
		return err
	})
	return found, err
}

// RepositoriesOf implements content.RepositoryReader.
func (s *Store) RepositoriesOf(ctx context.Context, d oci.Digest) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		var repos []string // first: who gets one asks about it in between
		err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
			repos, err = tx.RepositoriesOf(d)
			return err
		})
		if err != nil {
			yield("", err)
			return
		}
		for _, repo := range repos {
			if !yield(repo, nil) {
				return
			}
		}
	}
}

// Include implements content.Repositories.
func (s *Store) Include(ctx context.Context, repo string, how content.Membership, digests ...oci.Digest) error {
	var member db.Membership
	switch how {
	case content.Pushed:
		member = db.Pushed
	case content.Mirrored:
		member = db.Mirrored
	default:
		return fmt.Errorf("include in %s: %w: membership %d", repo, content.ErrInvalid, how)
	}
	if err := s.writable(); err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *db.Tx) error {
		objects, err := heldAll(tx, "include", digests)
		if err != nil {
			return err
		}
		return tx.Include(repo, member, objects)
	})
}

// heldAll finds the rows of digests that are all held, in their order; verb is what
// is done with them.
func heldAll(tx *db.Tx, verb string, digests []oci.Digest) ([]db.Object, error) {
	rows, err := tx.Objects(digests)
	if err != nil {
		return nil, err
	}
	objects := make([]db.Object, len(digests))
	for i, d := range digests {
		o, ok := rows[d]
		if !ok || !o.Loc.Held() {
			return nil, fmt.Errorf("%s %s: %w in this store", verb, d, content.ErrNotFound)
		}
		objects[i] = o
	}
	return objects, nil
}

// Exclude implements content.Repositories.
func (s *Store) Exclude(ctx context.Context, repo string, digests ...oci.Digest) error {
	if len(digests) == 0 {
		return nil
	}
	b := newBatch(nil)
	b.repo, b.excluded = repo, digests
	return s.commit(ctx, b)
}

// exclude takes what the batch excludes out of its repository; the removals of
// names that go with it come back.
func (c *committing) exclude(tx *db.Tx) ([]db.RefChange, error) {
	if len(c.b.excluded) == 0 {
		return nil, nil
	}
	rows, err := tx.Objects(c.b.excluded)
	if err != nil {
		return nil, err
	}
	ids := make([]int64, 0, len(rows))
	for _, o := range rows {
		ids = append(ids, o.ID)
	}
	if err := tx.Exclude(c.b.repo, ids); err != nil {
		return nil, err
	}
	refs, err := tx.RefsOf(ids)
	if err != nil {
		return nil, err
	}
	var changes []db.RefChange
	for _, r := range refs {
		if strings.HasPrefix(r.Name, c.b.repo+":") || strings.HasPrefix(r.Name, c.b.repo+"@") {
			changes = append(changes, db.RefChange{Name: r.Name, Expect: &r.Object.Digest, Why: "remove"})
		}
	}
	return changes, nil
}

// stillThere is the error for what the batch excludes and would not be out.
func (c *committing) stillThere(tx *db.Tx) error {
	for _, d := range c.b.excluded {
		in, err := tx.InRepository(c.b.repo, d)
		if err != nil {
			return err
		}
		if in {
			return fmt.Errorf("exclude %s from %s: %w: something there refers to it", d, c.b.repo, content.ErrConflict)
		}
	}
	return nil
}
