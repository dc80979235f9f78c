package blobstore

import (
	"context"

	"dist.example/blobstore/pack"
	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
)

// Evict gives up names to make room, in one transaction, and says which went: not
// those that have moved or were pinned or used since they were listed. What they stood
// for is not kept for undoing this.
func (m *Maintenance) Evict(ctx context.Context, names []content.Name) (gone map[oci.Reference]bool, err error) {
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

// whyEvict is what the history says of names that made room.
const whyEvict = "evict"
