package memory

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strings"

	"dist.example/content"
	"dist.example/oci"
)

// Part implements content.PartReader.
func (s *Store) Part(ctx context.Context, key string) (content.ReaderAt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("ingest %q: %w", key, err)
	}
	ing, ok := s.ingests[key]
	if !ok {
		return nil, fmt.Errorf("ingest %q: %w", key, content.ErrNotFound)
	}
	return &part{s: s, ing: ing, size: ing.status.Offset}, nil
}

// part reads an ingest, and what it has become of once it is committed.
type part struct {
	s    *Store
	ing  *ingest
	size int64
}

func (p *part) ReadAt(b []byte, off int64) (int, error) {
	p.s.mu.Lock()
	data := p.ing.data // bytes below its length never change
	p.s.mu.Unlock()
	if off < 0 {
		return 0, fmt.Errorf("read ingest: %w: offset %d", content.ErrInvalid, off)
	}
	if off >= int64(len(data)) {
		return 0, io.EOF
	}
	n := copy(b, data[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (p *part) Size() int64  { return p.size }
func (p *part) Close() error { return nil }

// Sighted implements content.Sightings.
func (s *Store) Sighted(ctx context.Context, ref oci.Reference) (content.Sighting, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return content.Sighting{}, fmt.Errorf("sighting of %s: %w", ref, err)
	}
	got, ok := s.sightings[ref.String()]
	if !ok {
		return content.Sighting{}, fmt.Errorf("sighting of %s: %w", ref, content.ErrNotFound)
	}
	return got, nil
}

// SightingsOf implements content.Sightings.
func (s *Store) SightingsOf(ctx context.Context, repo string, d oci.Digest) iter.Seq2[content.Sighting, error] {
	return list(ctx, func() []content.Sighting {
		var all []content.Sighting
		for _, got := range sorted(s.sightings, func(got content.Sighting) string { return got.Reference.String() }) {
			if got.Target.Digest == d && strings.HasPrefix(got.Reference.String(), repo+":") {
				all = append(all, got)
			}
		}
		return all
	}, &s.mu)
}

// NoteSighting implements content.Sightings.
func (s *Store) NoteSighting(ctx context.Context, sight content.Sighting) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("sighting of %s: %w", sight.Reference, err)
	}
	s.sightings[sight.Reference.String()] = sight
	return nil
}

// ForgetSighting implements content.Sightings.
func (s *Store) ForgetSighting(ctx context.Context, ref oci.Reference) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("sighting of %s: %w", ref, err)
	}
	delete(s.sightings, ref.String())
	return nil
}
