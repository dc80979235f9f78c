package client

import (
	"context"
	"errors"
	"iter"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/gc"
	"dist.example/oci"
)

// What Why tells.
type (
	// Explanation is what keeps an object.
	Explanation = gc.Explanation
	// Chain is one way in which it is kept.
	Chain = gc.Chain
)

// WhyOptions direct Why.
type WhyOptions struct {
	// Chains is how many are told of each object, 0 means gc.DefaultChains.
	Chains int
}

// Why finds what keeps each of some objects from being collected: all chains from names,
// leases, history and what was written just now. The chain id of layers that are kept
// unpacked stands for the layer that they go with. Errors: those of Lookup.
func (c *Client) Why(ctx context.Context, o WhyOptions, words ...string) ([]Explanation, error) {
	s, err := c.Open(ctx)
	if err != nil {
		return nil, err
	}
	digests := make([]oci.Digest, len(words))
	for i, word := range words {
		if digests[i], err = whyOf(ctx, s, word); err != nil {
			return nil, err
		}
	}
	rules, err := asTold(ctx, s)
	if err != nil {
		return nil, err
	}
	return gc.Why(ctx, s, gc.WhyOptions{Grace: rules.Grace, KeepHistory: rules.KeepHistory, Chains: o.Chains}, digests...)
}

// whyOf is the object that a word means or, of a chain id of layers that are kept unpacked,
// the layer that they go with.
func whyOf(ctx context.Context, s *blobstore.Store, word string) (oci.Digest, error) {
	desc, err := peek(ctx, s, word)
	if !errors.Is(err, content.ErrNotFound) {
		return desc.Digest, err
	}
	d, derr := oci.ParseDigest(word)
	if derr != nil {
		return "", err
	}
	snaps, serr := s.SnapshotsOf(ctx, d)
	if serr != nil || len(snaps) == 0 {
		return "", errors.Join(err, serr)
	}
	return snaps[0].Layer, nil
}

// Unreferenced lists what a collection would take now: content that nothing keeps. It
// is ordered as List is. Errors: ErrNoStore.
func (c *Client) Unreferenced(ctx context.Context) iter.Seq2[content.Info, error] {
	s, err := c.Open(ctx)
	var o gc.Options
	if err == nil {
		o, err = asTold(ctx, s)
	}
	if err != nil {
		return func(yield func(content.Info, error) bool) { yield(content.Info{}, err) }
	}
	return gc.Unreferenced(ctx, s, o)
}
