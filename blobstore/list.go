package blobstore

import (
	"context"
	"fmt"
	"iter"

	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/oci"
)

// mediaType is the object's type; what nobody gave one is bytes.
func mediaType(o db.Object) string {
	if o.Media == "" {
		return oci.MediaTypeOctets
	}
	return o.Media
}

func infoOf(o db.Object) content.Info {
	i := content.Info{
		Digest: o.Digest, Size: o.Size, MediaType: mediaType(o), Stored: o.Stored, Committed: o.Committed,
	}
	switch o.Loc {
	case db.LocPack:
		i.Place = placePack
	case db.LocLoose:
		i.Place = placeLoose
	case db.LocDamaged:
		i.Place = placeDamaged
	}
	return i
}

// InfoOf is what is known of an object by its row.
func InfoOf(o db.Object) content.Info { return infoOf(o) }

// Info implements content.Manager.
func (s *Store) Info(ctx context.Context, d oci.Digest) (content.Info, error) {
	o, found, err := s.db.Object(ctx, d)
	if err == nil && (!found || !o.Loc.Held() && o.Loc != db.LocDamaged) {
		err = fmt.Errorf("blob %s: %w in this store", d, content.ErrNotFound)
	}
	return infoOf(o), err
}

// Infos is Info of many objects, with one look at the catalog. What is not held, and not
// damaged either, is not in the map.
func (s *Store) Infos(ctx context.Context, digests ...oci.Digest) (map[oci.Digest]content.Info, error) {
	rows, err := s.db.Objects(ctx, digests)
	infos := make(map[oci.Digest]content.Info, len(rows))
	for d, o := range rows {
		if o.Loc.Held() || o.Loc == db.LocDamaged {
			infos[d] = infoOf(o)
		}
	}
	return infos, err
}

// All implements content.Manager.
func (s *Store) All(ctx context.Context) iter.Seq2[content.Info, error] {
	return listed(ctx, s, func(tx *db.Tx) iter.Seq2[db.Object, error] { return tx.AllObjects() }, infoOf)
}

// Child is one successor of a manifest, as the catalog knows it.
type Child struct {
	oci.Descriptor
	Role oci.Role
	Held bool // its bytes are here and not known to be damaged
}

// Children lists what a manifest or index that is held refers to, in the order of
// their digests' first appearance, with what is here and what is not.
func (s *Store) Children(ctx context.Context, d oci.Digest) (cs []Child, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		o, found, err := tx.Object(d)
		if err != nil || !found {
			return err
		}
		edges, err := tx.Children(o.ID)
		for _, e := range edges {
			cs = append(cs, Child{descriptor(e.Object), e.Role, e.Loc.Held()})
		}
		return err
	})
	return cs, err
}

// Totals are the numbers of a whole store.
type Totals = db.Totals

// Disk is what a store's catalog takes, and what the file system has.
type Disk struct {
	Catalog, WAL int64  // bytes of catalog.db and of its write-ahead log
	Free         uint64 // bytes that this user has left
	Block        int64  // in what units files get room; 0 where that is not known
}

// Disk tells of the file system that the store is on. Errors: those of asking for the
// room that is left.
func (s *Store) Disk() (Disk, error) {
	free, err := fsys.FreeBytes(s.dir)
	return Disk{Catalog: s.db.Size(), WAL: s.db.WALSize(), Free: free, Block: fsys.BlockSize(s.dir)}, err
}

// Totals counts what the store holds. What is partial is counted as it lies in
// the ingests' files, beyond their last checkpoints.
func (s *Store) Totals(ctx context.Context) (t Totals, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		if t, err = tx.Totals(); err != nil {
			return err
		}
		t.Partial = 0
		for row, err := range tx.Ingests() {
			if err != nil {
				return err
			}
			t.Partial += s.statusOf(row).Offset
		}
		return nil
	})
	return t, err
}

// eachObject walks over all rows of a catalog in pages, each of its own snapshot.
func eachObject(ctx context.Context, d *db.DB, do func(db.Object) error) error {
	for last := int64(0); ; {
		var page []db.Object
		err := d.Read(ctx, func(tx *db.Tx) (err error) {
			page, err = tx.ObjectsAfter(last, checkBatch)
			return err
		})
		if err != nil {
			return err
		}
		for _, o := range page {
			if err := do(o); err != nil {
				return err
			}
		}
		if len(page) < checkBatch {
			return nil
		}
		last = page[len(page)-1].ID
	}
}
