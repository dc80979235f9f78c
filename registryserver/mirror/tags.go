package mirror

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryserver"
)

// byTag finds out what a tag stands for, and that.
func (m *Mirror) byTag(ctx context.Context, ref oci.Reference) (registryserver.Manifest, error) {
	last, asked, err := m.lastKnown(ctx, ref)
	if err != nil {
		return registryserver.Manifest{}, err
	}
	repo := repositoryOf(ref)
	if asked && within(last.At, m.o.Now(), m.o.Revalidate) {
		if got, err := m.byDigest(ctx, repo, last.Target.Digest); err == nil {
			return got, nil
		}
	}
	desc, err := m.ask(ctx, ref, last)
	if err != nil {
		return m.stale(ctx, last, err)
	}
	return m.byDigest(ctx, repo, desc.Digest)
}

// lastKnown is what ref stood for when its registry was last asked, or what the owner
// of the store has let it stand for since; the zero Sighting when it was neither.
// asked is that the registry once said what ref stands for, and not since that there is
// no such tag. Else a name serves only when there is no answer.
func (m *Mirror) lastKnown(ctx context.Context, ref oci.Reference) (last content.Sighting, asked bool, err error) {
	s, err := m.store.Sighted(ctx, ref)
	if err != nil && !errors.Is(err, content.ErrNotFound) {
		return s, false, err
	}
	asked = err == nil
	n, found, err := m.nameOf(ctx, ref)
	if err != nil {
		return s, asked, err
	}
	if found && n.UpdatedAt.After(s.At) && n.Target.Digest != s.Target.Digest && oci.HasSuccessors(n.Target.MediaType) {
		s = content.Sighting{Reference: ref, Target: n.Target, At: n.UpdatedAt}
	}
	return s, asked, nil
}

// ask asks upstream what ref stands for, once for all who want to know. Where
// something is known already it has not much time.
func (m *Mirror) ask(ctx context.Context, ref oci.Reference, last content.Sighting) (oci.Descriptor, error) {
	key := "tag " + ref.String()
	if err := m.refused(ref.Registry, key); err != nil {
		return oci.Descriptor{}, err
	}
	limit := answerTime
	if last.Target.Digest != "" {
		limit = staleAfter
	}
	return together(ctx, m, key, limit, func(ctx context.Context) (oci.Descriptor, error) {
		desc, err := m.o.Open(repositoryOf(ref)).Resolve(ctx, ref)
		if err == nil {
			return desc, m.saw(ctx, ref, desc)
		}
		if errors.Is(err, content.ErrNotFound) {
			err = errors.Join(err, m.store.ForgetSighting(ctx, ref))
		}
		return desc, m.refuse(ref.Registry, key, err)
	})
}

// saw notes what ref stands for. If that is here, the name moves.
func (m *Mirror) saw(ctx context.Context, ref oci.Reference, desc oci.Descriptor) error {
	at := m.o.Now().Truncate(time.Millisecond)
	if err := m.store.NoteSighting(ctx, content.Sighting{Reference: ref, Target: desc, At: at}); err != nil {
		return err
	}
	repo := repositoryOf(ref)
	here, err := m.here(ctx, repo, desc.Digest)
	if !here || err != nil {
		return err
	}
	return m.name(ctx, repo, desc.Digest)
}

// stale is what is known of a tag that could not be asked for because of cause. What
// its registry does not have it does not have here.
func (m *Mirror) stale(ctx context.Context, last content.Sighting, cause error) (registryserver.Manifest, error) {
	if last.Target.Digest == "" || errors.Is(cause, content.ErrNotFound) || ctx.Err() != nil {
		return registryserver.Manifest{}, cause
	}
	ref := last.Reference
	got, err := m.known(ctx, repositoryOf(ref), last.Target.Digest)
	if err != nil {
		return got, cause
	}
	if errors.Is(cause, content.ErrOffline) { // as was asked for
		return got, nil
	}
	m.o.Log.LogAttrs(ctx, slog.LevelWarn, "tag could not be asked for, and is served as it was",
		slog.String("tag", ref.String()), slog.Time("asked", last.At), slog.Any("error", cause))
	got.Warning = fmt.Sprintf("%s does not answer: this is what %s stood for at %s",
		ref.Registry, ref, last.At.UTC().Format(time.RFC3339))
	return got, nil
}
