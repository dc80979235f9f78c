package db

import (
	"database/sql"
	"iter"
	"slices"
)

// AllObjects lists the objects that are held, damaged ones too. What nothing holds comes
// first, then by distance from there, so that who deletes in this order never
// meets a holder; a subject counts as holder of its referrers. Among equals the
// order is that of ids. Where objects hold each other in a circle, they come
// last.
//
// The order is found in memory: 16 bytes an object and 8 an edge. That takes a second or
// two where there are a million, so that the first ones are found and yielded before.
func (tx *Tx) AllObjects() iter.Seq2[Object, error] {
	return stream(func(yield func(Object) bool) error {
		first, err := tx.firstUnheld()
		if err != nil {
			return err
		}
		more, err := tx.yieldObjects(first, yield)
		if err != nil || !more {
			return err
		}
		ids, err := tx.deletionOrder()
		if err != nil {
			return err
		}
		_, err = tx.yieldObjects(ids[len(first):], yield)
		return err
	})
}

// yieldObjects yields the rows of ids; more is false when yield wants no more.
func (tx *Tx) yieldObjects(ids []int64, yield func(Object) bool) (more bool, err error) {
	for chunk := range slices.Chunk(ids, chunkSizes[0]) {
		rows, err := tx.ObjectsByID(chunk)
		if err != nil {
			return false, err
		}
		for _, id := range chunk {
			if o, ok := rows[id]; ok && !yield(o) {
				return false, nil
			}
		}
	}
	return true, nil
}

const selectByDigest = `SELECT id, loc, size, digest FROM objects ORDER BY digest`

// EachByDigest calls fn for all objects in the order of their digests, which it gets in
// the raw form and must not keep; absent ones too, with the size that others say they
// have. It takes a second for a million.
func (tx *Tx) EachByDigest(fn func(id int64, loc Loc, size int64, raw []byte) error) error {
	var (
		id, size int64
		loc      Loc
		raw      sql.RawBytes
		dest     = []any{&id, &loc, &size, &raw}
	)
	return tx.each(selectByDigest, nil, func(scan func(...any) error) (bool, error) {
		if err := scan(dest...); err != nil {
			return false, err
		}
		return true, fn(id, loc, size, raw)
	})
}

// firstLook is how many objects are looked at for the first that nothing holds.
const firstLook = 1000

const selectFirstUnheld = `SELECT id FROM (SELECT id FROM objects WHERE loc NOT IN ` + unheld + ` ORDER BY id LIMIT ?) AS f
	WHERE NOT EXISTS (SELECT 1 FROM edges e CROSS JOIN objects h ON h.id = e.parent WHERE e.child = f.id AND e.role IN (1, 2, 3) AND h.loc NOT IN ` + unheld + `)
	AND NOT EXISTS (SELECT 1 FROM edges e CROSS JOIN objects h ON h.id = e.child WHERE e.parent = f.id AND e.role = 4 AND h.loc NOT IN ` + unheld + `)
	ORDER BY id`

// firstUnheld lists, of the first objects by id, those that nothing holds: what
// deletionOrder begins with.
func (tx *Tx) firstUnheld() (ids []int64, err error) {
	err = tx.eachID(selectFirstUnheld, []any{firstLook}, func(id int64) { ids = append(ids, id) })
	return ids, err
}

// holding says that the object with index holder keeps the one with index held.
type holding struct{ holder, held int32 }

// deletionOrder lists held objects so that holders come before what they hold.
func (tx *Tx) deletionOrder() ([]int64, error) {
	var ids []int64
	err := tx.each(`SELECT id FROM objects WHERE loc NOT IN `+unheld+` ORDER BY id`, nil, func(scan func(...any) error) (bool, error) {
		var id int64
		err := scan(&id)
		ids = append(ids, id)
		return true, err
	})
	if err != nil {
		return nil, err
	}
	var held []holding
	err = tx.each(`SELECT parent, child, role FROM edges`, nil, func(scan func(...any) error) (bool, error) {
		var e Edge
		if err := scan(&e.Parent, &e.Child, &e.Role); err != nil {
			return false, err
		}
		holder, below := e.holds()
		p, okHolder := slices.BinarySearch(ids, holder)
		c, okBelow := slices.BinarySearch(ids, below)
		if okHolder && okBelow {
			held = append(held, holding{int32(p), int32(c)})
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	ordered := make([]int64, 0, len(ids))
	for _, i := range holdersFirst(len(ids), held) {
		ordered = append(ordered, ids[i])
	}
	return ordered, nil
}

// holdersFirst sorts 0 to n-1 level by level: an element comes on the level after
// its last holder. Elements in or below a circle come at the end.
func holdersFirst(n int, held []holding) []int32 {
	slices.SortFunc(held, func(a, b holding) int { return int(a.holder) - int(b.holder) })
	holders := make([]int32, n) // not placed yet, of each element
	for _, h := range held {
		holders[h.held]++
	}
	order := make([]int32, 0, n)
	for i := range n {
		if holders[i] == 0 {
			order = append(order, int32(i))
		}
	}
	for level := 0; level < len(order); {
		end := len(order)
		for _, i := range order[level:end] {
			at, _ := slices.BinarySearchFunc(held, i, func(h holding, i int32) int { return int(h.holder) - int(i) })
			for ; at < len(held) && held[at].holder == i; at++ {
				if holders[held[at].held]--; holders[held[at].held] == 0 {
					order = append(order, held[at].held)
				}
			}
		}
		slices.Sort(order[end:])
		level = end
	}
	for i := range n {
		if holders[i] > 0 {
			order = append(order, int32(i))
		}
	}
	return order
}
