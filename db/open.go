package db

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/schema"
)

// Names in the store's folder.
const (
	catalogName = "catalog.db"
	lockName    = "write.lock"
)

// Options say how a catalog is opened. The zero value is for writing.
type Options struct {
	// FS is where write.lock is opened; nil is fsys.OS(). The catalog itself goes
	// through SQLite.
	FS fsys.FS
	// ReadOnly neither creates, migrates nor writes, and needs no permission to.
	ReadOnly bool
	// Apart reads a private copy, which is removed when the catalog is closed, and brings
	// that up to date: nothing in the folder is written, not even what readers share, and
	// what is written there later is not seen. It implies ReadOnly.
	Apart bool
	// Glance is ReadOnly for a look that is not worth a wait: where another process would
	// have to be waited for, or the catalog to be copied, it is content.ErrBusy. A catalog
	// whose log is empty is read without shared memory, which is a file.
	Glance bool
	// CacheMiB bounds the page cache of one connection; 0 is 8.
	CacheMiB int
	// LockWait is how long a Write waits for the write lock; 0 is 30 s.
	LockWait time.Duration
	// Warn is told once, after 5 s, for which process a Write waits; nil drops it.
	Warn func(string)
	// Clock is the time of transactions, for tests; nil is time.Now.
	Clock func() time.Time
	// Commit runs every COMMIT, for tests that let one fail; nil just runs it.
	Commit func(commit func() error) error
	// Store is the uuid of the store that the catalog is of; "" does not ask. It is
	// recorded in a catalog that is made or migrated, and a catalog that has another
	// one is refused.
	Store string
	// After is a generation that a catalog which is made now is to be above, that of
	// the one that it is to replace.
	After int64
	// Exclusive runs the migration of a catalog that others may have open, once they
	// have not, unless needed says meanwhile that one of them did it; nil just runs it.
	Exclusive func(migrate func() error, needed func() bool) error
	// Hook is called at the steps of a transaction. Only tests set it, to stop a
	// process there.
	Hook func(point string)
}

// DB is an open catalog. It is safe for concurrent use.
type DB struct {
	dir     string
	fs      fsys.FS
	file    string   // the catalog that is read, perhaps a copy
	params  []string // SQLite's, with which it is opened
	pool    *pool
	lock    *writeLock // nil when read-only
	clock   func() time.Time
	commit  func(func() error) error
	cleanup func() error // of a copy
	commits atomic.Int64
	store   string
	after   int64
	hook    func(string)

	witness   func() int64 // the last generation that is known to have been committed
	unchanged func() error // whether what was read of an immutable file counts
	// Under the write lock:
	unlooked  int // statements since the WAL's length was looked at
	notBefore int // pages of the WAL at which to write it back, after a try that failed

	mediaMu sync.RWMutex
	media   map[string]int64 // committed media types, by name
}

// Open opens the catalog in the store's folder dir. Unless o.ReadOnly, it is made
// and migrated when need be; any number of processes may do so at once. Close
// releases it. Errors: content.ErrNoStore when there is no catalog to read or it is
// of a newer version; content.ErrCorrupt when it is damaged, another program's
// database or no database at all; content.ErrDenied, content.ErrNoSpace.
func Open(ctx context.Context, dir string, o Options) (*DB, error) {
	o.setDefaults()
	d := newDB(dir, o)
	open := d.openForWriting
	switch {
	case o.Apart:
		open = d.openApart
	case o.ReadOnly || o.Glance:
		open = d.openForReading
	}
	if err := open(ctx, o); err != nil {
		return nil, errors.Join(fmt.Errorf("open the catalog of %s: %w", dir, err), d.Close())
	}
	return d, nil
}

// newDB is the catalog in folder dir, not open yet.
func newDB(dir string, o Options) *DB {
	return &DB{
		dir: dir, fs: o.FS, file: filepath.Join(dir, catalogName), clock: o.Clock, commit: o.Commit,
		cleanup: func() error { return nil }, media: map[string]int64{},
		store: o.Store, after: o.After, hook: o.Hook, witness: func() int64 { return 0 }, unchanged: func() error { return nil },
	}
}

