package blobstore_test

import (
	"fmt"
	"testing"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/db"
)

func usedAt(t *testing.T, s *blobstore.Store, name string) time.Time {
	t.Helper()
	n, err := s.Name(t.Context(), parse(t, name))
	must(t, err)
	return n.UsedAt
}

// aged is s, opened again, whose names were made and used so much earlier.
func aged(t *testing.T, s *blobstore.Store, by time.Duration) *blobstore.Store {
	t.Helper()
	must(t, s.Close())
	change(t, s.Dir(), fmt.Sprintf("UPDATE refs SET updated = updated - %[1]d, used = used - %[1]d", by.Milliseconds()))
	return open(t, s.Dir())
}

func TestUsesAreKeptToTheHour(t *testing.T) {
	t.Parallel()
	dir := empty(t)
	s := open(t, dir)
	named(t, s, newImage(t, noise(1, 500)), "app:a", "app:b")
	s.Use(t.Context(), parse(t, "app:a"), parse(t, "app:missing"))
	if at := usedAt(t, s, "app:a"); !at.IsZero() {
		t.Errorf("used at %s, in the hour that it was made in", at)
	}
	s = aged(t, s, 2*time.Hour)
	s.Use(t.Context(), parse(t, "app:a"))
	first := usedAt(t, s, "app:a")
	if first.IsZero() || first != first.Truncate(time.Hour) || time.Since(first) > time.Hour {
		t.Errorf("used at %s", first)
	}
	if at := usedAt(t, s, "app:b"); !at.IsZero() {
		t.Errorf("the other one was used at %s", at)
	}
	s = aged(t, s, 3*time.Hour)
	s.NoteUse(parse(t, "app:b"))
	s.NoteUse(parse(t, "app:b"))
	must(t, s.Close()) // which waits for it
	s.NoteUse(parse(t, "app:a"))
	s = open(t, dir)
	if at := usedAt(t, s, "app:b"); at.IsZero() {
		t.Error("the use in the background is not noted")
	}
	if at := usedAt(t, s, "app:a"); !at.Equal(first.Add(-3 * time.Hour)) {
		t.Errorf("a closed store noted %s", at)
	}
}

// What could not be written, since another kept the store, is noted with the next use.
func TestAUseThatCouldNotBeWrittenIsNotedAgain(t *testing.T) {
	t.Parallel()
	dir := empty(t)
	s := open(t, dir)
	named(t, s, newImage(t, noise(1, 500)), "app:a")
	s = aged(t, s, 2*time.Hour)
	other := open(t, dir)
	m, err := other.Maintain(t.Context())
	must(t, err)
	defer m.Close()
	must(t, m.Change(t.Context(), func(*db.Tx) error {
		s.NoteUse(parse(t, "app:a"))
		s.WriteUses()
		return nil
	}))
	if at := usedAt(t, s, "app:a"); !at.IsZero() {
		t.Errorf("used at %s, while another was writing", at)
	}
	s.NoteUse(parse(t, "app:a"))
	s.WriteUses()
	if at := usedAt(t, s, "app:a"); at.IsZero() {
		t.Error("the use is not noted")
	}
}

var _ content.UseNoter = (*blobstore.Store)(nil)
