package blobstore

import (
	"context"
	"encoding/hex"
	"errors"
	"io"

	"dist.example/blobstore/pack"
	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/oci"
)

// patched reads a pack, with stretches of an older copy of it in place of what it has
// lost.
type patched struct {
	r, old io.ReaderAt
	spans  stretches // of old, in order
}

func (m *patched) ReadAt(p []byte, off int64) (int, error) {
	n, err := m.r.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return n, err
	}
	clear(p[n:])
	for _, s := range m.spans.behind(off) {
		from, to := max(s[0], off), min(s[1], off+int64(len(p)))
		if from >= to {
			break
		}
		if _, err := m.old.ReadAt(p[from-off:to-off], from); err != nil && !errors.Is(err, io.EOF) {
			return n, err
		}
		n = max(n, int(to-off))
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// mend finds out what an older copy of the pack has that r, which has size bytes, has
// lost: the header, objects that the catalog says are there, and notes. Nothing that is
// good in r is replaced. It returns what has both, and how long that is.
func (c *packCopy) mend(ctx context.Context, r io.ReaderAt, size int64, old fsys.File, store string) (io.ReaderAt, int64, error) {
	fi, err := old.Stat()
	if err != nil {
		return r, size, err
	}
	m := &patched{r: r, old: legible{old}}
	if _, err := pack.ReadHeader(r); errors.Is(err, content.ErrCorrupt) {
		if h, err := pack.ReadHeader(m.old); err == nil && hex.EncodeToString(h.Store[:]) == store && h.ID == uint64(c.p.ID) {
			m.spans.add(0, pack.HeaderSize)
			size = max(size, pack.HeaderSize)
		}
	}
	lost, err := c.lostOf(ctx, m, fi.Size())
	if err != nil {
		return r, size, err
	}
	for _, rec := range lost {
		m.spans.add(rec.Offset, rec.End())
		size = max(size, rec.End())
	}
	return m, size, nil
}

// lostOf lists the records that only the older copy, of size bytes, has sound. Of two
// stores that were one once each has gone on with the pack in its own way: from there
// on the catalog alone says what belongs there.
func (c *packCopy) lostOf(ctx context.Context, m *patched, size int64) (lost []pack.Record, err error) {
	var some []pack.Record
	parted := false
	take := func() error {
		kept, err := c.ofCatalog(ctx, some)
		lost, some = append(lost, kept...), some[:0]
		return err
	}
	for e, err := range pack.Scan(m.old, size, size) {
		switch {
		case errors.Is(err, content.ErrCorrupt):
			continue
		case err != nil:
			return nil, err
		case e.End() > c.p.End:
			return lost, take()
		}
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		is, rerr := pack.ReadRecord(m.r, e.Offset)
		if rerr == nil && soundRecord(m.r, is) {
			parted = parted || is != e.Record
			continue
		}
		if (e.Kind != pack.KindBlob && (parted || e.Salvaged)) || !soundRecord(m.old, e.Record) {
			continue
		}
		if some = append(some, e.Record); len(some) >= checkBatch {
			if err := take(); err != nil {
				return nil, err
			}
		}
	}
	return lost, take()
}

// soundRecord says whether the content of a record is what its digest says.
func soundRecord(r io.ReaderAt, rec pack.Record) bool {
	_, err := pack.ReadBlob(r, rec)
	return err == nil
}

// ofCatalog leaves out the blobs that the catalog does not have there.
func (c *packCopy) ofCatalog(ctx context.Context, recs []pack.Record) (kept []pack.Record, err error) {
	digests := make([]oci.Digest, len(recs))
	for i, rec := range recs {
		digests[i] = rec.Digest
	}
	err = c.catalog.Read(ctx, func(tx *db.Tx) error {
		rows, err := tx.Objects(digests)
		for _, rec := range recs {
			if rec.Kind != pack.KindBlob || c.isRow(rec, rows[rec.Digest]) {
				kept = append(kept, rec)
			}
		}
		return err
	})
	return kept, err
}

// isRow says whether a row is that of a record of this pack, held or marked damaged.
func (c *packCopy) isRow(rec pack.Record, row db.Object) bool {
	return (row.Loc == db.LocPack || row.Loc == db.LocDamaged) && row.Pack == c.p.ID && row.Off == rec.Offset && agreeing(rec, row) == ""
}

// readRow reads a packed object by its row alone, and says whether it is right. What
// only a newer version can read is not known to be wrong.
func (l layout) readRow(o db.Object) (good bool, err error) {
	f, err := l.openContent(l.packPath(o.Pack))
	if suspicious(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	return rightInPack(f, o)
}

func rightInPack(f io.ReaderAt, o db.Object) (bool, error) {
	_, err := pack.ReadBlob(legible{f}, record(o.Digest, o))
	switch {
	case err == nil, errors.Is(err, content.ErrUnsupported):
		return true, nil
	case errors.Is(err, content.ErrCorrupt):
		return false, nil
	}
	return false, err
}

// readLoose reads a loose blob, and says whether it is right.
func (l layout) readLoose(ctx context.Context, d oci.Digest, size int64, advance func(int64)) (bool, error) {
	f, err := l.openContent(l.blobPath(d))
	if suspicious(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || fi.Size() != size {
		return false, err
	}
	got, _, err := hashAll(ctx, f, d, func(p []byte) { advance(int64(len(p))) })
	if errors.Is(err, content.ErrCorrupt) {
		return false, nil
	}
	return got == d, err
}
