package memory

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"strings"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// Resolve implements content.Resolver. A reference with a digest is a name of
// its own: name@digest.
func (s *Store) Resolve(ctx context.Context, ref oci.Reference) (oci.Descriptor, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return oci.Descriptor{}, fmt.Errorf("resolve %s: %w", ref, err)
	}
	n, ok := s.names[ref.Local().String()]
	if !ok {
		return oci.Descriptor{}, fmt.Errorf("resolve %s: %w", ref, content.ErrNotFound)
	}
	return n.Target, nil
}

// SetNames implements content.Names.
func (s *Store) SetNames(ctx context.Context, changes ...content.NameChange) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("set names: %w", err)
	}
	// The changes are made to a copy, each seeing those before it; the copy takes
	// the place of the names when all have succeeded.
	names, seq, now := maps.Clone(s.names), s.seq, time.Now()
	for _, c := range changes {
		seq++
		if err := s.change(names, c, seq, now); err != nil {
			return err
		}
	}
	s.names, s.seq = names, seq
	return nil
}

func (s *Store) change(names map[string]content.Name, c content.NameChange, seq int64, now time.Time) error {
	ref := c.Reference.Local()
	key := ref.String()
	if ref.Tag == "" && ref.Digest == "" {
		return fmt.Errorf("name %s: %w: neither tag nor digest", key, content.ErrInvalid)
	}
	old, ok := names[key]
	if c.Expect != nil && *c.Expect != old.Target.Digest {
		return fmt.Errorf("name %s: %w: it is at %s, not at %s", key, content.ErrConflict, orNothing(old.Target.Digest), orNothing(*c.Expect))
	}
	if c.Target == "" {
		if !ok {
			return fmt.Errorf("remove %s: %w", key, content.ErrNotFound)
		}
		delete(names, key)
		return nil
	}
	if ref.Digest != "" && ref.Digest != c.Target {
		return fmt.Errorf("name %s: %w: it cannot stand for %s", key, content.ErrInvalid, c.Target)
	}
	if err := s.complete(c.Target); err != nil {
		return fmt.Errorf("name %s: %w", key, err)
	}
	names[key] = content.Name{Reference: ref, Target: s.objects[c.Target].info.Descriptor(), Seq: seq, UpdatedAt: now}
	return nil
}

func orNothing(d oci.Digest) string {
	if d == "" {
		return "nothing"
	}
	return d.String()
}

// Names implements content.Names.
func (s *Store) Names(ctx context.Context, prefix string) iter.Seq2[content.Name, error] {
	return list(ctx, func() []content.Name {
		matching := maps.Clone(s.names)
		maps.DeleteFunc(matching, func(key string, _ content.Name) bool { return !strings.HasPrefix(key, prefix) })
		return sorted(matching, func(n content.Name) string { return n.Reference.String() })
	}, &s.mu)
}
