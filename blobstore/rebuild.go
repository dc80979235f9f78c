package blobstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"dist.example/blobstore/pack"
	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/oci"
)

// The folders beside the catalog that a rebuild uses.
const (
	newCatalogDir = "catalog.new" // where the new one grows
	oldCatalogDir = "catalog.old" // where the old one is kept
)

// RebuildOptions direct Rebuild.
type RebuildOptions struct {
	// FS is the file system, nil for the operating system's.
	FS fsys.FS
	// Observe is told how far the rebuild is: one blob with the name "rebuild",
	// whose total is the size of all packs and loose blobs. nil is fine.
	Observe content.Observer
	// Warn is told, in a line each, for whom the rebuild waits; nil drops it.
	Warn func(string)
	// Wait is how long it waits for other processes to leave the store, 0 for 30 s.
	Wait time.Duration
	// Hook is called at the named points of the protocol. Only tests set it.
	Hook func(point string)
}

// RebuildReport is what a rebuild has restored, and what it could not.
type RebuildReport struct {
	Objects, Bytes int64 // held, and their bytes on the disk
	Packs          int64
	Names          int64
	Changes        int64 // of names, in the history
	// Damaged is what has no good copy: records and files whose bytes are not those
	// of their digest, and what a name should reach and is not here.
	Damaged []Damage
	// LostNames could not be made, since what they stand for is not here.
	LostNames []LostName
	// Mended has a sentence for everything beside the catalog that was damaged and is
	// written again.
	Mended []string
	// Left has a sentence for every file, stretch and note that was left alone.
	Left []string
	// Ingests counts the unfinished ones, whose bytes stay in the store as garbage.
	Ingests, Partial int64
	// Kept counts the objects that no name reaches. They are kept for 7 days.
	Kept int64
}

// Whole says that all of the content was good.
func (r RebuildReport) Whole() bool {
	return len(r.Damaged) == 0 && len(r.LostNames) == 0 && len(r.Left) == 0
}

// LostName is a name whose target is not here.
type LostName struct {
	Name   string
	Digest oci.Digest
}

// rebuildKeep is how long a rebuild keeps what no name reaches.
const rebuildKeep = 7 * 24 * time.Hour

// rebuildNotice is when a rebuild says that it waits: nobody expects it to.
const rebuildNotice = time.Second

// rebuildBatch is how many rows go into one transaction of a rebuild. Nobody waits
// for it: large ones touch the pages of the index less often.
const rebuildBatch = 131_072

// Rebuild makes the catalog of the store in folder dir anew, from its packs and
// loose blobs alone: objects, edges, media types, names and their history, keys and
// the serials that they have signed with, settings, pins and sites. The old catalog, whatever it was, is moved to catalog.old. Beside it, damaged pack headers
// are written again, and the removal of names that are lost is appended to a pack.
// It needs the store for itself. Memory grows with the objects that have a note of
// their type, and with the changes of names.
//
// Not restored are leases, what sites have, all bundles but the last of each name, sources,
// which signatures were seen when, verifications, unfinished ingests, and
// deletions: what was deleted and not collected yet is there again, without its
// names. Everything that no name reaches is kept for 7 days.
//
// An error or a crash leaves the old catalog or, at the end, none: then the store is
// refused until a rebuild has been finished. What is found damaged is in the report and is no
// error. A store.json that is lost, or that all packs contradict, is made anew.
// Errors: content.ErrNoStore where there is no store; content.ErrConflict while
// other processes use the store; content.ErrDenied, content.ErrNoSpace.
func Rebuild(ctx context.Context, dir string, o RebuildOptions) (RebuildReport, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return RebuildReport{}, fmt.Errorf("rebuild %s: %w", dir, err)
	}
	o.defaults()
	r := &rebuilder{
		layout: layout{dir, o.FS}, o: o,
		manifests: map[oci.Digest]bool{}, media: map[oci.Digest]pack.Note{}, changes: map[int64]pack.Note{}, trust: map[string]pack.Note{}, settings: map[string]pack.Note{}, bad: map[oci.Digest]Damage{},
	}
	if err := fsys.CheckLocal(dir); err != nil {
		return r.report, err
	}
	if _, err := r.parseHead(); err != nil && !(errors.Is(err, errNoHead) && r.holdsStore()) {
		return r.report, err
	}
	unlock, err := r.lockAlone(ctx, "rebuild", r.o.Wait, r.o.Warn)
	if err != nil {
		return r.report, err
	}
	defer unlock()
	if err := r.findHead(); err != nil {
		return r.report, fmt.Errorf("rebuild the catalog of %s: %w", dir, fsys.Classify(err))
	}
	if err := r.build(ctx); err != nil {
		return r.report, fmt.Errorf("rebuild the catalog of %s: %w", dir, fsys.Classify(err))
	}
	if err := r.replaceCatalog(newCatalogDir, r.o.Hook, func() error { return nil }); err != nil {
		return r.report, fmt.Errorf("rebuild the catalog of %s: %w", dir, fsys.Classify(err))
	}
	return r.report, nil
}

