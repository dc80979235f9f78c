package db

import (
	"fmt"
	"iter"
	"time"

	"dist.example/content"
)

// PackState is how far a pack is in its life.
type PackState uint8

// The states of packs. Values are stored: never renumber.
const (
	PackOpen   PackState = 1 // may grow
	PackSealed PackState = 2 // never grows again
	PackDead   PackState = 3 // nothing points into it
)

// Pack is a row of packs. Live and Dead count payload bytes: Live those that
// rows of objects point to, Dead those that none does.
type Pack struct {
	ID      int64
	State   PackState
	End     int64 // bytes below it are durable
	Live    int64
	Dead    int64
	Created time.Time
}

const selectPack = `SELECT id, state, "end", live, dead, created FROM packs `

// LastPackID is the highest id that a pack ever had.
func (tx *Tx) LastPackID() (int64, error) {
	return tx.lastID("packs")
}

// Pack finds a pack; false when there is none.
func (tx *Tx) Pack(id int64) (p Pack, found bool, err error) {
	err = tx.eachPack(selectPack+`WHERE id = ?`, []any{id}, func(got Pack) bool {
		p, found = got, true
		return false
	})
	return p, found, err
}

// OpenPacks lists the packs that may grow, by id.
func (tx *Tx) OpenPacks() ([]Pack, error) {
	var found []Pack
	err := tx.eachPack(selectPack+`WHERE state = 1 ORDER BY id`, nil, func(p Pack) bool { found = append(found, p); return true })
	return found, err
}

// Packs lists all packs by id.
func (tx *Tx) Packs() iter.Seq2[Pack, error] {
	return stream(func(yield func(Pack) bool) error { return tx.eachPack(selectPack+`ORDER BY id`, nil, yield) })
}

func (tx *Tx) eachPack(query string, args []any, fn func(Pack) (more bool)) error {
	return tx.each(query, args, func(scan func(...any) error) (bool, error) {
		var (
			p       Pack
			created int64
		)
		if err := scan(&p.ID, &p.State, &p.End, &p.Live, &p.Dead, &created); err != nil {
			return false, err
		}
		p.Created = fromMilli(created)
		return fn(p), nil
	})
}

// GrowPack moves the end of an open pack, or makes the row of a new one: p.State
// and p.End are what they are to be, p.Live and p.Dead are added, p.Created is
// set by the catalog. The bytes up to p.End are durable. Errors:
// content.ErrConflict when the pack is not open.
func (tx *Tx) GrowPack(p Pack) error {
	n, err := tx.changed(`INSERT INTO packs (id, state, "end", live, dead, created) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET state = excluded.state, "end" = excluded."end",
		live = live + excluded.live, dead = dead + excluded.dead WHERE state = 1`,
		p.ID, p.State, p.End, p.Live, p.Dead, tx.Now.UnixMilli())
	if err == nil && n == 0 {
		return fmt.Errorf("pack %d: %w: it was closed meanwhile", p.ID, content.ErrConflict)
	}
	return err
}

// SealPack ends an open pack's growth; what is sealed or dead stays so.
func (tx *Tx) SealPack(id int64) error {
	_, err := tx.exec(`UPDATE packs SET state = 2 WHERE id = ? AND state = 1`, id)
	return err
}

// KillPack notes that nothing points into a pack. Errors: content.ErrNotFound.
func (tx *Tx) KillPack(id int64) error {
	n, err := tx.changed(`UPDATE packs SET state = 3 WHERE id = ?`, id)
	if err == nil && n == 0 {
		return errNoRow("pack", id)
	}
	return err
}

// DeletePack removes the row of a pack whose file is gone.
func (tx *Tx) DeletePack(id int64) error {
	_, err := tx.exec(`DELETE FROM packs WHERE id = ?`, id)
	return err
}

// DamagedPacks lists the packs that hold something damaged.
func (tx *Tx) DamagedPacks() (ids []int64, err error) {
	err = tx.each(`SELECT DISTINCT pack FROM objects WHERE loc = 3 AND pack IS NOT NULL`, nil, func(scan func(...any) error) (bool, error) {
		var id int64
		err := scan(&id)
		ids = append(ids, id)
		return true, err
	})
	return ids, err
}
