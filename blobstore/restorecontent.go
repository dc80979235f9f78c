package blobstore

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"dist.example/blobstore/pack"
	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
)

// content finds out which of the objects that the catalog holds are good, and takes
// for each pack the file that has most of them: the one that is here, if both do.
func (r *restorer) content(ctx context.Context) error {
	inPacks := map[int64]int64{}
	var held int64
	err := eachObject(ctx, r.db, func(o db.Object) error {
		if o.Loc == db.LocPack || o.Loc == db.LocDamaged && o.Pack > 0 {
			inPacks[o.Pack]++
		}
		if o.Loc.Held() {
			held++
		}
		return nil
	})
	if err != nil {
		return err
	}
	if held > 0 && len(r.packs)+len(r.staged)+len(r.here) == 0 && !r.holdsContent() {
		return content.WithHint(fmt.Errorf("%w: the backup has the catalog alone, and there is no content that it could be of", content.ErrInvalid),
			"--force restores it over the store that it was made of")
	}
	packs, err := r.packRows(ctx)
	if err != nil {
		return err
	}
	for _, p := range packs {
		if err := r.choose(ctx, p, inPacks[p.ID]); err != nil {
			return fmt.Errorf("pack %d: %w", p.ID, err)
		}
	}
	if err := eachObject(ctx, r.db, func(o db.Object) error { return r.object(ctx, o) }); err != nil {
		return err
	}
	sortDamage(r.report.Damaged)
	r.report.Packs, r.report.Loose = int64(len(r.taken)), int64(len(r.staged))
	r.report.UUID = r.head.UUID
	return nil
}

func (r *restorer) packRows(ctx context.Context) (rows []db.Pack, err error) {
	err = r.db.Read(ctx, func(tx *db.Tx) error {
		t, err := tx.Totals()
		if err == nil {
			r.last, err = tx.LastPackID()
		}
		r.report.Names = t.Names
		for p, perr := range tx.Packs() {
			if perr != nil {
				return perr
			}
			rows = append(rows, p)
		}
		return err
	})
	return rows, err
}

// choose decides which file becomes a pack. One of the store that is longer than the
// catalog says has what came later: it is sealed, so that no writer cuts that off.
func (r *restorer) choose(ctx context.Context, p db.Pack, want int64) error {
	mine, longer, here, err := r.inspect(ctx, r.packPath(p.ID), p)
	if err != nil {
		return err
	}
	if here {
		r.good[p.ID] = &mine.good
	}
	if r.packs[p.ID] && (!here || mine.count < want) {
		theirs, _, came, err := r.inspect(ctx, r.path(restoreDir, filepath.Base(packName(p.ID))), p)
		if err != nil {
			return err
		}
		if came && (!here || theirs.count > mine.count) {
			r.good[p.ID] = &theirs.good
			r.taken = append(r.taken, p.ID)
			return nil
		}
	}
	if longer {
		return r.db.Write(ctx, func(tx *db.Tx) error { return tx.SealPack(p.ID) })
	}
	return nil
}

// inspected is what a pack's file has of what the catalog says.
type inspected struct {
	good  idSet
	count int64
}

// inspect reads a pack's file. ok is false where there is none, or that of another
// store; longer says that it goes on behind its end.
func (r *restorer) inspect(ctx context.Context, name string, p db.Pack) (in *inspected, longer, ok bool, err error) {
	in = &inspected{}
	f, err := r.openContent(name)
	if suspicious(err) {
		return in, false, false, nil
	}
	if err != nil {
		return in, false, false, err
	}
	defer f.Close()
	if h, err := pack.ReadHeader(f); err == nil && (hex.EncodeToString(h.Store[:]) != r.head.UUID || h.ID != uint64(p.ID)) {
		return in, false, false, nil
	}
	c := packCopy{catalog: r.db, p: p, to: io.Discard, good: &in.good, advance: r.advance}
	if err := c.run(ctx, f); err != nil {
		return in, false, false, err
	}
	in.count = c.count
	fi, err := f.Stat()
	return in, err == nil && fi.Size() > p.End, true, err
}

