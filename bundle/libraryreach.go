package bundle

import (
	"context"
	"iter"
	"maps"
	"slices"

	"dist.example/content"
	"dist.example/oci"
)

// All tells of every blob and manifest that is here, in the order of digests. What a
// manifest lists and nobody has put here is left out.
func (l *Library) All(ctx context.Context) iter.Seq2[content.Info, error] {
	return func(yield func(content.Info, error) bool) {
		v, err := l.view(ctx)
		if err != nil {
			yield(content.Info{}, err)
			return
		}
		for _, d := range slices.Sorted(maps.Keys(v.nodes)) {
			info, err := l.Info(ctx, d)
			if isAny(err, content.ErrNotFound) {
				continue
			}
			if !yield(info, err) || err != nil {
				return
			}
		}
	}
}

// Reach counts the bytes of everything that d reaches, each blob once: those that are
// here, and those that are known of. What is damaged is not here.
func (l *Library) Reach(ctx context.Context, d oci.Digest) (held, known int64, err error) {
	err = l.reach(ctx, d, func(n *node, here bool) {
		known += n.size
		if here {
			held += n.size
		}
	})
	return held, known, err
}

// Complete says whether d is here with everything that it reaches.
func (l *Library) Complete(ctx context.Context, d oci.Digest) (bool, error) {
	seen, whole := false, true
	err := l.reach(ctx, d, func(_ *node, here bool) { seen, whole = true, whole && here })
	return seen && whole, err
}

// reach visits d and what it reaches, each once.
func (l *Library) reach(ctx context.Context, d oci.Digest, visit func(n *node, here bool)) error {
	v, err := l.view(ctx)
	if err != nil {
		return err
	}
	seen := map[oci.Digest]bool{}
	for queue := []oci.Digest{d}; len(queue) > 0; {
		d, queue = queue[0], queue[1:]
		n := v.nodes[d]
		if seen[d] || n == nil {
			continue
		}
		seen[d] = true
		size, err := v.shelf.size(d)
		if err != nil && !isAny(err, content.ErrNotFound, content.ErrCorrupt, content.ErrUnsupported) {
			return err
		}
		visit(n, err == nil && size == n.size && !n.damaged)
		queue = append(queue, n.below...)
	}
	return context.Cause(ctx)
}
