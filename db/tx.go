package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"dist.example/content"
	"dist.example/schema"
)

// Tx is a transaction, for one goroutine and until the function it was given to
// returns. Methods that change something return an error in a Read.
type Tx struct {
	// Now is the time of everything in this transaction, in UTC and whole
	// milliseconds, as the catalog keeps times.
	Now time.Time

	ctx     context.Context
	d       *DB
	c       *conn
	write   bool
	media   map[string]int64 // media types this transaction has seen
	marking *bool            // whether a collection is marking, nil when not asked yet
	changes int              // statements that may have changed something
	moved   time.Time        // of its changes of names, zero before the first
}

// Locked is the write lock, held.
type Locked struct {
	d   *DB
	ctx context.Context
}

// Write runs fn in a transaction that may change things and commits it. An error
// or a panic of fn rolls everything back, and then nothing has changed; so does
// a ctx that has ended when fn returns. fn is run at most once. It runs under the
// write lock: file names that change only under it may be changed by fn.
//
// Transactions are to be short, 20 ms, since all other writers wait. A Write
// inside fn would wait for itself. Errors: CommitError when COMMIT failed,
// content.ErrBusy when the lock was not to be had within Options.LockWait,
// content.ErrDenied on a store opened read-only, content.ErrNoStore when the
// catalog has meanwhile become one of a newer version.
func (d *DB) Write(ctx context.Context, fn func(*Tx) error) error {
	return d.Locked(ctx, func(l *Locked) error { return l.Write(fn) })
}

// Locked runs fn under the write lock and outside of any transaction, for file
// operations before, between or after transactions that no other writer may come
// between. Errors are those of Write.
func (d *DB) Locked(ctx context.Context, fn func(*Locked) error) error {
	lock := d.lock
	if lock == nil {
		return content.WithHint(fmt.Errorf("write to the store: %w: it is open for reading only", content.ErrDenied),
			"the store's folder cannot be written by this user")
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := lock.lock(ctx); err != nil {
		return err
	}
	d.hook("db.locked")
	// What fn did is done: an error of unlocking must not pass for one of fn.
	defer func() {
		if uerr := lock.unlock(); uerr != nil {
			lock.warn(fmt.Sprintf("the write lock could not be given back: %v", uerr))
		}
	}()
	return fn(&Locked{d, ctx})
}

// Write runs fn in a transaction, as DB.Write does, under the lock held already.
func (l *Locked) Write(fn func(*Tx) error) error {
	pool := l.d.pool
	c, err := pool.get()
	if err != nil {
		return err
	}
	sound := false
	defer func() { pool.put(c, sound) }()
	if _, err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	l.d.hook("db.begun")
	tx := &Tx{Now: l.d.now(), ctx: l.ctx, d: l.d, c: c, write: true}
	if sound, err = l.d.run(tx, fn); err == nil {
		l.d.writeBackLate(c, tx.changes)
	}
	return err
}

// run calls fn and ends the transaction. sound says whether the connection can
// be used again; a panic leaves it false, and closing it rolls back.
func (d *DB) run(tx *Tx, fn func(*Tx) error) (sound bool, err error) {
	if err = tx.checkVersion(); err == nil {
		err = fn(tx)
	}
	if err == nil {
		err = context.Cause(tx.ctx)
	}
	var generation int64
	if err == nil && tx.changes > 0 {
		generation, err = d.advance(tx.c)
	}
	if err != nil {
		_, rerr := tx.c.exec("ROLLBACK")
		return rerr == nil, err
	}
	d.hook("db.commit")
	if err := d.commit(func() error { _, err := tx.c.exec("COMMIT"); return err }); err != nil {
		return false, &CommitError{err}
	}
	d.hook("db.committed")
	if tx.changes > 0 {
		d.testify(generation)
	}
	d.commits.Add(1)
	d.keepMedia(tx.media)
	return true, nil
}

// Read runs fn on one snapshot of the catalog. Any number of reads run at once,
// beside a write too, and a Write inside fn is seen by later reads only. A Read
// inside fn may wait for ever when very many do so.
func (d *DB) Read(ctx context.Context, fn func(*Tx) error) error {
	c, err := d.pool.reader(ctx)
	if err != nil {
		return err
	}
	sound := false
	defer func() { d.pool.put(c, sound) }()
	if _, err := c.exec("BEGIN"); err != nil {
		return err
	}
	err = fn(&Tx{Now: d.now(), ctx: ctx, d: d, c: c})
	if uerr := d.unchanged(); uerr != nil {
		err = uerr // whatever it was that was found
	}
	_, rerr := c.exec("ROLLBACK")
	sound = rerr == nil
	if err == nil {
		err = rerr
	}
	return err
}

// briefly is Read without a transaction: one statement in place of three, for who asks
// a single question.
func (d *DB) briefly(ctx context.Context, ask func(*Tx) error) (err error) {
	c, err := d.pool.brief(ctx)
	if err != nil {
		return err
	}
	defer func() { d.pool.put(c, err == nil) }()
	err = ask(&Tx{ctx: ctx, d: d, c: c})
	if uerr := d.unchanged(); uerr != nil {
		err = uerr
	}
	return err
}

// checkVersion refuses a catalog that was migrated while it was open here.
func (tx *Tx) checkVersion() error {
	var v int
	if err := tx.c.row("PRAGMA user_version", &v); err != nil {
		return err
	}
	if v != schema.Version {
		return errNewer(v)
	}
	return nil
}

var errReadTx = errors.New("a change in a transaction that only reads")

// exec runs a statement that changes something.
func (tx *Tx) exec(query string, args ...any) (sql.Result, error) {
	if !tx.write {
		return nil, errReadTx
	}
	if err := tx.ctx.Err(); err != nil {
		return nil, context.Cause(tx.ctx)
	}
	tx.changes++
	return tx.c.exec(query, args...)
}

// changed is exec, and says how many rows it changed.
func (tx *Tx) changed(query string, args ...any) (int64, error) {
	res, err := tx.exec(query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// get scans the first row of query into dest and says whether there was one.
func (tx *Tx) get(query string, args []any, dest ...any) (bool, error) {
	s, err := tx.c.stmt(query)
	if err != nil {
		return false, err
	}
	err = s.QueryRowContext(context.Background(), args...).Scan(dest...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, scanned(err)
}

// each calls fn for every row of query. fn scans the row, and returns false to
// end early. It may run other queries, and the same one too.
func (tx *Tx) each(query string, args []any, fn func(scan func(...any) error) (more bool, err error)) error {
	s, release, err := tx.c.lend(query)
	if err != nil {
		return err
	}
	defer release()
	rows, err := s.QueryContext(context.Background(), args...)
	if err != nil {
		return classifyRead(err)
	}
	defer rows.Close()
	scan := func(dest ...any) error { return scanned(rows.Scan(dest...)) }
	for n := 0; rows.Next(); n++ {
		if n%256 == 0 && tx.ctx.Err() != nil {
			return context.Cause(tx.ctx)
		}
		if more, err := fn(scan); err != nil || !more {
			return classify(err)
		}
	}
	return classifyRead(rows.Err())
}
