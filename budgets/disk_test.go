package budgets_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dist.example/budgets"
	"dist.example/fsys"
	"dist.example/fsys/fsystest"
)

var errPaused = errors.New("paused")

// still is a clock that stands.
type still struct{}

func (still) Now() time.Time                             { return time.Unix(1_000_000, 0) }
func (still) Sleep(context.Context, time.Duration) error { return errPaused }

// A disk that takes no more bytes ends the sharing and not the work, and what the
// process took before still counts. Nothing is ever synced.
func TestAFullDiskEndsNothing(t *testing.T) {
	dir := t.TempDir()
	disk, err := fsystest.New(fsys.OS(), dir)
	if err != nil {
		t.Fatal(err)
	}
	var told []string
	s, err := budgets.New(budgets.Options{
		Limits: budgets.Limits{Rate: 4000}, FS: disk, Clock: still{},
		Dirs: func() []string { return []string{filepath.Join(dir, "budgets")} },
		Warn: func(msg string) { told = append(told, msg) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	h := s.Host("a")
	if err := h.Bytes(t.Context(), 600); err != nil {
		t.Fatal(err)
	}
	disk.LimitWrites(0)
	if err := h.Bytes(t.Context(), 400); err != nil {
		t.Errorf("on a full disk: %v", err)
	}
	if err := h.Bytes(t.Context(), 1); !errors.Is(err, errPaused) {
		t.Errorf("beyond the burst: %v", err)
	}
	if len(told) != 1 || !strings.Contains(told[0], "by this command alone") {
		t.Errorf("told %q, want one line", told)
	}
	for op, n := range disk.Counts() {
		if n > 0 && strings.Contains(string(op), "sync") {
			t.Errorf("%d calls of %s", n, op)
		}
	}
}
