package db

import (
	"context"
	"fmt"

	"dist.example/content"
)

const (
	// keepWAL is how many pages the WAL gets before it is written back: the next
	// opening reads them in 2 ms, writing them back costs up to 14.
	keepWAL = 1000
	// tryAgain is how many more it gets where readers stood in the way.
	tryAgain = keepWAL / 4
	pageSize = 4096
	// lookEvery is after how many statements of committed transactions the WAL's length
	// is looked at, which costs as much as one.
	lookEvery = 16
)

// SQLite does not write the WAL back by itself here: it would not give the catalog
// a new epoch first, by which a WAL and a catalog that do not belong together are
// told.

// writeBackLate writes the WAL back when it has grown long, at the end of a
// transaction and under the write lock. Readers are not waited for.
func (d *DB) writeBackLate(c *conn, statements int) {
	if d.unlooked += statements; d.unlooked < lookEvery {
		return
	}
	d.unlooked = 0
	if d.walSize(d.fs) < keepWAL*pageSize {
		return
	}
	// The file keeps its length when SQLite begins it anew.
	var busy, pages, written int
	err := c.row("PRAGMA wal_checkpoint(NOOP)", &busy, &pages, &written)
	if err == nil && pages < max(keepWAL, d.notBefore) {
		return
	}
	done := false
	if err == nil {
		done, err = d.writeBack("RESTART", 0)
	}
	switch {
	case err != nil:
		// The transaction is committed all the same: that is not undone by this.
		d.lock.warn(fmt.Sprintf("the catalog's write-ahead log could not be written back: %v", err))
		d.notBefore = pages + tryAgain
	case !done:
		d.notBefore = pages + tryAgain
	default:
		d.notBefore = 0
	}
}

// writeBackAtEnd leaves no long WAL to those who come later: they would have to read
// all of it.
func (d *DB) writeBackAtEnd() {
	if d.walSize(d.fs) < keepWAL*pageSize {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := d.Locked(ctx, func(*Locked) error {
		if d.walSize(d.fs) < keepWAL*pageSize {
			return nil
		}
		_, err := d.writeBack("TRUNCATE", 0)
		return err
	})
	if err != nil && ctx.Err() == nil {
		d.lock.warn(fmt.Sprintf("the catalog's write-ahead log could not be written back: %v", err))
	}
}

// writeBack gives the catalog a new epoch and writes the whole WAL back into it,
// under the write lock, in SQLite's mode RESTART or TRUNCATE. It waits for readers
// for wait milliseconds, and says whether the WAL begins anew now.
func (d *DB) writeBack(mode string, wait int) (done bool, err error) {
	c, err := d.pool.get()
	if err != nil {
		return false, err
	}
	sound := false
	defer func() { d.pool.put(c, sound) }()
	if err := d.count(c, newEpoch); err != nil {
		return false, err
	}
	d.hook("db.checkpoint")
	if err := c.script(fmt.Sprintf("PRAGMA busy_timeout = %d", wait)); err != nil {
		return false, err
	}
	var busy, pages, written int
	err = c.row("PRAGMA wal_checkpoint("+mode+")", &busy, &pages, &written)
	if err != nil && !isBusy(err) {
		return false, err
	}
	done = err == nil && busy == 0
	d.hook("db.checkpointed")
	if done && mode == "RESTART" {
		// Until the next transaction the WAL would still have the page of base, and so
		// agree with any catalog.db.
		if err := d.count(c, ""); err != nil {
			return false, err
		}
	}
	err = c.script(fmt.Sprintf("PRAGMA busy_timeout = %d", busyTimeout))
	sound = err == nil
	return done, err
}

// newEpoch marks the catalog for the WAL to come. It is drawn for each writing back:
// what an earlier try marked may have begun a WAL since.
const newEpoch = "UPDATE base SET epoch = abs(random() / 2); UPDATE head SET epoch = (SELECT epoch FROM base);"

// count is a transaction that counts itself and runs a script besides.
func (d *DB) count(c *conn, script string) error {
	// After an error the connection is not kept: closing it rolls back.
	if err := c.script("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	generation, err := d.advance(c)
	if err != nil {
		return err
	}
	if err := c.script(script + "COMMIT"); err != nil {
		return err
	}
	d.testify(generation)
	return nil
}

// Settle writes the whole WAL back into catalog.db and leaves it empty, for who
// moves or copies the file. It waits for readers as long as for a lock. Errors:
// those of Write; content.ErrConflict while somebody reads.
func (d *DB) Settle(ctx context.Context) error {
	return d.Locked(ctx, func(*Locked) error {
		done, err := d.writeBack("TRUNCATE", busyTimeout)
		if err == nil && !done {
			err = fmt.Errorf("write the catalog back: %w: it is being read", content.ErrConflict)
		}
		return err
	})
}
