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

// TrustScope is a scope of a policy that is to be changed.
type TrustScope struct {
	// Bundles says that the scope is the name of bundles, or its beginning before a slash,
	// and else that of images: a host, a beginning of names, a name, a name with its tag,
	// *.DOMAIN.
	Bundles bool
	Scope   string // "" for all images, or all bundles
}

func (s TrustScope) transport() string {
	if s.Bundles {
		return sign.TransportBundle
	}
	return sign.TransportDocker
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

// ShowBundleTrust is ShowTrust with what decides about a bundle, whose name may be "".
// Decides has no requirements where the policy does not speak of bundles.
func (c *Client) ShowBundleTrust(name string) (TrustPolicy, error) {
	if name != "" {
		if err := oci.CheckBundleName(name); err != nil {
			return TrustPolicy{}, err
		}
	}
	out, err := c.ShowTrust("")
	if err != nil {
		return out, err
	}
	p, err := c.inForce()
	if p == nil {
		p = sign.NewPolicy()
	}
	scope, reqs, _ := p.ForBundle(name)
	out.Decides = &sign.Scope{Transport: sign.TransportBundle, Scope: scope, Requirements: reqs}
	return out, err
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

// AddTrust lets a key vouch for a scope. From then on what it does not sign is refused
// there. The policy holds the key itself. Errors: ErrInvalid for a scope that matches
// nothing, and for a rule about identities in one of bundles, ErrNotFound for the key.
func (c *Client) AddTrust(ctx context.Context, key string, scope TrustScope, identity sign.IdentityRule) (TrustPolicy, error) {
	if scope.Bundles && identity.Type != "" {
		return TrustPolicy{}, fmt.Errorf("bundle %q: %w: the name of a bundle is its identity", scope.Scope, content.ErrInvalid)
	}
	k, err := c.publicKey(ctx, key)
	if err != nil {
		return TrustPolicy{}, err
	}
	return c.editTrust(ctx, func(p *sign.Policy) (*sign.Policy, error) {
		n, err := p.With(scope.transport(), scope.Scope, k, identity)
		if err == nil && scope.Bundles && n.OpenBundles() {
			c.opts.Warn("bundles of other names, and those that have none, are still taken, signed or not: `dist trust add KEY --bundle all` asks for a signature of all")
		}
		return n, err
	})
}

// RemoveTrust takes a key out of a scope or, for nil, out of all; without a key the
// scope itself goes. A scope that loses its last key rejects everything. Errors:
// ErrNotFound when nothing of it is there.
func (c *Client) RemoveTrust(ctx context.Context, key string, scope *TrustScope) (TrustPolicy, error) {
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
	return c.editTrust(ctx, func(p *sign.Policy) (*sign.Policy, error) {
		if scope == nil {
			return p.Without("", nil, k)
		}
		n, err := p.Without(scope.transport(), &scope.Scope, k)
		if err == nil && scope.Bundles {
			if _, _, demanded := n.ForBundle(""); !demanded {
				c.opts.Warn("nothing is asked of bundles any more; of each image in one, what the policy says for its name")
			}
		}
		return n, err
	})
}

// SetTrustDefault says what becomes of names that no scope fits: sign.AcceptAnything or
// sign.RejectAll.
func (c *Client) SetTrustDefault(ctx context.Context, t sign.RequirementType) (TrustPolicy, error) {
	return c.editTrust(ctx, func(p *sign.Policy) (*sign.Policy, error) { return p.WithDefault(t) })
}
