package db

import (
	"fmt"
	"slices"
	"strings"

	"dist.example/oci"
)

// Integrity has SQLite check the catalog's file and returns its complaints, at
// most limit of them; none for a sound one. It reads the whole file and takes a
// second for some 200 MB. A file that is too broken to be read at all is an error,
// content.ErrCorrupt.
func (tx *Tx) Integrity(limit int) (complaints []string, err error) {
	err = tx.each(fmt.Sprintf("PRAGMA integrity_check(%d)", limit), nil, func(scan func(...any) error) (bool, error) {
		var s string
		err := scan(&s)
		if s != "ok" {
			complaints = append(complaints, s)
		}
		return true, err
	})
	return complaints, err
}

// contradiction is what no transaction leaves, and how to find it: a condition on
// rows of objects, or a query for the number of rows of other tables.
type contradiction struct{ what, how string }

// objectContradictions are conditions on a row of objects; all are looked for in one
// walk. Objects that are doomed may point to packs that are gone.
var objectContradictions = []contradiction{
	{"objects whose digest is none", `NOT (length(digest) = 33 AND substr(digest, 1, 1) = x'01' OR length(digest) = 65 AND substr(digest, 1, 1) = x'02')`},
	{"objects in packs that are not there", `loc NOT IN ` + unheld + ` AND pack IS NOT NULL AND pack NOT IN (SELECT id FROM packs)`},
	{"objects of a media type that is not there", `media IS NOT NULL AND media NOT IN (SELECT id FROM media_types)`},
	{"objects that are absent and in a place", `loc = 0 AND (pack IS NOT NULL OR off IS NOT NULL OR stored <> 0)`},
	{"objects in a pack without a place in it", `loc = 1 AND (pack IS NULL OR off IS NULL OR kind <> 1 OR committed IS NULL)`},
	{"objects in a file and in a pack", `loc = 2 AND (pack IS NOT NULL OR off IS NOT NULL OR stored <> size OR codec <> 0 OR kind <> 0 OR committed IS NULL)`},
	{"objects of a negative size", `size < 0 OR stored < 0`},
	{"objects in a place that is none", `loc NOT BETWEEN 0 AND 4`},
}

// contradictions are queries for numbers of rows.
var contradictions = []contradiction{
	{"objects above the highest id", `SELECT count(*) FROM objects WHERE id > ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'objects'), 0)`},
	{"packs above the highest id", `SELECT count(*) FROM packs WHERE id > ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'packs'), 0)`},
	{"objects behind the end of their pack", `SELECT count(*) FROM objects o JOIN packs p ON p.id = o.pack WHERE o.loc NOT IN ` + unheld + ` AND o.off + o.stored > p."end"`},
	{"packs in a state that is none", `SELECT count(*) FROM packs WHERE state NOT BETWEEN 1 AND 3`},
	{"edges from objects that are not there", `SELECT count(*) FROM edges e WHERE NOT EXISTS (SELECT 1 FROM objects o WHERE o.id = e.parent)`},
	{"edges to objects that are not there", `SELECT count(*) FROM edges e WHERE NOT EXISTS (SELECT 1 FROM objects o WHERE o.id = e.child)`},
	{"edges of a role that is none", `SELECT count(*) FROM edges WHERE role NOT BETWEEN 1 AND 4`},
	{"names of objects that are not there", `SELECT count(*) FROM refs r WHERE NOT EXISTS (SELECT 1 FROM objects o WHERE o.id = r.object)`},
	{"names above the counter of changes", `SELECT (SELECT count(*) FROM refs WHERE seq > n) + (SELECT count(*) FROM ref_log WHERE seq > n)
		FROM (SELECT ifnull((SELECT v FROM meta WHERE k = 'ref_seq'), 0) AS n)`},
	{"leases' holds on objects that are not there", `SELECT count(*) FROM lease_objects l WHERE NOT EXISTS (SELECT 1 FROM objects o WHERE o.id = l.object)`},
	{"holds of leases that are not there", `SELECT count(*) FROM lease_objects l WHERE NOT EXISTS (SELECT 1 FROM leases s WHERE s.num = l.lease)`},
	{"sources of objects that are not there", `SELECT count(*) FROM sources s WHERE NOT EXISTS (SELECT 1 FROM objects o WHERE o.id = s.object)`},
	{"looks at what has no digest", `SELECT count(*) FROM looks WHERE length(digest) NOT IN (33, 65)`},
	{"repositories' holds on objects that are not there", `SELECT count(*) FROM repository_objects r WHERE NOT EXISTS (SELECT 1 FROM objects o WHERE o.id = r.object)`},
	{"holds of repositories that are not there", `SELECT count(*) FROM repository_objects r WHERE NOT EXISTS (SELECT 1 FROM repositories p WHERE p.id = r.repository)`},
	{"sightings of what has no digest", `SELECT count(*) FROM sightings WHERE length(digest) NOT IN (33, 65)`},
	{"searchable objects that are not in the index", `SELECT count(*) FROM search_facts f WHERE NOT EXISTS (SELECT 1 FROM search_docsize d WHERE d.id = f.object)`},
	{"block sums of objects that are not there", `SELECT count(*) FROM block_sums b WHERE NOT EXISTS (SELECT 1 FROM objects o WHERE o.id = b.object)`},
	{"snapshots of layers that are not there", `SELECT count(*) FROM snapshots s WHERE NOT EXISTS (SELECT 1 FROM objects o WHERE o.id = s.object)`},
	{"indexes of layers that are not there", `SELECT count(*) FROM layer_indexes l WHERE NOT EXISTS (SELECT 1 FROM objects o WHERE o.id = l.object)`},
}

