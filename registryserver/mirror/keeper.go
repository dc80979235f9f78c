package mirror

import (
	"context"
	"errors"
	"sync"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

const (
	// keepFor is how long what was asked for is kept without a name.
	keepFor = 7 * 24 * time.Hour
	// leaseTurn is how long a lease is used for what comes in.
	leaseTurn = 24 * time.Hour
	// shedWait is how long a lease that ends before its time is waited for, under which
	// something is being written still: small parts of an image come beside its large ones.
	shedWait = 5 * time.Second
)

// keeper has the leases for what is fetched: a new one each day, each released after
// seven, or earlier when room is made. What is asked for again moves to the newest. They
// are left to expire when the process ends.
type keeper struct {
	store content.Leases
	now   func() time.Time
	// gathered is what stays when a lease ends before its time.
	gathered func(context.Context) []oci.Digest

	mu     sync.Mutex
	leases []*taken        // oldest first
	moved  map[string]bool // ingests that the newest lease has, maxMoved at most
}

// maxMoved bounds what is remembered of a day; what is forgotten moves once more.
const maxMoved = 100_000

// taken is a lease and how many write under it: it is not released before they are done.
type taken struct {
	id      string
	at      time.Time
	users   int
	retired bool
	gone    chan struct{} // closed once it is released
}

// LeaseNote is the note of the leases of a mirror.
const LeaseNote = "mirrored from other registries"

// use is the newest lease. done is called when nothing is written under it any more.
func (k *keeper) use(ctx context.Context) (id string, done func(), err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	if n := len(k.leases); n == 0 || now.Sub(k.leases[n-1].at) >= leaseTurn {
		if err := k.turn(ctx); err != nil {
			return "", nil, err
		}
		for now.Sub(k.leases[0].at) >= keepFor {
			k.retire(ctx)
		}
	}
	l := k.leases[len(k.leases)-1]
	l.users++
	return l.id, func() { k.leave(ctx, l) }, nil
}

// turn begins a new lease.
func (k *keeper) turn(ctx context.Context) error {
	fresh, err := k.store.Acquire(ctx, LeaseNote, keepFor)
	if err != nil {
		return err
	}
	k.leases = append(k.leases, &taken{id: fresh.ID, at: k.now(), gone: make(chan struct{})})
	k.moved = map[string]bool{}
	return nil
}

// retire ends the oldest lease, now or when its last user leaves.
func (k *keeper) retire(ctx context.Context) {
	l := k.leases[0]
	k.leases = k.leases[1:]
	if l.retired = true; l.users == 0 {
		k.release(ctx, l)
	}
}

func (k *keeper) leave(ctx context.Context, l *taken) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if l.users--; l.users == 0 && l.retired {
		k.release(ctx, l)
	}
}

// release moves what is being pulled to the newest lease: under this one some of it may
// have come just now. A lease that cannot be released expires.
func (k *keeper) release(ctx context.Context, l *taken) {
	defer close(l.gone)
	ctx = context.WithoutCancel(ctx)
	newest := k.leases[len(k.leases)-1].id
	for _, d := range k.gathered(ctx) {
		if err := k.store.Hold(ctx, newest, d); err != nil && !errors.Is(err, content.ErrNotFound) {
			return
		}
	}
	_ = k.store.Release(ctx, l.id)
}

// shed ends the oldest lease before its time, and waits a little for who writes under it.
// The last one makes place for another; then there is no more to shed.
func (k *keeper) shed(ctx context.Context) (more bool, err error) {
	oldest, more, err := k.end(ctx)
	if err != nil || oldest == nil {
		return false, err
	}
	timer := time.NewTimer(shedWait)
	defer timer.Stop()
	select {
	case <-oldest.gone:
	case <-timer.C:
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	return more, nil
}

// end retires the oldest lease; nil where there is none.
func (k *keeper) end(ctx context.Context) (oldest *taken, more bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.leases) == 0 {
		return nil, false, nil
	}
	if more = len(k.leases) > 1; !more {
		if err := k.turn(ctx); err != nil {
			return nil, false, err
		}
	}
	oldest = k.leases[0]
	k.retire(ctx)
	return oldest, more, nil
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
