package blobstore

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"dist.example/blobstore/pack"
	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/oci"
)

// gap is a stretch of a pack that holds no record, before its recorded end.
type gap struct{ from, to int64 }

// packs reads all packs up to their recorded ends.
func (c *checker) packs(ctx context.Context) error {
	rows, err := c.packRows(ctx)
	if err != nil {
		return err
	}
	for _, p := range rows {
		if err := c.pack(ctx, p, true); err != nil {
			return err
		}
		if p.State != db.PackDead {
			c.report.Packs++
		}
	}
	return nil
}

func (c *checker) packRows(ctx context.Context) (rows []db.Pack, err error) {
	err = c.s.db.Read(ctx, func(tx *db.Tx) error {
		for p, err := range tx.Packs() {
			if err != nil {
				return err
			}
			rows = append(rows, p)
		}
		return nil
	})
	return rows, err
}

// pack reads what a pack has gained since the last look, and with verify decodes
// and hashes what the catalog says is there. What it cannot read here it leaves to
// the walk over the objects, which looks again.
func (c *checker) pack(ctx context.Context, p db.Pack, verify bool) error {
	from := max(c.ends[p.ID], pack.HeaderSize)
	if p.State == db.PackDead || p.End <= from && c.ends[p.ID] != 0 {
		return nil
	}
	f, err := c.s.openContent(c.s.packPath(p.ID))
	if suspicious(err) {
		return c.fileGone(ctx, p) // its objects tell
	}
	if err != nil {
		return fmt.Errorf("check pack %d: %w", p.ID, fsys.Classify(err))
	}
	defer f.Close()
	if from == pack.HeaderSize {
		if err := c.header(f, p); err != nil {
			return err
		}
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(workers())
	err = c.scan(f, p, from, func(batch []pack.Entry) error {
		g.Go(func() error { return c.records(gctx, f, p, batch, verify) })
		return context.Cause(gctx)
	})
	if werr := g.Wait(); err == nil {
		err = werr
	}
	c.ends[p.ID] = p.End
	return err
}

// fileGone notes that a pack has lost everything, unless it was collected
// meanwhile.
func (c *checker) fileGone(ctx context.Context, p db.Pack) error {
	return c.s.db.Read(ctx, func(tx *db.Tx) error {
		now, found, err := tx.Pack(p.ID)
		if err == nil && found && now.State != db.PackDead {
			c.gap(p.ID, gap{pack.HeaderSize, p.End})
		} else {
			c.moved = true
		}
		return err
	})
}

// header checks whose the pack is.
func (c *checker) header(f fsys.File, p db.Pack) error {
	h, err := pack.ReadHeader(f)
	switch {
	case fsys.Unreadable(err):
		// Writing 64 bytes does not make a bad sector good.
		c.report.Mended = append(c.report.Mended, fmt.Sprintf("the header of pack %d cannot be read: %s", p.ID, lastCause(err)))
	case errors.Is(err, content.ErrUnsupported):
		c.foreign[p.ID] = true
		c.newer("pack %d: %s", p.ID, lastCause(err))
	case errors.Is(err, content.ErrCorrupt):
		c.headers = append(c.headers, p)
	case err != nil:
		return fmt.Errorf("check pack %d: %w", p.ID, fsys.Classify(err))
	case hex.EncodeToString(h.Store[:]) != c.s.head.UUID || h.ID != uint64(p.ID):
		c.complain("pack %d: the file is pack %d of store %x", p.ID, h.ID, h.Store)
	}
	return nil
}

// scan walks the records of a pack from an offset to its end, in batches.
func (c *checker) scan(f fsys.File, p db.Pack, from int64, do func([]pack.Entry) error) error {
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	// Scan begins behind a file's header: shift makes from that place.
	shift := from - pack.HeaderSize
	size := min(p.End, fi.Size())
	var (
		batch []pack.Entry
		bytes int64
		found int64 // payload bytes of blobs
		holes bool
	)
	for e, err := range pack.Scan(shifted{legible{f}, shift}, p.End-shift, size-shift) {
		var lack *pack.GapError
		if errors.As(err, &lack) {
			c.lack(f, p, gap{lack.From + shift, lack.To + shift})
			holes = true
			continue
		}
		if err != nil {
			return fmt.Errorf("check pack %d: %w", p.ID, fsys.Classify(err))
		}
		e.Offset += shift
		batch = append(batch, e)
		if bytes += e.StoredSize; e.Kind == pack.KindBlob {
			found += e.StoredSize
		}
		if len(batch) == checkBatch || bytes > 8<<20 {
			if err := do(batch); err != nil {
				return err
			}
			batch, bytes = nil, 0
		}
	}
	if err := do(batch); err != nil {
		return err
	}
	if from == pack.HeaderSize && !holes && found != p.Live+p.Dead {
		c.complain("pack %d: %d live and %d dead bytes, its records have %d", p.ID, p.Live, p.Dead, found)
	}
	return nil
}

// lack takes a stretch without records. Where the last one only runs past the
// recorded end, the end is wrong.
func (c *checker) lack(f fsys.File, p db.Pack, g gap) {
	c.gap(p.ID, g)
	if rec, err := pack.ReadRecord(f, g.from); err == nil && rec.End() > p.End {
		c.complain("pack %d: its end %d lies within the record at %d", p.ID, p.End, g.from)
	}
}

// shifted is a reader at offsets that are off by that many.
type shifted struct {
	r  io.ReaderAt
	by int64
}

func (s shifted) ReadAt(p []byte, off int64) (int, error) { return s.r.ReadAt(p, off+s.by) }

// gap notes a stretch without records. In a pack of a newer version there may be
// more than this one sees.
func (c *checker) gap(id int64, g gap) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.foreign[id] {
		c.gaps[id] = append(c.gaps[id], g)
	}
}

