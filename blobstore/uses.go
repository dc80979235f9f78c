package blobstore

import (
	"context"
	"slices"
	"sync"
	"time"

	"dist.example/db"
	"dist.example/oci"
)

const (
	// useWait is how long the note that a name was used may wait for other writers.
	useWait = 100 * time.Millisecond
	// usesWritten is how many a transaction writes at most.
	usesWritten = 500
	// usesNoted bounds the names that a process remembers to have noted.
	usesNoted = 100_000
	// usesEvery is how often what was noted in the background is written.
	usesEvery = 3 * time.Second
)

// uses is what a process has noted of the use of names.
type uses struct {
	mu      sync.Mutex
	at      map[string]time.Time
	due     map[string]oci.Reference // not written yet
	ended   bool
	stop    chan struct{} // closed to end the writing; nil before the first note
	writing sync.WaitGroup
}

// end has what was noted written, and lets nothing be noted any more.
func (u *uses) end() {
	u.mu.Lock()
	if !u.ended && u.stop != nil {
		close(u.stop)
	}
	u.ended = true
	u.mu.Unlock()
	u.writing.Wait()
}

// note lets write, which runs in the background from the first note on, find a name
// among those that are due, unless it was noted not long ago.
func (u *uses) note(ref oci.Reference, write func(stop <-chan struct{})) {
	name, now := ref.String(), time.Now()
	u.mu.Lock()
	defer u.mu.Unlock()
	if last, ok := u.at[name]; u.ended || ok && now.Sub(last) < time.Hour || len(u.due) >= usesNoted {
		return
	}
	if len(u.at) >= usesNoted {
		clear(u.at)
	}
	if u.stop == nil {
		u.at, u.due, u.stop = map[string]time.Time{}, map[string]oci.Reference{}, make(chan struct{})
		u.writing.Go(func() { write(u.stop) })
	}
	u.at[name], u.due[name] = now, ref
}

// take takes what is due.
func (u *uses) take() (refs []oci.Reference) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, ref := range u.due {
		refs = append(refs, ref)
	}
	clear(u.due)
	return refs
}

// forget lets names be noted again, since they were not written.
func (u *uses) forget(refs []oci.Reference) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, ref := range refs {
		delete(u.at, ref.String())
	}
}

// Use notes that what names stand for is used now, to the hour: as a rule it only
// reads. It is only a note, by which a quota finds the names that nobody uses: it
// gives up where the store can only be read, and where others keep writing.
func (s *Store) Use(ctx context.Context, names ...oci.Reference) {
	if s.writable() != nil {
		return
	}
	for some := range slices.Chunk(names, usesWritten) {
		if s.use(ctx, some) != nil {
			return
		}
	}
}

// notes says whether what readers find is noted in the store: not in one that is read
// only, nor in a backup, with which no backup would go on once it has been written to.
func (s *Store) notes(ctx context.Context) bool {
	return !s.readOnly && !s.IsBackup(ctx)
}

// IsBackup says whether the store is a backup that nobody has written to since: whoever
// only reads it leaves no lease there. What cannot be found out is taken for one.
func (s *Store) IsBackup(ctx context.Context) bool {
	backup := false
	err := s.db.Read(ctx, func(tx *db.Tx) (err error) {
		backup, err = tx.IsBackup()
		return err
	})
	return err != nil || backup
}

// use is Use for as many names as a transaction takes.
func (s *Store) use(ctx context.Context, names []oci.Reference) error {
	var due []string
	for _, ref := range names {
		name := ref.Local().String()
		r, found, err := s.db.Ref(ctx, name)
		if err != nil {
			return err
		}
		if found && r.UseDue(time.Now()) {
			due = append(due, name)
		}
	}
	if len(due) == 0 || !s.notes(ctx) {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wait := time.AfterFunc(useWait, cancel)
	return s.db.Write(ctx, func(tx *db.Tx) error {
		wait.Stop() // it is its turn: what is left does not depend on others
		for _, name := range due {
			if err := tx.UseRef(name); err != nil {
				return err
			}
		}
		return nil
	})
}

// NoteUse implements content.UseNoter: it is Use, at most once in an hour for each
// name. It is written a few seconds later, with others, and nobody waits for it but
// Close. What could not be written may be noted again at once.
func (s *Store) NoteUse(name oci.Reference) {
	if s.writable() == nil {
		s.uses.note(name.Local(), s.writeUses)
	}
}

// writeUses writes what is noted until stop is closed, and then the rest.
func (s *Store) writeUses(stop <-chan struct{}) {
	t := time.NewTicker(usesEvery)
	defer t.Stop()
	for ended := false; !ended; {
		select {
		case <-t.C:
		case <-stop:
			ended = true
		}
		s.writeDue()
	}
}

func (s *Store) writeDue() {
	for refs := s.uses.take(); len(refs) > 0; {
		some := refs[:min(len(refs), usesWritten)]
		if s.use(context.Background(), some) != nil {
			s.uses.forget(refs) // those after them, too: others keep writing
			return
		}
		refs = refs[len(some):]
	}
}
