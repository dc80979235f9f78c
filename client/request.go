package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"dist.example/blobstore"
	"dist.example/bundle"
	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
	"dist.example/oci"
)

// request is a request that was read. It came the way that bundles go, and nobody signs
// it: what it asks for is held to what this store knows (check).
type request struct {
	bundle.Request
	path   string
	digest oci.Digest
}

// readRequest reads a request. Errors: ErrInvalid for what is none.
func readRequest(path string) (*request, error) {
	data, err := fsys.ReadCapped(path, bundle.MaxRequest)
	if err != nil {
		return nil, fmt.Errorf("request %s: %w", path, fsys.Classify(err))
	}
	r, err := bundle.ParseRequest(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &request{r, path, oci.DigestBytes(data)}, nil
}

// list is its images as a list.
func (r *request) list() (list []ListEntry, err error) {
	for _, i := range r.Images {
		word := i.Digest.String()
		if i.Name != "" {
			ref, err := oci.ParseReference(i.Name)
			if err != nil {
				return nil, fmt.Errorf("request %s: %w", r.path, err)
			}
			ref.Digest = i.Digest
			word = ref.String()
		}
		list = append(list, ListEntry{Word: word, Where: r.path})
	}
	return list, nil
}

// check refuses a request that asks for more than the bundle that it is about had: that
// bundle went out from here, its images are what that reached, and each name stands for
// what it says there, or did once. Else whoever carries requests could let the answer,
// which may be signed, say of any name what he likes, and ask for anything that is here.
// Errors: ErrNotFound.
func (r *request) check(ctx context.Context, s *blobstore.Store) error {
	reach, remembered, err := r.sent(ctx, s)
	if err != nil {
		return err
	}
	for _, i := range r.Images {
		_, err := s.Info(ctx, i.Digest)
		if errors.Is(err, content.ErrNotFound) {
			continue // which is said when it is looked for
		}
		if err != nil {
			return err
		}
		if i.Name == "" && !remembered {
			return content.WithHint(fmt.Errorf("request %s: %w: what that bundle had is not remembered any more, and %s has no name", r.path, content.ErrNotFound, i.Digest),
				"export that digest by hand")
		}
		if remembered && !reach.Has(i.Digest) {
			return fmt.Errorf("request %s: %w in the bundle that it is about: %s", r.path, content.ErrNotFound, i.Digest)
		}
		if i.Name == "" {
			continue
		}
		stood, err := hasStoodFor(ctx, s, i)
		if err != nil {
			return err
		}
		if !stood {
			return content.WithHint(fmt.Errorf("request %s: %w: nothing here tells that %s stands for %s, or ever did", r.path, content.ErrNotFound, i.Name, i.Digest),
				"if it is to, `dist tag` gives the name")
		}
	}
	return nil
}

// sent finds what the bundle reached that the request is about, if that is remembered.
// Errors: ErrNotFound where no such bundle went out from here.
func (r *request) sent(ctx context.Context, s *blobstore.Store) (reach oci.DigestSet, remembered bool, err error) {
	known := false
	for b, err := range s.Bundles(ctx, db.Sent) {
		if err != nil {
			return reach, false, err
		}
		if b.Digest != r.Bundle {
			continue
		}
		if known = true; b.Inventory != 0 {
			reach, err = s.InventoryDigests(ctx, b.Inventory)
			return reach, true, err
		}
	}
	if !known {
		err = content.WithHint(fmt.Errorf("request %s: %w: no bundle whose index.json is %s was sent from here", r.path, content.ErrNotFound, r.Bundle),
			"it is answered where that was exported; without --request, `dist export NAME` carries all of an image")
	}
	return reach, false, err
}

// hasStoodFor says whether a name stands for a digest, or did as far as its history goes,
// or for an index that lists that.
func hasStoodFor(ctx context.Context, s *blobstore.Store, i bundle.RequestedImage) (bool, error) {
	ref, err := oci.ParseReference(i.Name)
	if err != nil {
		return false, err
	}
	var roots []oci.Digest
	switch desc, err := s.Resolve(ctx, ref); {
	case err == nil:
		roots = append(roots, desc.Digest)
	case !errors.Is(err, content.ErrNotFound):
		return false, err
	}
	for c, err := range s.History(ctx, ref.String()) {
		if err != nil {
			return false, err
		}
		roots = append(roots, c.New, c.Old)
	}
	slices.Sort(roots)
	for _, root := range slices.Compact(roots) {
		if root == i.Digest {
			return true, nil
		}
		if listed, err := lists(ctx, s, root, i.Digest); err != nil || listed {
			return listed, err
		}
	}
	return false, nil
}

// lists says whether root is an index here that lists d.
func lists(ctx context.Context, s *blobstore.Store, root, d oci.Digest) (bool, error) {
	if root == "" {
		return false, nil
	}
	info, err := s.Info(ctx, root)
	if errors.Is(err, content.ErrNotFound) || err == nil && !oci.IsIndex(info.MediaType) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	data, err := content.ReadAll(ctx, s, info.Descriptor(), oci.MaxManifestSize)
	if err != nil {
		return false, err
	}
	x, err := oci.ParseIndex(info.MediaType, data)
	return slices.ContainsFunc(x.Manifests, func(m oci.Descriptor) bool { return m.Digest == d }), err
}

// base leaves out all but what the receiver lacks.
func (r *request) base(ctx context.Context, s *blobstore.Store) (*base, error) {
	missing := map[oci.Digest]bool{}
	for _, b := range r.Missing {
		missing[b.Digest] = true
	}
	if err := hereAll(ctx, s, r.Missing); err != nil {
		return nil, fmt.Errorf("request %s: %w", r.path, err)
	}
	b := &base{
		asked: slices.Sorted(maps.Keys(missing)),
		about: &bundle.Base{Store: r.Store, Bundle: r.Bundle, Name: r.Name, Serial: r.Serial, Request: r.digest},
		has:   func(d oci.Digest) bool { return !missing[d] },
	}
	for site, err := range s.Sites(ctx) {
		if err != nil {
			return nil, err
		}
		if r.Store != "" && site.Store == r.Store {
			b.about.Site = site.Name
		}
	}
	return b, nil
}

// hereAll refuses with ErrNotFound where one of blobs is not here, and names those.
func hereAll(ctx context.Context, s *blobstore.Store, blobs []bundle.BlobEntry) error {
	var lacking []string
	for _, b := range blobs {
		held, err := content.HeldBy(s).Exists(ctx, oci.Descriptor{MediaType: b.MediaType, Digest: b.Digest, Size: b.Size})
		if err != nil {
			return err
		}
		if !held {
			lacking = append(lacking, b.Digest.String())
		}
	}
	if len(lacking) == 0 {
		return nil
	}
	return content.WithHint(fmt.Errorf("%w here: %s", content.ErrNotFound, fewOf(lacking)),
		"pull the images of the request again, by their digests")
}
