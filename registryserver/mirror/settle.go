package mirror

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// pending is a staged manifest.
type pending struct {
	repo  oci.Reference
	desc  oci.Descriptor
	since time.Time // when it was first found to lack something
}

// maxWaiting bounds what is remembered of what staged manifests wait for. What is
// forgotten settles when it is asked for again.
const maxWaiting = 100_000

// waiting has, for each digest that staged manifests lack, those manifests.
type waiting struct {
	on map[oci.Digest][]pending
	n  int
}

// add says whether it did not know that p waits for d.
func (w *waiting) add(d oci.Digest, p pending) bool {
	if w.on == nil || w.n >= maxWaiting {
		w.on, w.n = map[oci.Digest][]pending{}, 0
	}
	same := func(o pending) bool { return o.desc.Digest == p.desc.Digest && o.repo == p.repo }
	if slices.ContainsFunc(w.on[d], same) {
		return false
	}
	w.on[d] = append(w.on[d], p)
	w.n++
	return true
}

func (w *waiting) take(d oci.Digest) []pending {
	all := w.on[d]
	delete(w.on, d)
	w.n -= len(all)
	return all
}

// arrived is told that d is held: what waited for it is looked at again.
func (m *Mirror) arrived(ctx context.Context, d oci.Digest) {
	m.mu.Lock()
	all := m.waiting.take(d)
	m.mu.Unlock()
	for _, p := range all {
		got, err := m.staged(ctx, p.repo, p.desc.Digest)
		if err == nil {
			err = m.settle(ctx, p, got.Data)
		}
		if err != nil && !errors.Is(err, content.ErrNotFound) {
			m.o.Log.LogAttrs(ctx, slog.LevelWarn, "manifest could not be stored",
				slog.String("manifest", p.repo.WithDigest(p.desc.Digest).String()), slog.Any("error", err))
		}
	}
}

// settle makes p an object of the store if that has all that p refers to, and lets
// the tags name it that were seen to. Else it is remembered what p lacks. Settling
// what has settled changes nothing.
func (m *Mirror) settle(ctx context.Context, p pending, data []byte) error {
	edges, err := oci.Successors(p.desc.MediaType, data)
	if err != nil {
		return nil // served as it is, and never stored
	}
	missing, err := m.missing(ctx, p, edges)
	if err == nil && m.await(p, missing) {
		missing, err = m.missing(ctx, p, edges) // what came before it was waited for
	}
	if err != nil || len(missing) > 0 {
		return err
	}
	if err := m.withRoom(ctx, func() error { return m.commit(ctx, p) }); err != nil {
		return err
	}
	if err := m.include(ctx, p.repo, p.desc.Digest); err != nil {
		return err
	}
	if err := m.name(ctx, p.repo, p.desc.Digest); err != nil {
		return err
	}
	m.arrived(ctx, p.desc.Digest)
	return nil
}

// await remembers what p lacks, and says whether any of it is news.
func (m *Mirror) await(p pending, missing []oci.Digest) (news bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p.since = m.o.Now()
	for _, d := range missing {
		news = m.waiting.add(d, p) || news
	}
	return news
}

// missing lists what keeps p from being complete: a config or layer that is not here;
// of an index the manifests it lists, when none of them is.
func (m *Mirror) missing(ctx context.Context, p pending, edges []oci.Edge) ([]oci.Digest, error) {
	var blobs, manifests []oci.Digest
	complete := false
	for _, e := range edges {
		if e.Role == oci.RoleSubject || e.Role == oci.RoleLayer && oci.IsNonDistributable(e.MediaType) ||
			e.Role == oci.RoleManifest && complete {
			continue
		}
		held, err := m.holds(ctx, p.repo, e)
		switch {
		case err != nil:
			return nil, err
		case e.Role == oci.RoleManifest && held:
			complete = true
		case e.Role == oci.RoleManifest:
			manifests = append(manifests, e.Digest)
		case !held:
			blobs = append(blobs, e.Digest)
		}
	}
	if complete {
		return blobs, nil
	}
	return append(blobs, manifests...), nil
}

// holds says whether what e leads to is here, after a try to settle it if it is a
// staged manifest. Manifests refer to each other by digest: there is no circle.
func (m *Mirror) holds(ctx context.Context, repo oci.Reference, e oci.Edge) (bool, error) {
	held, err := m.held(ctx, e.Digest)
	if err != nil {
		return false, err
	}
	if held {
		in, err := m.store.InRepository(ctx, repo.Name(), e.Digest)
		return err == nil && (in[0] || m.confirmed(ctx, repo, e)), err
	}
	if e.Role != oci.RoleManifest {
		return false, nil
	}
	got, err := m.staged(ctx, repo, e.Digest)
	if errors.Is(err, content.ErrNotFound) {
		return false, nil
	}
	if err == nil {
		err = m.settle(ctx, pending{repo: repo, desc: got.Descriptor}, got.Data)
	}
	if err != nil {
		return false, err
	}
	return m.here(ctx, repo, e.Digest)
}

// confirmed says whether repo's registry has there what the store has from elsewhere.
// That a manifest refers to it proves nothing: who pushes one there may have it refer
// to anything. Without an answer it is not.
func (m *Mirror) confirmed(ctx context.Context, repo oci.Reference, e oci.Edge) bool {
	ctx, cancel := context.WithTimeout(ctx, staleAfter)
	defer cancel()
	if e.Role == oci.RoleManifest {
		_, err := m.byDigest(ctx, repo, e.Digest)
		return err == nil
	}
	vouched, err := m.vouched(ctx, repo, e.Digest)
	if err != nil || !vouched {
		return false
	}
	_, err = m.stat(ctx, repo, e.Digest)
	return err == nil && m.include(ctx, repo, e.Digest) == nil
}

// commit makes the ingest of p an object.
func (m *Mirror) commit(ctx context.Context, p pending) error {
	w, err := m.writer(ctx, p.repo, p.desc)
	if errors.Is(err, content.ErrExists) { // by another repository, or process
		_ = m.store.Abort(ctx, stageKey(p.repo, p.desc.Digest))
		return nil
	}
	if err != nil {
		return err
	}
	defer w.Close()
	_, err = w.Commit(ctx)
	return err
}

// name lets the tags of repo stand for d that its registry was last seen to let stand
// for it. A name that has moved since is its mover's.
func (m *Mirror) name(ctx context.Context, repo oci.Reference, d oci.Digest) error {
	for s, err := range m.store.SightingsOf(ctx, repo.Name(), d) {
		if err != nil {
			return err
		}
		now, _, err := m.nameOf(ctx, s.Reference)
		if err != nil {
			return err
		}
		if now.Target.Digest == d || now.UpdatedAt.After(s.At) {
			continue
		}
		err = m.store.SetNames(ctx, content.NameChange{Reference: s.Reference, Expect: &now.Target.Digest, Target: d, Why: "mirror"})
		// Somebody else was quicker; or the object was here before, and is not whole.
		if err != nil && !errors.Is(err, content.ErrConflict) && !errors.Is(err, content.ErrNotFound) && !errors.Is(err, content.ErrCorrupt) {
			return err
		}
	}
	return nil
}

// nameOf finds the name of the store that ref is.
func (m *Mirror) nameOf(ctx context.Context, ref oci.Reference) (content.Name, bool, error) {
	for n, err := range m.store.Names(ctx, ref.String()) {
		if err != nil {
			return content.Name{}, false, err
		}
		if n.Reference == ref {
			return n, true, nil
		}
		break // what is longer comes after it
	}
	return content.Name{}, false, nil
}