// object looks whether an object is good where it will be.
func (r *restorer) object(ctx context.Context, o db.Object) error {
	var good bool
	var err error
	switch {
	case o.Loc == db.LocPack, o.Loc == db.LocDamaged && o.Pack > 0:
		good, err = r.inPack(o)
	case o.Loc == db.LocLoose, o.Loc == db.LocDamaged:
		if good = r.staged[o.Digest] || r.here[o.Digest]; !good {
			good, err = r.isGood(ctx, o.Digest, o.Size)
		}
	default:
		return nil
	}
	if err != nil {
		return err
	}
	if good {
		if o.Loc == db.LocDamaged {
			r.healed = append(r.healed, o)
		}
		r.report.Objects++
		r.report.Bytes += o.Size
		return nil
	}
	if o.Loc == db.LocDamaged {
		r.damagedRows = append(r.damagedRows, o)
		return r.damaged(ctx, o, foundBefore)
	}
	r.bad = append(r.bad, o)
	return r.damaged(ctx, o, "it is not here, or damaged")
}

// inPack says whether an object is good in the pack that is taken. One that the scan
// has not come to is read before it is called damaged.
func (r *restorer) inPack(o db.Object) (bool, error) {
	if set := r.good[o.Pack]; set == nil || set.has(o.ID) {
		return set != nil, nil // without a file of the pack there is nothing to read
	}
	name := r.packPath(o.Pack)
	if slices.Contains(r.taken, o.Pack) {
		name = r.path(restoreDir, filepath.Base(name))
	}
	f, err := r.openContent(name)
	if suspicious(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	return rightInPack(f, o)
}

func (r *restorer) damaged(ctx context.Context, o db.Object, problem string) error {
	d, err := damageOf(ctx, r.db, o, problem)
	r.report.Damaged = append(r.report.Damaged, d)
	return err
}

// strangers counts what the store has and the catalog does not know, finds in it what
// is not good where the catalog looks for it, and up to which numbers changes of names,
// settings and trust were counted.
func (r *restorer) strangers(ctx context.Context) error {
	packs, err := r.packRows(ctx)
	if err != nil {
		return err
	}
	r.wants()
	ends := map[int64]int64{}
	for _, p := range packs {
		ends[p.ID] = p.End
	}
	entries, err := r.list(packsDir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if id, ok := packID(e.Name()); ok {
			if err := r.tail(ctx, id, max(ends[id], pack.HeaderSize)); err != nil {
				return errors.Join(fmt.Errorf("pack %d: %w", id, err), r.closeRescued())
			}
		}
	}
	if err := r.closeRescued(); err != nil {
		return err
	}
	err = r.unknownLoose(ctx, r.db, func(dir string, e fs.DirEntry) error {
		taken, err := r.looseFile(ctx, filepath.Base(dir), e.Name())
		if err == nil && !taken {
			r.report.Unknown.Objects++
			r.report.Unknown.Bytes += sizeOf(e)
		}
		return err
	})
	r.rescued()
	return err
}

// tail looks at what a pack of the store has behind an offset.
func (r *restorer) tail(ctx context.Context, id, from int64) error {
	f, err := r.openContent(r.packPath(id))
	if suspicious(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	shift := from - pack.HeaderSize
	var found []pack.Record
	for e, err := range pack.Scan(shifted{legible{f}, shift}, fi.Size()-shift, fi.Size()-shift) {
		if errors.Is(err, content.ErrCorrupt) {
			continue
		}
		if err != nil {
			return err
		}
		e.Offset += shift
		if e.Kind == pack.KindBlob {
			found = append(found, e.Record)
		} else if n, err := pack.ReadNote(f, e.Record); err == nil && counts(n, e.Salvaged) {
			r.counters[n.Type] = max(r.counters[n.Type], n.Seq)
		}
	}
	if !slices.Contains(r.taken, id) { // else it gives way
		if err := r.inTail(f, id, found); err != nil {
			return err
		}
	}
	return r.count(ctx, found)
}

// count counts those records whose objects the catalog does not hold.
func (r *restorer) count(ctx context.Context, found []pack.Record) error {
	for len(found) > 0 {
		some := found[:min(len(found), checkBatch)]
		found = found[len(some):]
		digests := make([]oci.Digest, len(some))
		for i, rec := range some {
			digests[i] = rec.Digest
		}
		err := r.db.Read(ctx, func(tx *db.Tx) error {
			rows, err := tx.Objects(digests)
			for _, rec := range some {
				if !rows[rec.Digest].Loc.Held() {
					r.report.Unknown.Objects++
					r.report.Unknown.Bytes += rec.RawSize
				}
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
