package blobstore

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"dist.example/blobstore/pack"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/oci"
)

// rescue is what the store has, where the catalog does not look for it, of objects
// that are not good where it does: it was moved after the backup. Records are copied to
// packs of their own: beside them there are notes of later changes, which the catalog
// is not to count as its own.
type rescue struct {
	wanted map[oci.Digest]db.Object // not good so far
	loose  []db.Present
	packed []db.Present
	packs  []db.Pack // that hold these
	file   fsys.File // the last of them, which is being written; nil before
}

// wants fills the list of what is not good.
func (r *restorer) wants() {
	r.rescue = rescue{wanted: map[oci.Digest]db.Object{}}
	for _, o := range slices.Concat(r.bad, r.damagedRows) {
		r.rescue.wanted[o.Digest] = o
	}
}

// inTail takes what is wanted and right of the records behind the end of a pack of
// this store.
func (r *restorer) inTail(f fsys.File, id int64, found []pack.Record) error {
	h, err := pack.ReadHeader(f)
	if err != nil || hex.EncodeToString(h.Store[:]) != r.head.UUID || h.ID != uint64(id) {
		return nil
	}
	for _, rec := range found {
		if _, wanted := r.rescue.wanted[rec.Digest]; !wanted {
			continue
		}
		p := make([]byte, rec.Len())
		if _, err := (legible{f}).ReadAt(p, rec.Offset); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if read := (shifted{bytesAt(p), -rec.Offset}); !soundRecord(read, rec) {
			continue
		}
		if err := r.record(rec, p); err != nil {
			return err
		}
	}
	return nil
}

// record writes a record to a pack of what was rescued.
func (r *restorer) record(rec pack.Record, p []byte) error {
	v := &r.rescue
	if n := len(v.packs); n == 0 || v.packs[n-1].End+rec.Len() > pack.MaxPackSize {
		if err := r.newRescuePack(); err != nil {
			return err
		}
	}
	to := &v.packs[len(v.packs)-1]
	if _, err := v.file.WriteAt(p, to.End); err != nil {
		return err
	}
	rec.Offset = to.End
	row := present(rec, to.ID)
	row.Media = "" // the catalog knows it
	v.packed = append(v.packed, row)
	to.End, to.Live = rec.End(), to.Live+rec.StoredSize
	delete(v.wanted, rec.Digest)
	return nil
}

// newRescuePack begins a pack, which takes its place with those of the backup.
func (r *restorer) newRescuePack() error {
	if err := r.closeRescued(); err != nil {
		return err
	}
	id, err := r.lastPack()
	if err != nil {
		return err
	}
	r.last = max(r.last, id) + 1
	p := db.Pack{ID: r.last, State: db.PackOpen, End: pack.HeaderSize, Created: time.Now()}
	h, err := packHeader(r.head.UUID, p)
	if err != nil {
		return err
	}
	r.rescue.file, err = r.fs.OpenFile(r.path(restoreDir, filepath.Base(packName(p.ID))), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if _, err := r.rescue.file.WriteAt(pack.EncodeHeader(h), 0); err != nil {
		return err
	}
	r.rescue.packs = append(r.rescue.packs, p)
	r.taken = append(r.taken, p.ID)
	return nil
}

// closeRescued makes the pack that is being written durable.
func (r *restorer) closeRescued() error {
	f := r.rescue.file
	if r.rescue.file = nil; f == nil {
		return nil
	}
	return errors.Join(f.Sync(), f.Close())
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
		r.rescue.loose = append(r.rescue.loose, db.Present{Digest: d, Size: o.Size, Loc: db.LocLoose, Stored: o.Size})
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
	for _, p := range r.rescue.packs {
		if err := tx.RestorePack(p); err != nil {
			return err
		}
	}
	_, err := tx.PutObjects(slices.Concat(r.rescue.loose, r.rescue.packed))
	return err
}
