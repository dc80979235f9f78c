package fsys

import "sync"

// writeBackEvery is how much a file gets between two hints to begin writing it.
const writeBackEvery = 4 << 20

// Behind has a file that grows synced while it is being written, so that little is left
// for the sync at its end: hints begin the writing, and on Linux a DataSync runs in the
// background, one at a time, once 16 MiB are new. That is some 20 ms of what a disk can
// take: less would be many syncs, and of more a disk whose cache has to be emptied would
// have that left at the end. The first syncs may come earlier, see NewBehind.
//
// A system tells only one of several syncs that something was lost. So all that are to
// mean something while the file is written go through Sync, and an error of any of them
// is that of all. One goroutine writes and calls Wrote and Wait; Sync is for any.
type Behind struct {
	file   File
	from   int64         // where the writing began
	first  int64         // how much more it gets before the first sync in the background
	at     int64         // up to which the file is written
	hinted int64         // up to which the system was asked to begin
	begun  int64         // up to which it was written when the last sync in the background began
	ended  chan struct{} // closed with the end of that sync, nil for none

	one sync.Mutex // held while a sync runs
	mu  sync.Mutex
	err error // of the first sync that failed
}

// NewBehind is for a file that will be written from off on. Syncs begin at first bytes,
// then at each doubling, until they are 16 MiB apart: so a file of some MiB has not all of
// itself left for its end. 0 is every 16 MiB from the beginning, for files that come one
// after another, where the work on the next one hides the last sync of each.
func NewBehind(f File, off, first int64) *Behind {
	if first <= 0 {
		first = syncEvery
	}
	return &Behind{file: f, from: off, first: first, at: off, hinted: off, begun: off}
}

// Wrote tells that n more bytes are in the file. It returns the error of a sync before, at
// this call or a later one: nothing is known then of all that was written (see the
// package's doc).
func (b *Behind) Wrote(n int) error {
	if b.at += int64(n); b.at-b.hinted >= writeBackEvery {
		if err := b.file.WriteBack(b.hinted, b.at-b.hinted); err != nil {
			return err
		}
		b.hinted = b.at
	}
	if b.ended != nil {
		select {
		case <-b.ended:
			b.ended = nil
		default:
		}
	}
	if err := b.failure(); err != nil {
		return err
	}
	if b.ended == nil && syncEvery > 0 && b.at-b.begun >= min(syncEvery, max(b.first, (b.at-b.from)/2)) {
		b.begun = b.at
		ended := make(chan struct{})
		b.ended = ended
		go func() {
			defer close(ended)
			_ = b.Sync() // which is told later
		}()
	}
	return nil
}

// Sync makes durable what is in the file, or returns the error of a sync before.
func (b *Behind) Sync() error {
	b.one.Lock()
	defer b.one.Unlock()
	err := b.failure()
	if err == nil {
		err = b.file.DataSync()
		b.mu.Lock()
		defer b.mu.Unlock()
		b.err = err
	}
	return err
}

// Wait returns once no sync is running, with the error of those that ran. The file may be
// closed then.
func (b *Behind) Wait() error {
	if b.ended != nil {
		<-b.ended
		b.ended = nil
	}
	return b.failure()
}

func (b *Behind) failure() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}
