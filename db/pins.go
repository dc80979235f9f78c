package db

import "time"

// SetPinned pins a name, or lets go of it, and says whether it is there.
func (tx *Tx) SetPinned(name string, pinned bool) (bool, error) {
	n, err := tx.changed(`UPDATE refs SET pinned = ? WHERE name = ?`, pinned, name)
	return n > 0, err
}

const selectUnpinned = `SELECT unpinned FROM ref_log WHERE name = ? ORDER BY seq DESC LIMIT 1`

// WentPinned says whether a name is gone that was pinned, as far as the history tells.
func (tx *Tx) WentPinned(name string) (pinned bool, err error) {
	_, err = tx.get(selectUnpinned, []any{name}, &pinned)
	return pinned, err
}

// usedPrecision is how exactly the use of a name is kept.
const usedPrecision = time.Hour

// LastUsed is when the name was used or, where nothing has since, set.
func (r Ref) LastUsed() time.Time {
	if r.Used.After(r.Updated) {
		return r.Used
	}
	return r.Updated
}

// UseDue says whether a use of the name now is to be noted: one in an hour is enough.
func (r Ref) UseDue(now time.Time) bool { return now.Sub(r.LastUsed()) >= usedPrecision }

// UseRef notes that what a name stands for is used now, to the hour. A name that is
// not there is no error.
func (tx *Tx) UseRef(name string) error {
	_, err := tx.exec(`UPDATE refs SET used = ? WHERE name = ?`, tx.Now.Truncate(usedPrecision).UnixMilli(), name)
	return err
}
