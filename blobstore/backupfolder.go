package blobstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"dist.example/blobstore/pack"
	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/oci"
)

// BackupFolder makes the folder dir a store with the state of this one: what Backup
// writes, as files. A folder that has an earlier backup gets what it lacks: packs grow
// from where they ended, loose blobs that are there are not read again, and what the
// new catalog does not know goes in the end. Blocks are shared where the file system
// can; there are never hard links. One that an older version of dist has written is
// continued like any other. Until the new catalog has its name the folder is the backup
// that it was; but of a store that has gone another way since, one that was restored say,
// packs are replaced before that, and a backup that breaks off between is to be done again.
//
// Errors are those of Backup, and content.ErrConflict where the folder holds anything
// else than a backup of this store that nobody has written to, or is in use.
func (s *Store) BackupFolder(ctx context.Context, dir string, o BackupOptions) (BackupReport, error) {
	if o.CatalogOnly {
		return BackupReport{}, content.WithHint(fmt.Errorf("back up to %s: %w: a folder takes whole backups", dir, content.ErrInvalid),
			"the catalog alone goes to a file")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return BackupReport{}, fmt.Errorf("back up to %s: %w", dir, err)
	}
	t := &folderBackup{layout: layout{dir, s.fs}, uuid: s.head.UUID, ends: map[int64]int64{}, bad: map[oci.Digest]bool{}}
	unlock, err := t.begin(ctx, s)
	if err != nil {
		return BackupReport{}, fmt.Errorf("back up to %s: %w", dir, fsys.Classify(err))
	}
	defer unlock()
	b := s.newBackup(t, o)
	err = b.run(ctx, t.path(newCatalogDir), func() error { return nil }, func() error { return t.finish(ctx, s.hook) })
	if err != nil {
		err = errors.Join(err, t.empty(newCatalogDir))
	}
	return b.report, err
}

// folderBackup is the folder that a backup goes to.
type folderBackup struct {
	layout
	uuid string
	ends map[int64]int64     // of packs, in the backup that is there
	bad  map[oci.Digest]bool // loose blobs that are not good in it
}

// begin makes the folder, locks it, and looks what it has.
func (t *folderBackup) begin(ctx context.Context, s *Store) (unlock func(), err error) {
	if err := t.acceptable(s); err != nil {
		return nil, err
	}
	if err := t.makeDir(); err != nil {
		return nil, err
	}
	unlock, err = t.lockAlone(ctx, "back up to", lockWait, s.warn)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			unlock()
		}
	}()
	if err := t.acceptable(s); err != nil {
		return unlock, err
	}
	if err := t.makeFolders(); err != nil {
		return unlock, err
	}
	if err := t.headed(s.head); err != nil {
		return unlock, err
	}
	if err := t.known(ctx); err != nil {
		return unlock, err
	}
	if err := t.empty(newCatalogDir); err != nil {
		return unlock, err
	}
	return unlock, t.fs.MkdirAll(t.path(newCatalogDir), 0o755)
}

// acceptable refuses a folder that is neither new nor a backup of this store.
func (t *folderBackup) acceptable(s *Store) error {
	here, err := t.fs.Stat(s.dir)
	if err != nil {
		return err
	}
	if there, err := t.fs.Stat(t.dir); err == nil && os.SameFile(here, there) {
		return fmt.Errorf("%w: it is the store itself", content.ErrInvalid)
	}
	h, err := t.parseHead()
	switch {
	case errors.Is(err, errNoHead):
		return t.refuseForeign()
	case err == nil && h.UUID != t.uuid:
		err = content.WithHint(fmt.Errorf("%w: another store is there (%s)", content.ErrConflict, h.UUID), "give a folder of its own for each store")
	}
	return err
}

