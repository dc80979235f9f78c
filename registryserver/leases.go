package registryserver

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// DefaultKeep is how long what was pushed is kept without a name.
const DefaultKeep = 7 * 24 * time.Hour

// leases keeps what was pushed and is not named yet. New content goes under the
// newest lease. Every turn there is another one, and a lease is released when what
// came under it last has been kept for its time.
type leases struct {
	store content.Leases
	keep  time.Duration // 0 is DefaultKeep

	mu  sync.Mutex
	all []*lease // the oldest first
}

type lease struct {
	content.Lease
	users   int
	retired bool // to be released by the last user
}

// turns is in how many parts the time is that something is kept for: it may be kept
// for one of them longer.
const turns = 7

// times are how long new content goes under one lease, and how long that lasts.
func (l *leases) times() (turn, length time.Duration) {
	keep := cmp.Or(l.keep, DefaultKeep)
	turn = keep / turns
	return turn, keep + turn
}

// use returns the lease for new content; done is called when the request that
// uses it is over.
func (l *leases) use(ctx context.Context) (id string, done func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	turn, length := l.times()
	if n := len(l.all); n == 0 || time.Since(l.all[n-1].CreatedAt) >= turn {
		fresh, err := l.store.Acquire(ctx, "pushed to the registry server", length)
		if err != nil {
			return "", nil, err
		}
		l.all = append(l.all, &lease{Lease: fresh})
	}
	for len(l.all) > 1 && time.Since(l.all[0].CreatedAt) >= length {
		l.retire(ctx, l.all[0])
		l.all = l.all[1:]
	}
	c := l.all[len(l.all)-1]
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

// letGo takes d from under all leases, unless a repository includes it: one that
// still does, or that it is just being pushed to.
func (l *leases) letGo(ctx context.Context, d oci.Digest) error {
	l.mu.Lock()
	all := slices.Clone(l.all)
	l.mu.Unlock()
	for _, c := range all {
		if err := l.store.Unhold(ctx, c.ID, d); err != nil {
			return err
		}
	}
	return nil
}

// retire releases c, now or when its last user leaves.
func (l *leases) retire(ctx context.Context, c *lease) {
	if c.retired = true; c.users > 0 {
		return
	}
	// A lease that cannot be released expires.
	_ = l.store.Release(context.WithoutCancel(ctx), c.ID)
}