func (o *Options) setDefaults() {
	if o.FS == nil {
		o.FS = fsys.OS()
	}
	if o.CacheMiB == 0 {
		o.CacheMiB = 8
	}
	if o.LockWait == 0 {
		o.LockWait = 30 * time.Second
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Commit == nil {
		o.Commit = func(commit func() error) error { return commit() }
	}
	if o.Exclusive == nil {
		o.Exclusive = func(migrate func() error, _ func() bool) error { return migrate() }
	}
	if o.Hook == nil {
		o.Hook = func(string) {}
	}
}

func (d *DB) openForWriting(ctx context.Context, o Options) (err error) {
	if _, err := o.FS.Stat(d.dir); errors.Is(err, fs.ErrNotExist) {
		return content.WithHint(fmt.Errorf("%w: the folder is not there", content.ErrNoStore), "make one with: dist init")
	}
	if d.lock, err = openWriteLock(o, d.dir); err != nil {
		return err
	}
	d.witness = func() int64 { return readWitness(d.lock.file) }
	if d.pool, err = newPool(dsn(d.file, o.CacheMiB)); err != nil {
		return err
	}
	version, err := d.version()
	if err == nil && version == schema.Version {
		return nil
	}
	if err != nil && !isBusy(err) {
		return err
	}
	migrate := func() error { return d.Locked(ctx, func(*Locked) error { return d.migrate() }) }
	if version > 0 {
		return o.Exclusive(migrate, func() bool {
			v, err := d.version()
			return err != nil || v < schema.Version
		})
	}
	return migrate()
}

// version is the catalog's, 0 for an empty database, or an error for one that is
// not ours, too new, or not the one that was written last.
func (d *DB) version() (version int, err error) {
	c, err := d.pool.get()
	if err != nil {
		return 0, err
	}
	defer func() { d.pool.put(c, err == nil) }()
	return d.versionOf(c)
}

// identified is the first version whose catalogs say which state they are: of an
// older one no witness can have been written.
const identified = 2

// versionOf reads everything in one snapshot: another process may be making the
// catalog at this moment.
func (d *DB) versionOf(c *conn) (version int, err error) {
	seen := d.witness() // before the snapshot: the witness runs behind, never ahead
	if _, err := c.exec("BEGIN"); err != nil {
		return 0, err
	}
	defer func() {
		if _, rerr := c.exec("ROLLBACK"); err == nil {
			err = rerr
		}
	}()
	var app int
	if err := c.row("PRAGMA application_id", &app); err != nil {
		return 0, err
	}
	if err := c.row("PRAGMA user_version", &version); err != nil {
		return 0, err
	}
	if app == schema.ApplicationID {
		switch {
		case version > schema.Version:
			return 0, errNewer(version)
		case version < identified && seen > 0:
			return 0, errStranger("it is a copy from before its last migration")
		case version < identified:
			return version, nil
		}
		id, err := c.identity()
		if err != nil {
			return 0, err
		}
		return version, d.judge(id, seen)
	}
	var tables int
	if err := c.row("SELECT count(*) FROM sqlite_schema", &tables); err != nil {
		return 0, err
	}
	if app != 0 || version != 0 || tables != 0 {
		return 0, content.WithHint(fmt.Errorf("%w: %s is a database of another program", content.ErrCorrupt, catalogName), HintRebuild)
	}
	return 0, nil
}

func errNewer(version int) error {
	return content.WithHint(fmt.Errorf("%w: the catalog has version %d, this program reads up to %d", content.ErrNoStore, version, schema.Version),
		"use the newer version of dist that wrote this store")
}

// migrate brings the catalog to the current version, under the write lock and in
// one transaction. Whoever had the lock before may have done it already.
func (d *DB) migrate() (err error) {
	c, err := d.pool.get()
	if err != nil {
		return err
	}
	// Statements were prepared for the old tables: this connection is not kept.
	defer d.pool.put(c, false)
	version, err := d.versionOf(c)
	if err != nil || version == schema.Version {
		return err
	}
	if version == 0 {
		var mode string
		if err := c.row("PRAGMA journal_mode = WAL", &mode); err != nil {
			return err
		}
		if mode != "wal" {
			return fmt.Errorf("%w: journal mode %s in place of wal", content.ErrUnsupported, mode)
		}
	}
	migrations, err := schema.Migrations(version)
	if err != nil {
		return err
	}
	var script strings.Builder
	script.WriteString("BEGIN IMMEDIATE;\n")
	for _, m := range migrations {
		script.WriteString(m.SQL)
	}
	fmt.Fprintf(&script, "UPDATE head SET generation = max(generation, %d); UPDATE base SET store = '%s' WHERE store = ''; PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT;",
		max(d.after, d.witness())+1, strings.ReplaceAll(d.store, "'", "''"), schema.ApplicationID, schema.Version)
	if err := c.script(script.String()); err != nil {
		return err
	}
	d.hook("db.migrated")
	return nil
}

// now is the clock in the catalog's resolution.
func (d *DB) now() time.Time { return d.clock().Truncate(time.Millisecond).UTC() }

// Commits counts the transactions that this DB has committed.
func (d *DB) Commits() int64 { return d.commits.Load() }

// Dir is the store's folder.
func (d *DB) Dir() string { return d.dir }

// Close waits for no reader: it is to be called when no transaction runs. A WAL of
// less than 1000 pages stays where it is, for the next opening to read; a longer
// one is written back into the catalog. Idempotent.
func (d *DB) Close() error {
	var errs []error
	if d.pool != nil {
		errs = append(errs, d.closePool())
		d.pool = nil
	}
	if d.lock != nil {
		errs = append(errs, d.lock.file.Close())
		d.lock = nil
	}
	errs = append(errs, d.cleanup())
	d.cleanup = func() error { return nil }
	return errors.Join(errs...)
}

// closePool closes all connections. SQLite writes the WAL back when the last one
// goes, if that one may write: so the last one is a reader, which takes 0.2 ms.
func (d *DB) closePool() error {
	if d.lock == nil {
		return d.pool.close()
	}
	d.writeBackAtEnd()
	last, err := newPool(uri(d.file, "mode=ro", patiently)) // and no setting for which the tables would be read
	if err != nil {
		return d.pool.close()
	}
	// A reader that cannot be had costs no more than the time for the WAL.
	if c, err := last.get(); err == nil {
		var version int
		last.put(c, c.row("PRAGMA user_version", &version) == nil)
	}
	return errors.Join(d.pool.close(), last.close())
}
