package blobstore

import (
	"context"
	"sync"
	"time"

	"dist.example/db"
	"dist.example/oci"
)

const (
	// useWait is how long the note that a name was used may wait for other writers.
	useWait = 100 * time.Millisecond
	// usesNoted bounds the names that a process remembers to have noted.
	usesNoted = 100_000
)

// uses is what a process has noted of the use of names.
type uses struct {
	mu    sync.Mutex
	at    map[string]time.Time
	ended bool
	notes sync.WaitGroup // under way
}

// end lets none begin any more, and waits for those under way.
func (u *uses) end() {
	u.mu.Lock()
	u.ended = true
	u.mu.Unlock()
	u.notes.Wait()
}

// note runs do in the background, unless the name's use was looked at not long ago.
func (u *uses) note(name string, do func()) {
	now := time.Now()
	u.mu.Lock()
	defer u.mu.Unlock()
	if last, ok := u.at[name]; u.ended || ok && now.Sub(last) < time.Hour {
		return
	}
	if len(u.at) >= usesNoted {
		clear(u.at)
	}
	if u.at == nil {
		u.at = map[string]time.Time{}
	}
	u.at[name] = now
	u.notes.Go(do)
}

// Use notes that what names stand for is used now, to the hour: as a rule it only
// reads. It is only a note, by which a quota finds the names that nobody uses: it
// gives up where the store can only be read, and where others keep writing.
func (s *Store) Use(ctx context.Context, names ...oci.Reference) {
	if s.writable() != nil {
		return
	}
	var due []string
	for _, ref := range names {
		name := ref.Local().String()
		if r, found, err := s.db.Ref(ctx, name); err == nil && found && r.UseDue(time.Now()) {
			due = append(due, name)
		}
	}
	if len(due) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, useWait)
	defer cancel()
	_ = s.db.Write(ctx, func(tx *db.Tx) error {
		for _, name := range due {
			if err := tx.UseRef(name); err != nil {
				return err
			}
		}
		return nil
	})
}

// NoteUse implements content.UseNoter: it is Use, at most once in an hour for each
// name, and nobody waits for it but Close.
func (s *Store) NoteUse(name oci.Reference) {
	s.uses.note(name.Local().String(), func() { s.Use(context.Background(), name) })
}
