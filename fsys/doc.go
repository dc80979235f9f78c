// Package fsys is the door through which the store reaches the disk: files,
// folders, durability and advisory locks behind two small interfaces, so that a
// test can lose what was not synced, fill the disk, count and stop (package
// fsystest), and so that what differs between systems lies in one small file
// for each.
//
// # Durability
//
// A write survives a power cut only after DataSync or Sync of its file has
// returned nil; a new, moved or removed name only after SyncDir of its folder
// has. After a sync that failed nothing is known about the bytes before it, and
// asking again may wrongly succeed: whoever wrote them writes them anew to another
// file.
//
// # Locks
//
// Locks are advisory, bind the processes that ask for them, and belong to the
// open descriptor, not to the process: two files opened from the same name
// exclude each other in one process too, Close releases, and a dying process
// releases whatever it held. They are flock on Unix and LockFileEx on one byte
// far past the end on Windows, where a lock on data would keep others from
// reading it. A lock says nothing about the name: whoever waited for one checks
// with SameFile that the name still leads to what was locked.
//
// # What it does not do
//
// No network file systems: CheckLocal tells them where it can, because neither
// locks nor the catalog's shared memory can be trusted there. Errors are those
// of package os, with their paths; Classify gives them the classes of package
// content.
package fsys
