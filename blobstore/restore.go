package blobstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"dist.example/blobstore/pack"
	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/oci"
)

// restoreDir is the folder in the store where a restore gathers what it has verified:
// catalog.db, store.json, <id>.pack and <algorithm>-<hex>. A folder that has it and no
// catalog is one that a restore has not finished.
const restoreDir = "restore.new"

// RestoreOptions direct Restore.
type RestoreOptions struct {
	// Force replaces the catalog of a store that is there.
	Force bool
	// FS is the file system, nil for the operating system's.
	FS fsys.FS
	// Observe is told how far it is: one blob with the name "restore", of unknown size.
	// nil is fine.
	Observe content.Observer
	// Warn is told, in a line each, for whom the restore waits; nil drops it.
	Warn func(string)
	// Wait is how long it waits for other processes to leave the store, 0 for 30 s.
	Wait time.Duration
	// Hook is called at the named points of the protocol. Only tests set it.
	Hook func(point string)
}

// RestoreReport is what a restore has brought.
type RestoreReport struct {
	UUID    string
	Objects int64 // that are here and good
	Bytes   int64 // of them
	Names   int64
	// Packs and Loose are those that came from the backup; what the store had already
	// and was good is not among them.
	Packs, Loose int64
	// Damaged are objects of the catalog that are not here or not good, by digest. The
	// catalog says so, and the next pull or put of each replaces it.
	Damaged []Damage
	// Unknown is what the store has and the restored catalog does not know: a collection
	// removes it, a rebuild of the catalog takes it in.
	Unknown db.Count
	// Replaced says that there was a catalog, which lies in catalog.old now.
	Replaced bool
}

// Restore makes the folder dir the store whose backup, a tar as Backup writes it, is
// read from r. The folder is new, empty, or what a restore that broke off has left.
// With Force it may be a store with the same identity, which nobody else uses
// meanwhile: its catalog is replaced and kept in catalog.old, what it lacks or has
// damaged comes from the backup, and nothing of it is removed.
//
// The whole backup is read, verified and durable beside the store before anything of
// it is touched. All content that the catalog tells of is read, whether it came or was
// here. What is damaged or missing is marked so in the catalog and is in the report;
// it is no error. The restored catalog counts as the one that was written last.
//
// An error leaves the store as it was, and so does a crash; but while what was gathered
// takes its place, either leaves a store without a catalog, which is refused until
// Restore, or Rebuild, has been finished. The hint of an error says so.
//
// Errors: content.ErrConflict where a store is there and not to be replaced, another
// one, or in use, or anything else is there; content.ErrInvalid when it is no backup,
// or one of the catalog alone and there is no content; content.ErrCorrupt when it ends
// early or its catalog is damaged; content.ErrNoStore when a newer version wrote it;
// content.ErrDenied, content.ErrNoSpace.
func Restore(ctx context.Context, dir string, from io.Reader, o RestoreOptions) (RestoreReport, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return RestoreReport{}, fmt.Errorf("restore %s: %w", dir, err)
	}
	o.defaults()
	r := &restorer{
		layout: layout{dir, o.FS}, o: o,
		staged: map[oci.Digest]bool{}, packs: map[int64]bool{}, here: map[oci.Digest]bool{}, good: map[int64]*idSet{}, counters: map[pack.NoteType]int64{},
	}
	if err := fsys.CheckLocal(dir); err != nil {
		return r.report, err
	}
	if err := r.run(ctx, from); err != nil {
		return r.report, fmt.Errorf("restore %s: %w", dir, fsys.Classify(err))
	}
	return r.report, nil
}

