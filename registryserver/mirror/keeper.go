package mirror

import (
	"context"
	"sync"
	"time"

	"dist.example/content"
)

const (
	// keepFor is how long what was asked for is kept without a name.
	keepFor = 7 * 24 * time.Hour
	// leaseTurn is how long a lease is used for what comes in.
	leaseTurn = 24 * time.Hour
)

// keeper has the leases for what is fetched: a new one each day, each released after
// seven. What is asked for again moves to the newest. They are left to expire when
// the process ends.
type keeper struct {
	store content.Leases
	now   func() time.Time

	mu     sync.Mutex
	leases []taken         // oldest first
	moved  map[string]bool // ingests that the newest lease has, maxMoved at most
}

// maxMoved bounds what is remembered of a day; what is forgotten moves once more.
const maxMoved = 100_000

type taken struct {
	id string
	at time.Time
}

// lease is the newest lease.
func (k *keeper) lease(ctx context.Context) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	if n := len(k.leases); n > 0 && now.Sub(k.leases[n-1].at) < leaseTurn {
		return k.leases[n-1].id, nil
	}
	fresh, err := k.store.Acquire(ctx, "mirrored from other registries", keepFor)
	if err != nil {
		return "", err
	}
	for len(k.leases) > 0 && now.Sub(k.leases[0].at) >= keepFor {
		_ = k.store.Release(ctx, k.leases[0].id) // one that cannot be released expires
		k.leases = k.leases[1:]
	}
	k.leases = append(k.leases, taken{fresh.ID, now})
	k.moved = map[string]bool{}
	return fresh.ID, nil
}

// has says that the newest lease has the ingest with key, and whether it had it
// before.
func (k *keeper) has(key string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	before := k.moved[key]
	if k.moved == nil || len(k.moved) >= maxMoved {
		k.moved = map[string]bool{}
	}
	k.moved[key] = true
	return before
}
