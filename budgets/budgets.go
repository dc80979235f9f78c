package budgets

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"dist.example/content"
	"dist.example/fsys"
)

// Limits are what a process keeps to, for each host. The zero value has none.
type Limits struct {
	Rate        int64 // bytes a second, in and out together; 0 means any
	Requests    Frequency
	Connections int // at once; 0 means any number
}

// Frequency is so many in each span of time, which is at most a minute. The zero
// value is any number.
type Frequency struct {
	N   int64
	Per time.Duration
}

// Options make a Set.
type Options struct {
	Limits
	// Dirs lists the folders where the files may be, the best first; they are made
	// when they are not there. It is called once, before the first file is needed.
	Dirs func() []string
	// FS is the disk, nil the system's.
	FS fsys.FS
	// Clock is the time and how it passes, nil the system's.
	Clock Clock
	// Warn is told, from any goroutine, what a person should know: that something
	// has waited for five seconds, or that no file can be had. Nil discards.
	Warn func(msg string)
}

// Clock is time, for tests to replace.
type Clock interface {
	Now() time.Time
	// Sleep returns after d, or when ctx ends, with its cause.
	Sleep(ctx context.Context, d time.Duration) error
}

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

func (systemClock) Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

const (
	// noticeAfter is how long something waits before that is said.
	noticeAfter = 5 * time.Second
	// lockTimeout bounds the wait for a file's lock, which is held for microseconds
	// unless its holder was stopped.
	lockTimeout = 30 * time.Second
)

// Set is a process's share in the budgets of all hosts. It is for concurrent
// use. A nil Set has no limits and costs nothing.
type Set struct {
	opts  Options
	bytes pace
	asked pace

	mu    sync.Mutex
	hosts map[string]*Host
	dir   string         // where files are, "" before the first
	alone bool           // no file can be had
	taken map[string]int // the connections of this process, by host
}

// New makes a Set. It is nil where there is nothing to limit. No file is opened
// yet. Errors: ErrInvalid.
func New(o Options) (*Set, error) {
	if o.Rate < 0 || o.Connections < 0 || o.Requests.N < 0 || (o.Requests.N > 0 && (o.Requests.Per <= 0 || o.Requests.Per > time.Minute)) {
		return nil, fmt.Errorf("budgets: %w: a limit below zero, or a time that is not within a minute", content.ErrInvalid)
	}
	if o.Rate == 0 && o.Requests.N == 0 && o.Connections == 0 {
		return nil, nil
	}
	if o.FS == nil {
		o.FS = fsys.OS()
	}
	if o.Clock == nil {
		o.Clock = systemClock{}
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	return &Set{
		opts:  o,
		bytes: newPace(Frequency{o.Rate, time.Second}),
		asked: newPace(o.Requests),
		hosts: map[string]*Host{}, taken: map[string]int{},
	}, nil
}

// Limits are those that the Set keeps to.
func (s *Set) Limits() Limits {
	if s == nil {
		return Limits{}
	}
	return s.opts.Limits
}

// Host is the budget of one host, given as host or host:port. It is nil, and has
// no limits, where neither bytes nor requests have one.
func (s *Set) Host(host string) *Host {
	if s == nil || (s.opts.Rate == 0 && s.opts.Requests.N == 0) {
		return nil
	}
	name := fileName(host)
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.hosts[name]
	if h == nil {
		h = newHost(s, host, name)
		s.hosts[name] = h
	}
	return h
}

// Close closes the files. Slots stay until they are released. Idempotent; nothing
// else may be under way.
func (s *Set) Close() error {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var first error
	for _, h := range s.hosts {
		if err := h.close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// open opens the file of that name in the first folder that takes it, and keeps
// to that folder. False when there is none: the process goes on alone.
func (s *Set) open(name string) (fsys.File, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.alone {
		return nil, false
	}
	if s.dir != "" {
		f, err := s.openIn(s.dir, name)
		if err != nil {
			s.leave(err)
		}
		return f, err == nil
	}
	err := error(content.ErrNotFound)
	for _, dir := range s.opts.Dirs() {
		var f fsys.File
		if f, err = s.openIn(dir, name); err == nil {
			s.dir = dir
			return f, true
		}
	}
	s.leave(err)
	return nil, false
}

func (s *Set) openIn(dir, name string) (fsys.File, error) {
	if err := s.opts.FS.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	return s.opts.FS.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE, 0o666)
}

// leave gives up the files. Callers hold s.mu.
func (s *Set) leave(err error) {
	if !s.alone {
		s.alone = true
		s.opts.Warn(fmt.Sprintf("limits are kept by this command alone, other commands do not see what it uses: %v", err))
	}
}

// maxName leaves room for what is put behind a host's name.
const maxName = 200

// fileName is host as a file name of every system. Two hosts that differ in odd
// characters alone may share one, and with it a budget.
func fileName(host string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '.', r == '-':
			return r
		}
		return '_'
	}, strings.ToLower(host))
	if name = strings.TrimLeft(name, "."); name == "" || len(name) > maxName {
		sum := sha256.Sum256([]byte(host))
		return hex.EncodeToString(sum[:])
	}
	return name
}
