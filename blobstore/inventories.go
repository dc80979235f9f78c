package blobstore

import (
	"context"
	"crypto/sha256"
	"iter"
	"slices"
	"time"

	"dist.example/db"
	"dist.example/oci"
)

// How inventories are written, so that no transaction takes more than 20 ms.
const (
	inventoryBlock = 512       // digests in a row
	inventoryBytes = 256 << 10 // of digests in a transaction
	inventoryNames = 2000      // names in one
	// inventoryLife is how long one may take to be written.
	inventoryLife = 24 * time.Hour
)

// InventoryName is a name of an inventory and what it stands for there.
type InventoryName = db.InventoryName

// InventoryWriter writes what is somewhere else into the catalog, in many transactions.
// Nothing uses it before TakeReceipt or RecordBundle has had it. It is for one goroutine.
type InventoryWriter struct {
	s         *Store
	ctx       context.Context
	inventory db.Inventory
	block     []byte   // of one algorithm, not full yet
	blocks    [][]byte // to be written
	names     []InventoryName
}

// NewInventory begins an inventory. What is never used goes by itself. Errors:
// content.ErrDenied for a store that can only be read.
func (s *Store) NewInventory(ctx context.Context) (*InventoryWriter, error) {
	if err := s.writable(); err != nil {
		return nil, err
	}
	w := &InventoryWriter{s: s, ctx: ctx}
	err := s.db.Write(ctx, func(tx *db.Tx) (err error) {
		w.inventory.ID, err = tx.BeginInventory()
		return err
	})
	return w, err
}

// AddName adds a name, each once.
func (w *InventoryWriter) AddName(name string, d oci.Digest) error {
	w.inventory.Names++
	if w.names = append(w.names, InventoryName{Name: name, Digest: d}); len(w.names) < inventoryNames {
		return nil
	}
	return w.flush()
}

// AddRaw adds a digest in its raw form; they come in order, each once.
func (w *InventoryWriter) AddRaw(raw []byte) error {
	if len(w.block) > 0 && w.block[0] != raw[0] {
		w.endBlock()
	}
	w.inventory.Objects++
	if w.block = append(w.block, raw...); len(w.block) >= inventoryBlock*len(raw) {
		w.endBlock()
	}
	if len(w.blocks)*inventoryBlock*len(raw) < inventoryBytes {
		return nil
	}
	return w.flush()
}

func (w *InventoryWriter) endBlock() {
	if len(w.block) > 0 {
		w.blocks = append(w.blocks, w.block)
		w.block = nil
	}
}

func (w *InventoryWriter) flush() error {
	blocks, names := w.blocks, w.names
	w.blocks, w.names = nil, nil
	if len(blocks)+len(names) == 0 {
		return nil
	}
	err := w.s.db.Write(w.ctx, func(tx *db.Tx) error {
		for _, b := range blocks {
			if err := tx.AddInventoryBlock(w.inventory.ID, b); err != nil {
				return err
			}
		}
		return tx.AddInventoryNames(w.inventory.ID, names)
	})
	if err == nil {
		w.s.hook("inventory.added")
	}
	return err
}

// end writes what is left, and says by which digest the inventory is known.
func (w *InventoryWriter) end(d oci.Digest) error {
	w.endBlock()
	w.inventory.Digest = d
	return w.flush()
}

// Discard gives up what was written, if it has not been used. It is for who will not use
// it: what is neither used nor discarded goes after a day.
func (w *InventoryWriter) Discard(ctx context.Context) {
	err := w.s.db.Write(ctx, func(tx *db.Tx) error { return tx.DropInventory(w.inventory.ID) })
	if err == nil {
		w.s.trimInventories(ctx)
	}
}

// inventoryOf writes digests as an inventory, unless there is one with the same.
func (s *Store) inventoryOf(ctx context.Context, digests []oci.Digest) (*InventoryWriter, error) {
	raws, err := rawSorted(digests)
	if err != nil {
		return nil, err
	}
	sum := sha256.New()
	for _, raw := range raws {
		sum.Write([]byte(raw))
	}
	d := oci.NewDigest(oci.SHA256, sum)
	known, found := db.Inventory{}, false
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		known, found, err = tx.InventoryOf(d)
		return err
	})
	if err != nil {
		return nil, err
	}
	if found {
		return &InventoryWriter{s: s, ctx: ctx, inventory: known}, nil
	}
	w, err := s.NewInventory(ctx)
	if err != nil {
		return nil, err
	}
	for _, raw := range raws {
		if err := w.AddRaw([]byte(raw)); err != nil {
			return nil, err
		}
	}
	return w, w.end(d)
}

// rawSorted are the raw forms of digests in order, each once.
func rawSorted(digests []oci.Digest) ([]string, error) {
	raws := make([]string, len(digests))
	for i, d := range digests {
		raw, err := oci.RawDigest(d)
		if err != nil {
			return nil, err
		}
		raws[i] = string(raw)
	}
	slices.Sort(raws)
	return slices.Compact(raws), nil
}

// trimInventories removes what is left of inventories that nothing uses. What it cannot
// do, the next one does.
func (s *Store) trimInventories(ctx context.Context) {
	for more := true; more; {
		err := s.db.Write(ctx, func(tx *db.Tx) (err error) {
			more, err = tx.TrimInventories(tx.Now.Add(-inventoryLife))
			return err
		})
		if err != nil {
			return
		}
		s.hook("inventory.trimmed")
	}
}

// InventoryDigests reads the digests of an inventory, by its id; 0 has none.
func (s *Store) InventoryDigests(ctx context.Context, id int64) (set oci.DigestSet, err error) {
	if id == 0 {
		return set, nil
	}
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		set, err = tx.InventoryDigests(id)
		return err
	})
	return set, err
}

// InventoryHere counts the objects of an inventory of which this store knows the size,
// and their bytes, here or not.
func (s *Store) InventoryHere(ctx context.Context, set *oci.DigestSet) (objects, bytes int64, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		return tx.EachByDigest(func(_ int64, _ db.Loc, size int64, raw []byte) error {
			if set.HasRaw(raw) {
				objects++
				bytes += size
			}
			return nil
		})
	})
	return objects, bytes, err
}

// InventoryNames lists the names of an inventory in order, by its id; 0 has none.
func (s *Store) InventoryNames(ctx context.Context, id int64) iter.Seq2[InventoryName, error] {
	return listed(ctx, s, func(tx *db.Tx) iter.Seq2[InventoryName, error] { return tx.InventoryNames(id) },
		func(n InventoryName) InventoryName { return n })
}
