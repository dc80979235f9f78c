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
// change is durable, at the price of one fsync of the WAL. write.lock holds the
// process id of who locked it last, for messages. A -wal that is left behind is
// part of the catalog.
//
// # After a crash
//
// SQLite drops what was not committed, at the next opening. A lock dies with its
// process. A COMMIT that returned an error may or may not have happened:
// CommitError tells that apart from all other failures, after which nothing has
// changed.
//
// # What it does not do
//
// It takes no lock but write.lock: STORE/lock, packs, leases and ingests are the
// store's. It does not judge which leases' owners live; callers pass that in.
package db
