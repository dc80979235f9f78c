package db

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"dist.example/content"
	"dist.example/fsys"
)

// backupMeta is the key under which a finished copy keeps the epoch that it was
// finished with: it says whether anybody has written to it since.
const backupMeta = "backup"

// forget takes out of a copy what concerns the processes that use the store: their
// leases and ingests, and what a collection under way has noted; and what layers have in
// them, and that they are unpacked, which is made again, of content that is held to its
// digests.
const forget = `
DELETE FROM lease_objects WHERE lease IN (SELECT num FROM leases WHERE kind = 1);
DELETE FROM leases WHERE kind = 1;
DELETE FROM ingests;
DELETE FROM changes;
DELETE FROM layer_indexes;
DELETE FROM snapshots;
DELETE FROM meta WHERE k = 'marking';
PRAGMA journal_mode = WAL`

// CopyTo makes a copy of the catalog, as one snapshot has it, in folder dir, where
// there must be none. Others may read and write meanwhile and wait for nothing. The
// copy has no free pages, and lacks leases of running commands and unfinished
// ingests. It is not synced. What a broken off copy leaves is the caller's to remove.
// Errors: content.ErrNoSpace, the cause of ctx.
func (d *DB) CopyTo(ctx context.Context, dir string) error {
	file := filepath.Join(dir, catalogName)
	if err := d.vacuumInto(ctx, file); err != nil {
		return fmt.Errorf("copy the catalog to %s: %w", dir, err)
	}
	if err := scriptOn(file, forget); err != nil {
		return fmt.Errorf("copy the catalog to %s: %w", dir, err)
	}
	return nil
}

func (d *DB) vacuumInto(ctx context.Context, file string) error {
	c, err := d.pool.reader(ctx)
	if err != nil {
		return err
	}
	defer d.pool.put(c, false)
	if _, err := c.c.ExecContext(ctx, "VACUUM INTO ?", file); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return classify(err)
	}
	return d.unchanged()
}

// scriptOn runs statements on a catalog that nobody else has open.
func scriptOn(file, script string) error {
	p, err := newPool(dsn(file, 8))
	if err != nil {
		return err
	}
	c, err := p.get()
	if err == nil {
		err = c.script(script)
		p.put(c, false)
	}
	return errors.Join(err, p.close())
}

// FinishCopy makes the copy in folder dir a single durable file, and notes in it that
// it is as it was made. The copy must be closed.
func FinishCopy(fsx fsys.FS, dir string) error {
	file := filepath.Join(dir, catalogName)
	err := scriptOn(file, `INSERT INTO meta (k, v) SELECT '`+backupMeta+`', epoch FROM base WHERE true ON CONFLICT (k) DO UPDATE SET v = excluded.v`)
	if err != nil {
		return err
	}
	f, err := fsx.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return fsys.Classify(err)
	}
	return fsys.Classify(errors.Join(f.Sync(), f.Close(), fsx.SyncDir(dir)))
}

// Untouched says whether the catalog in folder dir is a finished copy that nobody has
// written to since, and if so opens it for reading; the caller closes it. The folder
// is not written: one of an older version is read as Options.Apart says. Errors:
// content.ErrConflict when it is none; those of Open.
func Untouched(ctx context.Context, fsx fsys.FS, dir, store string) (*DB, error) {
	o := Options{FS: fsx, ReadOnly: true, Store: store}
	o.setDefaults()
	d := newDB(dir, o)
	if d.walSize(fsx) > 0 {
		return nil, errTouched(dir)
	}
	err := d.openAs(o, "mode=ro", "immutable=1")
	if errors.Is(err, errOlder) {
		err = d.openApart(ctx, o)
	}
	if err == nil {
		err = d.Read(ctx, func(tx *Tx) error { return tx.untouched(dir) })
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func errTouched(dir string) error {
	return content.WithHint(fmt.Errorf("%s: %w: it has been used as a store since it was backed up to, or is no backup", dir, content.ErrConflict),
		"back up to another folder")
}

func (tx *Tx) untouched(dir string) error {
	is, err := tx.IsBackup()
	if err == nil && !is {
		err = errTouched(dir)
	}
	return err
}

// IsBackup says whether the catalog is a finished copy that nobody has written to since.
func (tx *Tx) IsBackup() (bool, error) {
	id, err := tx.c.identity()
	if err != nil {
		return false, err
	}
	was, found, err := tx.Meta(backupMeta)
	return found && was == strconv.FormatInt(id.epoch, 10), err
}

// Succeed makes a copy that is open for writing the successor of a catalog whose last
// generation was after: opened in its place, it is the one that was written last.
func (tx *Tx) Succeed(after int64) error {
	if _, err := tx.exec(`UPDATE head SET generation = max(generation, ?)`, after); err != nil {
		return err
	}
	return tx.DeleteMeta(backupMeta)
}

// Compacted is what Compact did: bytes of the catalog and its log before and after.
type Compacted struct{ Before, After int64 }

// compactWait is how many milliseconds Compact waits for readers, under the write
// lock, to empty the log.
const compactWait = 5000

// Compact writes the whole catalog anew without free pages, under the write lock, where
// these are 5 % of it at least, and empties the log; where somebody reads for more than 5 s, the log is left to a later
// writer and keeps its length. It needs twice the size of what is in the catalog on
// the disk meanwhile: fits is asked for that first, and its error ends it. A crash
// leaves the catalog as it was. Errors: those of Write and of fits.
func (d *DB) Compact(ctx context.Context, fits func(need int64) error) (done Compacted, err error) {
	err = d.Locked(ctx, func(*Locked) error {
		done.Before = d.Size() + d.WALSize()
		worth, need, err := d.worthVacuum(ctx)
		if err == nil && worth {
			err = fits(need)
		}
		if err == nil && worth {
			err = d.vacuum(ctx)
		}
		if err != nil {
			return fmt.Errorf("compact the catalog: %w", err)
		}
		if worth {
			d.hook("db.vacuumed")
		}
		_, err = d.writeBack("TRUNCATE", compactWait)
		done.After = d.Size() + d.WALSize()
		return err
	})
	return done, err
}

// worthVacuum says whether so much of the catalog is free that it is to be written anew,
// and how many bytes that needs: all that is not free, in a temporary file and again in
// the log.
func (d *DB) worthVacuum(ctx context.Context) (worth bool, need int64, err error) {
	err = d.Read(ctx, func(tx *Tx) error {
		var free, pages, size int64
		_, err := tx.get(`SELECT (SELECT freelist_count FROM pragma_freelist_count), (SELECT page_count FROM pragma_page_count),
			(SELECT page_size FROM pragma_page_size)`, nil, &free, &pages, &size)
		worth, need = free > 0 && free*20 >= pages, 2*(pages-free)*size
		return err
	})
	return worth, need, err
}

// vacuum needs a connection without prepared statements, and keeps its own copy in a
// file: the catalog may be larger than the memory.
func (d *DB) vacuum(ctx context.Context) error {
	c, err := d.pool.get()
	if err != nil {
		return err
	}
	defer d.pool.put(c, false)
	for _, statement := range []string{"PRAGMA temp_store = FILE", "VACUUM"} {
		if _, err := c.c.ExecContext(ctx, statement); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return classify(err)
		}
	}
	return nil
}
