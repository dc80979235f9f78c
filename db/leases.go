package db

import (
	"encoding/json"
	"iter"
	"slices"
	"time"
)

// LeaseKind says who made a lease.
type LeaseKind uint8

// The kinds of leases. Values are stored: never renumber.
const (
	LeaseCommand LeaseKind = 1 // of a command, for as long as it runs
	LeasePut     LeaseKind = 2 // left behind by put or ingest until a name reaches the object
	LeaseUser    LeaseKind = 3 // made by hand
)

// Lease keeps objects that nothing else keeps.
type Lease struct {
	ID      string
	Kind    LeaseKind
	Created time.Time
	Expires time.Time
	Note    string
}

// Counts says whether the lease protects what it holds: it is not expired, its
// owner lives, or it is from the future, that is, the clock was set back.
func (l Lease) Counts(now time.Time, ownerLives bool) bool {
	return ownerLives || l.Expires.After(now) || l.Created.After(now)
}

// PutLease makes a lease. The id must be new.
func (tx *Tx) PutLease(l Lease) error {
	_, err := tx.exec(`INSERT INTO leases (id, kind, created, expires, note) VALUES (?, ?, ?, ?, ?)`,
		l.ID, l.Kind, l.Created.UnixMilli(), l.Expires.UnixMilli(), l.Note)
	return err
}

const (
	selectLease     = `SELECT id, kind, created, expires, note FROM leases `
	leasesBeginning = `WHERE id >= ? AND id < ? ORDER BY id LIMIT ?`
	// The list of objects follows.
	selectPutLeases = `SELECT DISTINCT l.num FROM lease_objects lo CROSS JOIN leases l ON l.num = lo.lease
		WHERE l.kind = 2 AND lo.object IN `
)

// Lease finds a lease; false when there is none.
func (tx *Tx) Lease(id string) (l Lease, found bool, err error) {
	err = tx.eachLease(selectLease+`WHERE id = ?`, []any{id}, func(got Lease) bool {
		l, found = got, true
		return false
	})
	return l, found, err
}

// Leases lists all leases by creation.
func (tx *Tx) Leases() iter.Seq2[Lease, error] {
	return stream(func(yield func(Lease) bool) error {
		return tx.eachLease(selectLease+`ORDER BY created, num`, nil, yield)
	})
}

func (tx *Tx) eachLease(query string, args []any, fn func(Lease) (more bool)) error {
	return tx.each(query, args, func(scan func(...any) error) (bool, error) {
		var (
			l                Lease
			created, expires int64
		)
		if err := scan(&l.ID, &l.Kind, &created, &expires, &l.Note); err != nil {
			return false, err
		}
		l.Created, l.Expires = fromMilli(created), fromMilli(expires)
		return fn(l), nil
	})
}

// LeasesBeginning lists up to limit leases whose id begins with prefix, by id.
func (tx *Tx) LeasesBeginning(prefix string, limit int) ([]Lease, error) {
	var found []Lease
	err := tx.eachLease(selectLease+leasesBeginning, []any{prefix, afterPrefix(prefix), limit},
		func(l Lease) bool { found = append(found, l); return true })
	return found, err
}

// What is under a lease, or in a list of ids, and what that holds is counted.
const (
	selectKept   = `WITH RECURSIVE kept (id) AS (SELECT lo.object FROM leases l JOIN lease_objects lo ON lo.lease = l.num WHERE l.id = ?` + alsoKept
	selectKeptBy = `WITH RECURSIVE kept (id) AS (SELECT value FROM json_each(?)` + alsoKept
	alsoKept     = `
		UNION SELECT e.child FROM kept k CROSS JOIN edges e ON e.parent = k.id AND e.role IN (1, 2, 3)
		UNION SELECT e.parent FROM kept k CROSS JOIN edges e ON e.child = k.id AND e.role = 4)
	SELECT count(*), ifnull(sum(o.stored), 0) FROM kept k CROSS JOIN objects o ON o.id = k.id WHERE o.loc NOT IN ` + unheld
)

// KeptByLease counts the objects that a lease keeps, and the bytes that they take on
// disk: what is under it, what that refers to, and what refers to that as its subject.
// Only what is here counts. It walks: not in a transaction that writes.
func (tx *Tx) KeptByLease(id string) (objects, stored int64, err error) {
	_, err = tx.get(selectKept, []any{id}, &objects, &stored)
	return objects, stored, err
}

// KeptBy is KeptByLease for a lease that has these objects under it.
func (tx *Tx) KeptBy(ids []int64) (objects, stored int64, err error) {
	list, err := json.Marshal(ids)
	if err != nil {
		return 0, 0, err
	}
	_, err = tx.get(selectKeptBy, []any{string(list)}, &objects, &stored)
	return objects, stored, err
}

