package db

import (
	"fmt"
	"strings"
	"time"

	"dist.example/content"
)

// GraphObject is an object as a walk over all of them needs it.
type GraphObject struct {
	ID     int64
	Loc    Loc
	Young  bool  // it was committed or written again after a given time
	Pack   int64 // 0 when it is not in a pack
	Size   int64
	Stored int64
}

// A value costs more to hand over than to take apart: what fits goes into one number, the
// id in its upper half, the pack, the age and the place in the lower, and the size beside
// what is stored, unless one is 2 GiB or more.
const (
	selectGraph = `SELECT (id << 32) | (ifnull(pack, 0) << 4) | (ifnull(committed > ?1 OR used > ?1, 0) << 3) | loc,
		CASE WHEN size <= 0x7fffffff AND stored <= 0x7fffffff THEN (size << 32) | stored ELSE -1 END
		FROM objects WHERE loc <> 0 ORDER BY id`
	selectLarge = `SELECT size, stored FROM objects WHERE id = ?`

	maxHalf  = 1<<31 - 1 // the highest id that fits into half a number,
	maxPacks = 1<<27 - 1 // and the highest of a pack
)

// GraphObjects calls fn for all objects that have bytes, damaged and doomed ones too,
// by id. Errors: content.ErrUnsupported in a catalog that has given out more than two
// thousand million ids.
func (tx *Tx) GraphObjects(young time.Time, fn func(GraphObject)) error {
	if err := tx.halves(); err != nil {
		return err
	}
	var (
		o            GraphObject
		where, sizes int64
		dest         = []any{&where, &sizes}
	)
	return tx.each(selectGraph, []any{young.UnixMilli()}, func(scan func(...any) error) (bool, error) {
		if err := scan(dest...); err != nil {
			return false, err
		}
		o = GraphObject{
			ID: where >> 32, Loc: Loc(where & 7), Young: where&8 != 0, Pack: (where & maxHalf) >> 4,
			Size: sizes >> 32, Stored: sizes & maxHalf,
		}
		if sizes < 0 {
			if _, err := tx.get(selectLarge, []any{o.ID}, &o.Size, &o.Stored); err != nil {
				return false, err
			}
		}
		fn(o)
		return true, nil
	})
}

// halves says whether each id fits into half a number.
func (tx *Tx) halves() error {
	for table, most := range map[string]int64{"objects": maxHalf, "packs": maxPacks} {
		top, err := tx.lastID(table)
		if err != nil {
			return err
		}
		if top > most {
			return content.WithHint(fmt.Errorf("read the catalog: %w: it has given out %d ids of %s", content.ErrUnsupported, top, table),
				"`dist check --rebuild` makes a catalog that begins anew")
		}
	}
	return nil
}

// minRow is what an object takes in the catalog at the least: its row, and its digest
// once more in an index.
const minRow = 96

// GraphSize is how many calls of each function GraphObjects and GraphHolds will make, or
// somewhat more.
func (tx *Tx) GraphSize() (objects, parents, subjects int64, err error) {
	var size int64
	_, err = tx.get(`SELECT (SELECT count(*) FROM edges), (SELECT count(*) FROM edges WHERE role = 4), page_size * page_count
		FROM pragma_page_size, pragma_page_count`, nil, &parents, &subjects, &size)
	if err != nil {
		return 0, 0, 0, err
	}
	// To count objects is to read an index. Ids may be of objects that are gone.
	objects, err = tx.lastID("objects")
	return min(objects, size/minRow), parents - subjects, subjects, err
}

// Hold says that one object holds another. Holds sort by the holder.
type Hold int64

// Holder is the id of the object that holds the other one.
func (h Hold) Holder() int64 { return int64(h >> 32) }

// Held is the id of the object that is held.
func (h Hold) Held() int64 { return int64(h & maxHalf) }

// The ways in which objects hold each other, each ordered by holder, as Holds.
const (
	selectHolds        = `SELECT parent << 32 | child FROM edges WHERE role <> 4 ORDER BY parent`
	selectHeldSubjects = `SELECT child << 32 | parent FROM edges WHERE role = 4 ORDER BY child`
)

