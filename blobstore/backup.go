package blobstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
)

// BackupOptions direct Backup and BackupFolder.
type BackupOptions struct {
	// CatalogOnly leaves the content out.
	CatalogOnly bool
	// Observe is told how far it is: one blob with the name "backup", whose total is the
	// size of all packs and loose blobs. nil is fine.
	Observe content.Observer
}

// BackupReport is what a backup has.
type BackupReport struct {
	Objects int64 // that the catalog holds, damaged ones too
	Names   int64
	Packs   int64
	Loose   int64
	// Bytes are those of packs and loose blobs that were written; Kept those that the
	// folder had from an earlier backup.
	Bytes, Kept int64
	Catalog     int64 // bytes
	// Damaged are the objects that are not good, by digest. All others are in the
	// backup, whose catalog says of these that they are damaged.
	Damaged []Damage
}

// backup is one run of Backup or BackupFolder.
//
// gc.lock is held shared from before the snapshot to the end: nothing is collected
// and no pack is compacted meanwhile, so that what the rows of the copy point to stays
// where it is. A lease would need a row for each object, outlive a backup that is
// killed, and not keep a pack's records in their places. Everybody else goes on:
// bytes below the ends of packs do not change, loose blobs are not unlinked but by a
// collection, and what is deleted is only given up.
type backup struct {
	s      *Store
	o      BackupOptions
	to     backupTarget
	copy   *db.DB // the catalog as it was
	alone  bool   // no collection can run
	seen   idSet  // objects in packs whose bytes are right
	begun  map[int64]int64
	bad    []db.Object // held by their rows, and not good
	sound  []db.Object // damaged by their rows, and good in the backup
	report BackupReport
	total  int64
	done   int64
}

// backupTarget takes what a backup copies. Packs come first, then loose blobs.
type backupTarget interface {
	// pack takes a pack up to its end. The offset that write began from is returned.
	pack(p db.Pack, f fsys.File, write packWriter) (from int64, err error)
	// has says whether the backup has the right bytes of an object. Where it was to be
	// copied, pack, for its pack, or loose has been called; from is where that was read.
	has(ctx context.Context, from layout, o db.Object) (bool, error)
	// loose takes a loose blob, and says whether its bytes are right and how many were
	// written.
	loose(ctx context.Context, o db.Object, f fsys.File) (good bool, written int64, err error)
}

// packWriter writes and verifies what lies in a pack behind an offset that is one of a
// record. What the store has lost is taken from old, an earlier copy of the pack, which
// may be nil. Without it blank are the stretches of which zeros may have been written,
// since they could not be read.
type packWriter func(w io.Writer, from int64, old fsys.File) (blank stretches, err error)

// Backup writes the store as a tar that, unpacked, is a store: store.json, packs up
// to their ends, loose blobs, and the catalog as the last member. Other processes may
// read and write meanwhile; it has the state of one moment. Every byte is verified as
// it is copied. tmp is a folder for the copy of the catalog, on a disk with room for
// it; it must be empty, and is left with that.
//
// It lacks leases of running commands, unfinished ingests, views and locks. What is
// damaged is in the report, and marked in the backup's catalog. Errors: those of w,
// content.ErrConflict where a collection has run in spite of all (in a store that
// cannot be written), content.ErrNoSpace, the cause of ctx.
func (s *Store) Backup(ctx context.Context, w io.Writer, tmp string, o BackupOptions) (BackupReport, error) {
	t := newTarBackup(w)
	b := s.newBackup(t, o)
	err := b.run(ctx, tmp, func() error { return t.head(s.head) }, func() error {
		return t.catalog(s.fs, filepath.Join(tmp, catalogFile))
	})
	return b.report, err
}

func (s *Store) newBackup(to backupTarget, o BackupOptions) *backup {
	if o.Observe == nil {
		o.Observe = func(content.Event) {}
	}
	return &backup{s: s, o: o, to: to, begun: map[int64]int64{}}
}

