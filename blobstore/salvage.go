package blobstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"strings"

	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/oci"
)

// Range is a stretch of a blob, in bytes.
type Range struct{ Offset, Length int64 }

// maxSumBlock bounds the blocks that are believed in: one is read at a time.
const maxSumBlock = 16 << 20

// Salvage is the file of a large blob that may be damaged, and which stretches of it
// are. The checksums that tell are no proof: whoever uses what is left checks the
// whole by its digest.
type Salvage struct {
	Size int64
	// Block is how many bytes the stretches are multiples of, but for the blob's end.
	Block int64
	// Bad are the damaged stretches, in order, with something good between them. None
	// when no damage shows.
	Bad []Range

	file fsys.File
}

// ReadAt reads what the file has.
func (v *Salvage) ReadAt(p []byte, off int64) (int, error) { return v.file.ReadAt(p, off) }

// Close closes the file.
func (v *Salvage) Close() error { return v.file.Close() }

// Salvage looks which blocks of a blob's file are still good, be the blob known to be
// damaged or not, by reading all of it. The caller closes what is returned. Errors:
// ErrNotFound where nothing can be told: the blob has no file of its own, or no
// checksums and other bytes than its digest says.
func (s *Store) Salvage(ctx context.Context, d oci.Digest) (*Salvage, error) {
	row, found, err := s.db.Object(ctx, d)
	if err != nil {
		return nil, err
	}
	loose := row.Loc == db.LocLoose || row.Loc == db.LocDamaged && row.Pack == 0
	if !found || !loose {
		return nil, fmt.Errorf("salvage %s: %w: it has no file of its own", d, content.ErrNotFound)
	}
	return s.salvage(ctx, row)
}

func (s *Store) salvage(ctx context.Context, row db.Object) (*Salvage, error) {
	sums, err := s.blockSums(ctx, row)
	if err != nil {
		return nil, err
	}
	f, err := s.openContent(s.blobPath(row.Digest))
	if suspicious(err) {
		return nil, fmt.Errorf("salvage %s: %w: %w", row.Digest, content.ErrNotFound, err)
	}
	if err != nil {
		return nil, fmt.Errorf("salvage %s: %w", row.Digest, fsys.Classify(err))
	}
	v := &Salvage{Size: row.Size, Block: sums.BlockSize, file: f}
	if sums.Sums == nil {
		err = v.whole(ctx, row.Digest)
	} else {
		err = v.compare(ctx, sums.Sums)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("salvage %s: %w", row.Digest, fsys.Classify(err))
	}
	return v, nil
}

// blockSums are the checksums of an object, without Sums where it has none that fit.
func (s *Store) blockSums(ctx context.Context, row db.Object) (sums db.BlockSums, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		sums, err = tx.BlockSums(row.ID)
		return err
	})
	if errors.Is(err, content.ErrNotFound) || err == nil && (!sums.Fit(row.Size) || sums.BlockSize > maxSumBlock) {
		return db.BlockSums{Object: row.ID, BlockSize: sumBlock}, nil
	}
	return sums, err
}

// whole judges a file without checksums: only what is right to its end is of use.
func (v *Salvage) whole(ctx context.Context, d oci.Digest) error {
	got, n, err := hashAll(ctx, v.file, d, func([]byte) {})
	switch {
	case suspicious(err):
	case err != nil:
		return err
	case got == d && n == v.Size:
		return nil
	}
	return fmt.Errorf("%w: its blocks have no sums", content.ErrNotFound)
}

// compare finds the blocks whose checksums are others.
func (v *Salvage) compare(ctx context.Context, sums []byte) error {
	buf := make([]byte, v.Block)
	for i := int64(0); i*v.Block < v.Size; i++ {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		p := buf[:min(v.Block, v.Size-i*v.Block)]
		good, err := goodBlock(v.file, p, i*v.Block, sums[4*i:])
		if err != nil {
			return err
		}
		if !good {
			v.lost(Range{i * v.Block, int64(len(p))})
		}
	}
	return nil
}

// goodBlock reads a block to p and says whether it has the first of sums. What the
// disk cannot read, or the file does not have, is not good.
func goodBlock(f io.ReaderAt, p []byte, off int64, sums []byte) (bool, error) {
	n, err := f.ReadAt(p, off)
	switch {
	case n == len(p):
		return crc32.Checksum(p, castagnoli) == binary.LittleEndian.Uint32(sums), nil
	case errors.Is(err, io.EOF), errors.Is(err, content.ErrCorrupt), errors.Is(err, fs.ErrNotExist):
		return false, nil
	}
	return false, err
}

// lost adds a damaged stretch behind those that are known.
func (v *Salvage) lost(r Range) {
	if n := len(v.Bad); n > 0 && v.Bad[n-1].Offset+v.Bad[n-1].Length == r.Offset {
		v.Bad[n-1].Length += r.Length
		return
	}
	v.Bad = append(v.Bad, r)
}

// toldRanges is how many stretches a line names.
const toldRanges = 8

// describe tells which blocks are damaged, counted from 0: "3 of 512 MiB damaged:
// 17, 203-204".
func (v *Salvage) describe() string {
	var (
		bad   int64
		parts []string
	)
	for i, r := range v.Bad {
		first, n := r.Offset/v.Block, blocks(r.Length, v.Block)
		bad += n
		switch {
		case i > toldRanges:
		case i == toldRanges:
			parts = append(parts, "...")
		case n == 1:
			parts = append(parts, fmt.Sprint(first))
		default:
			parts = append(parts, fmt.Sprintf("%d-%d", first, first+n-1))
		}
	}
	unit := "MiB"
	if v.Block != sumBlock {
		unit = fmt.Sprintf("blocks of %s", oci.HumanSize(v.Block))
	}
	return fmt.Sprintf("%d of %d %s damaged: %s", bad, blocks(v.Size, v.Block), unit, strings.Join(parts, ", "))
}
