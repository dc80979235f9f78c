package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"dist.example/content"
	"dist.example/oci"
	"dist.example/sign"
)

// VerifyOptions direct Verify.
type VerifyOptions struct {
	// Keys, one of which has to vouch, in place of the policy: labels, ids, paths, or
	// what a program keeps.
	Keys []string
	// Identity is the rule for Keys, the zero value is sign.MatchRepoDigestOrExact.
	Identity sign.IdentityRule
	// Name is what the manifest is to be called, "" for what the word says.
	Name string
	// Annotations that have to be signed with it.
	Annotations map[string]string
}

// Judged is the outcome of Verify.
type Judged struct {
	sign.Verdict
	Name       oci.Reference // zero for none
	Descriptor oci.Descriptor
	Policy     string // its file, "" where keys were given
	// Signatures are all that were found, those that count first.
	Signatures []Signature
}

// Verify judges the signatures of a manifest, in the store or where a locator says, by
// the keys that are given or by the policy. From the store nothing but the store is
// asked. The outcome tells of every signature that was found whether it counts, and is
// valid with an error of the class ErrUntrusted, too.
//
// Errors: ErrUntrusted when what is wanted is not met, also when the policy accepts
// the manifest without a signature: nobody vouches for it then. ErrInvalid when there
// is neither key nor policy; those of the place.
func (c *Client) Verify(ctx context.Context, word string, o VerifyOptions) (Judged, error) {
	p, err := c.openNamed(ctx, word)
	if err != nil {
		return Judged{}, err
	}
	defer p.done()
	if o.Name != "" {
		if p.name, err = oci.ParseReference(o.Name); err != nil {
			return Judged{}, err
		}
	}
	return c.verify(ctx, p, o)
}

func (c *Client) verify(ctx context.Context, p place, o VerifyOptions) (Judged, error) {
	out := Judged{Name: p.name, Descriptor: p.desc}
	reqs, scope, policy, err := c.wanted(ctx, p.name, o)
	if err != nil {
		return out, err
	}
	t := &trial{c: c, name: p.name, store: p.store, source: p.name.Name()}
	if t.store == nil { // what is known of keys holds for what is elsewhere, too
		if t.store, err = c.storeIfAny(ctx); err != nil {
			return out, err
		}
	}
	if t.subject, _, err = readSubject(ctx, p.src, p.desc); err != nil {
		return out, err
	}
	places := []content.Fetcher{p.src}
	if p.store != nil {
		places = placesIn(p.store, p.name)
	}
	found, err := findSignatures(ctx, p.desc.Digest, places...)
	if err != nil {
		return out, err
	}
	t.found = found.all
	var cache oci.Digest
	if policy != nil {
		out.Policy, cache = policy.Path, policy.Digest()
	}
	if out.Verdict, err = t.judge(ctx, reqs, cache); err != nil {
		return out, err
	}
	out.Scope = scope
	if out.Signatures, err = c.outcomes(ctx, out.Verdict, t.found); err != nil {
		return out, err
	}
	if err := out.missing(o.Annotations); err != nil {
		return out, err
	}
	return out, settle(out, found.err)
}

// wanted are the requirements: those of the keys that are given, else the policy's.
func (c *Client) wanted(ctx context.Context, name oci.Reference, o VerifyOptions) (reqs []sign.Requirement, scope string, policy *sign.Policy, err error) {
	if len(o.Keys) > 0 {
		req := sign.Requirement{Type: sign.SignedBy, Identity: o.Identity}
		for _, word := range o.Keys {
			k, err := c.publicKey(ctx, word)
			if err != nil {
				return nil, "", nil, err
			}
			req.Keys = append(req.Keys, k)
		}
		return []sign.Requirement{req}, "", nil, nil
	}
	if o.Identity.Type != "" {
		return nil, "", nil, fmt.Errorf("%w: an identity rule goes with keys; those of the policy are in it", content.ErrInvalid)
	}
	policy, err = c.inForce()
	if err != nil {
		return nil, "", nil, err
	}
	if policy == nil {
		return nil, "", nil, content.WithHint(fmt.Errorf("%w: neither a key nor a policy says whose signature counts", content.ErrInvalid),
			"give --key KEY, or say it once: `dist trust add KEY --scope %s`", scopeHint(name))
	}
	scope, reqs = policy.For(name)
	return reqs, scope, policy, nil
}

func scopeHint(name oci.Reference) string {
	if name == (oci.Reference{}) {
		return "HOST/REPOSITORY"
	}
	return name.Name()
}

// missing refuses what no signature that counts has beside it.
func (v *Judged) missing(annotations map[string]string) error {
	if len(annotations) == 0 || !v.Verified {
		return nil
	}
	for _, o := range v.Counting() {
		if has(o.Candidate.Claim.Annotations, annotations) {
			return nil
		}
	}
	v.Accepted, v.Verified = false, false
	var wanted []string
	for _, k := range slices.Sorted(maps.Keys(annotations)) {
		wanted = append(wanted, k+"="+annotations[k])
	}
	return fmt.Errorf("%w: no signature that counts says %s", content.ErrUntrusted, strings.Join(wanted, ", "))
}

func has(all, wanted map[string]string) bool {
	for k, v := range wanted {
		if got, ok := all[k]; !ok || got != v {
			return false
		}
	}
	return true
}

// settle is the error of a verdict. When it is not accepted and something could not be
// looked into, that is what is wrong: the signature may be there.
func settle(v Judged, trouble error) error {
	switch {
	case v.Verified:
		return nil
	case trouble != nil && (errors.Is(trouble, content.ErrUnavailable) || errors.Is(trouble, content.ErrDenied) || errors.Is(trouble, content.ErrOffline)):
		return trouble
	case v.Accepted:
		return content.WithHint(fmt.Errorf("%w: the policy accepts it unsigned (scope %s), and nobody vouches for it", content.ErrUntrusted, v.Scope),
			"give --key KEY, or name the key for this scope with `dist trust add`")
	}
	return v.Err()
}
