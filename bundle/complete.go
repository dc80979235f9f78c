package bundle

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"dist.example/content"
	"dist.example/oci"
)

// fetch is content.Fetcher's method.
type fetch func(ctx context.Context, desc oci.Descriptor) (io.ReadCloser, error)

// Fetch implements content.Fetcher.
func (f fetch) Fetch(ctx context.Context, desc oci.Descriptor) (io.ReadCloser, error) {
	return f(ctx, desc)
}

// complete checks that all that root reaches is there, but for layers that nobody
// may pass on. Errors: ErrNotFound.
func complete(ctx context.Context, from fetch, has func(oci.Descriptor) (bool, error), root oci.Descriptor) error {
	seen := map[oci.Digest]bool{}
	for queue := []oci.Descriptor{root}; len(queue) > 0; {
		d := queue[0]
		queue = queue[1:]
		if seen[d.Digest] {
			continue
		}
		seen[d.Digest] = true
		if err := oci.ValidateDescriptor(d); err != nil {
			return err
		}
		here, err := has(d)
		if err != nil {
			return err
		}
		switch {
		case !here && oci.IsNonDistributable(d.MediaType):
			continue
		case !here:
			return missing(root, d)
		case !oci.HasSuccessors(d.MediaType):
			continue
		}
		below, err := children(ctx, from, d)
		if err != nil {
			return err
		}
		queue = append(queue, below...)
	}
	return nil
}

// missing says what is not there.
func missing(root, d oci.Descriptor) error {
	err := fmt.Errorf("%s of type %s: %w: it was not written", d.Digest, d.MediaType, content.ErrNotFound)
	if oci.IsIndex(root.MediaType) && oci.IsManifest(d.MediaType) {
		return content.WithHint(err, "the index goes whole or not at all: write one platform's image, or all of them")
	}
	return err
}

// children are what a manifest is made of.
func children(ctx context.Context, from fetch, d oci.Descriptor) ([]oci.Descriptor, error) {
	data, err := content.ReadAll(ctx, from, d, oci.MaxManifestSize)
	if err != nil {
		return nil, err
	}
	edges, err := oci.Successors(d.MediaType, data)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w: %v", d.Digest, content.ErrCorrupt, err)
	}
	var out []oci.Descriptor
	for _, e := range edges {
		if e.Role != oci.RoleSubject {
			out = append(out, e.Descriptor)
		}
	}
	return out, nil
}

// sorted orders descriptors by digest, for files that say the same in the same way.
func sorted(ds []oci.Descriptor) []oci.Descriptor {
	slices.SortFunc(ds, func(a, b oci.Descriptor) int { return strings.Compare(a.Digest.String(), b.Digest.String()) })
	return ds
}
