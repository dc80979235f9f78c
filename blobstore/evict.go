package blobstore

import (
	"context"
	"maps"
	"slices"

	"dist.example/blobstore/pack"
	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
)

// Evict gives up names to make room, a hundred in a transaction, and says which went: not
// those that have moved, were pinned or, to the hour, used since they were listed. What
// they stood for is not kept for undoing this.
func (m *Maintenance) Evict(ctx context.Context, names []content.Name) (gone map[oci.Reference]bool, err error) {
	gone = map[oci.Reference]bool{}
	for some := range slices.Chunk(names, evictRows) {
		these, err := m.evict(ctx, some)
		if err != nil {
			return gone, err
		}
		maps.Copy(gone, these)
	}
	return gone, nil
}

// evictRows is how many names go in one transaction, which is to be short.
const evictRows = 100

func (m *Maintenance) evict(ctx context.Context, names []content.Name) (gone map[oci.Reference]bool, err error) {
	b := newBatch(nil)
	b.facts = func(tx *db.Tx) ([]pack.Note, error) {
		gone = map[oci.Reference]bool{}
		var changes []db.RefChange
		for _, n := range names {
			name := n.Reference.String()
			r, found, err := tx.Ref(name)
			if err != nil {
				return nil, err
			}
			if !found || r.Pinned || r.Seq != n.Seq || !r.Used.Equal(n.UsedAt) {
				continue
			}
			gone[n.Reference] = true
			changes = append(changes, db.RefChange{Name: name, Why: whyEvict, Forget: true})
		}
		return setRefs(tx, changes)
	}
	err = m.s.commit(ctx, b)
	return gone, err
}

// What the history says of names that went with what they stood for: to make room, and
// since it was deleted.
const (
	whyEvict  = "evict"
	whyDelete = "delete"
)

// MadeRoom says whether a name went to make room, and is not there since: whoever is
// about to move it may set it anew. So it may be where no history is kept that would
// tell why it went.
func (s *Store) MadeRoom(ctx context.Context, ref oci.Reference) (bool, error) {
	if _, found, err := s.db.Ref(ctx, ref.Local().String()); found || err != nil {
		return false, err
	}
	for last, err := range s.History(ctx, ref.Local().String()) {
		return err == nil && last.Why == whyEvict, err
	}
	return true, nil
}
