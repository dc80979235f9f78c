// Package budgets lets the processes of one store share limits on what they ask
// of a registry: bytes a second, requests in a time, and open connections. Ten
// commands under one limit are together no faster than one.
//
// # How it works
//
// For each host there is one small file, locked while it is looked at. It holds
// two meters, of bytes and of requests. A meter is a debt in time: what is
// granted adds to it what it costs at the rate of the process that asks, and it
// falls by a nanosecond each nanosecond. Something is granted as long as the debt
// stays within a window; so whatever happens, the grants of any span of time are
// at most rate × span and one burst, which is what the window is worth. Since
// debts are times, processes with different rates can share a file, each with its
// own idea of what a byte costs.
//
// Nobody sleeps while he holds the lock, and nothing is reserved for those who
// wait: a process that dies while it waits takes nothing along, one that dies
// with a grant has used it.
//
// A connection is a lock, too: slot i of a host is an empty file, HOST+i, that its
// holder keeps locked, so that it becomes free when its process ends, however that ends.
//
// # The file of a host
//
// 48 bytes, numbers in little endian:
//
//	 0  8  the letters DISTBG01
//	 8  8  bytes: when the debt was written, i64, nanoseconds since 1970 UTC
//	16  8  bytes: the debt, i64, nanoseconds
//	24 16  requests: likewise
//	40  4  zero
//	44  4  crc32c (Castagnoli) of bytes 0 to 43
//
// A file that is not that, or says what no process can have written, counts as
// one without debts and is written anew: the worst that a torn or foreign file
// does is one burst. It is never synced. A clock that is set back leaves a debt
// as it was and lets it fall from there; one that is set forward forgives it.
// Nothing is waited for that was not owed, so a wait is never longer than the
// largest debt, a minute, times the queue.
//
// # What it does not do
//
// It does not divide fairly: who asks first after a debt has fallen gets the
// grant. Removing a file while processes use it splits their budget. Where no
// file can be had, a process keeps its limits alone, and says so.
package budgets
