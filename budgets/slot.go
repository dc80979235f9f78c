package budgets

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"dist.example/content"
	"dist.example/fsys"
)

const (
	// slotPause is how long a process that found no free slot waits before it looks
	// again: nobody tells it when one becomes free.
	slotPause = 50 * time.Millisecond
	// slotTimeout bounds that. Others may be in the middle of a large blob.
	slotTimeout = 10 * time.Minute
	// ownTimeout bounds the wait of a process for itself: connections that it has
	// no use for any more take a moment until they are closed.
	ownTimeout = time.Second
)

type holdingKey struct{}

// Holding says that a connection which is asked for with this context is needed
// for as long as its asker has another one: where the process itself has all that
// there may be, nobody will ever give one back.
func Holding(ctx context.Context) context.Context {
	return context.WithValue(ctx, holdingKey{}, true)
}

// stuck says whether waiting for a connection to host is waiting for oneself.
func (s *Set) stuck(ctx context.Context, host string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return ctx.Value(holdingKey{}) != nil && s.taken[host] >= s.opts.Connections
}

// Slot is the right to one connection. A nil Slot stands for one that needs no
// right.
type Slot struct {
	set  *Set
	host string
	file fsys.File // nil where the process counts alone
	once sync.Once
}

// Connect waits until one more connection to host may be made. The slot is nil
// where connections have no limit. waiting, if not nil, is called each time that
// none was free: to give up connections that nobody uses. Errors: the cause of
// ctx; ErrUnavailable when none became free in ten minutes; ErrInvalid when none
// can, see Holding.
func (s *Set) Connect(ctx context.Context, host string, waiting func()) (*Slot, error) {
	if s == nil || s.opts.Connections == 0 {
		return nil, nil
	}
	told := s.patience("a connection to " + host)
	for waited := time.Duration(0); ; waited += slotPause {
		slot, err := s.slot(host)
		if slot != nil || err != nil {
			return slot, err
		}
		if waited >= slotTimeout {
			return nil, content.WithHint(fmt.Errorf("connect to %s: %w: none of %d connections became free in %s", host, content.ErrUnavailable, s.opts.Connections, slotTimeout),
				"other commands hold them; a copy within one registry needs two: raise --limit-connections")
		}
		if waited >= ownTimeout && s.stuck(ctx, host) {
			return nil, content.WithHint(fmt.Errorf("connect to %s: %w: what is to be sent there comes from there, which takes two connections, and the limit is %d", host, content.ErrInvalid, s.opts.Connections),
				"give --limit-connections %d or more", s.opts.Connections+1)
		}
		if waiting != nil {
			waiting()
		}
		told(slotPause)
		if err := s.opts.Clock.Sleep(ctx, slotPause); err != nil {
			return nil, err
		}
	}
}

// slot takes a free slot, nil when there is none.
func (s *Set) slot(host string) (*Slot, error) {
	n := s.opts.Connections
	first := rand.IntN(n) //nolint:gosec // so that processes do not all begin at the same one
	for i := range n {
		f, ok := s.open(fmt.Sprintf("%s+%d", fileName(host), (first+i)%n))
		if !ok {
			return s.countedSlot(host), nil
		}
		locked, err := f.TryLock(true)
		if locked {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.taken[host]++
			return &Slot{set: s, host: host, file: f}, nil
		}
		f.Close()
		if err != nil {
			return nil, fmt.Errorf("connect to %s: %w", host, fsys.Classify(err))
		}
	}
	return nil, nil
}

// countedSlot is slot for a process that has no files.
func (s *Set) countedSlot(host string) *Slot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken[host] >= s.opts.Connections {
		return nil
	}
	s.taken[host]++
	return &Slot{set: s, host: host}
}

// Release gives the slot back, once the connection is closed. Idempotent.
func (l *Slot) Release() {
	if l == nil {
		return
	}
	l.once.Do(func() {
		if l.file != nil {
			l.file.Close() // and the lock goes with it
		}
		l.set.mu.Lock()
		defer l.set.mu.Unlock()
		l.set.taken[l.host]--
	})
}
