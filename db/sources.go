package db

import (
	"time"

	"dist.example/oci"
)

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

// SeenAt is a place that an object came from, by their digest and locator.
type SeenAt struct {
	Digest    oci.Digest
	Locator   string
	FirstSeen time.Time
	LastOK    time.Time
}

// SourcesOf lists where some objects can be had from, in no order.
func (tx *Tx) SourcesOf(ds []oci.Digest) ([]SeenAt, error) {
	raws, err := rawArgs(ds)
	if err != nil {
		return nil, err
	}
	var found []SeenAt
	err = inChunks(raws, func(args []any, list string) error {
		return tx.each(`SELECT o.digest, s.locator, s.first_seen, s.last_ok FROM objects o CROSS JOIN sources s ON s.object = o.id
			WHERE o.digest IN (`+list+`)`, args, func(scan func(...any) error) (bool, error) {
			var (
				raw         []byte
				s           SeenAt
				first, last int64
			)
			err := scan(&raw, &s.Locator, &first, &last)
			if err == nil {
				s.Digest, err = oci.DigestFromRaw(raw)
			}
			s.FirstSeen, s.LastOK = fromMilli(first), fromMilli(last)
			found = append(found, s)
			return true, err
		})
	})
	return found, err
}
