package mirror

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

const (
	// listAge is how long a list counts, where Options.Revalidate is not less.
	listAge = time.Minute
	// maxList bounds a list, in bytes as they are in memory: who may push to a registry
	// decides how long those of its repositories are. maxLists bounds all that are
	// remembered.
	maxList  = 16 << 20
	maxLists = 4 * maxList
)

// Tags implements registryserver.Upstream.
func (m *Mirror) Tags(ctx context.Context, repo oci.Reference) ([]string, error) {
	return listed(ctx, m, &m.tags, repo, "tags "+repo.Name(), tagSize, func(ctx context.Context) iter.Seq2[string, error] {
		return m.o.Open(repo).Tags(ctx)
	})
}

// Referrers implements registryserver.Upstream.
func (m *Mirror) Referrers(ctx context.Context, repo oci.Reference, subject oci.Digest) ([]oci.Descriptor, error) {
	key := "referrers " + repo.WithDigest(subject).String()
	return listed(ctx, m, &m.referrers, repo, key, descriptorSize, func(ctx context.Context) iter.Seq2[oci.Descriptor, error] {
		return m.o.Open(repo).Referrers(ctx, subject, "")
	})
}

func tagSize(tag string) int { return 16 + len(tag) }

// descriptorSize is about what d takes in memory: others choose most of its fields.
func descriptorSize(d oci.Descriptor) int {
	data, err := json.Marshal(d)
	if err != nil {
		return maxList // texts and numbers: cannot be
	}
	return 300 + len(data)
}

// listed is a list of upstream's: one that is young enough, else a new one, or else
// the last there was, with the error that there is no newer one.
func listed[T any](ctx context.Context, m *Mirror, c *cache[[]T], repo oci.Reference, key string, size func(T) int, open func(context.Context) iter.Seq2[T, error]) ([]T, error) {
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
		total := 200 + len(key)
		for v, err := range open(ctx) {
			if total += size(v); err == nil && total > maxList {
				err = fmt.Errorf("%s: %w: more than %d bytes", key, content.ErrUnsupported, maxList)
			}
			if err != nil {
				return nil, m.refuse(repo.Registry, key, err)
			}
			all = append(all, v)
		}
		c.put(key, all, total, m.o.Now())
		return all, nil
	})
	if err != nil && ctx.Err() == nil {
		m.o.Log.LogAttrs(ctx, slog.LevelWarn, "list could not be asked for", slog.String("list", key), slog.Any("error", err))
		all = last.value
	}
	return slices.Clone(all), err
}
