package registryserver

import (
	"context"
	"sync"
	"time"

	"dist.example/content"
)

// leases keeps what was pushed and is not named yet. Two leases take turns: new
// content goes under the current one, and each turn releases the one before it,
// so that a blob is safe for at least one turn after it came, and what nobody
// ever names is free after two.
type leases struct {
	store content.Leases

	mu       sync.Mutex
	current  *lease
	previous *lease
}

type lease struct {
	content.Lease
	users   int
	retired bool // to be released by the last user
}

const (
	turn        = 12 * time.Hour
	leaseLength = 3 * turn // two turns, and never short of the second's end
)

// use returns the lease for new content; done is called when the request that
// uses it is over.
func (l *leases) use(ctx context.Context) (id string, done func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current == nil || time.Since(l.current.CreatedAt) >= turn {
		fresh, err := l.store.Acquire(ctx, "pushed to the registry server", leaseLength)
		if err != nil {
			return "", nil, err
		}
		l.retire(ctx, l.previous)
		l.previous, l.current = l.current, &lease{Lease: fresh}
	}
	c := l.current
	c.users++
	return c.ID, func() { l.leave(ctx, c) }, nil
}

func (l *leases) leave(ctx context.Context, c *lease) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.users--
	if c.retired {
		l.retire(ctx, c)
	}
}

// drop gives up both leases: what they held and nothing names is left to the
// grace period of garbage collection. A deletion asks for it, since content
// under a lease cannot be deleted.
func (l *leases) drop(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.retire(ctx, l.previous)
	l.retire(ctx, l.current)
	l.previous, l.current = nil, nil
}

// retire releases c, now or when its last user leaves.
func (l *leases) retire(ctx context.Context, c *lease) {
	if c == nil {
		return
	}
	if c.retired = true; c.users > 0 {
		return
	}
	// A lease that cannot be released expires.
	_ = l.store.Release(context.WithoutCancel(ctx), c.ID)
}
