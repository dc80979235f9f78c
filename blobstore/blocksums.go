package blobstore

import (
	"encoding/binary"
	"hash/crc32"

	"dist.example/db"
)

const (
	// sumBlock is how much of a blob one checksum is for: the least that is fetched
	// again when a byte of it is damaged.
	sumBlock = 1 << 20
	// sumsFrom is the size beyond which a blob has checksums of its blocks. What is
	// smaller is soon fetched whole.
	sumsFrom = 4 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// blockSums are the checksums of a stream's blocks while it passes. They say where
// a blob is damaged; whether it is, its digest says.
type blockSums struct {
	whole []byte // of full blocks, as the catalog keeps them
	crc   uint32 // of the block that has begun
	n     int64  // bytes seen
}

func (b *blockSums) write(p []byte) {
	for len(p) > 0 {
		k := min(int64(len(p)), sumBlock-b.n%sumBlock)
		b.crc = crc32.Update(b.crc, castagnoli, p[:k])
		if b.n += k; b.n%sumBlock == 0 {
			b.whole = binary.LittleEndian.AppendUint32(b.whole, b.crc)
			b.crc = 0
		}
		p = p[k:]
	}
}

// sums are those of a blob of so many bytes: nil for one that has none, and where
// not all of its bytes have passed.
func (b *blockSums) sums(size int64) []byte {
	switch {
	case size <= sumsFrom || b.n != size:
		return nil
	case b.n%sumBlock == 0:
		return b.whole
	}
	return binary.LittleEndian.AppendUint32(b.whole[:len(b.whole):len(b.whole)], b.crc)
}

// blocks is how many blocks of a size so many bytes have.
func blocks(size, block int64) int64 { return (size + block - 1) / block }

// blockSums writes the checksums that were made while the batch's loose blobs were
// hashed.
func (c *committing) blockSums(tx *db.Tx, ids []int64) error {
	for i, it := range c.b.items {
		if it.sums == nil {
			continue
		}
		if err := tx.PutBlockSums(db.BlockSums{Object: ids[i], BlockSize: sumBlock, Sums: it.sums}); err != nil {
			return err
		}
	}
	return nil
}