func (t *folderBackup) headed(h head) error {
	_, err := t.parseHead()
	if !errors.Is(err, errNoHead) {
		return err
	}
	if err := t.fs.Remove(t.path(headFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return t.writeHead(t.path(headFile), h)
}

// known reads which packs the backup that is there has, and up to where, and which
// blobs it has not got right.
func (t *folderBackup) known(ctx context.Context) error {
	if fi, err := t.fs.Stat(t.path(catalogFile)); errors.Is(err, fs.ErrNotExist) || err == nil && fi.Size() == 0 {
		return nil
	}
	d, err := db.Untouched(ctx, t.fs, t.dir, t.uuid)
	if err != nil {
		return err
	}
	err = d.Read(ctx, func(tx *db.Tx) error {
		for p, err := range tx.Packs() {
			if err != nil {
				return err
			}
			t.ends[p.ID] = p.End
		}
		bad, err := tx.DamagedPacks()
		for _, id := range bad {
			delete(t.ends, id) // it comes again
		}
		if err != nil {
			return err
		}
		rows, err := tx.Damaged()
		for _, o := range rows {
			t.bad[o.Digest] = o.Pack == 0
		}
		return err
	})
	return errors.Join(err, d.Close())
}

// pack implements backupTarget.
func (t *folderBackup) pack(p db.Pack, f fsys.File, write packWriter) (int64, error) {
	if from := t.have(p, f); from > 0 {
		return from, t.grow(p, from, write)
	}
	// What the store has lost and the folder has stays: the new file has both.
	old, err := t.openContent(t.packPath(p.ID))
	if suspicious(err) {
		old, err = nil, nil
	}
	if err != nil {
		return 0, err
	}
	if old != nil {
		defer old.Close()
	}
	tmp := t.packPath(p.ID) + ".new"
	g, err := t.fs.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return 0, err
	}
	_, err = write(g, 0, old)
	if err == nil {
		err = g.Sync()
	}
	err = errors.Join(err, g.Close())
	if old != nil {
		err = errors.Join(err, old.Close())
	}
	if err == nil {
		err = t.fs.Rename(tmp, t.packPath(p.ID))
	}
	return 0, err
}

// have says how much of a pack is there, 0 where it is another one: of two stores that
// were one once, each has gone on with the pack in its own way.
func (t *folderBackup) have(p db.Pack, f fsys.File) int64 {
	end := t.ends[p.ID]
	if end < pack.HeaderSize || end > p.End {
		return 0
	}
	g, err := t.fs.OpenFile(t.packPath(p.ID), os.O_RDONLY, 0)
	if err != nil {
		return 0
	}
	defer g.Close()
	tail := min(end, chunk)
	if !sameBytesAt(f, g, 0, pack.HeaderSize) || !sameBytesAt(f, g, end-tail, tail) {
		return 0
	}
	return end
}

func sameBytesAt(a, b io.ReaderAt, off, n int64) bool {
	p, q := make([]byte, n), make([]byte, n)
	i, _ := a.ReadAt(p, off)
	j, _ := b.ReadAt(q, off)
	return int64(i) == n && int64(j) == n && bytes.Equal(p, q)
}

// grow writes a pack on from where the catalog that is there says that it ends.
func (t *folderBackup) grow(p db.Pack, from int64, write packWriter) error {
	g, err := t.fs.OpenFile(t.packPath(p.ID), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	fi, err := g.Stat()
	if err == nil && fi.Size() != from {
		err = g.Truncate(from)
	}
	if err == nil && from < p.End {
		if _, err = g.Seek(from, io.SeekStart); err == nil {
			_, err = write(g, from, nil)
		}
		if err == nil {
			err = g.Sync()
		}
	}
	return errors.Join(err, g.Close())
}

// loose implements backupTarget.
func (t *folderBackup) loose(ctx context.Context, o db.Object, f fsys.File) (good bool, written int64, err error) {
	name := t.blobPath(o.Digest)
	if fi, err := t.fs.Stat(name); err == nil && fi.Mode().IsRegular() && fi.Size() == o.Size {
		if o.Loc != db.LocDamaged && !t.bad[o.Digest] {
			return true, 0, nil
		}
		if good, err := t.readLoose(ctx, o.Digest, o.Size, func(int64) {}); good || err != nil {
			return good, 0, err
		}
	}
	tmp := name + ".new"
	if err := t.fs.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, 0, err
	}
	g, err := t.fs.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return false, 0, err
	}
	good, err = clone(ctx, g, f, o)
	if good && err == nil {
		err = g.Sync()
	}
	err = errors.Join(err, g.Close())
	if !good || err != nil {
		return false, 0, errors.Join(err, t.fs.Remove(tmp))
	}
	if err := t.fs.Chmod(tmp, 0o444); err != nil {
		return false, 0, err
	}
	return true, o.Size, t.fs.Rename(tmp, name)
}