// run copies catalog and content; begin comes before all, end gets the finished
// catalog in folder tmp.
func (b *backup) run(ctx context.Context, tmp string, begin, end func() error) error {
	unlock, alone, err := b.s.holdCollections(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	b.alone = alone
	err = begin()
	if err == nil {
		err = b.s.db.CopyTo(ctx, tmp)
	}
	if err == nil {
		b.s.hook("backup.copied")
		err = b.withCopy(ctx, tmp, b.content)
	}
	if err == nil {
		err = db.FinishCopy(b.s.fs, tmp)
	}
	if err == nil {
		b.s.hook("backup.content")
		err = b.measureCatalog(filepath.Join(tmp, catalogFile))
	}
	if err == nil {
		err = end()
	}
	sortDamage(b.report.Damaged)
	if err != nil {
		return fmt.Errorf("back up %s: %w", b.s.dir, fsys.Classify(err))
	}
	return nil
}

// holdCollections keeps collections from running until unlock. Where the lock cannot
// be had, since nothing can be written, ok is false, and what is collected is found
// missing.
func (s *Store) holdCollections(ctx context.Context) (unlock func(), ok bool, err error) {
	mode := os.O_RDWR | os.O_CREATE
	if s.readOnly {
		mode = os.O_RDONLY
	}
	f, err := s.fs.OpenFile(s.path(gcLockFile), mode, 0o644)
	if err != nil && s.readOnly {
		return func() {}, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("back up %s: %w", s.dir, fsys.Classify(err))
	}
	t := time.AfterFunc(waitNotice, func() { s.warn("waiting for a garbage collection of the store " + s.dir) })
	defer t.Stop()
	if err := f.Lock(ctx, false); err != nil {
		f.Close()
		return nil, false, fmt.Errorf("back up %s: %w", s.dir, err)
	}
	return func() { f.Close() }, true, nil
}

// withCopy opens the copy of the catalog in folder tmp, and settles it.
func (b *backup) withCopy(ctx context.Context, tmp string, do func(context.Context) error) (err error) {
	b.copy, err = db.Open(ctx, tmp, db.Options{FS: b.s.fs, CacheMiB: 64, Store: b.s.head.UUID})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.copy.Close()) }()
	if err := do(ctx); err != nil {
		return err
	}
	return b.copy.Settle(ctx)
}

func (b *backup) measureCatalog(file string) error {
	fi, err := b.s.fs.Stat(file)
	if err == nil {
		b.report.Catalog = fi.Size()
	}
	return err
}

// content copies what the copied catalog points to.
func (b *backup) content(ctx context.Context) error {
	packs, err := b.measure(ctx)
	if err != nil || b.o.CatalogOnly {
		return err
	}
	b.tell(content.EventStarted)
	for _, p := range packs {
		if p.State == db.PackDead {
			continue
		}
		if err := b.pack(ctx, p); err != nil {
			return err
		}
	}
	if err := eachObject(ctx, b.copy, func(o db.Object) error { return b.object(ctx, o) }); err != nil {
		return err
	}
	b.done = b.total
	b.tell(content.EventFinished)
	return b.mark(ctx)
}

func (b *backup) measure(ctx context.Context) (packs []db.Pack, err error) {
	err = b.copy.Read(ctx, func(tx *db.Tx) error {
		t, err := tx.Totals()
		if err != nil {
			return err
		}
		for p, err := range tx.Packs() {
			if err != nil {
				return err
			}
			packs = append(packs, p)
			b.total += p.End
		}
		b.total += t.Objects[db.LocLoose].Stored
		b.report.Names = t.Names
		for _, loc := range []db.Loc{db.LocPack, db.LocLoose, db.LocDamaged} {
			b.report.Objects += t.Objects[loc].Objects
		}
		return nil
	})
	return packs, err
}

func (b *backup) pack(ctx context.Context, p db.Pack) error {
	f, err := b.s.openContent(b.s.packPath(p.ID))
	if suspicious(err) { // its objects tell
		return b.unlessCollected(ctx, func(tx *db.Tx) (bool, error) {
			now, found, err := tx.Pack(p.ID)
			return !found || now.State == db.PackDead, err
		})
	}
	if err != nil {
		return err
	}
	defer f.Close()
	begun, err := b.to.pack(p, f, func(w io.Writer, from int64, old fsys.File) (stretches, error) {
		c := packCopy{catalog: b.copy, p: p, from: from, to: w, good: &b.seen, advance: b.advance}
		if old != nil {
			return nil, c.mended(ctx, f, old, b.s.head.UUID)
		}
		err := c.run(ctx, f)
		return c.blank, err
	})
	if err != nil {
		return fmt.Errorf("pack %d: %w", p.ID, err)
	}
	b.begun[p.ID] = begun
	b.report.Packs++
	b.report.Bytes += p.End - begun
	b.report.Kept += begun
	return nil
}

// object takes a loose blob, and notes what was not found good in its pack. What is
// marked damaged may be good all the same: in the folder of an earlier backup, or since
// the disk can be read again.
func (b *backup) object(ctx context.Context, o db.Object) error {
	switch {
	case o.Loc == db.LocPack, o.Loc == db.LocDamaged && o.Pack > 0:
		return b.packed(ctx, o)
	case o.Loc == db.LocLoose, o.Loc == db.LocDamaged:
		return b.loose(ctx, o)
	}
	return nil
}

