package db

import "time"

const (
	putLook    = `INSERT INTO looks (object, locator, at) VALUES (?,?,?) ON CONFLICT (object, locator) DO UPDATE SET at = excluded.at`
	selectLook = `SELECT at FROM looks WHERE object = ? AND locator = ?`
)

// PutLook notes that locator was asked now what is about an object.
func (tx *Tx) PutLook(object int64, locator string) error {
	_, err := tx.exec(putLook, object, locator, tx.Now.UnixMilli())
	return err
}

// Look is when locator was last asked what is about an object, the zero time for
// never.
func (tx *Tx) Look(object int64, locator string) (time.Time, error) {
	var at int64
	found, err := tx.get(selectLook, []any{object, locator}, &at)
	if err != nil || !found {
		return time.Time{}, err
	}
	return fromMilli(at), nil
}
