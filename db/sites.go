package db

import (
	"database/sql"
	"iter"
	"time"

	"dist.example/oci"
)

// Site is a receiving site. Its JSON is that of notes in packs.
type Site struct {
	Name string `json:"name"`
	// Key is the SubjectPublicKeyInfo of the key that has to sign its receipts, nil for
	// none.
	Key   []byte    `json:"spki,omitempty"`
	Note  string    `json:"note,omitempty"`
	Added time.Time `json:"added"`
	// Store is the id of the store there. It and what follows is as the last receipt
	// says, zero before the first.
	Store   string     `json:"store,omitempty"`
	Receipt oci.Digest `json:"receipt,omitempty"`
	Serial  int64      `json:"serial,omitempty"`
	Made    time.Time  `json:"made,omitzero"`
	Updated time.Time  `json:"updated,omitzero"` // when that receipt came here
	// Inventory is what it has, and Objects and Names count that; 0 where it is not
	// known.
	Inventory int64 `json:"-"`
	Objects   int64 `json:"-"`
	Names     int64 `json:"-"`
}

const (
	selectSites = `SELECT s.name, s.spki_der, s.note, s.added, s.store, s.receipt, s.serial, s.made, s.updated, i.id, i.objects, i.names
		FROM sites s LEFT JOIN inventories i ON i.id = s.inventory AND i.digest IS NOT NULL `
	putSite = `INSERT INTO sites (name, spki_der, note, added, store, receipt, serial, made, updated, inventory) VALUES (?,?,?,?,?,?,?,?,?,?)
		ON CONFLICT (name) DO UPDATE SET spki_der = excluded.spki_der, note = excluded.note, store = excluded.store, receipt = excluded.receipt,
		serial = excluded.serial, made = excluded.made, updated = excluded.updated, inventory = excluded.inventory`
)

// PutSite writes what is known of a site, in place of what was.
func (tx *Tx) PutSite(s Site) error {
	receipt, err := rawOrNull(s.Receipt)
	if err != nil {
		return err
	}
	var key, inventory any
	if len(s.Key) > 0 {
		key = s.Key
	}
	if s.Inventory != 0 {
		inventory = s.Inventory
	}
	_, err = tx.exec(putSite, s.Name, key, s.Note, s.Added.UnixMilli(), s.Store, receipt, s.Serial, milliOrNull(s.Made), milliOrNull(s.Updated), inventory)
	return err
}

// DeleteSite forgets a site; false when there is none of that name.
func (tx *Tx) DeleteSite(name string) (found bool, err error) {
	n, err := tx.changed(`DELETE FROM sites WHERE name = ?`, name)
	return n > 0, err
}

// Site finds a site; false when there is none of that name.
func (tx *Tx) Site(name string) (s Site, found bool, err error) {
	for s, err = range tx.sites(selectSites+`WHERE s.name = ?`, name) {
		return s, err == nil, err
	}
	return s, false, nil
}

// Sites lists all sites by name.
func (tx *Tx) Sites() iter.Seq2[Site, error] { return tx.sites(selectSites + `ORDER BY s.name`) }

func (tx *Tx) sites(query string, args ...any) iter.Seq2[Site, error] {
	return stream(func(yield func(Site) bool) error {
		return tx.each(query, args, func(scan func(...any) error) (bool, error) {
			s, err := scanSite(scan)
			return err == nil && yield(s), err
		})
	})
}

func scanSite(scan func(...any) error) (s Site, err error) {
	var (
		receipt                   []byte
		added                     int64
		made, updated             sql.NullInt64
		inventory, objects, names sql.NullInt64
	)
	err = scan(&s.Name, &s.Key, &s.Note, &added, &s.Store, &receipt, &s.Serial, &made, &updated, &inventory, &objects, &names)
	if err != nil {
		return s, err
	}
	s.Added, s.Made, s.Updated = fromMilli(added), timeFrom(made), timeFrom(updated)
	s.Inventory, s.Objects, s.Names = inventory.Int64, objects.Int64, names.Int64
	s.Receipt, err = nullDigest(receipt)
	return s, err
}
