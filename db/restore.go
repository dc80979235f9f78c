package db

import (
	"time"

	"dist.example/oci"
)

// These are for who makes a catalog anew from what the packs tell: rows come with
// the numbers and times that they had.

// RestorePack writes the row of a pack with the id that it has, all as given.
// Packs made later get higher ids. The id must be new.
func (tx *Tx) RestorePack(p Pack) error {
	_, err := tx.exec(`INSERT INTO packs (id, state, "end", live, dead, created) VALUES (?, ?, ?, ?, ?, ?)`,
		p.ID, p.State, p.End, p.Live, p.Dead, p.Created.UnixMilli())
	return err
}

// RestoredRef is a name as its newest note tells.
type RestoredRef struct {
	Name    string
	Object  int64 // id of what it stands for
	Seq     int64
	Updated time.Time
}

var insertRefs = rowInsert{into: `refs (used, name, object, seq, updated)`, row: `(?1,?,?,?,?)`, shared: 1, width: 4}

// RestoreRefs writes names as they are given, without a change in the log. They count
// as used now: when they were is lost, and nothing is to go before what is. The
// names must be new, and the objects present: nothing is checked.
func (tx *Tx) RestoreRefs(refs []RestoredRef) error {
	rows := make([]any, 0, 4*len(refs))
	for _, r := range refs {
		rows = append(rows, r.Name, r.Object, r.Seq, r.Updated.UnixMilli())
	}
	_, err := tx.insertRows(insertRefs, []any{tx.Now.UnixMilli()}, rows)
	return err
}

var insertLog = rowInsert{into: `ref_log (seq, name, old, new, at, why, keeps)`, row: `(?,?,?,?,?,?,?)`, width: 7}

// RestoreLog writes changes of names as they are given, save for Media. Each Seq
// must be new. The counter of changes moves to the highest among them, or to
// counter if that is more: numbers that were given out and are not to be given
// again.
func (tx *Tx) RestoreLog(entries []LogEntry, counter int64) error {
	rows := make([]any, 0, 7*len(entries))
	for _, e := range entries {
		old, now, err := rawPair(e.Old, e.New)
		if err != nil {
			return err
		}
		rows = append(rows, e.Seq, e.Name, old, now, e.At.UnixMilli(), e.Why, e.Keeps)
		counter = max(counter, e.Seq)
	}
	if _, err := tx.insertRows(insertLog, nil, rows); err != nil {
		return err
	}
	return tx.raise("ref_seq", counter)
}

// rawPair is rawOrNull of two digests.
func rawPair(a, b oci.Digest) (rawA, rawB any, err error) {
	if rawA, err = rawOrNull(a); err == nil {
		rawB, err = rawOrNull(b)
	}
	return rawA, rawB, err
}
