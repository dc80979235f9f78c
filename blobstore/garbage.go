package blobstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"time"

	"dist.example/db"
	"dist.example/fsys"
	"dist.example/oci"
)

// GarbageKind says what kind of thing is of no use, in words for people.
type GarbageKind string

// The kinds of garbage beside objects that nothing holds and dead bytes in packs.
const (
	GarbageOrphan     GarbageKind = "files without an object"
	GarbageAbandoned  GarbageKind = "abandoned ingests"
	GarbageIngestRow  GarbageKind = "ingests without a file"
	GarbageIngest     GarbageKind = "ingests that are not in the catalog"
	GarbageLease      GarbageKind = "expired leases"
	GarbageLeaseFile  GarbageKind = "files of leases that have ended"
	GarbagePack       GarbageKind = "packs that are not in the catalog"
	GarbageDeadPack   GarbageKind = "dead packs"
	GarbageTail       GarbageKind = "tails of packs"
	GarbageView       GarbageKind = "old copies made for path"
	GarbageSnapshot   GarbageKind = "unpacked layers of no use"
	GarbageTrash      GarbageKind = "trash"
	GarbageOldCatalog GarbageKind = "catalogs set aside"
	GarbageNewCatalog GarbageKind = "catalogs not finished"
	GarbageRestore    GarbageKind = "restores not finished"
	GarbageHead       GarbageKind = "store.json not finished"
)

// GarbageIdleSnapshot is what IdleSnapshot makes. Garbage has none.
const GarbageIdleSnapshot GarbageKind = "unpacked layers not in use"

// Garbage is one thing in a store that nothing needs, as far as a look could tell: it
// may be another process's work under way.
type Garbage struct {
	Kind   GarbageKind
	Name   string // of the file below the store's folder; the key of an ingest, the id of a lease
	Bytes  int64
	Since  time.Time // when it was last written; zero for what has no time
	folder bool
	idle   bool // a snapshot that has a row, and goes unless it is in use
}

// viewLife is how long a copy made for Path is promised to last.
const viewLife = 24 * time.Hour

// Garbage lists what nothing needs, beside objects and dead bytes within packs. Folders
// are none of the store's: somebody else has made them, and they stay.
func (s *Store) Garbage(ctx context.Context) iter.Seq2[Garbage, error] {
	return func(yield func(Garbage, error) bool) {
		for _, find := range []func(context.Context, func(Garbage) bool) error{
			s.garbagePacks, s.orphans, s.garbageIngests, s.garbageLeases, s.garbageViews, s.garbageSnapshots, s.garbageFolders, s.garbageHeads,
		} {
			stopped := false
			err := find(ctx, func(g Garbage) bool {
				stopped = (!g.folder || g.Kind == GarbageTrash) && !yield(g, nil)
				return !stopped
			})
			if err != nil && !stopped {
				yield(Garbage{}, err)
			}
			if err != nil || stopped {
				return
			}
		}
	}
}

// ofFile is garbage that is a file in a folder of the store.
func ofFile(kind GarbageKind, dir string, e fs.DirEntry) Garbage {
	g := Garbage{Kind: kind, Name: filepath.Join(dir, e.Name()), folder: e.IsDir()}
	if fi, err := e.Info(); err == nil { // else it is gone since
		g.Bytes, g.Since = fi.Size(), fi.ModTime()
	}
	return g
}

// sizeOf is a file's length, 0 when it is gone since.
func sizeOf(e fs.DirEntry) int64 {
	fi, err := e.Info()
	if err != nil {
		return 0
	}
	return fi.Size()
}