func (o *RestoreOptions) defaults() {
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

// restorer is one run of Restore.
type restorer struct {
	layout
	o      RestoreOptions
	head   head // of the backup
	db     *db.DB
	report RestoreReport
	done   int64

	catalog bool                // catalog.db came
	staged  map[oci.Digest]bool // loose blobs that came and are good
	packs   map[int64]bool      // that came
	here    map[oci.Digest]bool // loose blobs that the store has and that are good

	good  map[int64]*idSet // objects that are good in the pack that is taken
	taken []int64          // packs that come from the backup
	// counters has the highest number that a pack of the store tells of, for each type.
	counters    map[pack.NoteType]int64
	rescue      rescue
	last        int64       // highest id of a pack that the catalog has known, or that was rescued
	damagedRows []db.Object // marked damaged, and not good
	bad         []db.Object
	healed      []db.Object // marked damaged, and good
}

func (r *restorer) run(ctx context.Context, from io.Reader) (err error) {
	if err := r.acceptable(); err != nil {
		return err
	}
	if err := r.makeDir(); err != nil {
		return err
	}
	unlock, err := r.lockAlone(ctx, "restore", r.o.Wait, r.o.Warn)
	if err != nil {
		return err
	}
	defer unlock()
	if err := r.acceptable(); err != nil { // another one may have been quicker
		return err
	}
	fi, err := r.fs.Stat(r.path(catalogFile))
	r.report.Replaced = err == nil && fi.Size() > 0
	if err := r.empty(restoreDir); err != nil {
		return err
	}
	if err := r.fs.MkdirAll(r.path(restoreDir), 0o755); err != nil {
		return err
	}
	if err := r.prepare(ctx, from); err != nil {
		if fi, serr := r.fs.Stat(r.path(catalogFile)); serr == nil && fi.Size() > 0 || !r.holdsStore() {
			err = errors.Join(err, r.empty(restoreDir)) // else it says that a restore has to be finished
		}
		return err
	}
	r.o.Hook("restore.staged")
	return r.replaceCatalog(restoreDir, r.o.Hook, r.place)
}

// acceptable refuses a folder that is not to be restored to.
func (r *restorer) acceptable() error {
	_, err := r.parseHead()
	if err != nil && !errors.Is(err, errNoHead) {
		return err
	}
	if !r.holdsStore() && err != nil {
		return r.refuseForeign(restoreDir)
	}
	_, serr := r.fs.Stat(r.path(restoreDir))
	_, cerr := r.fs.Stat(r.path(catalogFile))
	if r.o.Force || serr == nil && errors.Is(cerr, fs.ErrNotExist) {
		return nil
	}
	return content.WithHint(fmt.Errorf("%w: a store is there", content.ErrConflict),
		"--force replaces its catalog, and keeps its content; --store names another folder")
}

// prepare reads the backup and makes everything ready beside the store.
func (r *restorer) prepare(ctx context.Context, from io.Reader) error {
	r.tell(content.EventStarted)
	if err := r.receive(ctx, from); err != nil {
		return err
	}
	if err := r.sameStore(); err != nil {
		return err
	}
	if err := r.judge(ctx); err != nil {
		return err
	}
	r.tell(content.EventFinished)
	return r.fs.SyncDir(r.path(restoreDir))
}

// sameStore refuses the backup of another store than the one that is there: by its
// store.json or, where that is lost, by what most packs say.
func (r *restorer) sameStore() error {
	h, err := r.parseHead()
	if err != nil {
		if _, h.UUID = r.packVotes(); h.UUID == "" {
			return nil
		}
	}
	if h.UUID != r.head.UUID {
		return content.WithHint(fmt.Errorf("%w: it is a backup of another store (%s, here is %s)", content.ErrConflict, r.head.UUID, h.UUID),
			"give an empty or a new folder")
	}
	return nil
}

// judge opens the catalog that came, finds out what of its content is good, and makes
// it the successor of the one that is there.
func (r *restorer) judge(ctx context.Context) (err error) {
	r.db, err = db.Open(ctx, r.path(restoreDir), db.Options{FS: r.fs, CacheMiB: 64, Warn: r.o.Warn, Store: r.head.UUID})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.db.Close()) }()
	for _, step := range []func(context.Context) error{r.sound, r.content, r.strangers, r.succeed} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return r.db.Settle(ctx)
}

