package blobstore_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
)

// history moves a name through objects, and returns their digests.
func history(t *testing.T, s *blobstore.Store, name string, n int) (ds []oci.Digest) {
	t.Helper()
	for i := range n {
		desc := mustStore(t, s, fmt.Appendf(nil, "%s %d", name, i))
		move(t, s, "tag", name, desc.Digest)
		ds = append(ds, desc.Digest)
	}
	return ds
}

func move(t *testing.T, s *blobstore.Store, why, name string, d oci.Digest) {
	t.Helper()
	must(t, s.SetNames(t.Context(), content.NameChange{Reference: reference(t, name), Target: d, Why: why}))
}

// undo undoes n changes, and returns what became of names.
func undo(t *testing.T, s *blobstore.Store, n int) (u blobstore.Undo, err error) {
	t.Helper()
	if u, err = s.PlanUndo(t.Context(), n); err != nil {
		return u, err
	}
	changes, err := u.NameChanges()
	must(t, err)
	return u, s.SetNames(t.Context(), changes...)
}

func TestHistoryIsReadInPages(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	one, two := mustStore(t, s, []byte("one")).Digest, mustStore(t, s, []byte("two")).Digest
	const n = 2001 // of which a page holds less than half
	var changes []content.NameChange
	for i := range n {
		changes = append(changes, content.NameChange{Reference: reference(t, "a"), Target: []oci.Digest{one, two}[i%2], Why: "tag"})
	}
	must(t, s.SetNames(t.Context(), changes...))
	move(t, s, "tag", "b", one)
	want := int64(n)
	for c, err := range s.History(t.Context(), "docker.io/library/a:latest") {
		must(t, err)
		if c.Seq != want {
			t.Fatalf("change %d, want %d", c.Seq, want)
		}
		want--
	}
	if want != 0 {
		t.Errorf("the history ends at %d", want+1)
	}
	for range s.History(t.Context(), "") {
		break
	}
	for c := range s.History(t.Context(), "docker.io/library/never:was") {
		t.Errorf("what never was has a history: %+v", c)
	}
}

func TestWhatANameWas(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	ref := reference(t, "a")
	ds := history(t, s, "a", 3)
	before := func(n int) oci.Digest { d, err := s.NameBefore(t.Context(), ref, n); must(t, err); return d }
	if before(0) != ds[2] || before(1) != ds[1] || before(2) != ds[0] {
		t.Error("a name was something else")
	}
	for _, n := range []int{3, 4} {
		_, err := s.NameBefore(t.Context(), ref, n)
		want(t, content.ErrNotFound, err)
	}
	var at []time.Time
	for c, err := range s.History(t.Context(), "") {
		must(t, err)
		at = append(at, c.At)
	}
	slices.Reverse(at)
	for i, d := range ds {
		for _, late := range []time.Duration{0, time.Microsecond} {
			got, err := s.NameAt(t.Context(), ref, at[i].Add(late))
			if err != nil || got != d {
				t.Errorf("change %d and %s: %s, %v", i+1, late, got, err)
			}
		}
	}
	_, err := s.NameAt(t.Context(), ref, at[0].Add(-1))
	want(t, content.ErrNotFound, err)
	must(t, s.SetNames(t.Context(), content.NameChange{Reference: ref, Why: "remove"}))
	_, err = s.NameAt(t.Context(), ref, time.Now().Add(time.Hour))
	want(t, content.ErrNotFound, err)
	_, err = s.NameBefore(t.Context(), ref, 0)
	want(t, content.ErrNotFound, err)
	if before(1) != ds[2] {
		t.Error("a name that is gone was something else")
	}
}

// What is left of a history that was cut short is believed, and no more than that.
func TestWhatANameWasBeforeItsHistoryBegins(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	ref := reference(t, "a")
	ds := history(t, s, "a", 2)
	n, err := s.Name(t.Context(), ref)
	must(t, err)
	cut := func(seq int64) {
		t.Helper()
		must(t, s.Close())
		change(t, dir, fmt.Sprintf("DELETE FROM ref_log WHERE seq <= %d", seq))
		s = open(t, dir)
	}
	cut(1)
	if d, err := s.NameBefore(t.Context(), ref, 1); err != nil || d != ds[0] {
		t.Errorf("before its first change it was %s, %v", d, err)
	}
	_, err = s.NameAt(t.Context(), ref, n.UpdatedAt.Add(-time.Hour))
	if want(t, content.ErrNotFound, err); !strings.Contains(err.Error(), "its history begins at") {
		t.Error(err)
	}
	cut(2)
	if d, err := s.NameAt(t.Context(), ref, n.UpdatedAt); err != nil || d != ds[1] {
		t.Errorf("without a history it is %s, %v", d, err)
	}
	_, err = s.NameBefore(t.Context(), ref, 1)
	want(t, content.ErrNotFound, err)
	_, err = s.NameAt(t.Context(), ref, n.UpdatedAt.Add(-1))
	want(t, content.ErrNotFound, err)
}

