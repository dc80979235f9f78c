package blobstore

import (
	"context"
	"errors"
	"fmt"
	"io"

	"dist.example/blobstore/pack"
	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/oci"
)

// packCopy copies a pack from an offset, that of a record, to its recorded end. Each
// record is read once, verified, and written as it was verified. What is no record, or
// a damaged one, is copied as it is, zeros for what the disk cannot read; at the end
// the copy is as long as the catalog says.
type packCopy struct {
	catalog *db.DB
	p       db.Pack
	from    int64
	to      io.Writer
	good    *idSet // gets the objects that the catalog has there, marked damaged or not, and whose bytes are right
	count   int64  // of them
	advance func(n int64)
	blank   stretches // gets, in order, where the pack could not be read, so that zeros may have been copied

	at    int64 // what is written
	found []pack.Record
	buf   []byte
}

func (c *packCopy) run(ctx context.Context, f fsys.File) error {
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	r := &blanking{legible: legible{f}}
	err = c.copy(ctx, r, fi.Size())
	c.blank = r.blank.ordered()
	return err
}

// mended is run, with what the store has lost and an older copy of the pack has.
func (c *packCopy) mended(ctx context.Context, f, old fsys.File, store string) error {
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	r, size, err := c.mend(ctx, legible{f}, fi.Size(), old, store)
	if err != nil {
		return err
	}
	return c.copy(ctx, r, size)
}

// copy copies from r, which has length bytes.
func (c *packCopy) copy(ctx context.Context, r io.ReaderAt, length int64) error {
	if c.at = c.from; c.at < pack.HeaderSize {
		if err := c.stretch(ctx, r, pack.HeaderSize); err != nil {
			return err
		}
	}
	shift := c.at - pack.HeaderSize
	size := min(c.p.End, length)
	for e, err := range pack.Scan(shifted{r, shift}, c.p.End-shift, size-shift) {
		var lack *pack.GapError
		if errors.As(err, &lack) {
			continue // copied with what follows
		}
		if err != nil {
			return err
		}
		if e.Offset += shift; e.End() > c.p.End {
			break
		}
		err = c.stretch(ctx, r, e.Offset)
		if err == nil {
			err = c.record(ctx, r, e.Record)
		}
		if err != nil {
			return err
		}
	}
	if err := c.stretch(ctx, r, c.p.End); err != nil {
		return err
	}
	return c.compare(ctx)
}

// stretch copies what lies before an offset and is no record.
func (c *packCopy) stretch(ctx context.Context, r io.ReaderAt, to int64) error {
	for c.at < to {
		p := c.space(min(to-c.at, chunk))
		n, err := r.ReadAt(p, c.at)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		clear(p[n:])
		if err := c.write(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// record copies a record, and verifies what it copies.
func (c *packCopy) record(ctx context.Context, r io.ReaderAt, rec pack.Record) error {
	p := c.space(rec.Len())
	n, err := r.ReadAt(p, rec.Offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	clear(p[n:])
	if rec.Kind == pack.KindBlob {
		read := shifted{bytesAt(p), -rec.Offset}
		if again, err := pack.ReadRecord(read, rec.Offset); err == nil && again == rec {
			if _, err := pack.ReadBlob(read, rec); err == nil {
				c.found = append(c.found, rec)
			}
		}
	}
	if len(c.found) >= checkBatch {
		if err := c.compare(ctx); err != nil {
			return err
		}
	}
	return c.write(ctx, p)
}

func (c *packCopy) space(n int64) []byte {
	if int64(cap(c.buf)) < n {
		c.buf = make([]byte, n)
	}
	return c.buf[:n]
}

func (c *packCopy) write(ctx context.Context, p []byte) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	n, err := c.to.Write(p)
	c.at += int64(n)
	c.advance(int64(n))
	return err
}

// compare holds sound records against the rows of their digests.
func (c *packCopy) compare(ctx context.Context) error {
	digests := make([]oci.Digest, len(c.found))
	for i, rec := range c.found {
		digests[i] = rec.Digest
	}
	rows, err := c.catalog.Objects(ctx, digests)
	for _, rec := range c.found {
		row := rows[rec.Digest]
		if c.isRow(rec, row) {
			c.good.add(row.ID)
			c.count++
		}
	}
	c.found = c.found[:0]
	return err
}

// bytesAt reads from memory.
type bytesAt []byte

func (b bytesAt) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off > int64(len(b)) {
		return 0, fmt.Errorf("%w: %d is outside of the record", content.ErrCorrupt, off)
	}
	if n := copy(p, b[off:]); n < len(p) {
		return n, io.EOF
	}
	return len(p), nil
}