// GraphHolds calls parents for all parents and what they refer to, ordered by parent,
// and then subjects for all subjects and their referrers, ordered by subject. Errors are
// those of GraphObjects.
func (tx *Tx) GraphHolds(parents, subjects func(Hold)) error {
	if err := tx.halves(); err != nil {
		return err
	}
	if err := tx.eachHold(selectHolds, parents); err != nil {
		return err
	}
	return tx.eachHold(selectHeldSubjects, subjects)
}

func (tx *Tx) eachHold(query string, fn func(Hold)) error {
	return tx.eachID(query, nil, func(pair int64) { fn(Hold(pair)) })
}

// HeldBy lists the ids of what objects hold: what they refer to but their subjects, and
// their referrers.
func (tx *Tx) HeldBy(ids []int64) (held []int64, err error) {
	for _, query := range []string{
		`SELECT child FROM edges WHERE role <> 4 AND parent IN (?)`,
		`SELECT parent FROM edges WHERE role = 4 AND child IN (?)`,
	} {
		if err = tx.idsIn(query, ids, &held); err != nil {
			return nil, err
		}
	}
	return held, nil
}

// idsIn appends the ids that query yields, in which (?) stands for the list of ids.
func (tx *Tx) idsIn(query string, ids []int64, to *[]int64) error {
	return inChunks(idArgs(ids), func(args []any, list string) error {
		return tx.each(withList(query, list), args, func(scan func(...any) error) (bool, error) {
			var id int64
			err := scan(&id)
			*to = append(*to, id)
			return true, err
		})
	})
}

// EachRefObject calls fn for every name's object.
func (tx *Tx) EachRefObject(fn func(object int64)) error {
	return tx.eachID(`SELECT object FROM refs`, nil, fn)
}

func (tx *Tx) eachID(query string, args []any, fn func(id int64)) error {
	var id int64
	dest := []any{&id}
	return tx.each(query, args, func(scan func(...any) error) (bool, error) {
		if err := scan(dest...); err != nil {
			return false, err
		}
		fn(id)
		return true, nil
	})
}

// EachDoomed calls fn for the id of every doomed object, in order. It reads all rows.
func (tx *Tx) EachDoomed(fn func(id int64)) error {
	return tx.eachID(`SELECT id FROM objects WHERE loc = 4 ORDER BY id`, nil, fn)
}

// What goes with the row of an object.
var withObject = []string{
	`DELETE FROM sources WHERE object IN (?)`,
	`DELETE FROM repository_objects WHERE object IN (?)`,
	`DELETE FROM objects WHERE id IN (?)`,
}

// Forget takes doomed objects out of the catalog, with what they refer to and all
// that is noted about them: their bytes are to be given up. One that something refers
// to stays as an absent one. Absent ones that only these referred to go too. What is
// not doomed (any more) is left alone. Signatures stay: when one was first seen must
// not be forgotten.
func (tx *Tx) Forget(ids []int64) error {
	var doomed, children []int64
	if err := tx.idsIn(`SELECT id FROM objects WHERE loc = 4 AND id IN (?)`, ids, &doomed); err != nil {
		return err
	}
	if err := tx.idsIn(`SELECT child FROM edges WHERE parent IN (?)`, doomed, &children); err != nil {
		return err
	}
	for _, query := range []string{
		`DELETE FROM edges WHERE parent IN (?)`,
		`DELETE FROM lease_objects WHERE object IN (?)`,
		`DELETE FROM block_sums WHERE object IN (?)`,
		`DELETE FROM layer_indexes WHERE object IN (?)`,
		`DELETE FROM snapshots WHERE object IN (?)`,
		`DELETE FROM looks WHERE digest IN (SELECT digest FROM objects WHERE id IN (?))`,
		`UPDATE objects SET loc = 0, pack = NULL, off = NULL, stored = 0, codec = 0, kind = 0, committed = NULL, used = NULL WHERE id IN (?)`,
	} {
		if err := tx.execIn(query, doomed); err != nil {
			return err
		}
	}
	return tx.dropAbsent(append(doomed, children...))
}

