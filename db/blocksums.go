package db

// BlockSums are the checksums of a blob's blocks, which say where it is damaged.
type BlockSums struct {
	Object    int64
	BlockSize int64  // bytes; the last block may have less
	Sums      []byte // CRC-32C of each block, 4 bytes little endian, in order
}

// Fit says whether they can be those of a blob of so many bytes.
func (b BlockSums) Fit(size int64) bool {
	return b.BlockSize > 0 && size > 0 && int64(len(b.Sums)) == 4*((size-1)/b.BlockSize+1)
}

// PutBlockSums notes an object's checksums, in place of others.
func (tx *Tx) PutBlockSums(b BlockSums) error {
	_, err := tx.exec(`INSERT INTO block_sums (object, block_size, sums) VALUES (?, ?, ?)
		ON CONFLICT (object) DO UPDATE SET block_size = excluded.block_size, sums = excluded.sums`, b.Object, b.BlockSize, b.Sums)
	return err
}

// BlockSums are an object's checksums as the catalog has them. Errors:
// content.ErrNotFound where it has none.
func (tx *Tx) BlockSums(object int64) (BlockSums, error) {
	b := BlockSums{Object: object}
	found, err := tx.get(`SELECT block_size, sums FROM block_sums WHERE object = ?`, []any{object}, &b.BlockSize, &b.Sums)
	if err == nil && !found {
		err = errNoRow("block sums of object", object)
	}
	return b, err
}
