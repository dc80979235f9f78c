package db

import (
	"time"

	"dist.example/oci"
)

const (
	putLook    = `INSERT INTO looks (digest, locator, at) VALUES (?,?,?) ON CONFLICT (digest, locator) DO UPDATE SET at = excluded.at`
	selectLook = `SELECT at FROM looks WHERE digest = ? AND locator = ?`
)

// PutLook notes that locator was asked now what is about d, which need not be an
// object of the catalog.
func (tx *Tx) PutLook(d oci.Digest, locator string) error {
	raw, err := oci.RawDigest(d)
	if err != nil {
		return err
	}
	_, err = tx.exec(putLook, raw, locator, tx.Now.UnixMilli())
	return err
}

// Look is when locator was last asked what is about d, the zero time for never.
func (tx *Tx) Look(d oci.Digest, locator string) (time.Time, error) {
	raw, err := oci.RawDigest(d)
	if err != nil {
		return time.Time{}, err
	}
	var at int64
	found, err := tx.get(selectLook, []any{raw, locator}, &at)
	if err != nil || !found {
		return time.Time{}, err
	}
	return fromMilli(at), nil
}
