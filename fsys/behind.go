package fsys

const (
	// writeBackEvery is how much a file gets between two hints to begin writing it.
	writeBackEvery = 4 << 20
	// syncEvery is how much it gets, at least, between two syncs while it is written. Some
	// 20 ms of what a disk can take: less would be many syncs, and of more a disk whose
	// cache has to be emptied would have that left at the end.
	syncEvery = 16 << 20
)

// Behind has a file that grows synced while it is being written, so that little is left
// for the sync at its end: hints begin the writing, and once enough is new a DataSync runs
// in the background, one at a time. What it has synced promises nothing. It is for one
// goroutine, which is the only one that writes.
type Behind struct {
	file    File
	at      int64 // up to which the file is written
	hinted  int64 // up to which the system was asked to begin
	synced  int64 // up to which the file was written when the last sync began
	running chan error
	err     error
}

// NewBehind is for a file that will be written from off on.
func NewBehind(f File, off int64) *Behind { return &Behind{file: f, at: off, hinted: off, synced: off} }

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
	if b.running != nil {
		select {
		case b.err = <-b.running:
			b.running = nil
		default:
		}
	}
	if b.err == nil && b.running == nil && b.at-b.synced >= syncEvery {
		b.synced = b.at
		done := make(chan error, 1)
		b.running = done
		go func() { done <- b.file.DataSync() }()
	}
	return b.err
}

// Wait returns once no sync is running, with the error of those that ran. The file may be
// closed then.
func (b *Behind) Wait() error {
	if b.running != nil {
		b.err, b.running = <-b.running, nil
	}
	return b.err
}
