package blobstore

import (
	"context"
	"encoding/hex"
	"slices"
	"time"

	"dist.example/blobstore/pack"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/oci"
)

// rescue is what the store has, where the catalog does not look for it, of objects
// that are not good where it does: it was moved after the backup.
type rescue struct {
	wanted map[oci.Digest]db.Object // not good so far
	packs  map[int64]*rescuedPack
	loose  []db.Present
}

type rescuedPack struct {
	created time.Time
	rows    []db.Present
	end     int64 // of its last record
	dead    int64 // payload bytes of blobs that nobody wants
}

// wants fills the list of what is not good.
func (r *restorer) wants() {
	r.rescue = rescue{wanted: map[oci.Digest]db.Object{}, packs: map[int64]*rescuedPack{}}
	for _, o := range slices.Concat(r.bad, r.damagedRows) {
		r.rescue.wanted[o.Digest] = o
	}
}

// inTail takes what is wanted and right of the records behind the end of a pack of
// this store.
func (r *restorer) inTail(f fsys.File, id int64, found []pack.Record) {
	h, err := pack.ReadHeader(f)
	if err != nil || hex.EncodeToString(h.Store[:]) != r.head.UUID || h.ID != uint64(id) {
		return
	}
	p := &rescuedPack{created: h.Created}
	for _, rec := range found {
		p.end = max(p.end, rec.End())
		if _, wanted := r.rescue.wanted[rec.Digest]; wanted && soundRecord(legible{f}, rec) {
			row := present(rec, id)
			row.Media = "" // the catalog knows it
			p.rows = append(p.rows, row)
			delete(r.rescue.wanted, rec.Digest)
		} else {
			p.dead += rec.StoredSize
		}
	}
	if len(p.rows) > 0 {
		r.rescue.packs[id] = p
	}
}

// looseFile takes a file in blobs/ that the catalog does not know, if it is wanted and
// right.
func (r *restorer) looseFile(ctx context.Context, alg, name string) (taken bool, err error) {
	d, ok := digestIn(oci.Algorithm(alg), name)
	if !ok {
		return false, nil
	}
	o, wanted := r.rescue.wanted[d]
	if !wanted {
		return false, nil
	}
	good, err := r.isGood(ctx, d, o.Size)
	if good {
		r.rescue.loose = append(r.rescue.loose, db.Present{Digest: d, Size: o.Size, Loc: db.LocLoose, Stored: o.Size, Kind: o.Kind})
		delete(r.rescue.wanted, d)
	}
	return good, err
}

// rescued says of which objects the report is not to say any more that they are damaged.
func (r *restorer) rescued() {
	still := r.report.Damaged[:0]
	for _, d := range r.report.Damaged {
		if _, wanted := r.rescue.wanted[d.Digest]; wanted {
			still = append(still, d)
			continue
		}
		r.report.Objects++
		r.report.Bytes += d.Size
	}
	r.report.Damaged = still
}

// adopt points the rows of what was rescued to where it is. They are marked damaged.
func (r *restorer) adopt(tx *db.Tx) error {
	if len(r.rescue.loose) > 0 {
		if _, err := tx.PutObjects(r.rescue.loose); err != nil {
			return err
		}
	}
	for id, p := range r.rescue.packs {
		if _, err := tx.PutObjects(p.rows); err != nil {
			return err
		}
		var live int64
		for _, row := range p.rows {
			live += row.Stored
		}
		if err := tx.ExtendPack(db.Pack{ID: id, End: p.end, Live: live, Dead: p.dead, Created: p.created}); err != nil {
			return err
		}
	}
	return nil
}
