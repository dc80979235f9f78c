package db

import (
	"database/sql"
	"iter"
	"time"

	"dist.example/oci"
)

// Ingest is content on its way in. Offset, HashState, BootID and Updated are those
// of the last checkpoint.
type Ingest struct {
	ID        int64 // given by the catalog
	Key       string
	Lease     string     // "" for none
	Expected  oci.Digest // "" when not known
	Total     int64      // -1 when not known
	Offset    int64      // bytes known to be durable
	HashState []byte
	BootID    string
	Source    string // locator, "" for none
	MediaType string // "" when not known
	Started   time.Time
	Updated   time.Time // set by PutIngest
	PID       int
}

const selectIngest = `SELECT id, key, lease, expected, total, "offset", hash_state, boot_id, source, media, started, updated, pid FROM ingests `

// Ingest finds an ingest by its key; false when there is none.
func (tx *Tx) Ingest(key string) (in Ingest, found bool, err error) {
	err = tx.eachIngest(selectIngest+`WHERE key = ?`, []any{key}, func(got Ingest) bool {
		in, found = got, true
		return false
	})
	return in, found, err
}

// Ingests lists all ingests by key.
func (tx *Tx) Ingests() iter.Seq2[Ingest, error] {
	return stream(func(yield func(Ingest) bool) error {
		return tx.eachIngest(selectIngest+`ORDER BY key`, nil, yield)
	})
}

func (tx *Tx) eachIngest(query string, args []any, fn func(Ingest) (more bool)) error {
	return tx.each(query, args, func(scan func(...any) error) (bool, error) {
		in, err := scanIngest(scan)
		return err == nil && fn(in), err
	})
}

func scanIngest(scan func(...any) error) (in Ingest, err error) {
	var (
		expected         sql.RawBytes
		total            sql.NullInt64
		started, updated int64
	)
	err = scan(&in.ID, &in.Key, &in.Lease, &expected, &total, &in.Offset, &in.HashState, &in.BootID,
		&in.Source, &in.MediaType, &started, &updated, &in.PID)
	if err != nil {
		return in, err
	}
	in.Total = -1
	if total.Valid {
		in.Total = total.Int64
	}
	in.Started, in.Updated = fromMilli(started), fromMilli(updated)
	in.Expected, err = nullDigest(expected)
	return in, err
}

// PutIngest writes the row of in.Key, whatever it was before, and its id stays.
func (tx *Tx) PutIngest(in Ingest) error {
	expected, err := rawOrNull(in.Expected)
	if err != nil {
		return err
	}
	var total any
	if in.Total >= 0 {
		total = in.Total
	}
	_, err = tx.exec(`INSERT INTO ingests (key, lease, expected, total, "offset", hash_state, boot_id, source, media, started, updated, pid)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (key) DO UPDATE SET lease = excluded.lease, expected = excluded.expected, total = excluded.total,
		"offset" = excluded."offset", hash_state = excluded.hash_state, boot_id = excluded.boot_id, source = excluded.source,
		media = excluded.media, started = excluded.started, updated = excluded.updated, pid = excluded.pid`,
		in.Key, in.Lease, expected, total, in.Offset, in.HashState, in.BootID, in.Source, in.MediaType,
		in.Started.UnixMilli(), tx.Now.UnixMilli(), in.PID)
	return err
}

// Checkpoint records that an ingest's bytes up to offset are durable, the state
// of their hash (nil for none), and when the ingest had come so far: syncing may
// have taken its time since. Errors: content.ErrNotFound.
func (tx *Tx) Checkpoint(key string, offset int64, hashState []byte, bootID string, at time.Time) error {
	n, err := tx.changed(`UPDATE ingests SET "offset" = ?, hash_state = ?, boot_id = ?, updated = ? WHERE key = ?`,
		offset, hashState, bootID, at.UnixMilli(), key)
	if err == nil && n == 0 {
		return errNoRow("ingest", key)
	}
	return err
}

// DeleteIngest removes an ingest's row. One that is not there is no error.
func (tx *Tx) DeleteIngest(key string) error {
	_, err := tx.exec(`DELETE FROM ingests WHERE key = ?`, key)
	return err
}
