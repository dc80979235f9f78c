package db

import (
	"iter"
	"time"

	"dist.example/oci"
)

// OwnersKept is the owner of a snapshot whose files belong to whom the image says.
const OwnersKept = -1

// Snapshot is a layer that is kept unpacked.
type Snapshot struct {
	ID        int64
	Chain     oci.Digest // chain id of the layer and those below it
	Owner     int        // number of the user that all files belong to, or OwnersKept
	Object    int64      // of the layer
	Layer     oci.Digest // the same; PutSnapshot does not need it
	Dir       string     // name of its folder
	Index     oci.Digest // of the file that has the sums of the others
	Files     int64      // and symbolic links
	Bytes     int64      // that they take on the disk
	Mountable bool       // overlay file systems understand it
	Created   time.Time
	Used      time.Time
	Damaged   bool // it is not used any more
}

const selectSnapshot = `SELECT s.id, s.chain, s.owner, s.object, o.digest, s.dir, s.sum, s.files, s.bytes, s.mountable, s.created, s.used, s.damaged
	FROM snapshots s JOIN objects o ON o.id = s.object `

// PutSnapshot notes a snapshot, unless there is one of that chain and owner that is not
// damaged: made says whether it did.
func (tx *Tx) PutSnapshot(s Snapshot) (made bool, err error) {
	raw, err := rawArgs([]oci.Digest{s.Chain, s.Index})
	if err != nil {
		return false, err
	}
	n, err := tx.changed(`INSERT INTO snapshots (chain, owner, object, dir, sum, files, bytes, mountable, created, used, damaged)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0) ON CONFLICT (chain, owner) WHERE damaged = 0 DO NOTHING`,
		raw[0], s.Owner, s.Object, s.Dir, raw[1], s.Files, s.Bytes, s.Mountable, tx.Now.UnixMilli(), tx.Now.UnixMilli())
	return n > 0, err
}

// Snapshot finds one that is not damaged; false when there is none.
func (tx *Tx) Snapshot(chain oci.Digest, owner int) (s Snapshot, found bool, err error) {
	raw, err := rawArgs([]oci.Digest{chain})
	if err != nil {
		return s, false, err
	}
	return tx.oneSnapshot(`WHERE s.chain = ? AND s.owner = ? AND s.damaged = 0`, raw[0], owner)
}

// SnapshotIn finds the one whose folder has a name; false when there is none.
func (tx *Tx) SnapshotIn(dir string) (s Snapshot, found bool, err error) {
	return tx.oneSnapshot(`WHERE s.dir = ?`, dir)
}

func (tx *Tx) oneSnapshot(where string, args ...any) (s Snapshot, found bool, err error) {
	err = tx.eachSnapshot(selectSnapshot+where, args, func(got Snapshot) bool {
		s, found = got, true
		return false
	})
	return s, found, err
}

// Snapshots lists all, the one first that was not used for longest, and of those used
// together the highest layer: others share the lower ones.
func (tx *Tx) Snapshots() iter.Seq2[Snapshot, error] {
	return stream(func(yield func(Snapshot) bool) error {
		return tx.eachSnapshot(selectSnapshot+`ORDER BY s.used, s.id DESC`, nil, yield)
	})
}

// SnapshotsOf lists those of a layer, or with a chain id.
func (tx *Tx) SnapshotsOf(d oci.Digest) (found []Snapshot, err error) {
	raw, err := rawArgs([]oci.Digest{d, d})
	if err != nil {
		return nil, err
	}
	err = tx.eachSnapshot(selectSnapshot+`WHERE o.digest = ? OR s.chain = ? ORDER BY s.id`, raw, func(s Snapshot) bool {
		found = append(found, s)
		return true
	})
	return found, err
}

func (tx *Tx) eachSnapshot(query string, args []any, fn func(Snapshot) (more bool)) error {
	return tx.each(query, args, func(scan func(...any) error) (bool, error) {
		var (
			s                 Snapshot
			chain, layer, sum []byte
			created, used     int64
		)
		err := scan(&s.ID, &chain, &s.Owner, &s.Object, &layer, &s.Dir, &sum, &s.Files, &s.Bytes, &s.Mountable, &created, &used, &s.Damaged)
		for _, d := range []struct {
			to  *oci.Digest
			raw []byte
		}{{&s.Chain, chain}, {&s.Layer, layer}, {&s.Index, sum}} {
			if err == nil {
				*d.to, err = digestFrom(d.raw)
			}
		}
		if err != nil {
			return false, err
		}
		s.Created, s.Used = fromMilli(created), fromMilli(used)
		return fn(s), nil
	})
}

// UseSnapshot notes that one is used.
func (tx *Tx) UseSnapshot(id int64) error {
	_, err := tx.exec(`UPDATE snapshots SET used = ? WHERE id = ?`, tx.Now.UnixMilli(), id)
	return err
}

// DamageSnapshot notes that one is damaged.
func (tx *Tx) DamageSnapshot(id int64) error {
	_, err := tx.exec(`UPDATE snapshots SET damaged = 1 WHERE id = ?`, id)
	return err
}

// DropSnapshot takes one out of the catalog; its folder is to go then.
func (tx *Tx) DropSnapshot(id int64) error {
	_, err := tx.exec(`DELETE FROM snapshots WHERE id = ?`, id)
	return err
}

// Above lists the ids of an object and of all that hold it: what refers to it, to that, and
// so on, and what those are about.
func (tx *Tx) Above(id int64) (ids []int64, err error) {
	err = tx.eachID(`WITH RECURSIVE above (id) AS (SELECT ?
		UNION SELECT e.parent FROM above a CROSS JOIN edges e ON e.child = a.id AND e.role IN (1, 2, 3)
		UNION SELECT e.child FROM above a CROSS JOIN edges e ON e.parent = a.id AND e.role = 4)
		SELECT id FROM above`, []any{id}, func(id int64) { ids = append(ids, id) })
	return ids, err
}