// has implements backupTarget.
func (t *folderBackup) has(ctx context.Context, _ layout, o db.Object) (bool, error) {
	if o.Pack > 0 {
		return t.readRow(o)
	}
	return t.readLoose(ctx, o.Digest, o.Size, func(int64) {})
}

// clone copies a blob, sharing its blocks where that is possible, and verifies the
// copy.
func clone(ctx context.Context, to, from fsys.File, o db.Object) (good bool, err error) {
	if to.OS() != nil && from.OS() != nil {
		_, err = fsys.Clone(ctx, to.OS(), from.OS())
	} else {
		_, err = io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{content.UntilDone(ctx, from)}, make([]byte, chunk))
	}
	if err = readError(err); errors.Is(err, content.ErrCorrupt) {
		return false, nil
	}
	if err == nil {
		_, err = to.Seek(0, io.SeekStart)
	}
	if err != nil {
		return false, err
	}
	got, n, err := hashAll(ctx, to, o.Digest, func([]byte) {})
	return got == o.Digest && n == o.Size, err
}

// finish gives the new catalog its name, and removes what only the old one knew.
func (t *folderBackup) finish(ctx context.Context, hook func(string)) error {
	for _, dir := range storeFolders() {
		if err := t.fs.SyncDir(t.path(filepath.FromSlash(dir))); err != nil {
			return err
		}
	}
	for _, end := range []string{"-wal", "-shm"} { // empty ones, of readers
		if err := t.fs.Remove(t.path(catalogFile + end)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := t.fs.Rename(t.path(newCatalogDir, catalogFile), t.path(catalogFile)); err != nil {
		return err
	}
	if err := t.fs.SyncDir(t.dir); err != nil {
		return err
	}
	hook("backup.placed")
	if err := t.empty(newCatalogDir); err != nil {
		return err
	}
	return t.prune(ctx)
}

// prune removes packs and blobs that the catalog does not know.
func (t *folderBackup) prune(ctx context.Context) error {
	d, err := db.Untouched(ctx, t.fs, t.dir, t.uuid)
	if err != nil {
		return err
	}
	defer d.Close()
	known := map[string]bool{}
	var files []string
	err = d.Read(ctx, func(tx *db.Tx) error {
		for p, err := range tx.Packs() {
			if err != nil {
				return err
			}
			known[t.packPath(p.ID)] = p.State != db.PackDead
		}
		return nil
	})
	if err != nil {
		return err
	}
	entries, err := t.list(packsDir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if name := t.path(packsDir, e.Name()); !known[name] {
			files = append(files, name)
		}
	}
	err = t.unknownLoose(ctx, d, func(dir string, e fs.DirEntry) error {
		files = append(files, t.path(dir, e.Name()))
		return nil
	})
	for _, name := range files {
		err = errors.Join(err, t.fs.Remove(name))
	}
	return err
}

// lockAlone takes the store's lock so that nobody else has it.
func (l layout) lockAlone(ctx context.Context, verb string, wait time.Duration, warn func(string)) (unlock func(), err error) {
	f, err := l.fs.OpenFile(l.path(lockFile), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", verb, l.dir, fsys.Classify(err))
	}
	t := time.AfterFunc(rebuildNotice, func() { warn("waiting until no other process uses the store " + l.dir) })
	defer t.Stop()
	ctx, cancel := context.WithTimeoutCause(ctx, wait, errInUse)
	defer cancel()
	if ok, err := f.TryLock(true); ok && err == nil {
		return func() { f.Close() }, nil
	}
	if err := f.Lock(ctx, true); err != nil {
		f.Close()
		if errors.Is(err, errInUse) {
			err = content.WithHint(fmt.Errorf("%s %s: %w: other processes have used the store for %s", verb, l.dir, content.ErrConflict, wait),
				"try again when they have ended")
		}
		return nil, err
	}
	return func() { f.Close() }, nil
}
