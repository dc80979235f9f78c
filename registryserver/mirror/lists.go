package mirror

import (
	"context"
	"iter"
	"log/slog"
	"slices"
	"time"

	"dist.example/oci"
)

// listAge is how long a list counts, where Options.Revalidate is not less.
const listAge = time.Minute

// Tags implements registryserver.Upstream.
func (m *Mirror) Tags(ctx context.Context, repo oci.Reference) ([]string, error) {
	return listed(ctx, m, &m.tags, repo, "tags "+repo.Name(), func(ctx context.Context) iter.Seq2[string, error] {
		return m.o.Open(repo).Tags(ctx)
	})
}

// Referrers implements registryserver.Upstream.
func (m *Mirror) Referrers(ctx context.Context, repo oci.Reference, subject oci.Digest) ([]oci.Descriptor, error) {
	key := "referrers " + repo.WithDigest(subject).String()
	return listed(ctx, m, &m.referrers, repo, key, func(ctx context.Context) iter.Seq2[oci.Descriptor, error] {
		return m.o.Open(repo).Referrers(ctx, subject, "")
	})
}

// listed is a list of upstream's: one that is young enough, else a new one, or else
// the last there was, with the error that there is no newer one.
func listed[T any](ctx context.Context, m *Mirror, c *cache[[]T], repo oci.Reference, key string, open func(context.Context) iter.Seq2[T, error]) ([]T, error) {
	if all, ok := c.young(key, m.o.Now(), min(listAge, m.o.Revalidate)); ok {
		return slices.Clone(all), nil
	}
	last, _ := c.get(key)
	if err := m.refused(repo.Registry, key); err != nil {
		return slices.Clone(last.value), err
	}
	limit := answerTime
	if last.value != nil {
		limit = staleAfter
	}
	all, err := together(ctx, m, key, limit, func(ctx context.Context) ([]T, error) {
		var all []T
		for v, err := range open(ctx) {
			if err != nil {
				return nil, m.refuse(repo.Registry, key, err)
			}
			all = append(all, v)
		}
		c.put(key, all, m.o.Now())
		return all, nil
	})
	if err != nil && ctx.Err() == nil {
		m.o.Log.LogAttrs(ctx, slog.LevelWarn, "list could not be asked for", slog.String("list", key), slog.Any("error", err))
		all = last.value
	}
	return slices.Clone(all), err
}
