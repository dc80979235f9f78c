package registryserver

import (
	"sync"
	"time"
)

// freshSessions are the upload sessions that nothing has been sent to yet. There is
// nothing to resume in them, so they are in memory alone: most end with the next
// request, and two transactions for each would be for nothing. From the first byte
// on the store has them.
type freshSessions struct {
	mu    sync.Mutex
	begun map[string]time.Time
}

const (
	// maxFresh bounds the sessions in memory; those beyond are the store's at once.
	maxFresh = 10_000
	// freshFor is how long one lasts when there are too many of them, or of uploads.
	freshFor = time.Hour
)

// add says whether there is room for the session.
func (f *freshSessions) add(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.begun == nil {
		f.begun = map[string]time.Time{}
	}
	if len(f.begun) >= maxFresh {
		f.forget()
	}
	if len(f.begun) >= maxFresh {
		return false
	}
	f.begun[id] = time.Now()
	return true
}

func (f *freshSessions) has(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.begun[id]
	return ok
}

// recent is how many there are once those are gone that nobody came back to.
func (f *freshSessions) recent() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forget()
	return len(f.begun)
}

// forget drops what is older than freshFor.
func (f *freshSessions) forget() {
	for id, at := range f.begun {
		if time.Since(at) > freshFor {
			delete(f.begun, id)
		}
	}
}

// drop ends a session here, and says whether it was one.
func (f *freshSessions) drop(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.begun[id]
	delete(f.begun, id)
	return ok
}
