package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// Referrers say whether what is about an image, such as signatures and lists of
// contents, comes along with it.
type Referrers int

// The ways to deal with referrers.
const (
	// ReferrersGo brings them along. Of what is here already the registry is asked
	// again only after a while.
	ReferrersGo Referrers = iota
	ReferrersNone
	// ReferrersRefresh asks in any case.
	ReferrersRefresh
)

// DefaultRevalidate is how long an answer to what is about an image is good.
const DefaultRevalidate = 24 * time.Hour

// lookDue says whether it is to be asked what is about an image that is here.
func (p *pull) lookDue(ctx context.Context, im *pulled) (bool, error) {
	switch {
	case p.o.Referrers == ReferrersNone:
		return false, nil
	case p.o.Referrers == ReferrersRefresh, p.o.Revalidate < 0:
		return true, nil
	}
	age := p.o.Revalidate
	if age == 0 {
		age = DefaultRevalidate
	}
	last, err := p.store.Looked(ctx, im.desc.Digest, im.ref.Name())
	return err == nil && time.Since(last) > age, err
}

// noteLooks records what was asked. It is only a note: without it the next pull
// asks again.
func (p *pull) noteLooks(ctx context.Context) {
	for _, im := range p.images {
		if !im.look {
			continue
		}
		if err := p.store.NoteLooks(ctx, im.ref.Name(), im.desc.Digest); err != nil {
			p.c.opts.Warn(fmt.Sprintf("the next pull asks again what is about %s: %v", im.ref, err))
		}
	}
}

// source is where an image comes from: its repository, and for what that cannot
// give, others.
func (p *pull) source(im *pulled) *federated {
	if im.source == nil {
		var others []oci.Reference
		for _, o := range p.images {
			others = append(others, o.ref)
		}
		im.source = newFederated(im.ref, p.store, p.remote, others, p.c.opts.Warn)
	}
	return im.source
}

// hasReferrers says whether the store has anything about d, or about an image
// that d lists.
func (p *push) hasReferrers(ctx context.Context, d oci.Digest) (bool, error) {
	if p.o.NoReferrers {
		return false, nil
	}
	for _, err := range p.store.Referrers(ctx, d, "") {
		return err == nil, err
	}
	children, err := p.store.Children(ctx, d)
	if err != nil {
		return false, err
	}
	for _, c := range children {
		if c.Role != oci.RoleManifest || !c.Held {
			continue
		}
		if more, err := p.hasReferrers(ctx, c.Digest); err != nil || more {
			return more, err
		}
	}
	return false, nil
}

// remember records in the store that the registry has now what was pushed, so
// that the next push to a repository next door can have it mounted.
func (p *push) remember(ctx context.Context) {
	err := p.store.AddSources(ctx, p.to.Name(), p.sent...)
	if err != nil && !errors.Is(err, content.ErrDenied) {
		p.c.opts.Warn(fmt.Sprintf("what is at %s now is not remembered: %v", p.to.Name(), err))
	}
}
