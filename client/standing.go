package client

import (
	"context"
	"fmt"
	"slices"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/sign"
)

// Signature is a signature and what became of it.
type Signature struct {
	sign.Outcome
	Label string // what the user calls its key, "" for nothing
}

// standing is how a manifest of the store stands under the policy in force: what became
// of its signatures, and whether some vouch for it under name. Nothing but the store is
// asked. Without a policy none counts.
func (c *Client) standing(ctx context.Context, s *blobstore.Store, name oci.Reference, desc oci.Descriptor) ([]Signature, bool, error) {
	v, found, err := c.verdict(ctx, s, s, placesIn(s, name), name, desc)
	if err != nil {
		return nil, false, err
	}
	sigs, err := c.outcomes(ctx, v, found)
	return sigs, v.Verified, err
}

// verdict is that of the policy in force, on what was found in places; the zero
// Verdict where there is no policy, or nothing. src has the manifest, and s, which may be
// nil, what is known of keys.
func (c *Client) verdict(ctx context.Context, s *blobstore.Store, src content.Fetcher, places []content.Fetcher, name oci.Reference, desc oci.Descriptor) (v sign.Verdict, all []*sign.Candidate, err error) {
	found, err := findSignatures(ctx, desc.Digest, places...)
	if err != nil {
		return v, nil, err
	}
	policy, err := c.inForce()
	if err != nil || policy == nil || len(found.all) == 0 {
		return v, found.all, err
	}
	t := &trial{c: c, name: name, store: s, found: found.all, source: name.Name()}
	if t.subject, _, err = readSubject(ctx, src, desc); err != nil {
		return v, nil, err
	}
	_, reqs := policy.For(name)
	v, err = t.judge(ctx, reqs, policy.Digest())
	return v, found.all, err
}

// outcomes lists what became of signatures. Where no rule asked for any they are told
// of all the same, with the key of the user's that made them, if one did.
func (c *Client) outcomes(ctx context.Context, v sign.Verdict, found []*sign.Candidate) ([]Signature, error) {
	keys, err := c.Keys(ctx)
	if cerr := ctx.Err(); cerr != nil {
		return nil, cerr
	}
	if err != nil { // which keys are whose is told, and decides nothing
		c.opts.Warn(fmt.Sprintf("the labels of keys are not known: %v", err))
	}
	all := append(v.Counting(), v.Others()...)
	if len(all) == 0 {
		for _, s := range found {
			all = append(all, unjudged(s, keys, v))
		}
	}
	sigs := make([]Signature, len(all))
	for i, o := range all {
		sigs[i] = Signature{Outcome: o}
		for _, k := range keys {
			if o.Key != nil && k.Public.ID() == o.Key.ID() {
				sigs[i].Label = k.Label
			}
		}
	}
	return sigs, nil
}

// unjudged is the outcome for a signature that no rule speaks of.
func unjudged(s *sign.Candidate, keys []Key, v sign.Verdict) sign.Outcome {
	o := sign.Outcome{Candidate: s, Reason: s.Fault, Detail: s.Detail}
	if o.Reason != "" {
		return o
	}
	o.Reason, o.Detail = sign.ReasonNoRule, "no policy asks for a signature"
	if slices.ContainsFunc(v.Met, func(m sign.Met) bool { return m.Requirement.Type == sign.RejectAll }) {
		o.Detail = "the policy rejects the name, signed or not"
	}
	for _, k := range keys {
		if sign.Verifies(s, k.Public) {
			o.Key = k.Public
			break
		}
	}
	return o
}

// vouchedFor says whether the policy wants a signature for a name, and has it. It is
// for listings: what cannot be read is not vouched for.
func (c *Client) vouchedFor(ctx context.Context, s *blobstore.Store, n content.Name) (bool, error) {
	_, demanding, err := c.demands(n.Reference)
	if err != nil || !demanding || !oci.HasSuccessors(n.Target.MediaType) {
		return false, err
	}
	v, _, err := c.verdict(ctx, s, s, placesIn(s, n.Reference), n.Reference, n.Target)
	if damage(err) != nil {
		return false, nil
	}
	return v.Verified, err
}