// dropAbsent removes, of some objects, the rows of those that are absent and that
// nothing refers to.
func (tx *Tx) dropAbsent(ids []int64) error {
	var useless []int64
	if err := tx.idsIn(`SELECT id FROM objects WHERE loc = 0 AND NOT EXISTS (SELECT 1 FROM edges e WHERE e.child = objects.id) AND id IN (?)`, ids, &useless); err != nil {
		return err
	}
	for _, query := range withObject {
		if err := tx.execIn(query, useless); err != nil {
			return err
		}
	}
	return nil
}

// execIn runs a statement in which (?) stands for a list of ids.
func (tx *Tx) execIn(query string, ids []int64) error {
	return inChunks(idArgs(ids), func(args []any, list string) error {
		_, err := tx.exec(withList(query, list), args...)
		return err
	})
}

func withList(query, list string) string { return strings.Replace(query, "(?)", "("+list+")", 1) }

// Moved is an object whose record was copied to another place in the packs.
type Moved struct {
	ID, From, To int64 // the object, and the offsets of its record
	Stored       int64
}

// MoveObjects points objects to the copies of their records, in pack to instead of
// pack from, where they still are where they were copied from. It returns how many
// bytes moved; the bytes count as dead in from. Counting them as live in to is the
// caller's (GrowPack).
func (tx *Tx) MoveObjects(from, to int64, moves []Moved) (stored int64, err error) {
	for _, m := range moves {
		n, err := tx.changed(`UPDATE objects SET pack = ?, off = ? WHERE id = ? AND loc = 1 AND pack = ? AND off = ?`, to, m.To, m.ID, from, m.From)
		if err != nil {
			return stored, err
		}
		stored += n * m.Stored
	}
	_, err = tx.exec(`UPDATE packs SET live = live - ?, dead = dead + ? WHERE id = ?`, stored, stored, from)
	return stored, err
}

// OldHistory calls fn, in order, with the numbers of changes of names that were made
// before a time and that nothing needs any more. What one transaction changed goes
// together, and not while one of its changes is the last of a name: who undoes it, or
// asks why a name is what it is, has all of it or nothing.
func (tx *Tx) OldHistory(before time.Time, fn func(seqs []int64)) error {
	var (
		group   []int64
		at      int64
		current bool
	)
	end := func() {
		if !current && len(group) > 0 {
			fn(group)
		}
		group, current = nil, false
	}
	err := tx.each(`SELECT l.seq, l.at, EXISTS (SELECT 1 FROM refs r WHERE r.name = l.name AND r.seq = l.seq) FROM ref_log l WHERE l.at <= ? ORDER BY l.seq`,
		[]any{before.UnixMilli()}, func(scan func(...any) error) (bool, error) {
			var (
				seq, when int64
				last      bool
			)
			if err := scan(&seq, &when, &last); err != nil {
				return false, err
			}
			if when != at {
				end()
			}
			at, group, current = when, append(group, seq), current || last
			return true, nil
		})
	end()
	return err
}

// ForgetHistory removes changes of names from the log.
func (tx *Tx) ForgetHistory(seqs []int64) error {
	return tx.execIn(`DELETE FROM ref_log WHERE seq IN (?)`, seqs)
}

// LastChanges finds the number of the newest change in the log of each of some names.
// A name without one is not in the map.
func (tx *Tx) LastChanges(names []string) (map[string]int64, error) {
	found, args := map[string]int64{}, make([]any, len(names))
	for i, n := range names {
		args[i] = n
	}
	err := inChunks(args, func(args []any, list string) error {
		return tx.each(`SELECT name, max(seq) FROM ref_log WHERE name IN (`+list+`) GROUP BY name`, args, func(scan func(...any) error) (bool, error) {
			var (
				name string
				seq  int64
			)
			err := scan(&name, &seq)
			found[name] = seq
			return true, err
		})
	})
	return found, err
}
