package testscripts

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// resting is what a server has when nobody asks for anything any more.
type resting struct {
	shelves    int // open files of packs and of the catalog
	files      int // all others
	goroutines int
}

// within says whether r is no more than most.
func (r resting) within(most resting) bool {
	return r.shelves <= most.shelves && r.files <= most.files && r.goroutines <= most.goroutines
}

// rest waits until the server rests with most, and returns what it may rest with next
// time: what it has now, a few more, and of the store's files as many as ever. The
// memory that it has taken is bounded, too. Where the system does not tell, nothing is
// looked at.
func (s *serving) rest(t *testing.T, most resting) resting {
	t.Helper()
	proc := filepath.Join("/proc", strconv.Itoa(s.pid))
	peak := peakIn(filepath.Join(proc, "status")) / 1024
	if peak == 0 {
		t.Log("the system does not tell what the server takes")
		return most
	}
	if peak > servePeak {
		t.Errorf("the server took %d MiB, at most %d are sound", peak, servePeak)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		now, names := s.now(t, proc)
		if now.within(most) {
			t.Logf("the server took %d MiB, and rests with %+v", peak, now)
			return resting{most.shelves, now.files + serveMore, now.goroutines + serveMore}
		}
		select {
		case <-tick.C: // connections go when the server has seen that they are closed
		case <-ctx.Done():
			t.Fatalf("the server has %+v, at most %+v is sound:\n%s", now, most, strings.Join(names, "\n"))
		}
	}
}

// now is what the server has, with the names of its open files.
func (s *serving) now(t *testing.T, proc string) (now resting, names []string) {
	t.Helper()
	files, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		name, _ := os.Readlink(filepath.Join(proc, "fd", f.Name()))
		if strings.Contains(name, "/packs/") || strings.Contains(name, "/catalog.db") {
			now.shelves++
		} else {
			now.files++
		}
		names = append(names, name)
	}
	if now.goroutines, err = s.goroutines(); err != nil {
		t.Fatal(err)
	}
	return now, names
}

// goroutines asks the server for their number.
func (s *serving) goroutines() (int, error) {
	_, p, err := s.want(http.StatusOK, "GET", "/metrics", nil)
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(p), "\ngo_goroutines ")
	n, _, _ := strings.Cut(rest, "\n")
	return strconv.Atoi(n)
}