func (o *RebuildOptions) defaults() {
	if o.FS == nil {
		o.FS = fsys.OS()
	}
	if o.Observe == nil {
		o.Observe = func(content.Event) {}
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	if o.Wait == 0 {
		o.Wait = lockWait
	}
	if o.Hook == nil {
		o.Hook = func(string) {}
	}
}

// rebuilder is one run of Rebuild.
type rebuilder struct {
	layout
	o      RebuildOptions
	head   head
	db     *db.DB // the new catalog
	report RebuildReport

	total int64
	done  atomic.Int64

	// What the packs have told so far. For one goroutine.
	manifests map[oci.Digest]bool      // by their records
	media     map[oci.Digest]pack.Note // the newest word on each object's type
	changes   map[int64]pack.Note      // of names, by number
	trust     map[string]pack.Note     // the newest word on each fact
	settings  map[string]pack.Note     // and on each setting and pin
	highest   int64                    // number that a change may have been given
	bad       map[oci.Digest]Damage    // copies that are not good
	packs     []db.Pack
}

var errInUse = errors.New("in use")

// build makes the new catalog in a folder of its own, complete and durable.
func (r *rebuilder) build(ctx context.Context) (err error) {
	if err := r.empty(newCatalogDir); err != nil {
		return err
	}
	if err := r.fs.MkdirAll(r.path(newCatalogDir), 0o755); err != nil {
		return err
	}
	r.db, err = db.Open(ctx, r.path(newCatalogDir), db.Options{
		FS: r.fs, CacheMiB: 64, Warn: r.o.Warn, Store: r.head.UUID, Hook: r.o.Hook, After: db.Witness(r.fs, r.dir),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.db.Close()) }()
	r.measure()
	r.tell(content.EventStarted)
	for _, step := range []func(context.Context) error{r.readPacks, r.readLoose, r.types, r.edges, r.names, r.restoreTrust, r.restoreSettings, r.keep, r.countIngests} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	r.done.Store(r.total) // headers and what is of no use included
	r.tell(content.EventFinished)
	return r.db.Settle(ctx)
}

// empty removes a folder of the store and the files in it. One that is not there
// is no error.
func (l layout) empty(dir string) error {
	if _, err := l.fs.Stat(l.path(dir)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	entries, err := l.list(dir)
	for _, e := range entries {
		err = errors.Join(err, l.fs.Remove(l.path(dir, e.Name())))
	}
	if err != nil {
		return err
	}
	return l.fs.Remove(l.path(dir))
}

// list lists a folder of the store; nothing where there is none.
func (l layout) list(dir string) ([]fs.DirEntry, error) {
	entries, err := l.fs.ReadDir(l.path(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return entries, err
}

// replaceCatalog puts the catalog in folder from, which nobody has open any more, in
// the place of the old one, which moves aside with its log. While there is none, the
// store is refused; meanwhile runs then. The old one does not come back after an error:
// by then it may not fit to what is here.
func (l layout) replaceCatalog(from string, hook func(string), meanwhile func() error) error {
	err := l.exchange(from, hook, meanwhile)
	if err == nil {
		return nil
	}
	if _, lost := l.fs.Stat(l.path(catalogFile)); errors.Is(lost, fs.ErrNotExist) {
		err = content.WithHint(err, "the store is without its catalog until this has been done again; the old one is in %s", oldCatalogDir)
	}
	return err
}

func (l layout) exchange(from string, hook func(string), meanwhile func() error) error {
	hook("rebuild.built")
	if err := l.syncCatalog(from); err != nil {
		return err
	}
	if err := l.moveAside(hook); err != nil {
		return err
	}
	hook("rebuild.aside")
	if err := meanwhile(); err != nil {
		return err
	}
	if err := l.fs.Rename(l.path(from, catalogFile), l.path(catalogFile)); err != nil {
		return err
	}
	if err := l.fs.SyncDir(l.dir); err != nil {
		return err
	}
	hook("rebuild.renamed")
	return l.empty(from)
}

// syncCatalog makes the catalog in a folder of the store durable.
func (l layout) syncCatalog(dir string) error {
	f, err := l.fs.OpenFile(l.path(dir, catalogFile), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return l.fs.SyncDir(l.path(dir))
}

// moveAside moves the old catalog to catalog.old. The file itself goes first: what
// is left of a move that was broken off has no catalog, and is refused. Then the
// next rebuild or restore moves the rest.
func (l layout) moveAside(hook func(string)) error {
	if _, err := l.fs.Stat(l.path(catalogFile)); err == nil {
		if err := l.empty(oldCatalogDir); err != nil {
			return err
		}
	}
	if err := l.fs.MkdirAll(l.path(oldCatalogDir), 0o755); err != nil {
		return err
	}
	for _, name := range []string{catalogFile, catalogFile + "-wal", catalogFile + "-shm"} {
		err := l.fs.Rename(l.path(name), l.path(oldCatalogDir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := l.fs.SyncDir(l.dir); err != nil {
			return err
		}
		hook("rebuild.moved")
	}
	return l.fs.SyncDir(l.path(oldCatalogDir))
}

// measure finds out how much there is to read.
func (r *rebuilder) measure() {
	for _, dir := range []string{packsDir, filepath.Join(blobsDir, "sha256"), filepath.Join(blobsDir, "sha512")} {
		entries, _ := r.list(dir) // what cannot be listed is told when it is read
		for _, e := range entries {
			r.total += sizeOf(e)
		}
	}
}

// tell reports how far this is.
func (r *rebuilder) tell(kind content.EventKind) {
	r.o.Observe(content.Event{Kind: kind, Name: "rebuild", Offset: min(r.done.Load(), r.total), Total: r.total})
}

func (r *rebuilder) advance(n int64) {
	r.done.Add(n)
	r.tell(content.EventAdvanced)
}

func (r *rebuilder) mended(format string, args ...any) {
	r.report.Mended = append(r.report.Mended, fmt.Sprintf(format, args...))
}

func (r *rebuilder) left(format string, args ...any) {
	r.report.Left = append(r.report.Left, fmt.Sprintf(format, args...))
}
