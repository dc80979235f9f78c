// Package gc collects garbage in a store, says what it would collect, and explains
// what keeps an object.
//
// # What is kept
//
// A collection marks from the roots and keeps what it reaches. Roots are
//
//   - names;
//   - objects under leases that count: those that have not expired, whose owner lives,
//     or that are from the future;
//   - history: what a name stood for until a change that can be undone, for
//     Options.KeepHistory after that change. What was deleted, or gave way to a quota,
//     is not kept so;
//   - what was written, or written again, less than Options.Grace ago.
//
// Parents reach what they refer to; a subject reaches its referrers (signatures, SBOMs),
// a referrer does not reach its subject.
//
// # How
//
//  1. Mark, in one snapshot of the catalog, over the edges as sorted slices and with a
//     bit for each object. Before the snapshot, writers are asked to record what they
//     newly root, link or revive.
//  2. Doom, in transactions of a thousand rows: what writers have recorded since the
//     snapshot is marked first, with all that it holds: in a new snapshot, and then what
//     little has come since inside the transaction, so that none is long. What is doomed
//     reads as absent; the way back is to write it again.
//  3. Sweep: loose blobs are moved to the trash and the rows go, in one transaction each
//     some hundred, then the files.
//  4. Layers that are kept unpacked, with their layer; and with Options.Snapshots all
//     that are not in use: whoever uses one holds a lease on an image that has it.
//  5. What crashes have left: files without rows, tails of packs, old copies made for
//     `path`, ingests that nobody goes on with.
//  6. Packs: one without anything live goes; one that is closed and of which more than
//     half and 8 MiB is dead is copied to another and goes, the worst first. With
//     Options.Compact, every pack of which more than a twentieth is dead.
//  7. Leases that have ended, and changes of names that are too old to be undone.
//
// The plan that a dry run prints is made by the same code; a collection looks again at
// each step whether it still holds.
//
// Evict goes on, where bytes are lacking then, with layers that are kept unpacked, and then
// with names: those that were not used for longest are given up, and what they held is
// collected. See PlanEviction.
//
// # Crashes, and others at work
//
// Every step leaves a store that is whole, so a collection can be ended at any time and
// the next one goes on: doomed rows are swept, dead packs removed, the trash emptied.
// One process collects at a time (STORE/gc.lock); everybody else reads and writes
// meanwhile. No transaction is to take more than 20 ms.
package gc
