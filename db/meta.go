package db

// Meta reads a setting; false when it is not set.
func (tx *Tx) Meta(key string) (value string, found bool, err error) {
	found, err = tx.get(`SELECT v FROM meta WHERE k = ?`, []any{key}, &value)
	return value, found, err
}

// SetMeta writes a setting.
func (tx *Tx) SetMeta(key, value string) error {
	_, err := tx.exec(`INSERT INTO meta (k, v) VALUES (?, ?) ON CONFLICT (k) DO UPDATE SET v = excluded.v`, key, value)
	return err
}

// DeleteMeta takes a setting back. What is not set is no error.
func (tx *Tx) DeleteMeta(key string) error {
	_, err := tx.exec(`DELETE FROM meta WHERE k = ?`, key)
	return err
}

// NextSettingSeq advances the counter of the notes about settings.
func (tx *Tx) NextSettingSeq() (seq int64, err error) { return tx.nextOf("setting_seq") }

// RaiseSettingSeq lets the counter go on above seq.
func (tx *Tx) RaiseSettingSeq(seq int64) error { return tx.raise("setting_seq", seq) }

// nextOf advances a counter.
func (tx *Tx) nextOf(counter string) (seq int64, err error) {
	_, err = tx.exec(`INSERT INTO meta (k, v) VALUES (?, 1) ON CONFLICT (k) DO UPDATE SET v = v + 1`, counter)
	if err != nil {
		return 0, err
	}
	_, err = tx.get(`SELECT v FROM meta WHERE k = ?`, []any{counter}, &seq)
	return seq, err
}

// raise lets a counter go on above seq.
func (tx *Tx) raise(counter string, seq int64) error {
	_, err := tx.exec(`INSERT INTO meta (k, v) VALUES (?, ?) ON CONFLICT (k) DO UPDATE SET v = max(v, excluded.v)`, counter, seq)
	return err
}

// Count is a number of objects, their size and what they take on disk.
type Count struct {
	Objects, Bytes, Stored int64
}

// Totals is the store in numbers.
type Totals struct {
	Objects map[Loc]Count
	Packs   map[PackState]Count // Objects counts packs, Bytes their ends, Stored live bytes
	Dead    int64               // bytes in packs that nothing points to
	DeadIn  map[PackState]int64 // the same for the packs of each state
	GivenUp int64               // bytes of loose blobs that are doomed
	Names   int64
	Changes int64 // of names, in the history
	Leases  int64
	Ingests int64
	Partial int64 // durable bytes of ingests
	// Snapshots are layers that are kept unpacked, and the bytes of their files.
	Snapshots, Unpacked int64
	Version             int // of the schema
	// Generation counts the transactions that have changed something, from when the
	// catalog was made.
	Generation int64
}

// Totals counts everything. It reads all rows of objects: half a second for a
// million.
func (tx *Tx) Totals() (Totals, error) {
	t := Totals{Objects: map[Loc]Count{}, Packs: map[PackState]Count{}, DeadIn: map[PackState]int64{}}
	err := tx.each(`SELECT loc, count(*), sum(size), sum(stored), sum(iif(pack IS NULL, stored, 0)) FROM objects GROUP BY loc`, nil, func(scan func(...any) error) (bool, error) {
		var (
			loc   Loc
			c     Count
			loose int64
		)
		err := scan(&loc, &c.Objects, &c.Bytes, &c.Stored, &loose)
		if t.Objects[loc] = c; loc == LocDoomed {
			t.GivenUp = loose
		}
		return true, err
	})
	if err != nil {
		return t, err
	}
	err = tx.each(`SELECT state, count(*), sum("end"), sum(live), sum(dead) FROM packs GROUP BY state`, nil, func(scan func(...any) error) (bool, error) {
		var (
			state PackState
			c     Count
			dead  int64
		)
		err := scan(&state, &c.Objects, &c.Bytes, &c.Stored, &dead)
		t.Packs[state] = c
		t.DeadIn[state] = dead
		t.Dead += dead
		return true, err
	})
	if err != nil {
		return t, err
	}
	_, err = tx.get(`SELECT (SELECT count(*) FROM refs), (SELECT count(*) FROM leases), (SELECT count(*) FROM ingests),
		(SELECT ifnull(sum("offset"), 0) FROM ingests), (SELECT user_version FROM pragma_user_version),
		(SELECT count(*) FROM ref_log), (SELECT generation FROM head), (SELECT count(*) FROM snapshots), (SELECT ifnull(sum(bytes), 0) FROM snapshots)`, nil,
		&t.Names, &t.Leases, &t.Ingests, &t.Partial, &t.Version, &t.Changes, &t.Generation, &t.Snapshots, &t.Unpacked)
	return t, err
}

// Generation counts the transactions that have changed something: it is never the same
// for two states of a store, and goes on above what it was when the catalog is made anew.
func (tx *Tx) Generation() (n int64, err error) {
	_, err = tx.get(`SELECT generation FROM head`, nil, &n)
	return n, err
}

// Size is that of the catalog's file in bytes, without the write-ahead log.
func (d *DB) Size() int64 {
	fi, err := d.fs.Stat(d.file)
	if err != nil {
		return 0
	}
	return fi.Size()
}

// WALSize is the length of the write-ahead log in bytes.
func (d *DB) WALSize() int64 { return d.walSize(d.fs) }

const selectTakes = `SELECT (SELECT ifnull(sum("end"), 0) FROM packs),
	(SELECT ifnull(sum(stored), 0) FROM objects WHERE pack IS NULL AND stored > 0),
	(SELECT ifnull(sum(bytes), 0) FROM snapshots)`

// Takes is how many bytes packs, loose blobs and snapshots have on the disk: packs up to
// their ends, blobs and snapshots until their rows say that they are gone. It looks at each
// loose blob.
func (tx *Tx) Takes() (packs, loose, snapshots int64, err error) {
	_, err = tx.get(selectTakes, nil, &packs, &loose, &snapshots)
	return packs, loose, snapshots, err
}