// inGap says whether a record that the catalog has at off was lost with a gap.
func (c *checker) inGap(id, off int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, g := range c.gaps[id] {
		if g.from <= off && off < g.to {
			return true
		}
	}
	return false
}

// records compares a batch of a pack's records with the catalog.
func (c *checker) records(ctx context.Context, f fsys.File, p db.Pack, batch []pack.Entry, verify bool) error {
	var (
		digests []oci.Digest
		media   []pack.Note
		refs    []noted
	)
	for _, e := range batch {
		switch e.Kind {
		case pack.KindBlob:
			digests = append(digests, e.Digest)
		case pack.KindNote:
			n, err := pack.ReadNote(f, e.Record)
			switch {
			case errors.Is(err, content.ErrCorrupt):
				c.gap(p.ID, gap{e.Offset, e.End()})
			case errors.Is(err, content.ErrUnsupported):
				c.newer("pack %d: the note at %d: %s", p.ID, e.Offset, lastCause(err))
			case err != nil:
				return fmt.Errorf("check pack %d: %w", p.ID, fsys.Classify(err))
			case n.Type == pack.NoteMedia:
				media, digests = append(media, n), append(digests, n.Digest)
			case n.Type == pack.NoteRef:
				refs = append(refs, noted{n, e.Salvaged})
			}
		}
	}
	var rows map[oci.Digest]db.Object
	err := c.s.db.Read(ctx, func(tx *db.Tx) (err error) {
		if rows, err = tx.Objects(digests); err != nil {
			return err
		}
		return c.refNotes(tx, refs)
	})
	if err != nil {
		return err
	}
	for _, n := range media {
		c.noteSays(rows[n.Digest], n)
	}
	for _, e := range batch {
		if row, ok := rows[e.Digest]; ok && e.Kind == pack.KindBlob {
			if err := c.record(ctx, f, p, e, row, verify); err != nil {
				return err
			}
		}
	}
	return nil
}

// record compares a record with the row of its digest. Where the row says that
// the object is here, its bytes are checked.
func (c *checker) record(ctx context.Context, f fsys.File, p db.Pack, e pack.Entry, row db.Object, verify bool) error {
	here := row.Loc == db.LocPack && row.Pack == p.ID && row.Off == e.Offset
	hinted, _ := pack.MediaOfHint(e.MediaHint)
	c.says(row, hinted, here)
	if !here || !verify || agreeing(e.Record, row) != "" {
		return nil
	}
	if !c.pick.takes(row.ID, 0) {
		c.seen.add(row.ID)
		return nil
	}
	data, err := pack.ReadBlob(f, e.Record)
	if err != nil {
		return nil // looked at again with the objects
	}
	c.sound(row)
	return c.edges(ctx, row, data)
}

// agreeing says in what a record and the row that points to it differ, "" for
// nothing.
func agreeing(r pack.Record, row db.Object) string {
	switch {
	case r.Kind != pack.KindBlob || r.Digest != row.Digest:
		return fmt.Sprintf("the record there is %s", r.Digest)
	case r.RawSize != row.Size || r.StoredSize != row.Stored:
		return fmt.Sprintf("it has %d bytes stored as %d, the record %d as %d", row.Size, row.Stored, r.RawSize, r.StoredSize)
	case int(r.Codec) != row.Codec:
		return fmt.Sprintf("it has codec %d, the record %d", row.Codec, r.Codec)
	}
	return ""
}

// sound notes that an object's bytes are right.
func (c *checker) sound(row db.Object) {
	c.seen.add(row.ID)
	c.mu.Lock()
	c.report.Objects++
	c.report.Bytes += row.Stored
	c.mu.Unlock()
	if row.Loc == db.LocPack { // a loose one was told of as it was read
		c.advance(row.Stored)
	}
}
