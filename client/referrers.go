package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"dist.example/blobstore"
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
	if im.where.Transport != TransportRegistry {
		return false, nil // of other places nobody keeps when they were looked at
	}
	last, err := p.store.Looked(ctx, im.desc.Digest, im.where.Reference.Name())
	return err == nil && time.Since(last) > age, err
}

// noteLooks records what was asked. It is only a note: without it the next pull
// asks again.
func (p *pull) noteLooks(ctx context.Context) {
	for _, im := range p.images {
		if !im.look || im.where.Transport != TransportRegistry {
			continue
		}
		if err := p.store.NoteLooks(ctx, im.where.Reference.Name(), im.desc.Digest); err != nil {
			p.c.opts.Warn(fmt.Sprintf("the next pull asks again what is about %s: %v", im.where, err))
		}
	}
}

// lookDue says whether it is to be asked what is about an image that the target has.
// Without a store that can be written to, nobody knows when that was asked, and one
// request has to do.
func (r *syncRun) lookDue(ctx context.Context, it *syncItem) (bool, error) {
	switch {
	case r.o.Referrers == ReferrersNone, it.where.Transport != TransportRegistry:
		return false, nil
	case r.o.Referrers == ReferrersRefresh, r.o.Revalidate < 0:
		return true, nil
	}
	s, err := r.c.storeIfAny(ctx)
	if err != nil || s == nil || s.ReadOnly() {
		return false, err
	}
	last, err := s.Looked(ctx, it.root.Digest, r.way(it))
	return err == nil && time.Since(last) > cmp.Or(r.o.Revalidate, DefaultRevalidate), err
}

// noteLooks records what was asked, where there is a store.
func (r *syncRun) noteLooks(ctx context.Context) {
	if r.o.Referrers == ReferrersNone {
		return
	}
	s, err := r.c.storeIfAny(ctx)
	if err != nil || s == nil || s.ReadOnly() {
		return
	}
	for _, it := range r.pending() {
		if it.where.Transport != TransportRegistry {
			continue
		}
		if err := s.NoteLooks(ctx, r.way(it), it.root.Digest); err != nil {
			r.c.opts.Warn(fmt.Sprintf("the next sync asks again what is about %s: %v", it.Word, err))
		}
	}
}

// way is under what a look is noted: what was found went from here to there.
func (r *syncRun) way(it *syncItem) string {
	return it.where.Reference.Name() + " > " + it.name.Name()
}

// storeIfAny is the store, nil where there is none.
func (c *Client) storeIfAny(ctx context.Context) (*blobstore.Store, error) {
	s, err := c.Open(ctx)
	if errors.Is(err, content.ErrNoStore) {
		return nil, nil
	}
	return s, err
}

// source is where an image comes from: its place, and where that is a registry, for
// what it cannot give, others. It is open.
func (p *pull) source(im *pulled) content.Fetcher {
	if im.where.Transport != TransportRegistry || p.store == nil {
		return im.src
	}
	if im.others == nil {
		remote := im.src.(fromRegistry).remote // what that transport gives
		im.others = newFederated(im.where.Reference, remote, p.c.opts.Warn)
		im.others.store = p.c.storeIfAny
		for _, o := range p.images {
			if o.where.Transport == TransportRegistry {
				im.others.others = append(im.others.others, repository(o.where.Reference))
			}
		}
	}
	if im.mending == nil {
		im.mending = newMending(im.others, p.store)
	}
	return pulling{im.others, im.mending}
}

// hasReferrers says whether the store has anything about d, by a tag too, or about an image
// that d lists.
func (p *push) hasReferrers(ctx context.Context, d oci.Digest) (bool, error) {
	if p.o.NoReferrers {
		return false, nil
	}
	for _, err := range p.store.Referrers(ctx, d, "") {
		return err == nil, err
	}
	for _, err := range p.store.Attachments(ctx, d) {
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
