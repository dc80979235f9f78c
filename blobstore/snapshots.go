package blobstore

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"time"

	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/oci"
)

// Snapshot is a layer that is kept unpacked (package unpack): its folder is Path. It goes
// with the layer. Whoever uses it holds a lease on an image that has the layer.
type Snapshot struct {
	db.Snapshot
	Path string // absolute
}

// OwnersKept is the owner of a snapshot whose files belong to whom the image says.
const OwnersKept = db.OwnersKept

func (s *Store) snapshot(row db.Snapshot) Snapshot {
	return Snapshot{row, s.path(snapshotsDir, row.Dir)}
}

// SnapshotsDir is the folder that all snapshots are in, absolute.
func (s *Store) SnapshotsDir() string { return s.path(snapshotsDir) }

// Snapshot finds the one of a chain id whose files belong to an owner, and notes that it is
// used. Errors: ErrNotFound where there is none.
func (s *Store) Snapshot(ctx context.Context, chain oci.Digest, owner int) (Snapshot, error) {
	var row db.Snapshot
	err := s.db.Read(ctx, func(tx *db.Tx) error {
		var found bool
		var err error
		if row, found, err = tx.Snapshot(chain, owner); err == nil && !found {
			err = fmt.Errorf("snapshot %s: %w", chain, content.ErrNotFound)
		}
		return err
	})
	if err == nil && time.Since(row.Used) > time.Hour && s.notes(ctx) {
		err = s.db.Write(ctx, func(tx *db.Tx) error { return tx.UseSnapshot(row.ID) })
	}
	return s.snapshot(row), err
}

// Snapshots lists all, the one first that was not used for longest.
func (s *Store) Snapshots(ctx context.Context) iter.Seq2[Snapshot, error] {
	return listed(ctx, s, (*db.Tx).Snapshots, s.snapshot)
}

// SnapshotsOf lists those of a layer, or with a chain id.
func (s *Store) SnapshotsOf(ctx context.Context, d oci.Digest) (found []Snapshot, err error) {
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		rows, err := tx.SnapshotsOf(d)
		for _, row := range rows {
			found = append(found, s.snapshot(row))
		}
		return err
	})
	return found, err
}

// DropSnapshot gives one up that is damaged: nobody gets it any more, and it goes with the
// next collection that finds no lease on its layer.
func (s *Store) DropSnapshot(ctx context.Context, snap Snapshot) error {
	if err := s.writable(); err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *db.Tx) error { return tx.DamageSnapshot(snap.ID) })
}

// trashSnapshot is what the names of snapshots begin with in the trash, in which all else is
// a file.
const trashSnapshot = "snapshot."

// NewSnapshot is a folder in which a snapshot is made. It is locked while that is so: what
// is not locked and has no row is garbage.
type NewSnapshot struct {
	s    *Store
	dir  string // its name
	lock fsys.File
	kept bool
}

// snapshotLock is the file in a snapshot's folder that is locked while it is made.
const snapshotLock = "lock"

// NewSnapshot makes an empty folder, which is to be committed or closed. Errors: ErrDenied
// for a store that can only be read.
func (s *Store) NewSnapshot() (*NewSnapshot, error) {
	if err := s.writable(); err != nil {
		return nil, err
	}
	if err := s.snapshotsFolder(); err != nil {
		return nil, fmt.Errorf("make a snapshot: %w", fsys.Classify(err))
	}
	for {
		n, err := s.newSnapshot()
		if err != nil {
			return nil, fmt.Errorf("make a snapshot: %w", fsys.Classify(err))
		}
		if n != nil {
			s.hook("snapshot.made")
			return n, nil
		}
	}
}

// snapshotsFolder makes the folder of all snapshots, which belongs to whom the store does.
func (s *Store) snapshotsFolder() error {
	name := s.path(snapshotsDir)
	if _, err := s.fs.Stat(name); err == nil {
		return nil
	}
	if err := s.fs.MkdirAll(name, 0o755); err != nil {
		return err
	}
	fi, err := os.Stat(s.dir)
	if err != nil {
		return err
	}
	if d, ok := fsys.DetailOf(fi); ok && os.Geteuid() == 0 {
		return os.Chown(name, d.UID, d.GID)
	}
	return nil
}

// newSnapshot tries to make one: without an error and without one where a collection has
// taken the folder away before it was locked.
func (s *Store) newSnapshot() (*NewSnapshot, error) {
	var b [4]byte
	rand.Read(b[:])
	n := &NewSnapshot{s: s, dir: hex.EncodeToString(b[:])}
	if err := os.Mkdir(n.Dir(), 0o700); err != nil {
		if errors.Is(err, fs.ErrExist) {
			err = nil // the name is another's
		}
		return nil, err
	}
	name := filepath.Join(n.Dir(), snapshotLock)
	f, err := s.fs.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	locked, err := f.TryLock(true)
	same := false
	if err == nil && locked {
		same, err = fsys.SameFile(f, name, s.fs)
	}
	if err != nil || !same {
		return nil, errors.Join(err, f.Close())
	}
	n.lock = f
	return n, nil
}

// Dir is the folder, absolute.
func (n *NewSnapshot) Dir() string { return n.s.path(snapshotsDir, n.dir) }

