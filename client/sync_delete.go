package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"dist.example/content"
	"dist.example/oci"
)

// extraTag is a tag of the target that the selection does not have.
type extraTag struct {
	repo *toRegistry
	name oci.Reference
}

// findExtra lists the tags at the repositories of this run, and keeps those that the
// selection does not have. Tags that are made of a digest hold what is about an
// image, where a registry has no other way, and stay.
func (r *syncRun) findExtra(ctx context.Context) error {
	seen := map[oci.Reference]bool{}
	for _, it := range r.items {
		if it.to == nil || seen[it.to.Reference()] {
			continue
		}
		repo := it.to.Reference()
		seen[repo] = true
		for tag, err := range it.to.Tags(ctx) {
			if errors.Is(err, content.ErrNotFound) {
				break // nothing was pushed there yet
			}
			if err != nil {
				return fmt.Errorf("tags of %s: %w", repo.Name(), err)
			}
			name, err := repo.WithTag(tag)
			if err != nil || isDigestTag(tag) || r.byName[name.String()] != nil {
				continue
			}
			r.extra = append(r.extra, &extraTag{it.to, name})
		}
	}
	return nil
}

// isDigestTag says whether a tag begins with a digest, as sha256-… and
// sha256-….sig do.
func isDigestTag(tag string) bool {
	tag, _, _ = strings.Cut(tag, ".")
	_, err := oci.ParseDigest(strings.Replace(tag, "-", ":", 1))
	return err == nil
}

// deleteAll takes the extra tags away, one after the other. It does not when
// something failed: what is there is better than nothing.
func (r *syncRun) deleteAll(ctx context.Context) error {
	if len(r.failures) > 0 {
		return nil
	}
	for _, x := range r.extra {
		err := x.repo.DeleteTag(ctx, x.name.Tag)
		if errors.Is(err, content.ErrUnsupported) {
			err = r.deleteByDigest(ctx, x)
		}
		switch {
		case err == nil, errors.Is(err, content.ErrNotFound): // or it went with another
			r.deleted = append(r.deleted, x.name.String())
		case errors.Is(err, content.ErrUnsupported):
			r.kept = append(r.kept, x.name.String())
			r.c.opts.Warn(fmt.Sprintf("%s stays: %v", x.name, err))
		default:
			if err := r.fail(ctx, &syncItem{}, x.name.String(), fmt.Errorf("delete %s: %w", x.name, err)); err != nil {
				return err
			}
		}
	}
	return nil
}

// deleteByDigest deletes the manifest that a tag stands for, at a registry that does
// not delete tags, unless a tag that is to stay needs it too: by itself, or in an
// index.
func (r *syncRun) deleteByDigest(ctx context.Context, x *extraTag) error {
	desc, err := x.repo.Resolve(ctx, x.name)
	if err != nil {
		return err
	}
	needed, err := r.needed(ctx, x.repo)
	if err != nil {
		return err
	}
	if other, ok := needed[desc.Digest]; ok {
		return fmt.Errorf("%w: the registry deletes digests only, and %s is also in %s", content.ErrUnsupported, desc.Digest, other)
	}
	return x.repo.DeleteManifest(ctx, desc.Digest)
}

// needed are the manifests that the tags of a repository need that are to stay, each
// with one of those. They are looked for once.
func (r *syncRun) needed(ctx context.Context, repo *toRegistry) (map[oci.Digest]oci.Reference, error) {
	if found, ok := r.stay[repo.Reference()]; ok {
		return found, nil
	}
	found := map[oci.Digest]oci.Reference{}
	for tag, err := range repo.Tags(ctx) {
		if err != nil {
			return nil, err
		}
		name, err := repo.Reference().WithTag(tag)
		if err != nil || r.goes(name) {
			continue
		}
		desc, err := repo.Resolve(ctx, name)
		if err == nil {
			err = collect(ctx, repo, desc, name, found)
		}
		if err != nil && !errors.Is(err, content.ErrNotFound) {
			return nil, err
		}
	}
	r.stay[repo.Reference()] = found
	return found, nil
}

// collect adds to found a manifest and, of an index, those that it lists and that are
// there.
func collect(ctx context.Context, from content.Fetcher, desc oci.Descriptor, name oci.Reference, found map[oci.Digest]oci.Reference) error {
	if _, ok := found[desc.Digest]; ok {
		return nil
	}
	found[desc.Digest] = name
	if !oci.IsIndex(desc.MediaType) {
		return nil
	}
	data, err := content.ReadAll(ctx, from, desc, oci.MaxManifestSize)
	if errors.Is(err, content.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	edges, err := oci.Successors(desc.MediaType, data)
	if err != nil {
		return fmt.Errorf("index %s: %w: %v", desc.Digest, content.ErrCorrupt, err)
	}
	for _, e := range edges {
		if e.Role != oci.RoleManifest {
			continue
		}
		if err := collect(ctx, from, e.Descriptor, name, found); err != nil {
			return err
		}
	}
	return nil
}

// goes says whether a tag is to be deleted.
func (r *syncRun) goes(name oci.Reference) bool {
	return slices.ContainsFunc(r.extra, func(x *extraTag) bool { return x.name == name })
}
