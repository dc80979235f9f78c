package mirror

import (
	"context"
	"errors"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

const (
	// beside is the room that is made beside a blob, for what the store notes of it, and
	// for manifests.
	beside = 64 << 10
	// pullTime is how long a manifest that lacks something counts as being pulled.
	pullTime = time.Hour
	// unkeptAge is how long no room is looked for again for one blob.
	unkeptAge = time.Minute
)

// Want is room that the store is to have.
type Want struct {
	Bytes int64
	// Parts are keys of ingests that somebody goes on with: they stay.
	Parts map[string]bool
	// Shed ends a lease of the mirror before its time, where nothing else gives enough:
	// the oldest, and in the end all but what is being pulled. Then more is false.
	Shed func(ctx context.Context) (more bool, err error)
}

// makeRoom makes room for f, or with nil for a manifest. What other flights are about to
// bring counts, too. Of a blob whose size nobody knows its writer finds out.
func (m *Mirror) makeRoom(ctx context.Context, f *flight) error {
	if m.o.MakeRoom == nil || f != nil && f.desc.Size < 0 {
		return nil
	}
	if err := m.making.Acquire(ctx, 1); err != nil {
		return err
	}
	defer m.making.Release(1)
	want := m.want(ctx, f)
	err := m.o.MakeRoom(ctx, want)
	if err == nil && f != nil {
		f.mu.Lock()
		f.room = f.desc.Size
		f.mu.Unlock()
	}
	return err
}

func (m *Mirror) want(ctx context.Context, f *flight) Want {
	want := Want{Bytes: beside, Parts: map[string]bool{}}
	if f != nil {
		want.Bytes += f.desc.Size
		if st, err := m.store.Status(ctx, f.key); err == nil {
			want.Bytes -= st.Offset // it goes on there
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, other := range m.flights {
		want.Parts[key] = true
		other.mu.Lock()
		want.Bytes += max(0, other.room-other.came)
		other.mu.Unlock()
	}
	pulled := m.waiting.young(m.o.Now().Add(-pullTime))
	for _, p := range pulled {
		want.Parts[stageKey(p.repo, p.desc.Digest)] = true
	}
	want.Shed = func(ctx context.Context) (bool, error) {
		more, err := m.keep.shed(ctx)
		if err == nil && !more {
			for _, p := range pulled {
				m.touch(ctx, p.repo, p.desc)
			}
		}
		return more, err
	}
	return want
}

// gathered lists what is here of the manifests that are being pulled.
func (m *Mirror) gathered(ctx context.Context) (here []oci.Digest) {
	m.mu.Lock()
	pulled := m.waiting.young(m.o.Now().Add(-pullTime))
	m.mu.Unlock()
	for _, p := range pulled {
		got, err := m.staged(ctx, p.repo, p.desc.Digest)
		if err != nil {
			continue // it has settled
		}
		edges, err := oci.Successors(got.MediaType, got.Data)
		if err != nil {
			continue
		}
		for _, e := range edges {
			if held, err := m.held(ctx, e.Digest); err == nil && held {
				here = append(here, e.Digest)
			}
		}
	}
	return here
}

// withRoom does work, once more with more room where there was too little.
func (m *Mirror) withRoom(ctx context.Context, work func() error) error {
	err := work()
	if !errors.Is(err, content.ErrNoSpace) || m.o.MakeRoom == nil {
		return err
	}
	if m.makeRoom(ctx, nil) != nil {
		return err
	}
	return work()
}

// young lists what waits since then.
func (w *waiting) young(then time.Time) (all []pending) {
	seen := map[string]bool{}
	for _, some := range w.on {
		for _, p := range some {
			if key := stageKey(p.repo, p.desc.Digest); p.since.After(then) && !seen[key] {
				seen[key] = true
				all = append(all, p)
			}
		}
	}
	return all
}
