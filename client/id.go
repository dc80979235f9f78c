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
// algorithm may stand before them). NAME@{WHEN} is what a name was before so many
// changes (1), so long ago (2h, 3d) or at a time (2006-01-02, 2006-01-02 15:04, RFC
// 3339); it is ErrNotFound also where the name's history does not go back so far. A word that is both a name and such a prefix
// is ErrInvalid, and so is a prefix of several objects; nothing is ErrNotFound.
func (c *Client) Lookup(ctx context.Context, word string) (oci.Descriptor, error) {
	s, err := c.Open(ctx)
	if err != nil {
		return oci.Descriptor{}, err
	}
	return peek(ctx, s, word)
}

// hash is what a word says of a digest.
type hash struct {
	digest    oci.Digest // when the word says all of it, else ""
	prefix    string     // the digits that it may begin with; the word itself when it says no algorithm
	algorithm string     // of prefix, "" where the word does not say
}

// parseHash takes a word apart. An error is that of a word that has to be a
// digest and is malformed.
func parseHash(word string) (hash, error) {
	for _, alg := range []oci.Algorithm{oci.SHA256, oci.SHA512} {
		rest, ok := strings.CutPrefix(word, alg.String()+":")
		if !ok {
			continue
		}
		d, err := oci.ParseDigest(word)
		if err == nil {
			return hash{digest: d}, nil
		}
		if !isPrefix(rest) || len(rest) >= alg.Size()*2 {
			return hash{}, err
		}
		return hash{prefix: rest, algorithm: alg.String()}, nil
	}
	return hash{prefix: word}, nil
}

// among keeps of digests those of the hash's algorithm.
func (h hash) among(ds []oci.Digest) []oci.Digest {
	return slices.DeleteFunc(ds, func(d oci.Digest) bool { return h.algorithm != "" && d.Algorithm().String() != h.algorithm })
}

// errAmbiguous is about a prefix of several digests.
func errAmbiguous(word string, ds []oci.Digest) error {
	return content.WithHint(fmt.Errorf("%q: %w: several objects begin so: %s and %s", word, content.ErrInvalid, ds[0], ds[1]),
		"give more of the digest")
}

// lookup is Lookup for whoever goes on to use the content: a name is noted as used.
func lookup(ctx context.Context, s *blobstore.Store, word string) (oci.Descriptor, error) {
	return find(ctx, s, word, func(ref oci.Reference) { s.Use(ctx, ref) })
}

// peek is Lookup for whoever only asks about the content.
func peek(ctx context.Context, s *blobstore.Store, word string) (oci.Descriptor, error) {
	return find(ctx, s, word, func(oci.Reference) {})
}

func find(ctx context.Context, s *blobstore.Store, word string, used func(oci.Reference)) (oci.Descriptor, error) {
	if strings.Contains(word, momentMark) {
		ref, when, err := parseNamed(word)
		if err != nil {
			return oci.Descriptor{}, err
		}
		return resolveNamed(ctx, s, ref, when)
	}
	h, err := parseHash(word)
	if err != nil {
		return oci.Descriptor{}, err
	}
	if h.digest != "" {
		info, err := s.Info(ctx, h.digest)
		return info.Descriptor(), err
	}
	prefix := h.prefix
	var (
		named oci.Descriptor
		nerr  = fmt.Errorf("%q: %w in this store", word, content.ErrNotFound)
	)
	if ref, err := oci.ParseReference(word); err == nil && h.algorithm == "" {
		if named, err = s.Resolve(ctx, ref); err != nil && !errors.Is(err, content.ErrNotFound) {
			return named, err
		}
		if nerr = err; err == nil {
			used(ref)
		}
	} else if err != nil && !isPrefix(prefix) {
		err = fmt.Errorf("%q is no digest, no name and no prefix of a hash: %w", word, err)
		if strings.Contains(word, "://") {
			err = content.WithHint(err, "this looks into the store alone: `dist pull` brings it there")
		}
		return named, err
	}
	if !isPrefix(prefix) {
		return named, nerr
	}
	ds, err := s.Search(ctx, prefix, 8)
	if err != nil {
		return named, err
	}
	return weigh(ctx, s, word, h.among(ds), named, nerr)
}

// weigh holds what a name found against the objects that a prefix finds.
func weigh(ctx context.Context, s *blobstore.Store, word string, ds []oci.Digest, named oci.Descriptor, nerr error) (oci.Descriptor, error) {
	switch {
	case len(ds) == 0:
		return named, nerr
	case nerr == nil && (len(ds) > 1 || ds[0] != named.Digest):
		return named, errNameAndDigest(word, named.Digest, ds[0])
	case nerr == nil:
		return named, nil
	case len(ds) > 1:
		return named, errAmbiguous(word, ds)
	}
	info, err := s.Info(ctx, ds[0])
	return info.Descriptor(), err
}

// errNameAndDigest is about a word that is a name of one object and begins the
// digest of another, or the same.
func errNameAndDigest(word string, named, begins oci.Digest) error {
	return content.WithHint(
		fmt.Errorf("%q: %w: it is a name (of %s) and begins the digest %s", word, content.ErrInvalid, named, begins),
		"give the full name with its tag, or more of the digest")
}

// isPrefix says whether word may be the beginning of a hash.
func isPrefix(word string) bool {
	return len(word) >= minPrefix && len(word) <= 128 && strings.Trim(word, "0123456789abcdefABCDEF") == ""
}
