package db

import (
	"strings"

	"dist.example/oci"
)

// chunkSizes are the numbers of values or rows that statements come in, so that
// a connection has few of them to prepare.
var chunkSizes = [...]int{256, 64, 16, 4, 1}

// chunkFor is the smallest size that takes n values, at most the largest.
func chunkFor(n int) int {
	best := chunkSizes[0]
	for _, size := range chunkSizes {
		if size >= n {
			best = size
		}
	}
	return best
}

// inChunks calls fn for values in chunks, each with a list of as many
// placeholders for IN. The last chunk is filled up with its last value.
func inChunks(values []any, fn func(args []any, list string) error) error {
	for len(values) > 0 {
		size := chunkFor(len(values))
		n := min(size, len(values))
		args := make([]any, size)
		copy(args, values[:n])
		for i := n; i < size; i++ {
			args[i] = values[n-1]
		}
		if err := fn(args, placeholders(size)); err != nil {
			return err
		}
		values = values[n:]
	}
	return nil
}

func placeholders(n int) string { return strings.Repeat("?,", n-1) + "?" }

// rowInsert is an INSERT of many rows a statement. row is one of them with its
// placeholders: ?1 and so on for values that all rows share, then a plain ? for
// each that is the row's own.
type rowInsert struct {
	into, row, after string
	shared, width    int
}

// statement is the INSERT of n rows.
func (in rowInsert) statement(n int) string {
	return "INSERT INTO " + in.into + " VALUES " + strings.Repeat(in.row+",", n-1) + in.row + in.after
}

// insertRows inserts rows, a flat list of the rows' own values, and says how many
// of them were new.
func (tx *Tx) insertRows(in rowInsert, shared, rows []any) (inserted int64, err error) {
	args := make([]any, 0, in.shared+min(len(rows), chunkSizes[0]*in.width))
	for _, size := range chunkSizes {
		for len(rows) >= size*in.width {
			args = append(append(args[:0], shared...), rows[:size*in.width]...)
			n, err := tx.changed(in.statement(size), args...)
			if err != nil {
				return inserted, err
			}
			inserted += n
			rows = rows[size*in.width:]
		}
	}
	return inserted, nil
}

func idArgs(ids []int64) []any {
	args := make([]any, len(ids))
	for i, id := range ids {
		args[i] = id
	}
	return args
}

func rawArgs(ds []oci.Digest) ([]any, error) {
	args := make([]any, len(ds))
	for i, d := range ds {
		raw, err := oci.RawDigest(d)
		if err != nil {
			return nil, err
		}
		args[i] = raw
	}
	return args, nil
}

// mediaID is the id of a media type, written when it is new; nil for "".
func (tx *Tx) mediaID(name string) (any, error) {
	if name == "" {
		return nil, nil
	}
	if id, ok := tx.media[name]; ok {
		return id, nil
	}
	if id, ok := tx.d.knownMedia(name); ok {
		return id, nil
	}
	if _, err := tx.exec(`INSERT INTO media_types (name) VALUES (?) ON CONFLICT DO NOTHING`, name); err != nil {
		return nil, err
	}
	var id int64
	if _, err := tx.get(`SELECT id FROM media_types WHERE name = ?`, []any{name}, &id); err != nil {
		return nil, err
	}
	if tx.media == nil {
		tx.media = map[string]int64{}
	}
	tx.media[name] = id
	return id, nil
}

// knownMedia looks among committed media types, which never change.
func (d *DB) knownMedia(name string) (int64, bool) {
	d.mediaMu.RLock()
	defer d.mediaMu.RUnlock()
	id, ok := d.media[name]
	return id, ok
}

// keepMedia remembers what a transaction committed. Manifests may bring any
// number of types; beyond a thousand they are looked up.
func (d *DB) keepMedia(committed map[string]int64) {
	d.mediaMu.Lock()
	defer d.mediaMu.Unlock()
	for name, id := range committed {
		if len(d.media) < 1000 {
			d.media[name] = id
		}
	}
}
