package db

import (
	"time"

	"dist.example/oci"
)

// Holding is an object that keeps another one: what refers to it or, with RoleSubject,
// what it is about.
type Holding struct {
	Holder, Held int64
	Role         oci.Role
	Since        int64 // when the holder last was committed or used, in milliseconds; 0 when never
}

// Who holds what is in a list, by ids alone; the list follows. What is given up or
// absent holds nothing.
const (
	selectHoldings = `SELECT e.parent, e.child, e.role, max(ifnull(o.committed, 0), ifnull(o.used, 0))
		FROM edges e CROSS JOIN objects o ON o.id = e.parent WHERE o.loc NOT IN ` + unheld + ` AND e.role IN (1, 2, 3) AND e.child IN `
	selectSubjectHoldings = `SELECT e.child, e.parent, e.role, max(ifnull(o.committed, 0), ifnull(o.used, 0))
		FROM edges e CROSS JOIN objects o ON o.id = e.child WHERE o.loc NOT IN ` + unheld + ` AND e.role = 4 AND e.parent IN `
)

// EachHolding calls fn for everything that holds one of some objects.
func (tx *Tx) EachHolding(ids []int64, fn func(Holding)) error {
	var (
		h    Holding
		dest = []any{&h.Holder, &h.Held, &h.Role, &h.Since}
	)
	return inChunks(idArgs(ids), func(args []any, list string) error {
		for _, query := range []string{selectHoldings, selectSubjectHoldings} {
			err := tx.each(query+`(`+list+`)`, args, func(scan func(...any) error) (bool, error) {
				err := scan(dest...)
				if err == nil {
					fn(h)
				}
				return true, err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

const (
	selectNamesOf     = `SELECT object, name FROM refs WHERE object IN `
	selectLeaseNumsOf = `SELECT object, lease FROM lease_objects WHERE object IN `
	selectLeaseNums   = `SELECT num, id FROM leases`
	selectUndoable    = `SELECT o.id, l.seq, l.name, l.at, l.why FROM ref_log l JOIN objects o ON o.digest = l.old
		WHERE l.keeps = 1 AND l.at > ? ORDER BY l.seq`
	selectUndoableOf = `SELECT o.id, l.seq, l.name, l.at, l.why FROM objects o CROSS JOIN ref_log l ON l.old = o.digest
		WHERE l.keeps = 1 AND l.at > ? AND o.id IN `
)

// EachNameOf calls fn for every name of some objects.
func (tx *Tx) EachNameOf(ids []int64, fn func(object int64, name string)) error {
	return inChunks(idArgs(ids), func(args []any, list string) error {
		return tx.each(selectNamesOf+`(`+list+`)`, args, func(scan func(...any) error) (bool, error) {
			var (
				object int64
				name   string
			)
			err := scan(&object, &name)
			if err == nil {
				fn(object, name)
			}
			return true, err
		})
	})
}

// EachLeaseOf calls fn for every one of some leases that an object of a list is under.
func (tx *Tx) EachLeaseOf(ids []int64, leases []Lease, fn func(object int64, l Lease)) error {
	if len(leases) == 0 {
		return nil
	}
	byNum, err := tx.leaseNums(leases)
	if err != nil {
		return err
	}
	return inChunks(idArgs(ids), func(args []any, list string) error {
		return tx.each(selectLeaseNumsOf+`(`+list+`)`, args, func(scan func(...any) error) (bool, error) {
			var object, num int64
			err := scan(&object, &num)
			if l, ok := byNum[num]; ok && err == nil {
				fn(object, l)
			}
			return true, err
		})
	})
}

func (tx *Tx) leaseNums(leases []Lease) (map[int64]Lease, error) {
	byID, byNum := map[string]Lease{}, map[int64]Lease{}
	for _, l := range leases {
		byID[l.ID] = l
	}
	err := tx.each(selectLeaseNums, nil, func(scan func(...any) error) (bool, error) {
		var (
			num int64
			id  string
		)
		err := scan(&num, &id)
		if l, ok := byID[id]; ok {
			byNum[num] = l
		}
		return true, err
	})
	return byNum, err
}

// EachUndoableChange calls fn, by number, for every change of a name that can be undone
// and was made after since, with the object that the name stood for before.
func (tx *Tx) EachUndoableChange(since time.Time, fn func(object int64, e LogEntry)) error {
	return tx.eachUndoable(selectUndoable, []any{since.UnixMilli()}, fn)
}

// EachUndoableOf is EachUndoableChange for some objects, in no order.
func (tx *Tx) EachUndoableOf(ids []int64, since time.Time, fn func(object int64, e LogEntry)) error {
	return inChunks(idArgs(ids), func(args []any, list string) error {
		return tx.eachUndoable(selectUndoableOf+`(`+list+`)`, append([]any{since.UnixMilli()}, args...), fn)
	})
}

func (tx *Tx) eachUndoable(query string, args []any, fn func(object int64, e LogEntry)) error {
	return tx.each(query, args, func(scan func(...any) error) (bool, error) {
		var (
			object, at int64
			e          = LogEntry{Keeps: true}
		)
		if err := scan(&object, &e.Seq, &e.Name, &at, &e.Why); err != nil {
			return false, err
		}
		e.At = fromMilli(at)
		fn(object, e)
		return true, nil
	})
}
