// Package db is the catalog of a store: it opens and migrates catalog.db, runs
// transactions, and has every query that the store needs as a typed method of
// Tx. It never sees the bytes of a blob. The tables are documented in package
// schema.
//
// # Invariants
//
//   - catalog.db is opened through SQLite and nothing else: closing any other
//     descriptor of it would drop SQLite's own locks in this process.
//   - Every transaction that writes holds the lock on write.lock from before
//     BEGIN IMMEDIATE until after COMMIT, and its process's mutex before that.
//     Whoever needs names in the store to stand still (blobs/, packs/) changes
//     them inside Write or Locked.
//   - A transaction has one Now, and everything read in it is of one snapshot.
//   - Nothing read in an earlier transaction is relied on: what decides a write is
//     read again inside it, and compared.
//
// # On disk
//
// catalog.db in WAL mode with synchronous FULL: when Write has returned nil, the
// change is durable, at the price of one fsync of the WAL. A -wal that is left
// behind is part of the catalog. write.lock holds the process id of who locked it
// last, for messages, and the witness.
//
// # What belongs together
//
// Neither SQLite nor its integrity_check notices a catalog.db that was replaced by
// an older copy, one beside the WAL of another, or a WAL whose last transactions
// were lost to a flipped bit. Here each transaction counts up a generation, and
// write.lock witnesses the last one that was committed: less than that in the
// catalog is refused. Before a WAL is written back, the catalog is given a new
// epoch, which each transaction in the next WAL repeats: two that differ are
// refused. So is the uuid of another store, and a copy from before a migration. A
// new catalog's generations begin above those of the one that it replaces. All of it is content.ErrCorrupt with
// the hint to rebuild. The witness is not synced: after a power failure it may be
// behind, or nothing, and then says less.
//
// # After a crash
//
// SQLite drops what was not committed, at the next opening. A lock dies with its
// process. A COMMIT that returned an error may or may not have happened:
// CommitError tells that apart from all other failures, after which nothing has
// changed.
//
// # Queries
//
// Query answers SQL of anybody's over the views of package schema, and nothing else.
// It does so on a connection of its own, through SQLite's C interface, where these
// hold it:
//
//   - The catalog is attached read-only, with query_only set, to an empty database in
//     memory, under a name that is drawn at random. A statement cannot name it, so
//     main.objects is nothing.
//   - SQLite's authorizer is asked about everything that a statement would do while it
//     is compiled: only SELECT passes, functions of a list, and reading of views. It
//     cannot rely on which view SQLite says a table is read from, for what a WITH calls
//     itself looks the same. So tables are read by views with random names alone, which
//     the known views read in turn.
//   - What the authorizer was not asked about, as VACUUM, is no SELECT and refused, as
//     is all that SQLite says is not read-only, and what follows a first statement.
//   - SQLite's limits bound a value, a row, the statement and its program; what sorts
//     and remembers more than a page cache has temporary files.
//   - SQLite asks every thousand steps whether to go on. One step that takes long is
//     left behind with its connection.
//
// # What it does not do
//
// It takes no lock but write.lock: STORE/lock, packs, leases and ingests are the
// store's. It does not judge which leases' owners live; callers pass that in.
package db
