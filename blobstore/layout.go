package blobstore

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/oci"
)

// format is the number of this layout in store.json. A store with a higher one
// is refused.
const format = 1

// The names in a store's folder.
const (
	headFile    = "store.json"
	catalogFile = "catalog.db"
	lockFile    = "lock"
	// The locks of write transactions (package db takes it) and of collections.
	writeLockFile = "write.lock"
	gcLockFile    = "gc.lock"

	blobsDir  = "blobs"
	packsDir  = "packs"
	ingestDir = "ingest"
	leasesDir = "leases"
	viewsDir  = "views"
	trashDir  = "trash"
	// Layers that are kept unpacked, each closed to others. It is made when there are any.
	snapshotsDir = "snapshots"
	// Limits on the network that the processes of the store share (package budgets).
	budgetsDir = "budgets"
)

// BudgetsDir is the folder of the store in dir that package budgets keeps its
// files in, "" when no store is there. It need not exist yet.
func BudgetsDir(dir string) string {
	l := layout{dir, fsys.OS()}
	if _, err := l.parseHead(); err != nil {
		return ""
	}
	return l.path(budgetsDir)
}

// layout knows where things are.
type layout struct {
	dir string
	fs  fsys.FS
}

func (l layout) path(elem ...string) string {
	return filepath.Join(append([]string{l.dir}, elem...)...)
}

func (l layout) blobDir(d oci.Digest) string  { return l.path(blobsDir, d.Algorithm().String()) }
func (l layout) blobPath(d oci.Digest) string { return filepath.Join(l.blobDir(d), d.Encoded()) }
func (l layout) packPath(id int64) string     { return l.path(packsDir, fmt.Sprintf("%d.pack", id)) }

// lastPack is the highest number of a file in packs/, 0 where there is none.
func (l layout) lastPack() (last int64, err error) {
	entries, err := l.list(packsDir)
	for _, e := range entries {
		if id, ok := packID(e.Name()); ok {
			last = max(last, id)
		}
	}
	return last, err
}

// parseHead reads store.json. Without one, or with one that is none: errNoHead.
func (l layout) parseHead() (head, error) {
	var h head
	p, err := os.ReadFile(l.path(headFile))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return h, content.WithHint(fmt.Errorf("open store %s: %w there", l.dir, errNoHead),
			"`dist --store %s init` makes one there; --store or DIST_STORE name another", l.dir)
	}
	if err != nil {
		return h, fmt.Errorf("open store %s: %w", l.dir, fsys.Classify(err))
	}
	if err := json.Unmarshal(p, &h); err != nil || !isUUID(h.UUID) || h.Format < 1 {
		return head{}, fmt.Errorf("open store %s: %w: %s is not a store's", l.dir, errNoHead, headFile)
	}
	if h.Format > format {
		return h, content.WithHint(fmt.Errorf("open store %s: %w that this version reads: format %d, want %d", l.dir, content.ErrNoStore, h.Format, format),
			"use the version of dist that wrote it, or a newer one")
	}
	return h, nil
}

// create makes the folders and store.json. Processes that do it at the same
// time agree on one identity: the first to link the file wins.
func (l layout) create(hook func(point string)) error {
	if err := l.refuseForeign(); err != nil {
		return fmt.Errorf("create store %s: %w", l.dir, fsys.Classify(err))
	}
	if err := l.makeDir(); err != nil {
		return fmt.Errorf("create store %s: %w", l.dir, fsys.Classify(err))
	}
	if err := l.makeFolders(); err != nil {
		return fmt.Errorf("create store %s: %w", l.dir, fsys.Classify(err))
	}
	hook("store.folders")
	// Who finds store.json does not look whether its folders are there.
	for _, d := range []string{l.path(blobsDir), l.dir} {
		if err := l.fs.SyncDir(d); err != nil {
			return fmt.Errorf("create store %s: %w", l.dir, fsys.Classify(err))
		}
	}
	h := newHead()
	tmp := l.path(headFile + "." + h.UUID[:8])
	if err := l.writeHead(tmp, h); err != nil {
		return fmt.Errorf("create store %s: %w", l.dir, fsys.Classify(err))
	}
	hook("store.written")
	err := l.fs.Link(tmp, l.path(headFile))
	hook("store.linked")
	l.fs.Remove(tmp)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("create store %s: %w", l.dir, fsys.Classify(err))
	}
	if err := l.fs.SyncDir(l.dir); err != nil {
		return fmt.Errorf("create store %s: %w", l.dir, fsys.Classify(err))
	}
	hook("store.made")
	return nil
}

// makeDir makes the store's folder, if there is none, so that its name is durable.
func (l layout) makeDir() error {
	var unsynced []string
	for dir := l.dir; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := l.fs.Stat(dir); err == nil {
			break // its name is no news to the folder above
		}
		unsynced = append(unsynced, filepath.Dir(dir))
	}
	if err := l.fs.MkdirAll(l.dir, 0o755); err != nil {
		return err
	}
	for _, dir := range unsynced {
		if err := l.fs.SyncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

// storeFolders are the folders of a store, with slashes, parents first.
func storeFolders() []string {
	return []string{packsDir, ingestDir, leasesDir, viewsDir, trashDir, blobsDir, blobsDir + "/sha256", blobsDir + "/sha512"}
}

// makeFolders makes the folders in the store's.
func (l layout) makeFolders() error {
	for _, dir := range storeFolders() {
		if err := l.fs.MkdirAll(l.path(filepath.FromSlash(dir)), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// refuseForeign keeps a mistyped --store from scattering a store's folders over
// somebody's files. What an earlier creation left half done is no stranger, nor is what
// has one of the names besides.
func (l layout) refuseForeign(besides ...string) error {
	const hint = "give an empty or a new folder"
	entries, err := os.ReadDir(l.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if errors.Is(err, syscall.ENOTDIR) {
		return content.WithHint(fmt.Errorf("%w: it is a file", content.ErrConflict), hint)
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !ownName(e.Name()) && !slices.Contains(besides, e.Name()) {
			return content.WithHint(fmt.Errorf("%w: the folder holds other files (%s)", content.ErrConflict, e.Name()), hint)
		}
	}
	return nil
}

func ownName(name string) bool {
	switch name {
	case lockFile, blobsDir, packsDir, ingestDir, leasesDir, viewsDir, trashDir, snapshotsDir, budgetsDir, writeLockFile, gcLockFile:
		return true
	}
	return len(name) >= len(headFile) && name[:len(headFile)] == headFile ||
		len(name) >= len("catalog.") && name[:len("catalog.")] == "catalog."
}

// writeFile makes a durable file; the folder's entry is the caller's to sync.
func writeFile(fsx fsys.FS, name string, p []byte, perm fs.FileMode) error {
	f, err := fsx.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(p)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = fsx.Chmod(name, perm)
	}
	if err != nil {
		fsx.Remove(name)
	}
	return err
}

// blobName is the name of a loose blob below the store's folder, with slashes.
func blobName(d oci.Digest) string {
	return blobsDir + "/" + d.Algorithm().String() + "/" + d.Encoded()
}
