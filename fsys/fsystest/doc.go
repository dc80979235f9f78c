// Package fsystest is a file system for tests of what keeps things on disk: it
// lies over a real folder, counts operations, calls a hook before each, lets
// chosen ones fail, runs out of space, and tells what a power cut would leave.
//
// # The power cut
//
// Crash writes to another folder the state in which everything that was not
// synced is lost, which is the worst that POSIX allows: a file has the content
// of its last Sync or DataSync, and what was written since is missing (Truncated)
// or reads as zeros (Zeroed); a folder has the names of its last SyncDir, so that
// new ones are missing, moved ones are back in their place and removed ones are
// back with their synced content. A folder whose own name was not synced is
// missing with all it holds. A real file system may keep any part of what is
// lost here: a test that passes should hold with Keep too, where nothing is lost
// and only the process is gone.
//
// What was there at New counts as synced. So does, at the moment of Crash,
// whatever came about without this FS: the files of a database that syncs for
// itself are copied as they are. Copying a SQLite database drops the locks that
// this process holds on it; Halt the FS and leave the old folder alone afterwards.
//
// # What it does not do
//
// File modes and times are not lost; symbolic links are left out; folders cannot
// be renamed; a sync of what is written to the same file at the same time counts
// for all that was written when it returned. What is durable is kept in memory,
// so it is for files of megabytes.
package fsystest
