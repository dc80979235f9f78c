package db

import (
	"iter"
	"time"

	"dist.example/oci"
)

// Inventory is a set of digests that is somewhere else, with names where that is known.
type Inventory struct {
	ID             int64
	Digest         oci.Digest // by which two of them are one
	Objects, Names int64
}

// InventoryName is a name of an inventory and what it stands for there.
type InventoryName struct {
	Name   string
	Digest oci.Digest
}

const (
	selectInventory       = `SELECT id, objects, names FROM inventories WHERE digest = ?`
	selectInventoryBlocks = `SELECT digests FROM inventory_blocks WHERE inventory = ? ORDER BY id`
	selectInventoryNames  = `SELECT name, digest FROM inventory_names WHERE inventory = ? ORDER BY name`
	giveUpInventories     = `UPDATE inventories SET digest = NULL, created = 0 WHERE digest IS NOT NULL
		AND NOT EXISTS (SELECT 1 FROM sites s WHERE s.inventory = inventories.id)
		AND NOT EXISTS (SELECT 1 FROM bundles b WHERE b.inventory = inventories.id)`
	selectGivenUp = `SELECT id FROM inventories WHERE digest IS NULL AND created < ? LIMIT 1`
)

// BeginInventory makes an inventory that is not used before FinishInventory.
func (tx *Tx) BeginInventory() (id int64, err error) {
	res, err := tx.exec(`INSERT INTO inventories (objects, names, created) VALUES (0, 0, ?)`, tx.Now.UnixMilli())
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

// AddInventoryBlock adds digests, as oci.DigestSet.AppendRaw takes them. The block must
// follow those before it.
func (tx *Tx) AddInventoryBlock(inventory int64, digests []byte) error {
	_, err := tx.exec(`INSERT INTO inventory_blocks (inventory, digests) VALUES (?,?)`, inventory, digests)
	return err
}

var insertInventoryNames = rowInsert{into: `inventory_names (inventory, name, digest)`, row: `(?1,?,?)`, shared: 1, width: 2}

// AddInventoryNames adds names, which must be new.
func (tx *Tx) AddInventoryNames(inventory int64, names []InventoryName) error {
	rows := make([]any, 0, 2*len(names))
	for _, n := range names {
		raw, err := oci.RawDigest(n.Digest)
		if err != nil {
			return err
		}
		rows = append(rows, n.Name, raw)
	}
	_, err := tx.insertRows(insertInventoryNames, []any{inventory}, rows)
	return err
}

// FinishInventory says that an inventory is whole, and returns its id: that of another
// one where there is one with the same digest, and then the first is given up. Errors:
// content.ErrNotFound for one that was given up meanwhile.
func (tx *Tx) FinishInventory(i Inventory) (id int64, err error) {
	was, found, err := tx.InventoryOf(i.Digest)
	if err != nil {
		return 0, err
	}
	if found && was.ID != i.ID {
		return was.ID, tx.DropInventory(i.ID)
	}
	raw, err := oci.RawDigest(i.Digest)
	if err != nil {
		return 0, err
	}
	n, err := tx.changed(`UPDATE inventories SET digest = ?, objects = ?, names = ? WHERE id = ? AND created > 0`, raw, i.Objects, i.Names, i.ID)
	if err == nil && n == 0 {
		err = errNoRow("inventory", i.ID)
	}
	return i.ID, err
}

// InventoryOf finds a whole inventory by its digest; false when there is none.
func (tx *Tx) InventoryOf(d oci.Digest) (i Inventory, found bool, err error) {
	raw, err := oci.RawDigest(d)
	if err != nil {
		return i, false, err
	}
	found, err = tx.get(selectInventory, []any{raw}, &i.ID, &i.Objects, &i.Names)
	i.Digest = d
	return i, found, err
}

// InventoryDigests reads the digests of an inventory into a set.
func (tx *Tx) InventoryDigests(id int64) (set oci.DigestSet, err error) {
	err = tx.each(selectInventoryBlocks, []any{id}, func(scan func(...any) error) (bool, error) {
		var block []byte
		if err := scan(&block); err != nil {
			return false, err
		}
		return true, set.AppendRaw(block)
	})
	return set, err
}

// InventoryNames lists the names of an inventory in order.
func (tx *Tx) InventoryNames(id int64) iter.Seq2[InventoryName, error] {
	return stream(func(yield func(InventoryName) bool) error {
		return tx.each(selectInventoryNames, []any{id}, func(scan func(...any) error) (bool, error) {
			var (
				n   InventoryName
				raw []byte
			)
			err := scan(&n.Name, &raw)
			if err == nil {
				n.Digest, err = digestFrom(raw)
			}
			return err == nil && yield(n), err
		})
	})
}

// DropInventory gives up an inventory that is not whole; any other stays.
func (tx *Tx) DropInventory(id int64) error {
	_, err := tx.exec(`UPDATE inventories SET created = 0 WHERE id = ? AND digest IS NULL`, id)
	return err
}

// GiveUpInventories gives up the whole inventories that no site and no bundle has any
// more. What is left of them is for TrimInventories.
func (tx *Tx) GiveUpInventories() error {
	_, err := tx.exec(giveUpInventories)
	return err
}

// TrimInventories removes some of what is left of inventories that were given up, or
// that somebody began before a time and has not finished. It says whether there may be
// more.
func (tx *Tx) TrimInventories(before time.Time) (more bool, err error) {
	const blocks, names = 100, 1000 // less than 20 ms
	id, found, err := tx.givenUp(before)
	if err != nil || !found {
		return false, err
	}
	if _, err := tx.exec(`UPDATE inventories SET created = 0 WHERE id = ? AND created > 0`, id); err != nil {
		return false, err // from now on nobody finishes it
	}
	for _, trim := range []struct {
		query string
		limit int
	}{
		{`DELETE FROM inventory_blocks WHERE id IN (SELECT id FROM inventory_blocks WHERE inventory = ? LIMIT ?)`, blocks},
		{`DELETE FROM inventory_names WHERE inventory = ?1 AND name IN (SELECT name FROM inventory_names WHERE inventory = ?1 LIMIT ?2)`, names},
	} {
		n, err := tx.changed(trim.query, id, trim.limit)
		if err != nil || n == int64(trim.limit) {
			return true, err
		}
	}
	_, err = tx.exec(`DELETE FROM inventories WHERE id = ?`, id)
	return true, err
}

// AnyToTrim says whether TrimInventories would find something.
func (tx *Tx) AnyToTrim(before time.Time) (bool, error) {
	_, found, err := tx.givenUp(before)
	return found, err
}

// givenUp is an inventory that nothing uses.
func (tx *Tx) givenUp(before time.Time) (id int64, found bool, err error) {
	found, err = tx.get(selectGivenUp, []any{before.UnixMilli()}, &id)
	return id, found, err
}
