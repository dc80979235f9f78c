package client

import (
	"context"
	"errors"
	"fmt"
	"os"

	"dist.example/content"
	"dist.example/oci"
	"dist.example/sign"
)

// TrustPolicy is the policy in force.
type TrustPolicy struct {
	Path   string // of its file
	Exists bool   // without a file everything is accepted
	Scopes []sign.Scope
	Lint   []string
	// Decides is the entry that decides about a name that was asked about, nil when
	// none was.
	Decides *sign.Scope
}

// policyPath is the file of the policy, whether it is there or not.
func (c *Client) policyPath() (string, error) {
	for _, path := range []string{c.opts.Trust.Policy, c.opts.Trust.DefaultPolicy} {
		if path != "" {
			return path, nil
		}
	}
	return "", content.WithHint(fmt.Errorf("policy: %w: there is no configuration folder", content.ErrNotFound), "name the file with --policy or DIST_POLICY")
}

// ShowTrust tells what the policy says, and what decides about a name; "" asks about
// none. A policy that is named and not there is ErrNotFound; without any, everything
// is accepted. Errors: those of sign.ReadPolicy.
func (c *Client) ShowTrust(name string) (TrustPolicy, error) {
	path, err := c.policyPath()
	if err != nil {
		return TrustPolicy{}, err
	}
	p, err := c.inForce()
	if err != nil {
		return TrustPolicy{}, err
	}
	out := TrustPolicy{Path: path, Exists: p != nil}
	if p == nil {
		p = sign.NewPolicy()
	} else {
		out.Lint = p.Lint()
	}
	out.Scopes = p.Scopes()
	if name == "" {
		return out, nil
	}
	ref, err := oci.ParseReference(name)
	if err != nil {
		return out, err
	}
	scope, reqs := p.For(ref.Local())
	out.Decides = &sign.Scope{Transport: sign.TransportDocker, Scope: scope, Requirements: reqs}
	return out, nil
}

// editTrust changes the policy's file.
func (c *Client) editTrust(ctx context.Context, change func(*sign.Policy) (*sign.Policy, error)) (TrustPolicy, error) {
	path, err := c.policyPath()
	if err != nil {
		return TrustPolicy{}, err
	}
	p, err := sign.EditPolicy(ctx, path, change)
	if err != nil {
		return TrustPolicy{}, err
	}
	c.mu.Lock()
	c.policy = p
	c.mu.Unlock()
	return TrustPolicy{Path: path, Exists: true, Scopes: p.Scopes(), Lint: p.Lint()}, nil
}

// AddTrust lets a key vouch for a scope: a host, a beginning of names, a name, a name
// with its tag, *.DOMAIN, or "" for all names. From then on what it does not sign is
// refused there. The policy holds the key itself. Errors: ErrInvalid for a scope that
// matches nothing, ErrNotFound for the key.
func (c *Client) AddTrust(ctx context.Context, key, scope string, identity sign.IdentityRule) (TrustPolicy, error) {
	k, err := c.publicKey(ctx, key)
	if err != nil {
		return TrustPolicy{}, err
	}
	return c.editTrust(ctx, func(p *sign.Policy) (*sign.Policy, error) { return p.With(scope, k, identity) })
}

// RemoveTrust takes a key out of a scope or, for nil, out of all; without a key the
// scope itself goes. A scope that loses its last key rejects everything. Errors:
// ErrNotFound when nothing of it is there.
func (c *Client) RemoveTrust(ctx context.Context, key string, scope *string) (TrustPolicy, error) {
	var k *sign.PublicKey
	if key != "" {
		var err error
		if k, err = c.publicKey(ctx, key); err != nil {
			return TrustPolicy{}, err
		}
	}
	if path, err := c.policyPath(); err == nil {
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return TrustPolicy{}, fmt.Errorf("policy %s: %w", path, content.ErrNotFound)
		}
	}
	return c.editTrust(ctx, func(p *sign.Policy) (*sign.Policy, error) { return p.Without(scope, k) })
}

// SetTrustDefault says what becomes of names that no scope fits: sign.AcceptAnything or
// sign.RejectAll.
func (c *Client) SetTrustDefault(ctx context.Context, t sign.RequirementType) (TrustPolicy, error) {
	return c.editTrust(ctx, func(p *sign.Policy) (*sign.Policy, error) { return p.WithDefault(t) })
}
