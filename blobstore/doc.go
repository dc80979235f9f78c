// Package blobstore is the store: content in packs and loose blobs under one
// folder, a catalog beside them that knows every object, name, lease and ingest.
// It implements content.Store. Any number of processes may use one store at
// once; there is no daemon.
//
// # Layout
//
//	store.json            {format, uuid}
//	lock                  held shared while a process has the store open
//	catalog.db            the catalog (package db); only ever opened through SQLite
//	write.lock            held around every write transaction
//	gc.lock               held by the one process that collects garbage
//	blobs/<alg>/<hex>     loose blobs, read-only: the blob tree of an OCI layout
//	packs/<id>.pack       small blobs (package pack)
//	ingest/<id>           content on its way in, resumable
//	leases/<id>           an empty file that a lease's owner keeps locked
//	views/<alg>/<hex>     copies of packed blobs made for Path; never the truth
//	snapshots/<name>/     layers that are kept unpacked, which can be made again
//	trash/                renamed away, unlinked later
//	budgets/              of package budgets, which has nothing to do with the rest
//	restore.new/          what Restore has gathered and verified
//	catalog.new/          a catalog that Rebuild is making; catalog.old/ the one it replaced
//
// Blobs to 256 KiB, and JSON and text to 4 MiB that shrinks, go into packs;
// everything else is loose and raw.
//
// # Invariants
//
//   - A row that says present means durable bytes. Bytes without a row are garbage.
//   - Names in blobs/ change only under the write lock, or are looked at again
//     under it.
//   - Bytes below a pack's recorded end never change, but for its header: CheckAll
//     writes a damaged one again under the pack's lock and Rebuild under the store's,
//     and Restore gives a pack that is in its way another number. A pack has one writer at a time: the one that holds the lock on its
//     file until its COMMIT returned.
//   - Nothing is unlinked before the transaction that gives it up is durable.
//   - A name moves only in a transaction that saw everything it reaches present.
//
// # After a crash
//
// Bytes appended to a pack without their commit lie past its recorded end: the
// next writer sees them, seals that pack at its end, takes another, and cuts them
// off. A loose blob linked
// without its row is an orphan that the same ingest adopts. A partial ingest
// keeps its file and row and is resumed by its key: from the last checkpoint in
// the same boot, else by hashing the part again. All that a crash leaves is
// garbage that a collection removes; docs/ARCHITECTURE.md has the table.
//
// # Damage
//
// What a reader finds damaged is marked, and counts as absent for who would write
// it. CheckAll looks over everything beside whoever else is at work; it marks
// damage, takes the mark from what reads right again, and writes again what packs
// have lost and the catalog knows. Rebuild makes the catalog anew from the packs and
// loose blobs, with the store for itself: a crash of it leaves the old catalog, or
// none, and then the store is refused until a rebuild has been finished.
//
// # What it does not do
//
// It never talks to a network, and never decides what to trust, nor what is garbage:
// package gc does, and Maintenance has the steps that it takes.
package blobstore
