package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
)

// minPrefix is the least number of hex digits that may stand for an object.
const minPrefix = 6

// Lookup finds what a word means in the store: a full digest, else a name, else
// the only object whose hash begins with these hex digits (six at least, the
// algorithm may stand before them). A word that is both a name and such a prefix
// is ErrInvalid, and so is a prefix of several objects; nothing is ErrNotFound.
func (c *Client) Lookup(ctx context.Context, word string) (oci.Descriptor, error) {
	s, err := c.Open(ctx)
	if err != nil {
		return oci.Descriptor{}, err
	}
	return lookup(ctx, s, word)
}

func lookup(ctx context.Context, s *blobstore.Store, word string) (oci.Descriptor, error) {
	prefix, of := word, ""
	for _, alg := range []oci.Algorithm{oci.SHA256, oci.SHA512} {
		rest, ok := strings.CutPrefix(word, alg.String()+":")
		if !ok {
			continue
		}
		d, err := oci.ParseDigest(word)
		if err == nil {
			info, err := s.Info(ctx, d)
			return info.Descriptor(), err
		}
		if !isPrefix(rest) || len(rest) >= alg.Size()*2 {
			return oci.Descriptor{}, err
		}
		prefix, of = rest, alg.String()
	}
	var (
		named oci.Descriptor
		nerr  = fmt.Errorf("%q: %w in this store", word, content.ErrNotFound)
	)
	if ref, err := oci.ParseReference(word); err == nil && of == "" {
		if named, err = s.Resolve(ctx, ref); err != nil && !errors.Is(err, content.ErrNotFound) {
			return named, err
		}
		nerr = err
	} else if err != nil && !isPrefix(prefix) {
		return named, fmt.Errorf("%q is no digest, no name and no prefix of a hash: %w", word, err)
	}
	if !isPrefix(prefix) {
		return named, nerr
	}
	ds, err := s.Search(ctx, prefix, 8)
	if err != nil {
		return named, err
	}
	ds = slices.DeleteFunc(ds, func(d oci.Digest) bool { return of != "" && d.Algorithm().String() != of })
	return weigh(ctx, s, word, ds, named, nerr)
}

// weigh holds what a name found against the objects that a prefix finds.
func weigh(ctx context.Context, s *blobstore.Store, word string, ds []oci.Digest, named oci.Descriptor, nerr error) (oci.Descriptor, error) {
	switch {
	case len(ds) == 0:
		return named, nerr
	case nerr == nil && (len(ds) > 1 || ds[0] != named.Digest):
		return named, content.WithHint(
			fmt.Errorf("%q: %w: it is a name (of %s) and begins the digest %s", word, content.ErrInvalid, named.Digest, ds[0]),
			"give the full name with its tag, or more of the digest")
	case nerr == nil:
		return named, nil
	case len(ds) > 1:
		return named, content.WithHint(fmt.Errorf("%q: %w: several objects begin so: %s and %s", word, content.ErrInvalid, ds[0], ds[1]),
			"give more of the digest")
	}
	info, err := s.Info(ctx, ds[0])
	return info.Descriptor(), err
}

// isPrefix says whether word may be the beginning of a hash.
func isPrefix(word string) bool {
	return len(word) >= minPrefix && len(word) <= 128 && strings.Trim(word, "0123456789abcdefABCDEF") == ""
}

// parseName reads a name as a person gives it, with its host replaced when
// registry is not "".
func parseName(name, registry string) (oci.Reference, error) {
	ref, err := oci.ParseReference(name)
	if err == nil && registry != "" {
		ref, err = ref.WithRegistry(registry)
	}
	if err != nil && (strings.Contains(name, "://") || strings.Contains(registry, "://")) {
		err = content.WithHint(err, "leave out the scheme: HOST/REPOSITORY:TAG")
	}
	return ref, err
}