// RenewLease moves a lease's end and returns the lease. One that has expired holds
// its objects anew. Errors: content.ErrNotFound, also for one that ShrinkLease has begun
// to end.
func (tx *Tx) RenewLease(id string, expires time.Time) (Lease, error) {
	l, found, err := tx.Lease(id)
	if err == nil && (!found || l.Expires.UnixMilli() == endingLease) {
		err = errNoRow("lease", id)
	}
	if err != nil {
		return l, err
	}
	if !l.Expires.After(tx.Now) {
		held, err := tx.LeaseObjects(id)
		if err == nil {
			err = tx.noteChanges(held...)
		}
		if err != nil {
			return l, err
		}
	}
	l.Expires = expires
	_, err = tx.exec(`UPDATE leases SET expires = ? WHERE id = ?`, expires.UnixMilli(), id)
	return l, err
}

// ReleaseLease ends a lease. One that is not there is no error.
func (tx *Tx) ReleaseLease(id string) error {
	_, err := tx.exec(`DELETE FROM lease_objects WHERE lease = (SELECT num FROM leases WHERE id = ?)`, id)
	if err != nil {
		return err
	}
	_, err = tx.exec(`DELETE FROM leases WHERE id = ?`, id)
	return err
}

// ShrinkLease takes up to limit objects from under a lease, and ends it when none is
// left, which gone tells: where a lease holds very many, that is to be no long
// transaction.
func (tx *Tx) ShrinkLease(id string, limit int) (gone bool, err error) {
	n, err := tx.changed(`DELETE FROM lease_objects WHERE (lease, object) IN (SELECT lo.lease, lo.object FROM leases l
		JOIN lease_objects lo ON lo.lease = l.num WHERE l.id = ? LIMIT ?)`, id, limit)
	if err == nil && n == int64(limit) {
		_, err = tx.exec(`UPDATE leases SET expires = ? WHERE id = ?`, endingLease, id)
		return false, err
	}
	if err != nil {
		return false, err
	}
	return true, tx.ReleaseLease(id)
}

// endingLease is when a lease expires that does not hold all of its objects any more.
const endingLease = 0

var insertLeaseObjects = rowInsert{
	into: `lease_objects (lease, object)`, row: `(?1,?)`, after: ` ON CONFLICT DO NOTHING`, shared: 1, width: 1,
}

// HoldObjects puts objects under a lease. Errors: content.ErrNotFound when there
// is no such lease.
func (tx *Tx) HoldObjects(lease string, objects []int64) error {
	var num int64
	found, err := tx.get(`SELECT num FROM leases WHERE id = ?`, []any{lease}, &num)
	if err != nil {
		return err
	}
	if !found {
		return errNoRow("lease", lease)
	}
	sorted := slices.Sorted(slices.Values(objects))
	if _, err := tx.insertRows(insertLeaseObjects, []any{num}, idArgs(sorted)); err != nil {
		return err
	}
	return tx.noteChanges(objects...)
}

// UnholdObjects takes objects from under a lease, save those that a repository
// includes. Neither has to be there.
func (tx *Tx) UnholdObjects(lease string, objects []int64) error {
	return inChunks(idArgs(objects), func(args []any, list string) error {
		_, err := tx.exec(`DELETE FROM lease_objects WHERE lease = (SELECT num FROM leases WHERE id = ?) AND object IN (`+list+`)
			AND NOT EXISTS (SELECT 1 FROM repository_objects r WHERE r.object = lease_objects.object AND r.how NOT IN (3, 4))`,
			append([]any{lease}, args...)...)
		return err
	})
}

// LeaseObjects lists what a lease holds, by id.
func (tx *Tx) LeaseObjects(lease string) ([]int64, error) {
	var ids []int64
	err := tx.each(`SELECT lo.object FROM leases l JOIN lease_objects lo ON lo.lease = l.num WHERE l.id = ? ORDER BY lo.object`, []any{lease},
		func(scan func(...any) error) (bool, error) {
			var id int64
			err := scan(&id)
			ids = append(ids, id)
			return true, err
		})
	return ids, err
}

// EndPutLeases takes objects that a name reaches now out of the leases that put
// left behind, and ends those that hold nothing any more. It returns the ids of
// the leases that ended.
func (tx *Tx) EndPutLeases(reached []int64) (ended []string, err error) {
	touched := map[int64]bool{}
	err = inChunks(idArgs(reached), func(args []any, list string) error {
		return tx.each(selectPutLeases+`(`+list+`)`, args, func(scan func(...any) error) (bool, error) {
			var num int64
			err := scan(&num)
			touched[num] = true
			return true, err
		})
	})
	if err != nil || len(touched) == 0 {
		return nil, err
	}
	for num := range touched {
		id, err := tx.endPutLease(num, reached)
		if err != nil {
			return nil, err
		}
		if id != "" {
			ended = append(ended, id)
		}
	}
	return ended, nil
}

// endPutLease returns the lease's id if it ended.
func (tx *Tx) endPutLease(num int64, reached []int64) (id string, err error) {
	err = inChunks(idArgs(reached), func(args []any, list string) error {
		_, err := tx.exec(`DELETE FROM lease_objects WHERE lease = ? AND object IN (`+list+`)`, append([]any{num}, args...)...)
		return err
	})
	if err != nil {
		return "", err
	}
	empty, err := tx.get(`SELECT id FROM leases WHERE num = ? AND NOT EXISTS (SELECT 1 FROM lease_objects WHERE lease = num)`, []any{num}, &id)
	if err != nil || !empty {
		return "", err
	}
	return id, tx.ReleaseLease(id)
}