// Contradictions looks for rows that point nowhere or contradict themselves, in
// all tables, and returns a sentence for each kind that it finds. It takes a few
// seconds for a million objects.
func (tx *Tx) Contradictions() (found []string, err error) {
	found, err = tx.objectContradictions()
	for _, c := range contradictions {
		if err == nil {
			err = tx.ctx.Err()
		}
		if err != nil {
			return found, err
		}
		var n int64
		if _, err = tx.get(c.how, nil, &n); n > 0 {
			found = append(found, fmt.Sprintf("%s: %d", c.what, n))
		}
	}
	if err != nil {
		return found, err
	}
	sums, err := tx.wrongSums()
	return append(found, sums...), err
}

// objectContradictions counts all kinds of contradictions of objects in one walk.
func (tx *Tx) objectContradictions() (found []string, err error) {
	counts, dest := make([]int64, len(objectContradictions)), make([]any, len(objectContradictions))
	var query strings.Builder
	for i, c := range objectContradictions {
		dest[i] = &counts[i]
		fmt.Fprintf(&query, "%s count(*) FILTER (WHERE %s)", []string{"SELECT", ","}[min(i, 1)], c.how)
	}
	if _, err := tx.get(query.String()+" FROM objects", nil, dest...); err != nil {
		return nil, err
	}
	for i, n := range counts {
		if n > 0 {
			found = append(found, fmt.Sprintf("%s: %d", objectContradictions[i].what, n))
		}
	}
	return found, nil
}

// wrongSums finds packs whose live bytes are not those of the objects in them.
func (tx *Tx) wrongSums() (found []string, err error) {
	live := map[int64]int64{}
	err = tx.each(`SELECT pack, stored FROM objects WHERE pack IS NOT NULL AND loc NOT IN `+unheld, nil, func(scan func(...any) error) (bool, error) {
		var pack, stored int64
		err := scan(&pack, &stored)
		live[pack] += stored
		return true, err
	})
	if err != nil {
		return nil, err
	}
	for p, err := range tx.Packs() {
		if err != nil {
			return found, err
		}
		if p.Live != live[p.ID] || p.Dead < 0 {
			found = append(found, fmt.Sprintf("pack %d: %d live and %d dead bytes, its objects have %d", p.ID, p.Live, p.Dead, live[p.ID]))
		}
	}
	return found, nil
}

// ObjectsAfter lists up to limit rows of objects with an id above after, absent
// ones too, by id.
func (tx *Tx) ObjectsAfter(after int64, limit int) (found []Object, err error) {
	err = tx.eachObject(selectObject+`WHERE o.id > ? ORDER BY o.id LIMIT ?`, []any{after, limit}, func(o Object) (bool, error) {
		found = append(found, o)
		return true, nil
	})
	return found, err
}

