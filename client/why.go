package client

import (
	"context"

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
// leases, history and what was written just now. Errors: those of Lookup.
func (c *Client) Why(ctx context.Context, o WhyOptions, words ...string) ([]Explanation, error) {
	s, err := c.Open(ctx)
	if err != nil {
		return nil, err
	}
	digests := make([]oci.Digest, len(words))
	for i, word := range words {
		desc, err := lookup(ctx, s, word)
		if err != nil {
			return nil, err
		}
		digests[i] = desc.Digest
	}
	return gc.Why(ctx, s, gc.WhyOptions{Grace: gc.DefaultGrace, KeepHistory: gc.DefaultKeepHistory, Chains: o.Chains}, digests...)
}
