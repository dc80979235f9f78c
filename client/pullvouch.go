package client

import (
	"context"
	"errors"
	"fmt"

	"dist.example/content"
	"dist.example/oci"
)

// vouch lets what was pulled be whole in the repository of its name. A mirror, or
// somebody who pushed, may have brought an index there with less than it lists, and
// then it does not stand for the rest: see content.RepositoryReader. Nothing may have
// been left to fetch: by somebody else all may have come, or by a pull that was
// interrupted before it came to this.
func (p *pull) vouch(ctx context.Context) error {
	for _, im := range p.images {
		if !oci.IsIndex(im.desc.MediaType) {
			continue
		}
		whole, err := p.whole(ctx, im)
		if err == nil && !whole {
			err = p.store.Include(ctx, im.name.Name(), content.Mirrored, im.desc.Digest)
		}
		if err != nil {
			return fmt.Errorf("pull %s: %w", im.Word, err)
		}
	}
	return nil
}

// whole says whether all of an index that the store has is in the repository of its
// name.
func (p *pull) whole(ctx context.Context, im *pulled) (bool, error) {
	data, err := content.ReadAll(ctx, p.store, im.desc, oci.MaxManifestSize)
	if err != nil {
		return false, err
	}
	edges, err := oci.Successors(im.desc.MediaType, data)
	if err != nil {
		return false, err
	}
	digests := make([]oci.Digest, len(edges))
	for i, e := range edges {
		digests[i] = e.Digest
	}
	in, err := p.store.InRepository(ctx, im.name.Name(), digests...)
	for i := 0; i < len(in) && err == nil; i++ {
		if in[i] || edges[i].Role != oci.RoleManifest {
			continue
		}
		_, err = p.store.Info(ctx, digests[i])
		if !errors.Is(err, content.ErrNotFound) {
			return false, err // it is here
		}
		err = nil
	}
	return err == nil, err
}