func (s *Store) garbagePacks(ctx context.Context, yield func(Garbage) bool) error {
	entries, err := s.list(packsDir) // first: a pack has its file before its row
	if err != nil {
		return err
	}
	known := map[string]db.Pack{}
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		for p, err := range tx.Packs() {
			if err != nil {
				return err
			}
			known[fmt.Sprintf("%d.pack", p.ID)] = p
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, e := range entries {
		p, ok := known[e.Name()]
		delete(known, e.Name())
		g := ofFile(GarbagePack, packsDir, e)
		switch {
		case ok && p.State == db.PackDead:
			g.Kind = GarbageDeadPack
		case ok:
			g.Kind = GarbageTail
			if g.Bytes -= p.End; g.Bytes <= 0 {
				continue
			}
		}
		if !yield(g) {
			return nil
		}
	}
	for name, p := range known { // a file that a collection has unlinked already
		if p.State == db.PackDead && !yield(Garbage{Kind: GarbageDeadPack, Name: filepath.Join(packsDir, name)}) {
			return nil
		}
	}
	return nil
}

// orphans finds loose blobs' files that no row points to.
func (s *Store) orphans(ctx context.Context, yield func(Garbage) bool) error {
	enough := errors.New("enough")
	err := s.unknownLoose(ctx, s.db, func(dir string, e fs.DirEntry) error {
		if !yield(ofFile(GarbageOrphan, dir, e)) {
			return enough
		}
		return nil
	})
	if errors.Is(err, enough) {
		return nil
	}
	return err
}

// pointsToFile says whether a row, if it is one, is of a loose blob.
func pointsToFile(o db.Object) bool {
	return o.Loc == db.LocLoose || (o.Loc == db.LocDamaged || o.Loc == db.LocDoomed) && o.Pack == 0
}

func (s *Store) garbageIngests(ctx context.Context, yield func(Garbage) bool) error {
	var found []Garbage
	files := map[string]fs.DirEntry{}
	entries, err := s.list(ingestDir)
	for _, e := range entries {
		files[e.Name()] = e
	}
	if err != nil {
		return err
	}
	err = s.db.Read(ctx, func(tx *db.Tx) error {
		for in, err := range tx.Ingests() {
			if err != nil {
				return err
			}
			name := filepath.Base(s.ingestPath(in.Key))
			e, there := files[name]
			delete(files, name)
			st := s.statusOf(in)
			if st.Live {
				continue
			}
			left, err := s.leftover(tx, in, st)
			switch {
			case err != nil:
				return err
			case !left.Abandoned:
			case !there:
				found = append(found, Garbage{Kind: GarbageIngestRow, Name: in.Key, Since: in.Updated})
			default:
				g := ofFile(GarbageAbandoned, ingestDir, e)
				g.Name = in.Key
				found = append(found, g)
			}
		}
		return nil
	})
	for _, e := range files {
		found = append(found, ofFile(GarbageIngest, ingestDir, e))
	}
	return yieldAll(found, err, yield)
}

func (s *Store) garbageLeases(ctx context.Context, yield func(Garbage) bool) error {
	var found []Garbage
	ended, err := s.endedLeases(ctx)
	for _, id := range ended {
		found = append(found, Garbage{Kind: GarbageLease, Name: id})
	}
	if err != nil {
		return err
	}
	entries, err := s.list(leasesDir)
	for _, e := range entries {
		if !s.leaseAlive(e.Name()) {
			found = append(found, ofFile(GarbageLeaseFile, leasesDir, e))
		}
	}
	return yieldAll(found, err, yield)
}

// garbageViews finds copies that nobody has asked for in a day.
func (s *Store) garbageViews(_ context.Context, yield func(Garbage) bool) error {
	for _, alg := range []oci.Algorithm{oci.SHA256, oci.SHA512} {
		dir := filepath.Join(viewsDir, alg.String())
		views, err := s.list(dir)
		if err != nil {
			return err
		}
		for _, e := range views {
			if g := ofFile(GarbageView, dir, e); time.Since(g.Since) > viewLife && !yield(g) {
				return nil
			}
		}
	}
	return nil
}

// garbageFolders finds what was moved away to be removed some time.
func (s *Store) garbageFolders(_ context.Context, yield func(Garbage) bool) error {
	for _, f := range []struct {
		kind GarbageKind
		dir  string
	}{{GarbageTrash, trashDir}, {GarbageOldCatalog, oldCatalogDir}, {GarbageNewCatalog, newCatalogDir}, {GarbageRestore, restoreDir}} {
		entries, err := s.list(f.dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			g := ofFile(f.kind, f.dir, e)
			if fi, err := s.fs.Stat(s.path(f.dir)); err == nil { // when it was moved there
				g.Since = fi.ModTime()
			}
			if !yield(g) {
				return nil
			}
		}
	}
	return nil
}

// garbageHeads finds what making a store.json has left behind.
func (s *Store) garbageHeads(_ context.Context, yield func(Garbage) bool) error {
	entries, err := s.list(".")
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), headFile+".") && !yield(ofFile(GarbageHead, "", e)) {
			return nil
		}
	}
	return err
}

func yieldAll(found []Garbage, err error, yield func(Garbage) bool) error {
	if err != nil {
		return err
	}
	for _, g := range found {
		if !yield(g) {
			return nil
		}
	}
	return nil
}

