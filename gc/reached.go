package gc

import (
	"context"

	"dist.example/blobstore"
	"dist.example/db"
	"dist.example/oci"
)

// Reached is what is here of what names and leases reach, at one moment.
type Reached struct {
	Digests oci.DigestSet
	Size    int64 // in bytes
	// Generation is that of the catalog: a state of the store never has that of another.
	Generation int64
}

// Reach finds what is here and sound of what names and leases reach. What only the
// history or the grace of a collection keeps is not in it: the next one may take that.
// Errors: those of reading the catalog; the cause of ctx.
func Reach(ctx context.Context, s *blobstore.Store) (found Reached, err error) {
	r := rules{alive: s.LeaseAlive}
	err = s.View(ctx, func(tx *db.Tx) error {
		if found.Generation, err = tx.Generation(); err != nil {
			return err
		}
		sound, err := r.reached(tx)
		if err != nil {
			return err
		}
		return tx.EachByDigest(func(id int64, _ db.Loc, size int64, raw []byte) error {
			if !sound.get(id) {
				return nil
			}
			found.Size += size
			return found.Digests.AppendRaw(raw)
		})
	})
	return found, err
}

// reached are the ids of what names and leases reach, but for what is damaged.
func (r rules) reached(tx *db.Tx) (bits, error) {
	g, err := r.readGraph(tx)
	if err != nil {
		return nil, err
	}
	found, err := r.readRoots(tx, g)
	if err != nil {
		return nil, err
	}
	marked := newBits(g.top)
	g.reach(marked, nil, found[ByName]...)
	g.reach(marked, nil, found[ByLease]...)
	for _, o := range g.objects {
		if o.Loc == db.LocDamaged {
			marked.clear(o.ID)
		}
	}
	return marked, nil
}
