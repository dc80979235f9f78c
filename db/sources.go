package db

import "time"

// ObjectSource is a place that an object can be had from.
type ObjectSource struct {
	Object    int64
	Locator   string // host/repository
	FirstSeen time.Time
	LastOK    time.Time
}

var insertSources = rowInsert{
	into: `sources (first_seen, last_ok, object, locator)`, row: `(?1,?1,?,?)`,
	after: ` ON CONFLICT (object, locator) DO UPDATE SET last_ok = excluded.last_ok`, shared: 1, width: 2,
}

// PutSources notes that objects came from their locators now. The times of what
// is passed are not looked at.
func (tx *Tx) PutSources(sources []ObjectSource) error {
	rows := make([]any, 0, 2*len(sources))
	for _, s := range sources {
		rows = append(rows, s.Object, s.Locator)
	}
	_, err := tx.insertRows(insertSources, []any{tx.Now.UnixMilli()}, rows)
	return err
}

const selectSources = `SELECT locator, first_seen, last_ok FROM sources WHERE object = ? ORDER BY last_ok DESC, locator`

// Sources lists where an object can be had from, the latest first.
func (tx *Tx) Sources(object int64) ([]ObjectSource, error) {
	var found []ObjectSource
	err := tx.each(selectSources, []any{object},
		func(scan func(...any) error) (bool, error) {
			var first, last int64
			s := ObjectSource{Object: object}
			err := scan(&s.Locator, &first, &last)
			s.FirstSeen, s.LastOK = fromMilli(first), fromMilli(last)
			found = append(found, s)
			return true, err
		})
	return found, err
}