// Remove removes what Garbage has found, unless it is of use after all, and says
// whether it did. What cannot be removed now, as another process has it, is left for
// the next time.
func (m *Maintenance) Remove(ctx context.Context, g Garbage) (removed bool, err error) {
	name := m.s.path(g.Name)
	switch g.Kind {
	case GarbageOrphan:
		removed, err = m.removeOrphan(ctx, name)
	case GarbageAbandoned, GarbageIngestRow:
		removed, err = m.s.AbortAbandoned(ctx, g.Name)
	case GarbageIngest, GarbageLeaseFile:
		removed, err = m.removeUnlocked(ctx, g, name)
	case GarbageLease:
		return false, nil // EndLeases
	case GarbagePack:
		removed, err = m.removeUnlocked(ctx, g, name)
	case GarbageDeadPack:
		removed, err = m.removeDeadPack(ctx, name)
	case GarbageTail:
		removed, err = m.removeTail(ctx, name)
	case GarbageView:
		removed, err = m.removeView(name)
	case GarbageSnapshot, GarbageIdleSnapshot:
		removed, err = m.removeSnapshot(ctx, name, g.idle)
	default: // what no process looks for
		if g.Kind == GarbageTrash && strings.HasPrefix(filepath.Base(name), trashSnapshot) {
			err = removeTree(name)
		} else {
			err = m.s.fs.Remove(name)
		}
		removed = err == nil
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || fsys.InUse(err) {
		return false, nil // gone, another user's to remove, or to go another time
	}
	if err != nil {
		return false, fmt.Errorf("remove %s: %w", g.Name, fsys.Classify(err))
	}
	if removed {
		m.s.hook("gc.removed")
	}
	return removed, nil
}

// removeView removes a copy that nobody has asked for in a day. One that somebody asks
// for in this moment comes back.
func (m *Maintenance) removeView(name string) (bool, error) {
	old := func(name string) (bool, error) {
		fi, err := m.s.fs.Stat(name)
		return err == nil && time.Since(fi.ModTime()) > viewLife, err
	}
	if ok, err := old(name); !ok {
		return false, err
	}
	trash, err := m.discard(name)
	if err != nil || trash == "" {
		return false, err
	}
	if ok, err := old(trash); !ok {
		return false, errors.Join(err, m.s.fs.Rename(trash, name))
	}
	m.unlink([]string{trash})
	return true, nil
}

// removeOrphan removes a file among the blobs that no row points to. Who is about to
// commit it has another name of it, and gives it this one again.
func (m *Maintenance) removeOrphan(ctx context.Context, name string) (bool, error) {
	var trash string
	err := m.s.db.Write(ctx, func(tx *db.Tx) error {
		d, ok := digestIn(oci.Algorithm(filepath.Base(filepath.Dir(name))), filepath.Base(name))
		if ok {
			o, found, err := tx.Object(d)
			if err != nil || found && pointsToFile(o) {
				return err
			}
		}
		var err error
		trash, err = m.discard(name)
		return err
	})
	if err != nil || trash == "" {
		return false, err
	}
	m.unlink([]string{trash})
	return true, nil
}

// removeUnlocked removes a file that its owner keeps locked, once it is sure that
// nobody has it and that the catalog does not know it. Who makes such a file looks,
// after locking it, whether its name is still there.
func (m *Maintenance) removeUnlocked(ctx context.Context, g Garbage, name string) (bool, error) {
	f, err := m.s.fs.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if ok, err := f.TryLock(true); !ok || err != nil {
		return false, err
	}
	if same, err := fsys.SameFile(f, name, m.s.fs); !same || err != nil {
		return false, err
	}
	known, err := m.known(ctx, g)
	if known || err != nil {
		return false, err
	}
	return true, fsys.RemoveHeld(f, name, m.s.fs)
}

// known says whether the catalog knows of a file.
func (m *Maintenance) known(ctx context.Context, g Garbage) (known bool, err error) {
	base := filepath.Base(g.Name)
	err = m.s.db.Read(ctx, func(tx *db.Tx) error {
		switch g.Kind {
		case GarbagePack:
			if id, ok := packID(base); ok {
				_, known, err = tx.Pack(id)
			}
			return err
		case GarbageIngest:
			for in, err := range tx.Ingests() {
				if err != nil {
					return err
				}
				known = known || filepath.Base(m.s.ingestPath(in.Key)) == base
			}
		}
		return nil
	})
	return known, err
}