// A collection keeps the changes of one transaction together, and so an old change of a
// name without those that came after it. It says nothing of the time since.
func TestWhatANameWasIsNotGuessedAcrossAGap(t *testing.T) {
	t.Parallel()
	for _, removed := range []bool{false, true} {
		dir := t.TempDir()
		s := open(t, dir)
		ref := reference(t, "a:latest")
		var ds []oci.Digest
		for i := range 3 {
			ds = append(ds, mustStore(t, s, fmt.Append(nil, i)).Digest)
		}
		must(t, s.SetNames(t.Context(), // changes 1 and 2, kept for the first
			content.NameChange{Reference: reference(t, "a:1"), Target: ds[0], Why: "tag"},
			content.NameChange{Reference: ref, Target: ds[0], Why: "tag"}))
		target := ds[1]
		if removed {
			target = ""
		}
		must(t, s.SetNames(t.Context(), content.NameChange{Reference: ref, Target: target, Why: "tag"}))
		if !removed {
			move(t, s, "tag", "a:latest", ds[2])
		}
		var gap time.Time
		for c, err := range s.History(t.Context(), "") {
			must(t, err)
			if c.Seq == 3 {
				gap = c.At
			}
		}
		must(t, s.Close())
		change(t, dir, "DELETE FROM ref_log WHERE seq = 3")
		s = open(t, dir)
		for _, at := range []time.Time{gap, gap.Add(-time.Millisecond), gap.Add(-time.Hour)} {
			d, err := s.NameAt(t.Context(), ref, at)
			if want(t, content.ErrNotFound, err); d != "" || !strings.Contains(err.Error(), "its history") {
				t.Errorf("removed %v: at %s it was %s, %v", removed, at, d, err)
			}
		}
		if removed {
			_, err := s.NameAt(t.Context(), ref, time.Now())
			want(t, content.ErrNotFound, err)
			_, err = s.NameBefore(t.Context(), ref, 1)
			want(t, content.ErrNotFound, err)
			continue
		}
		if d, err := s.NameAt(t.Context(), ref, time.Now().Add(time.Hour)); err != nil || d != ds[2] {
			t.Errorf("now it is %s, %v", d, err)
		}
		if d, err := s.NameBefore(t.Context(), ref, 1); err != nil || d != ds[1] {
			t.Errorf("before its last change it was %s, %v", d, err)
		}
		_, err := s.NameBefore(t.Context(), ref, 2)
		want(t, content.ErrNotFound, err)
	}
}

// A change is what one transaction moved, and undos go further back each time, also in
// a catalog that was made anew.
func TestUndoGoesBackOverTransactions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	a := history(t, s, "a", 2)
	must(t, s.SetNames(t.Context(),
		content.NameChange{Reference: reference(t, "b"), Target: a[0], Why: "pull"},
		content.NameChange{Reference: reference(t, "c"), Target: a[0], Why: "pull"},
		content.NameChange{Reference: reference(t, "a"), Target: a[0], Why: "pull"}))
	for _, step := range []struct{ names string }{{"a b c"}, {"a"}, {"a"}} {
		u, err := undo(t, s, 1)
		must(t, err)
		var names []string
		for _, m := range u.Moves {
			names = append(names, strings.TrimSuffix(strings.TrimPrefix(m.Name, "docker.io/library/"), ":latest"))
		}
		if got := strings.Join(names, " "); got != step.names || len(u.Changes) != 1 {
			t.Errorf("undone: %s, want %s", got, step.names)
		}
		clean(t, s)
		must(t, s.Close())
		rebuild(t, dir)
		s = open(t, dir)
	}
	_, err := undo(t, s, 1)
	want(t, content.ErrNotFound, err)
	for n, err := range s.Names(t.Context(), "") {
		t.Errorf("%v is left, %v", n.Reference, err)
	}
}

// An undo that somebody comes in between of moves nothing.
func TestUndoIsByCompareAndSet(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	a := history(t, s, "a", 2)
	history(t, s, "b", 2)
	u, err := s.PlanUndo(t.Context(), 3)
	must(t, err)
	move(t, s, "tag", "b", a[0])
	changes, err := u.NameChanges()
	must(t, err)
	want(t, content.ErrConflict, s.SetNames(t.Context(), changes...))
	if n, err := s.Name(t.Context(), reference(t, "a")); err != nil || n.Target.Digest != a[1] {
		t.Errorf("half of an undo happened: %v, %v", n, err)
	}
	// A catalog whose log lacks a change: the name is not what the one before made it.
	must(t, s.Close())
	change(t, dir, "DELETE FROM ref_log WHERE seq = 5")
	s = open(t, dir)
	_, err = s.PlanUndo(t.Context(), 1)
	want(t, content.ErrConflict, err)
}
