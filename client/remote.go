package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"dist.example/content"
	"dist.example/oci"
)

// ResolveOptions direct Resolve.
type ResolveOptions struct {
	Registry string        // replaces the host, "" leaves it
	Platform *oci.Platform // descends to this platform's image, nil stays at the index
}

// Resolved is what a place has.
type Resolved struct {
	Name   string // a full reference, or the locator of another place
	Target oci.Descriptor
}

// Resolve asks a registry what a reference stands for, or another place what it
// has. Nothing is stored.
func (c *Client) Resolve(ctx context.Context, name string, o ResolveOptions) (Resolved, error) {
	l, err := c.Locate(name)
	if err == nil && o.Registry != "" && l.Transport == TransportRegistry {
		l.Reference, err = atRegistry(l.Reference, o.Registry)
		l.Place = l.Reference.String()
	}
	if err != nil {
		return Resolved{}, err
	}
	src, err := c.source(ctx, l)
	if err != nil {
		return Resolved{}, fmt.Errorf("resolve %s: %w", l, err)
	}
	defer src.Close()
	_, desc, err := src.Image(ctx)
	if err == nil && o.Platform != nil && oci.IsIndex(desc.MediaType) {
		desc, err = selectImage(ctx, src, desc, Platforms{Only: o.Platform})
	}
	if err != nil {
		return Resolved{}, fmt.Errorf("resolve %s: %w", l, err)
	}
	return Resolved{l.String(), desc}, nil
}

// selectImage follows an index to the one image for a platform.
func selectImage(ctx context.Context, from content.Fetcher, index oci.Descriptor, p Platforms) (oci.Descriptor, error) {
	for range 8 { // indexes may be nested, but not without end
		data, err := content.ReadAll(ctx, from, index, oci.MaxManifestSize)
		if err != nil {
			return index, err
		}
		edges, err := oci.Successors(index.MediaType, data)
		if err != nil {
			return index, fmt.Errorf("index %s: %w: %v", index.Digest, content.ErrCorrupt, err)
		}
		chosen, err := p.manifests(index, edges)
		if err != nil {
			return index, err
		}
		if len(chosen) != 1 {
			return index, fmt.Errorf("index %s: %w: it has no platforms to choose by", index.Digest, content.ErrUnsupported)
		}
		if index = chosen[0].Descriptor; !oci.IsIndex(index.MediaType) {
			return index, nil
		}
	}
	return index, fmt.Errorf("index %s: %w: nested too deep", index.Digest, content.ErrUnsupported)
}

// parseRepository reads the name of a repository, docker:// before it or not.
func parseRepository(s string) (oci.Reference, error) {
	ref, err := oci.ParseRepository(strings.TrimPrefix(s, TransportRegistry+"://"))
	return ref, withoutScheme(s, "HOST/REPOSITORY", err)
}

// Tags lists those of a repository's tags that fit, as the registry gives them, page
// by page.
func (c *Client) Tags(ctx context.Context, repository, registry string, fit TagFilter) (iter.Seq2[string, error], error) {
	ref, err := parseRepository(repository)
	if err == nil && registry != "" {
		ref, err = atRegistry(ref, registry)
	}
	if err != nil {
		return nil, err
	}
	remote, err := c.registry()
	if err != nil {
		return nil, err
	}
	all := remote.Repository(ref).Tags(ctx)
	return func(yield func(string, error) bool) {
		for tag, err := range all {
			if (err != nil || fit.Match(tag)) && !yield(tag, err) {
				return
			}
		}
	}, nil
}

// hintMediaType is the one kind of hint that means anything.
const hintMediaType = "mediatype:"

