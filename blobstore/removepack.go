package blobstore

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"

	"dist.example/db"
	"dist.example/fsys"
)

// forgetPack is EmptyPack for a pack whose file is gone.
func (m *Maintenance) forgetPack(ctx context.Context, id int64) (Emptied, error) {
	kept, err := m.retell(ctx, id)
	if kept != "" || err != nil {
		return Emptied{Kept: kept}, err
	}
	e := &emptying{m: m, id: id}
	err = m.s.db.Write(ctx, e.dead)
	if errors.Is(err, errStillLive) {
		return Emptied{Kept: packDamaged}, nil
	}
	if err == nil {
		err = m.removePack(ctx, id)
	}
	return Emptied{}, err
}

// removePack removes the file of a dead pack, and then its row.
func (m *Maintenance) removePack(ctx context.Context, id int64) error {
	m.s.hook("gc.dead")
	m.s.letGoPack(id)
	if err := m.s.fs.Remove(m.s.packPath(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fsys.Classify(err)
	}
	m.s.hook("gc.unlinked")
	return m.s.db.Write(ctx, func(tx *db.Tx) error { return tx.DeletePack(id) })
}

// removeDeadPack ends what a collection before has begun.
func (m *Maintenance) removeDeadPack(ctx context.Context, name string) (bool, error) {
	id, ok := packID(filepath.Base(name))
	if !ok {
		return false, nil
	}
	var dead bool
	err := m.s.db.Read(ctx, func(tx *db.Tx) error {
		p, found, err := tx.Pack(id)
		dead = found && p.State == db.PackDead
		return err
	})
	if err != nil || !dead {
		return false, err
	}
	return true, m.removePack(ctx, id)
}

// removeTail cuts off what a writer that died has left behind the end of a pack, which
// is sealed first.
func (m *Maintenance) removeTail(ctx context.Context, name string) (bool, error) {
	id, ok := packID(filepath.Base(name))
	if !ok {
		return false, nil
	}
	p, spoiled, err := m.s.tryPack(ctx, id)
	if err != nil {
		return false, err
	}
	if p != nil { // it has grown meanwhile
		p.release()
	}
	if spoiled {
		if err := m.s.sealPacks(ctx, []int64{id}); err != nil {
			return false, err
		}
	}
	return m.s.cutTail(ctx, id), nil
}