// packed notes whether an object is good in the backup. One that the scan of its pack
// has not come to is read before it is called damaged.
func (b *backup) packed(ctx context.Context, o db.Object) error {
	begun, copied := b.begun[o.Pack]
	good := b.seen.has(o.ID) || o.Loc == db.LocPack && copied && o.Off < begun
	if !good {
		var err error
		if good, err = b.to.has(ctx, b.s.layout, o); err != nil {
			return err
		}
	}
	if good || o.Loc == db.LocDamaged {
		return b.judged(ctx, o, good)
	}
	here, err := b.s.readRow(o)
	if err != nil {
		return err
	}
	if !here {
		b.s.markDamaged(o.Digest, o)
	}
	return b.judged(ctx, o, false)
}

// judged keeps what the copied catalog is to say of an object.
func (b *backup) judged(ctx context.Context, o db.Object, good bool) error {
	switch {
	case good && o.Loc == db.LocDamaged:
		b.sound = append(b.sound, o)
		return nil
	case good:
		return nil
	case o.Loc == db.LocDamaged:
		return b.damaged(ctx, o, foundBefore)
	}
	b.bad = append(b.bad, o)
	if o.Loc == db.LocPack {
		return b.damaged(ctx, o, "its record is damaged")
	}
	return b.damaged(ctx, o, "the bytes are wrong or gone")
}

func (b *backup) loose(ctx context.Context, o db.Object) error {
	if o.Loc == db.LocDamaged {
		if good, err := b.s.readLoose(ctx, o.Digest, o.Size, func(int64) {}); err != nil || !good {
			if err == nil {
				good, err = b.to.has(ctx, b.s.layout, o)
			}
			return errors.Join(err, b.judged(ctx, o, good))
		}
	}
	f, err := b.s.openContent(b.s.blobPath(o.Digest))
	if err != nil && !suspicious(err) {
		return err
	}
	good := false
	if err == nil {
		defer f.Close()
		var written int64
		if good, written, err = b.to.loose(ctx, o, f); err != nil {
			return fmt.Errorf("%s: %w", o.Digest, err)
		}
		b.advance(o.Size)
		b.report.Bytes += written
		b.report.Kept += o.Size - written
	}
	if !good {
		if good, err = b.to.has(ctx, b.s.layout, o); err != nil {
			return err
		}
	}
	if good {
		b.report.Loose++
		return b.judged(ctx, o, true)
	}
	if o.Loc == db.LocDamaged {
		return b.judged(ctx, o, false)
	}
	err = b.unlessCollected(ctx, func(tx *db.Tx) (bool, error) {
		now, found, err := tx.Object(o.Digest)
		return !found || !now.Loc.Held() || now.Loc == db.LocPack, err
	})
	if err != nil {
		return err
	}
	// What could not be read once may be right all the same.
	here, err := b.s.readLoose(ctx, o.Digest, o.Size, func(int64) {})
	if err != nil {
		return err
	}
	if !here {
		b.s.markDamaged(o.Digest, o)
	}
	return b.judged(ctx, o, false)
}

// unlessCollected is for what is not there: it is an error when the store has given it
// up meanwhile, or has it elsewhere by now, which only happens where collections could
// not be kept away.
func (b *backup) unlessCollected(ctx context.Context, gone func(*db.Tx) (bool, error)) error {
	if b.alone {
		return nil
	}
	return b.s.db.Read(ctx, func(tx *db.Tx) error {
		collected, err := gone(tx)
		if err == nil && collected {
			err = content.WithHint(fmt.Errorf("%w: garbage was collected meanwhile", content.ErrConflict), "run it again")
		}
		return err
	})
}

func (b *backup) damaged(ctx context.Context, o db.Object, problem string) error {
	d, err := damageOf(ctx, b.copy, o, problem)
	b.report.Damaged = append(b.report.Damaged, d)
	return err
}

// mark says in the copy what is damaged, and what is not.
func (b *backup) mark(ctx context.Context) error { return markAll(ctx, b.copy, b.bad, b.sound) }

func markAll(ctx context.Context, d *db.DB, bad, sound []db.Object) error {
	if len(bad)+len(sound) == 0 {
		return nil
	}
	return d.Write(ctx, func(tx *db.Tx) error {
		for _, o := range sound {
			if _, err := tx.MarkSound(o); err != nil {
				return err
			}
		}
		for _, o := range bad {
			if _, err := tx.MarkDamaged(o); err != nil {
				return err
			}
		}
		return nil
	})
}

func (b *backup) advance(n int64) {
	b.done += n
	b.tell(content.EventAdvanced)
}

func (b *backup) tell(kind content.EventKind) {
	b.o.Observe(content.Event{Kind: kind, Name: "backup", Offset: min(b.done, b.total), Total: b.total})
}