// sound refuses a damaged catalog.
func (r *restorer) sound(ctx context.Context) error {
	for _, look := range []func(*db.Tx) ([]string, error){
		func(tx *db.Tx) ([]string, error) { return tx.Integrity(1) },
		func(tx *db.Tx) ([]string, error) { return tx.Contradictions() },
	} {
		err := r.db.Read(ctx, func(tx *db.Tx) error {
			found, err := look(tx)
			if err == nil && len(found) > 0 {
				err = content.WithHint(fmt.Errorf("%w: the catalog of the backup: %s", content.ErrCorrupt, found[0]),
					"unpack it: `dist check --rebuild` makes the catalog anew from the content")
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// succeed writes into the catalog what was found, and lets it go on from where the
// store was.
func (r *restorer) succeed(ctx context.Context) error {
	if err := markAll(ctx, r.db, r.bad, r.healed); err != nil {
		return err
	}
	return r.db.Write(ctx, func(tx *db.Tx) error {
		if err := r.adopt(tx); err != nil {
			return err
		}
		if err := r.raise(tx); err != nil {
			return err
		}
		return tx.Succeed(db.Witness(r.fs, r.dir))
	})
}

// raise lets all counters go on from where the store was: a note with a number that was
// given before would not be believed by a rebuild.
func (r *restorer) raise(tx *db.Tx) error {
	if err := tx.RestoreLog(nil, r.counters[pack.NoteRef]); err != nil {
		return err
	}
	if err := tx.RaiseSettingSeq(r.counters[pack.NoteSetting]); err != nil {
		return err
	}
	return tx.RaiseTrustSeq(r.counters[pack.NoteTrust])
}

// place gives names in the store to what came, while there is no catalog.
func (r *restorer) place() error {
	if err := r.makeFolders(); err != nil {
		return err
	}
	for _, id := range r.taken {
		if err := r.placePack(id); err != nil {
			return err
		}
	}
	for d := range r.staged {
		if err := r.fs.Rename(r.path(restoreDir, stagedBlob(d)), r.blobPath(d)); err != nil {
			return err
		}
		r.o.Hook("restore.placed")
	}
	if err := r.fs.Rename(r.path(restoreDir, headFile), r.path(headFile)); err != nil {
		return err
	}
	for _, dir := range append(storeFolders(), ".") {
		if err := r.fs.SyncDir(r.path(filepath.FromSlash(dir))); err != nil {
			return err
		}
	}
	return nil
}

// placePack lets a pack of the backup take the place of one that is not good. That one
// becomes a pack of its own, which a rebuild reads and a collection removes when it has
// grown old: it may have what the backup lacks.
func (r *restorer) placePack(id int64) error {
	name := r.packPath(id)
	if _, err := r.fs.Stat(name); err == nil {
		if err := r.setAside(name); err != nil {
			return err
		}
	}
	if err := r.fs.Rename(r.path(restoreDir, filepath.Base(name)), name); err != nil {
		return err
	}
	r.o.Hook("restore.placed")
	return nil
}

// setAside gives a pack a number that none has. With its header it gets a new time.
func (r *restorer) setAside(name string) error {
	p := db.Pack{ID: r.last, Created: time.Now()}
	id, err := r.lastPack()
	if err != nil {
		return err
	}
	p.ID = max(p.ID, id) + 1
	if err := r.fs.Rename(name, r.packPath(p.ID)); err != nil {
		return err
	}
	if _, err := r.rewriteHeader(r.head.UUID, p); err != nil {
		r.o.Warn(fmt.Sprintf("pack %d, which was replaced, could not be given its number: %v", p.ID, err))
	}
	return nil
}

// lastPack is the highest number that a pack in the store or in the backup has.
func (r *restorer) lastPack() (int64, error) {
	last, err := r.layout.lastPack()
	for id := range r.packs {
		last = max(last, id)
	}
	return last, err
}

// stagedBlob is the name of a loose blob while it is not placed.
func stagedBlob(d oci.Digest) string { return strings.Replace(d.String(), ":", "-", 1) }

func (r *restorer) advance(n int64) {
	r.done += n
	r.tell(content.EventAdvanced)
}

func (r *restorer) tell(kind content.EventKind) {
	r.o.Observe(content.Event{Kind: kind, Name: "restore", Offset: r.done, Total: -1})
}