// Commit notes it as the snapshot of a layer of that digest, all of which is durable. Of the
// row Chain, Owner, Index, Files, Bytes and Mountable count. Where another process has made
// the same meanwhile, it is that which is returned, and this one goes. Errors: ErrNotFound
// where the layer is not here.
func (n *NewSnapshot) Commit(ctx context.Context, layer oci.Digest, row db.Snapshot) (Snapshot, error) {
	if err := n.s.fs.SyncDir(n.s.path(snapshotsDir)); err != nil {
		return Snapshot{}, fsys.Classify(err)
	}
	n.s.hook("snapshot.synced")
	row.Dir = n.dir
	err := n.s.db.Write(ctx, func(tx *db.Tx) error {
		o, found, err := tx.Object(layer)
		if err == nil && (!found || !o.Loc.Held()) {
			err = fmt.Errorf("snapshot of %s: %w", layer, content.ErrNotFound)
		}
		if err != nil {
			return err
		}
		// A collection that saw the folder before it was locked moves it under this lock.
		if same, err := fsys.SameFile(n.lock, filepath.Join(n.Dir(), snapshotLock), n.s.fs); err != nil || !same {
			return errors.Join(fmt.Errorf("snapshot of %s: %w: its folder was removed meanwhile", layer, content.ErrConflict), err)
		}
		row.Object = o.ID
		if n.kept, err = tx.PutSnapshot(row); err != nil {
			return err
		}
		row, _, err = tx.Snapshot(row.Chain, row.Owner)
		return err
	})
	if err != nil {
		n.kept = false
		return Snapshot{}, err
	}
	n.s.hook("snapshot.committed")
	return n.s.snapshot(row), nil
}

// Close ends the making: what was not committed goes. Errors: those of removing it, which the
// next collection does then.
func (n *NewSnapshot) Close() error {
	err := n.lock.Close()
	if !n.kept {
		err = errors.Join(err, removeTree(n.Dir()))
	}
	return err
}

// removeTree removes a folder with all that is in it.
func removeTree(dir string) error {
	above, err := os.OpenRoot(filepath.Dir(dir))
	if err != nil {
		return fsys.Classify(err)
	}
	defer above.Close()
	return fsys.RemoveTree(above, filepath.Base(dir))
}

// garbageSnapshots finds folders that no row has.
func (s *Store) garbageSnapshots(ctx context.Context, yield func(Garbage) bool) error {
	entries, err := s.list(snapshotsDir) // first: a snapshot has its folder before its row
	if err != nil {
		return err
	}
	known := map[string]bool{}
	for snap, err := range s.Snapshots(ctx) {
		if err != nil {
			return err
		}
		known[snap.Dir] = true
	}
	for _, e := range entries {
		if known[e.Name()] {
			continue
		}
		g := ofFile(GarbageSnapshot, snapshotsDir, e)
		g.Bytes, g.folder = sizeBelow(s.path(g.Name)), false
		if !yield(g) {
			return nil
		}
	}
	return nil
}

// sizeBelow is what the files in a folder have, as far as that can be seen.
func sizeBelow(dir string) (bytes int64) {
	// What cannot be looked at counts as nothing.
	_ = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			bytes += sizeOf(e)
		}
		return nil
	})
	return bytes
}

// DamagedSnapshot is the garbage that one is which was given up: Remove takes it as an idle
// one.
func (s *Store) DamagedSnapshot(row db.Snapshot) Garbage {
	g := s.DyingSnapshot(row)
	g.idle = true
	return g
}

// IdleSnapshot is the garbage that a snapshot is once it is to make room: Remove takes it
// unless a lease holds an image that has its layer.
func (s *Store) IdleSnapshot(row db.Snapshot) Garbage {
	return Garbage{Kind: GarbageIdleSnapshot, Name: filepath.Join(snapshotsDir, row.Dir), Bytes: row.Bytes, idle: true}
}

// DyingSnapshot is the garbage that a snapshot is once its layer is given up.
func (s *Store) DyingSnapshot(row db.Snapshot) Garbage {
	return Garbage{Kind: GarbageSnapshot, Name: filepath.Join(snapshotsDir, row.Dir), Bytes: row.Bytes}
}

// removeSnapshot removes the folder of a snapshot, unless it is being made or, with idle, in
// use; without that, unless it has a row.
func (m *Maintenance) removeSnapshot(ctx context.Context, name string, idle bool) (bool, error) {
	// Nobody locks it again that was not locked, and Windows renames nothing that is open.
	if free, err := m.snapshotFree(name); !free || err != nil {
		return false, err
	}
	var trash string
	err := m.s.db.Write(ctx, func(tx *db.Tx) error {
		row, found, err := tx.SnapshotIn(filepath.Base(name))
		if err != nil || found && !idle {
			return err
		}
		if found {
			if held, err := m.s.leased(tx, row.Object); held || err != nil {
				return err
			}
			if err := tx.DropSnapshot(row.ID); err != nil {
				return err
			}
		}
		trash = m.s.path(trashDir, trashSnapshot+filepath.Base(name))
		if err := m.s.fs.Rename(name, trash); !found || !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil // somebody has removed it: the row goes alone
	})
	if err != nil || trash == "" {
		return false, err
	}
	m.s.hook("gc.snapshot")
	return true, removeTree(trash)
}

// snapshotFree says whether nobody makes the snapshot in a folder.
func (m *Maintenance) snapshotFree(name string) (bool, error) {
	f, err := m.s.fs.OpenFile(filepath.Join(name, snapshotLock), os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	return f.TryLock(true)
}

// leased says whether a lease that counts holds an object.
func (s *Store) leased(tx *db.Tx, object int64) (held bool, err error) {
	var counting []db.Lease
	for l, err := range tx.Leases() {
		if err != nil {
			return false, err
		}
		if l.Counts(tx.Now, s.leaseAlive(l.ID)) {
			counting = append(counting, l)
		}
	}
	above, err := tx.Above(object)
	if err != nil {
		return false, err
	}
	err = tx.EachLeaseOf(above, counting, func(int64, db.Lease) { held = true })
	return held, err
}