// FetchObject opens one object of a repository: by tag (the manifest, of the
// media type that a hint mediatype:TYPE asks for), or by digest (manifest or blob
// alike). The reader verifies; the caller closes it. The hint "-" is ignored:
// shell pipelines through shasum leave one behind. Nothing is stored. What a tag stands
// for is held to the policy, where there is one (ErrUntrusted).
//
// A locator that begins with https:// or http:// is the address of the one blob with
// the digest object, be there a registry or not.
func (c *Client) FetchObject(ctx context.Context, locator, object string, hints ...string) (oci.Descriptor, io.ReadCloser, error) {
	if isAddress(locator) {
		return c.fetchAddress(ctx, locator, object, hints)
	}
	ref, err := parseRepository(locator)
	if err != nil {
		return oci.Descriptor{}, nil, err
	}
	types, err := parseHints(hints)
	if err != nil {
		return oci.Descriptor{}, nil, err
	}
	if strings.ContainsRune(object, ':') {
		if ref.Digest, err = oci.ParseDigest(object); err != nil {
			return oci.Descriptor{}, nil, err
		}
	} else if ref, err = ref.WithTag(object); err != nil {
		return oci.Descriptor{}, nil, err
	}
	desc, r, err := c.fetchObject(ctx, ref, types)
	if err != nil {
		return desc, nil, fmt.Errorf("fetch %s: %w", ref, err)
	}
	return desc, r, nil
}

func (c *Client) fetchObject(ctx context.Context, ref oci.Reference, types []string) (oci.Descriptor, io.ReadCloser, error) {
	remote, err := c.registry()
	if err != nil {
		return oci.Descriptor{}, nil, err
	}
	repo := remote.Repository(ref)
	manifest := ref.Digest == ""
	for _, t := range types {
		manifest = manifest || oci.HasSuccessors(t)
	}
	if !manifest {
		// A digest alone does not tell; most are blobs.
		desc := oci.Descriptor{MediaType: oci.MediaTypeOctets, Digest: ref.Digest, Size: -1}
		r, err := repo.Fetch(ctx, desc)
		if !errors.Is(err, content.ErrNotFound) {
			return desc, r, err
		}
	}
	desc, data, err := repo.FetchManifest(ctx, ref, types...)
	if err == nil && ref.Digest == "" {
		err = c.admitFetched(ctx, ref, desc, repo)
	}
	return desc, io.NopCloser(bytes.NewReader(data)), err
}

// admitFetched holds what a tag stands for to the policy. A store is used where there is
// one.
func (c *Client) admitFetched(ctx context.Context, ref oci.Reference, desc oci.Descriptor, repo content.Fetcher) error {
	_, demanding, err := c.demands(ref)
	if err != nil || !demanding {
		return err
	}
	a := admission{name: ref, desc: desc, src: repo}
	if a.store, err = c.storeIfAny(ctx); err == nil {
		_, err = c.admit(ctx, a)
	}
	return err
}

// isAddress tells an address from a locator. One that nobody can open counts, too:
// messages about addresses leave out what may be secret.
func isAddress(s string) bool {
	return strings.Contains(s, "://") && !strings.HasPrefix(s, TransportRegistry+"://")
}

// fetchAddress opens what is at an address. Without a digest nobody could say whether
// it is what was wanted.
func (c *Client) fetchAddress(ctx context.Context, address, object string, hints []string) (desc oci.Descriptor, r io.ReadCloser, err error) {
	if _, err := parseHints(hints); err != nil {
		return desc, nil, err
	}
	desc = oci.Descriptor{MediaType: oci.MediaTypeOctets, Size: -1}
	if desc.Digest, err = oci.ParseDigest(object); err != nil {
		return desc, nil, content.WithHint(err, "an address wants a digest beside it, or what it gives cannot be checked")
	}
	remote, err := c.registry()
	if err != nil {
		return desc, nil, err
	}
	if r, err = remote.FetchURL(ctx, address, desc); err != nil {
		return desc, nil, fmt.Errorf("fetch %w", err)
	}
	return desc, r, nil
}

func parseHints(hints []string) (types []string, err error) {
	for _, h := range hints {
		t, ok := strings.CutPrefix(h, hintMediaType)
		switch {
		case h == "-":
		case !ok:
			return nil, content.WithHint(fmt.Errorf("hint %q: %w", h, content.ErrInvalid), "the hint that counts is mediatype:TYPE")
		default:
			if t, err = oci.ParseMediaType(t); err != nil {
				return nil, err
			}
			types = append(types, t)
		}
	}
	return types, nil
}
