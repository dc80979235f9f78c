package client

import (
	"context"
	"errors"
	"fmt"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
)

// What Delete did, or what stood in its way.
type (
	// Deletion tells what went.
	Deletion = blobstore.Deletion
	// HeldError tells what holds what.
	HeldError = blobstore.HeldError
)

// Delete gives up objects, judged as one set: each must be held by nothing but
// others of the set, and by names, which go with it. Either all of them go or
// none. The words are digests, or the only ones here that begin with some hex
// digits, six at least. A digest that is not here is no error, and no words are
// nothing to do. Deleted objects read as absent at once; their bytes stay until
// they are collected.
//
// Errors: *HeldError; content.ErrInvalid for what is no digest, a name
// above all, and for digits that several digests begin with; content.ErrNotFound
// for digits that none begins with; content.ErrNoStore.
func (c *Client) Delete(ctx context.Context, words ...string) (Deletion, error) {
	if len(words) == 0 {
		return blobstore.Deletion{}, nil
	}
	s, err := c.Open(ctx)
	if err != nil {
		return blobstore.Deletion{}, err
	}
	digests, err := digestsOf(ctx, s, words)
	if err != nil {
		return blobstore.Deletion{}, err
	}
	return s.DeleteSet(ctx, digests...)
}

// digestsOf reads words as digests, and looks up what is only the beginning of
// one.
func digestsOf(ctx context.Context, s *blobstore.Store, words []string) ([]oci.Digest, error) {
	var (
		digests  = make([]oci.Digest, 0, len(words))
		begun    []string // the words that say only how a digest begins
		hashes   []hash
		prefixes []string
	)
	for _, word := range words {
		h, err := parseHash(word)
		switch {
		case err != nil:
			return nil, err
		case h.digest != "":
			digests = append(digests, h.digest)
		case !isPrefix(h.prefix):
			return nil, errNoDigest(ctx, s, word)
		default:
			begun, hashes, prefixes = append(begun, word), append(hashes, h), append(prefixes, h.prefix)
		}
	}
	found, err := s.SearchAll(ctx, prefixes, 8)
	if err != nil {
		return nil, err
	}
	for i, word := range begun {
		d, err := only(ctx, s, word, hashes[i].among(found[i]))
		if err != nil {
			return nil, err
		}
		digests = append(digests, d)
	}
	return digests, nil
}

// errNoDigest is about a word that is neither a digest nor the beginning of one.
func errNoDigest(ctx context.Context, s *blobstore.Store, word string) error {
	if n, err := named(ctx, s, word); err == nil {
		return errIsName(word, n)
	}
	return content.WithHint(fmt.Errorf("%q is %w: no digest, and not %d or more hex digits that one begins with", word, content.ErrInvalid, minPrefix),
		"`dist delete` takes digests (`dist list -q` lists them), `dist remove` drops names")
}

func errIsName(word string, n content.Name) error {
	return content.WithHint(fmt.Errorf("%q is %w: a name, not a digest", word, content.ErrInvalid),
		"`dist remove %s` drops the name; what it stands for is %s", word, n.Target.Digest)
}

// named finds the name that word is.
func named(ctx context.Context, s *blobstore.Store, word string) (content.Name, error) {
	ref, err := oci.ParseReference(word)
	if err != nil {
		return content.Name{}, err
	}
	return s.Name(ctx, ref)
}

// only is the one digest that was found for a word of hex digits, which may be a
// name as well.
func only(ctx context.Context, s *blobstore.Store, word string, found []oci.Digest) (oci.Digest, error) {
	n, err := named(ctx, s, word)
	switch isName := err == nil; {
	case err != nil && !errors.Is(err, content.ErrNotFound) && !errors.Is(err, content.ErrInvalid):
		return "", err
	case isName && len(found) > 0:
		return "", errNameAndDigest(word, n.Target.Digest, found[0])
	case isName:
		return "", errIsName(word, n)
	case len(found) == 0:
		return "", fmt.Errorf("no object begins with %q: %w in this store", word, content.ErrNotFound)
	case len(found) > 1:
		return "", errAmbiguous(word, found)
	}
	return found[0], nil
}