// Damaged lists the objects that are marked as damaged.
func (tx *Tx) Damaged() (found []Object, err error) {
	err = tx.eachObject(selectObject+`WHERE o.loc = 3`, nil, func(o Object) (bool, error) {
		found = append(found, o)
		return true, nil
	})
	return found, err
}

// IsBelow says whether one of roots reaches an object along config, layer and manifest
// edges, or is it.
func (tx *Tx) IsBelow(object int64, roots map[int64]bool) (bool, error) {
	seen := map[int64]bool{object: true}
	for frontier := []int64{object}; len(frontier) > 0; {
		if slices.ContainsFunc(frontier, func(id int64) bool { return roots[id] }) {
			return true, nil
		}
		below := frontier
		frontier = nil
		if err := tx.eachParent(below, func(parent int64) {
			if !seen[parent] {
				seen[parent] = true
				frontier = append(frontier, parent)
			}
		}); err != nil {
			return false, err
		}
	}
	return false, nil
}

// HeldAfter lists up to limit ids above after of objects that are held.
func (tx *Tx) HeldAfter(after int64, limit int) (ids []int64, err error) {
	err = tx.each(`SELECT id FROM objects WHERE id > ? AND loc NOT IN `+unsound+` ORDER BY id LIMIT ?`, []any{after, limit},
		func(scan func(...any) error) (bool, error) {
			var id int64
			err := scan(&id)
			ids = append(ids, id)
			return true, err
		})
	return ids, err
}

// NamesAbove lists up to limit names that reach an object: those on it and those
// on what holds it, in no particular order.
func (tx *Tx) NamesAbove(object int64, limit int) (names []string, err error) {
	seen := map[int64]bool{object: true}
	for frontier := []int64{object}; len(frontier) > 0 && len(names) < limit; {
		refs, err := tx.RefsOf(frontier)
		if err != nil {
			return names, err
		}
		for _, r := range refs[:min(len(refs), limit-len(names))] {
			names = append(names, r.Name)
		}
		below := frontier
		frontier = nil
		if err := tx.eachParent(below, func(parent int64) {
			if !seen[parent] {
				seen[parent] = true
				frontier = append(frontier, parent)
			}
		}); err != nil {
			return names, err
		}
	}
	return names, nil
}

func (tx *Tx) eachParent(children []int64, fn func(parent int64)) error {
	return inChunks(idArgs(children), func(args []any, list string) error {
		return tx.each(`SELECT parent FROM edges WHERE role IN (1, 2, 3) AND child IN (`+list+`)`, args, func(scan func(...any) error) (bool, error) {
			var id int64
			err := scan(&id)
			fn(id)
			return true, err
		})
	})
}

// LogAt finds the changes of names with these numbers; what is not in the log,
// because history was cut, is not in the map.
func (tx *Tx) LogAt(seqs []int64) (map[int64]LogEntry, error) {
	found := make(map[int64]LogEntry, len(seqs))
	err := inChunks(idArgs(seqs), func(args []any, list string) error {
		return tx.each(selectLog+`WHERE seq IN (`+list+`)`, args, func(scan func(...any) error) (bool, error) {
			e, err := scanLog(scan)
			found[e.Seq] = e
			return true, err
		})
	})
	return found, err
}

// RefTarget is a name as the catalog has it, without its object's row.
type RefTarget struct {
	Name   string
	Object int64
	Target oci.Digest
	Seq    int64
}

// RefTargets lists all names by byte order, without the rows of what they stand
// for. A name of an object that is not there has no Target.
func (tx *Tx) RefTargets() (refs []RefTarget, err error) {
	err = tx.each(`SELECT r.name, r.object, r.seq, o.digest FROM refs r LEFT JOIN objects o ON o.id = r.object ORDER BY r.name`, nil,
		func(scan func(...any) error) (bool, error) {
			var (
				r   RefTarget
				raw []byte
			)
			if err := scan(&r.Name, &r.Object, &r.Seq, &raw); err != nil {
				return false, err
			}
			r.Target, err = nullDigest(raw)
			refs = append(refs, r)
			return true, err
		})
	return refs, err
}
