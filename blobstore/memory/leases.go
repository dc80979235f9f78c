package memory

import (
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"slices"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// lease is a content.Lease with what it holds; seq orders leases that were made
// within one tick of the clock.
type lease struct {
	content.Lease
	seq     int64
	objects map[oci.Digest]bool
}

// Acquire implements content.Leases.
func (s *Store) Acquire(ctx context.Context, note string, d time.Duration, digests ...oci.Digest) (content.Lease, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return content.Lease{}, fmt.Errorf("acquire lease: %w", err)
	}
	now := time.Now()
	s.seq++
	l := &lease{
		Lease:   content.Lease{ID: rand.Text(), Note: note, CreatedAt: now, ExpiresAt: now.Add(d)},
		seq:     s.seq,
		objects: map[oci.Digest]bool{},
	}
	if err := s.holdAll(l, digests); err != nil {
		return content.Lease{}, err
	}
	s.leases[l.ID] = l
	return l.Lease, nil
}

// Renew implements content.Leases.
func (s *Store) Renew(ctx context.Context, id string, d time.Duration) (content.Lease, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return content.Lease{}, fmt.Errorf("renew lease %s: %w", id, err)
	}
	l, ok := s.leases[id]
	if !ok {
		return content.Lease{}, fmt.Errorf("renew lease %s: %w", id, content.ErrNotFound)
	}
	l.ExpiresAt = time.Now().Add(d)
	return l.Lease, nil
}

// Hold implements content.Leases: all of digests, or none.
func (s *Store) Hold(ctx context.Context, id string, digests ...oci.Digest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("hold: %w", err)
	}
	l, ok := s.leases[id]
	if !ok {
		return fmt.Errorf("hold by lease %s: %w", id, content.ErrNotFound)
	}
	return s.holdAll(l, digests)
}

// holdAll puts all of digests under a lease, or none.
func (s *Store) holdAll(l *lease, digests []oci.Digest) error {
	for _, d := range digests {
		if s.objects[d] == nil {
			return fmt.Errorf("hold %s: %w", d, content.ErrNotFound)
		}
	}
	for _, d := range digests {
		l.objects[d] = true
	}
	return nil
}

// Unhold implements content.Leases.
func (s *Store) Unhold(ctx context.Context, id string, digests ...oci.Digest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("unhold: %w", err)
	}
	l, ok := s.leases[id]
	if !ok {
		return nil
	}
	for _, d := range digests {
		included := false
		for _, m := range s.members[d] {
			included = included || m.included()
		}
		if !included {
			delete(l.objects, d)
		}
	}
	return nil
}

// Release implements content.Leases.
func (s *Store) Release(ctx context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("release lease %s: %w", id, err)
	}
	delete(s.leases, id)
	return nil
}

// AllLeases implements content.Leases.
func (s *Store) AllLeases(ctx context.Context) iter.Seq2[content.Lease, error] {
	return list(ctx, func() []content.Lease {
		var all []content.Lease
		for _, l := range sorted(s.leases, func(l *lease) int64 { return l.seq }) {
			all = append(all, l.Lease)
		}
		return slices.Clip(all)
	}, &s.mu)
}

// checkLease refuses a lease that does not exist; "" is none.
func (s *Store) checkLease(id string) error {
	if id != "" && s.leases[id] == nil {
		return fmt.Errorf("lease %s: %w", id, content.ErrNotFound)
	}
	return nil
}

// hold puts d under a lease that exists, or under none.
func (s *Store) hold(id string, d oci.Digest) {
	if l, ok := s.leases[id]; ok {
		l.objects[d] = true
	}
}
