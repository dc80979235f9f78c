package blobstore

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"dist.example/blobstore/pack"
	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/oci"
)

// readPacks takes everything out of all packs, in the order of their ids.
func (r *rebuilder) readPacks(ctx context.Context) error {
	entries, err := r.list(packsDir)
	if err != nil {
		return err
	}
	var ids []int64
	for _, e := range entries {
		if id, ok := packID(e.Name()); ok {
			ids = append(ids, id)
		} else {
			r.left("%s/%s is no pack's name", packsDir, e.Name())
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		if err := r.readPack(ctx, id); err != nil {
			return fmt.Errorf("pack %d: %w", id, err)
		}
	}
	return nil
}

// readPack takes what is sound out of one pack, and writes its row.
func (r *rebuilder) readPack(ctx context.Context, id int64) error {
	f, err := r.openContent(r.packPath(id))
	switch {
	case isNoFile(err):
		r.left("%s/%d.pack is no file", packsDir, id)
		return nil
	case errors.Is(err, content.ErrCorrupt):
		r.left("pack %d: %s", id, lastCause(err))
		return nil
	case err != nil:
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	created, own, err := r.readHeader(f, id)
	if err != nil || !own {
		return err
	}
	p := &packReading{r: r, file: f, size: fi.Size(), row: db.Pack{
		ID: id, State: db.PackOpen, End: pack.HeaderSize, Created: created,
	}}
	if err := p.run(ctx); err != nil {
		return err
	}
	if p.row.End < fi.Size() || p.row.End >= pack.MaxPackSize {
		p.row.State = db.PackSealed
	}
	r.packs = append(r.packs, p.row)
	r.report.Packs++
	return r.db.Write(ctx, func(tx *db.Tx) error { return tx.RestorePack(p.row) })
}

// readHeader finds out whether a pack is this store's, and when it was made. A
// header that is damaged and has two of magic, store and id right is written anew;
// what is no pack of this store is reported.
func (r *rebuilder) readHeader(f fsys.File, id int64) (created time.Time, own bool, err error) {
	if fi, err := f.Stat(); err == nil && fi.Size() == 0 {
		return created, false, nil // whoever made it was killed before anything was in it
	}
	h, err := pack.ReadHeader(f)
	switch {
	case errors.Is(err, content.ErrCorrupt):
		if created, own = r.recognise(f, id); own {
			r.mended("the header of pack %d was damaged: it was written again", id)
			_, err := r.rewriteHeader(r.head.UUID, db.Pack{ID: id, Created: created})
			return created, true, err
		}
		r.left("pack %d: %s", id, lastCause(err))
		return created, false, nil
	case errors.Is(err, content.ErrUnsupported):
		r.left("pack %d: %s", id, lastCause(err))
		return created, false, nil
	case err != nil:
		return created, false, err
	case hex.EncodeToString(h.Store[:]) != r.head.UUID || h.ID != uint64(id):
		r.left("pack %d: the file is pack %d of store %x", id, h.ID, h.Store)
		return created, false, nil
	}
	return h.Created, true, nil
}

// recognise compares a damaged header with the one that this pack should have.
func (r *rebuilder) recognise(f fsys.File, id int64) (created time.Time, own bool) {
	fi, err := f.Stat()
	if err != nil || fi.Size() < pack.HeaderSize {
		return created, false
	}
	created = fi.ModTime()
	h, err := packHeader(r.head.UUID, db.Pack{ID: id, Created: created})
	if err != nil {
		return created, false
	}
	is, should := make([]byte, pack.HeaderSize), pack.EncodeHeader(h)
	if _, err := f.ReadAt(is, 0); err != nil {
		return created, false
	}
	right := 0
	for _, field := range [][2]int{{0, 8}, {8, 24}, {24, 32}} { // magic, store, id
		if bytes.Equal(is[field[0]:field[1]], should[field[0]:field[1]]) {
			right++
		}
	}
	return created, right >= 2
}

// packReading is the way of one pack's records into the catalog: a scan finds
// them, several goroutines verify them, one writes their rows, in the order of the
// pack.
type packReading struct {
	r    *rebuilder
	file fsys.File
	size int64
	row  db.Pack
	rows []db.Present // to be written
	live int64
	all  int64 // payload bytes of blobs
}

// verdict is what came out of a batch of records.
type verdict struct {
	good  []db.Present
	notes []pack.Note
	bad   []badRecord
	bytes int64 // payload bytes of blobs, good or not
	seq   int64 // highest number that a change of names may have been given
	end   int64 // of the last record
	gap   *pack.GapError
}

// badRecord is a record that is of no use.
type badRecord struct {
	pack.Entry
	err error
}

func (p *packReading) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(workers() + 2)
	// The writer takes the verdicts in the order of this queue, whichever is ready
	// first.
	queue := make(chan chan verdict, 2*workers())
	g.Go(func() error {
		for next := range queue {
			select {
			case v := <-next:
				if err := p.take(ctx, v); err != nil {
					return err
				}
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return p.flush(ctx)
	})
	err := p.scan(ctx, func(work func() (verdict, error)) error {
		next := make(chan verdict, 1)
		select {
		case queue <- next:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		g.Go(func() error {
			v, err := work()
			next <- v
			return err
		})
		return nil
	})
	close(queue)
	if werr := g.Wait(); werr != nil {
		err = werr
	}
	p.row.Live, p.row.Dead = p.live, p.all-p.live
	return err
}

// scan finds the records and hands them out in batches.
func (p *packReading) scan(ctx context.Context, do func(func() (verdict, error)) error) error {
	var (
		batch []pack.Entry
		bytes int64
	)
	hand := func() error {
		some := batch
		batch, bytes = nil, 0
		if len(some) == 0 {
			return nil
		}
		return do(func() (verdict, error) { return p.judge(ctx, some) })
	}
	for e, err := range pack.Scan(legible{p.file}, p.size, p.size) {
		var lack *pack.GapError
		switch {
		case errors.As(err, &lack):
			if err := hand(); err != nil {
				return err
			}
			if err := do(func() (verdict, error) { return verdict{gap: lack}, nil }); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		}
		batch = append(batch, e)
		if bytes += e.StoredSize; len(batch) == checkBatch || bytes > 4<<20 {
			if err := hand(); err != nil {
				return err
			}
		}
	}
	return hand()
}

// judge verifies a batch of records.
func (p *packReading) judge(ctx context.Context, batch []pack.Entry) (v verdict, err error) {
	for _, e := range batch {
		if err := context.Cause(ctx); err != nil {
			return v, err
		}
		v.end = e.End()
		switch e.Kind {
		case pack.KindBlob:
			v.bytes += e.StoredSize
			_, err = pack.ReadBlob(p.file, e.Record)
			if err == nil {
				v.good = append(v.good, present(e.Record, p.row.ID))
			}
		case pack.KindNote:
			var n pack.Note
			n, err = pack.ReadNote(p.file, e.Record)
			if err == nil && n.Type == pack.NoteRef && counts(n, e.Salvaged) {
				v.seq = max(v.seq, n.Seq)
			}
			if err == nil && e.Salvaged {
				err = errUnwitnessed
			}
			if err == nil {
				v.notes = append(v.notes, n)
			}
		default:
			err = fmt.Errorf("%w: a record of kind %d", content.ErrUnsupported, e.Kind)
		}
		switch {
		case err == nil:
		case errors.Is(err, content.ErrCorrupt), errors.Is(err, content.ErrUnsupported):
			v.bad = append(v.bad, badRecord{e, err})
		default:
			return v, err
		}
	}
	p.r.advance(batch[len(batch)-1].End() - batch[0].Offset)
	return v, nil
}

// errUnwitnessed is why a note behind damage does not count.
var errUnwitnessed = fmt.Errorf("%w: it lies behind damage and may be part of other content", content.ErrCorrupt)

// counts says whether the numbers of changes are to go on above a note's. One behind
// damage is not believed; but it may be when the disk can be read again, and then a
// number that was given out twice would do harm. Who forges one is to leave numbers for
// the others.
func counts(n pack.Note, salvaged bool) bool { return !salvaged || n.Seq <= pack.MaxSeq/2 }

// present is the row of a record.
func present(rec pack.Record, id int64) db.Present {
	hinted, _ := pack.MediaOfHint(rec.MediaHint)
	return db.Present{
		Digest: rec.Digest, Size: rec.RawSize, Media: knownMedia(hinted), Loc: db.LocPack, Pack: id, Off: rec.Offset,
		Stored: rec.StoredSize, Codec: int(rec.Codec), Kind: int(rec.Kind),
	}
}

// take adds a verdict to what is to be written.
func (p *packReading) take(ctx context.Context, v verdict) error {
	p.all += v.bytes
	p.row.End = max(p.row.End, v.end)
	p.r.highest = max(p.r.highest, v.seq)
	if v.gap != nil {
		p.r.lostStretch(p.row.ID, v.gap, p.size)
		p.row.State = db.PackSealed // notes behind damage would not be believed
	}
	for _, b := range v.bad {
		p.r.badRecord(p.row.ID, b)
	}
	for _, n := range v.notes {
		p.r.note(n)
	}
	for _, o := range v.good {
		if oci.HasSuccessors(o.Media) {
			p.r.manifests[o.Digest] = true
		}
	}
	p.rows = append(p.rows, v.good...)
	if len(p.rows) >= rebuildBatch {
		return p.flush(ctx)
	}
	return nil
}

// flush writes the rows of what was taken.
func (p *packReading) flush(ctx context.Context) error {
	written, err := p.r.put(ctx, p.rows)
	p.live += written
	p.rows = p.rows[:0]
	return err
}

// put makes objects present, the first copy of each. It returns the bytes on disk
// of those that were new. sums are of the rows' blocks, nil where there are none.
func (r *rebuilder) put(ctx context.Context, rows []db.Present, sums ...[]byte) (stored int64, err error) {
	if len(rows) == 0 {
		return 0, nil
	}
	err = r.db.Write(ctx, func(tx *db.Tx) error {
		puts, err := tx.PutObjects(rows)
		for i, p := range puts {
			if !p.Adopted {
				stored += rows[i].Stored
				r.report.Objects++
			}
		}
		for i, s := range sums {
			if s == nil || err != nil {
				continue
			}
			err = tx.PutBlockSums(db.BlockSums{Object: puts[i].ID, BlockSize: sumBlock, Sums: s})
		}
		return err
	})
	r.report.Bytes += stored
	return stored, err
}

// lostStretch reports damage between records. Behind the last one it may as well be
// what an append has left.
func (r *rebuilder) lostStretch(id int64, g *pack.GapError, size int64) {
	if g.To < size {
		r.left("pack %d: bytes %d to %d are damaged", id, g.From, g.To)
	}
}

func (r *rebuilder) badRecord(id int64, b badRecord) {
	switch {
	case b.Kind == pack.KindBlob && errors.Is(b.err, content.ErrCorrupt):
		r.bad[b.Digest] = Damage{Digest: b.Digest, Size: b.RawSize, Place: fmt.Sprintf("pack %d", id), Problem: lastCause(b.err)}
	case b.Kind == pack.KindNote:
		r.left("pack %d: the note at %d: %s; a change of a name or a type may be lost", id, b.Offset, lastCause(b.err))
	default:
		r.left("pack %d: the record at %d: %s", id, b.Offset, lastCause(b.err))
	}
}

// note takes what a note tells.
func (r *rebuilder) note(n pack.Note) {
	switch n.Type {
	case pack.NoteMedia:
		if n.Seq >= r.media[n.Digest].Seq {
			r.media[n.Digest] = n
		}
	// Of two changes with one number one was never committed: the earlier, since the
	// number was given out again after it.
	case pack.NoteTrust:
		if was := r.trust[n.Name]; n.Seq > was.Seq || n.Seq == was.Seq && n.When.After(was.When) {
			r.trust[n.Name] = n
		}
	case pack.NoteSetting:
		if was := r.settings[n.Name]; n.Seq > was.Seq || n.Seq == was.Seq && n.When.After(was.When) {
			r.settings[n.Name] = n
		}
	case pack.NoteRef:
		if was, twice := r.changes[n.Seq]; !twice || n.When.After(was.When) {
			r.changes[n.Seq] = n
		}
	}
}

// typeOf is an object's type by its newest note, "" where there is none.
func (r *rebuilder) typeOf(d oci.Digest) string { return knownMedia(r.media[d].Media) }
