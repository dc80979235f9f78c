package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync/atomic"

	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryclient"
)

// planned is the local store as plans of several images see it: what the plan of
// one has brought, the next one finds there.
type planned struct {
	content.Holder
	attachingTo
	src content.Fetcher // of the image that is being planned
	// brought has what plans have met, true for what comes from their source: of what
	// was here the source may have nothing.
	brought map[oci.Digest]bool
	// manifests are what a run has read for the copy after the plan, nil for what is
	// only a plan.
	manifests *content.Manifests
	again     atomic.Int64 // requests for what a run would have here by then
}

func newPlanned(here content.Holder) *planned {
	return &planned{Holder: here, brought: map[oci.Digest]bool{}}
}

// more adds to work what its looks took beyond what the walk could tell, since from
// was the number of requests: further pages, or an API that a registry does not
// have. A run meets the same.
func (c *Client) more(work *content.Plan, from int64) {
	work.Requests += max(0, c.Traffic().Requests-from-work.Looks)
}

// entering adds to work what it takes to list what is about others at a registry that
// has no API for that. To know costs a request that no run makes.
func (t *toRegistry) entering(ctx context.Context, root oci.Digest, work *content.Plan) error {
	if work.Subjects == 0 {
		return nil
	}
	enters, err := t.Enters(ctx, root)
	if enters {
		work.Requests += registryclient.EnterRequests * int64(work.Subjects)
	}
	return err
}

// take takes in what a plan would bring.
func (p *planned) take(ctx context.Context, work content.Plan) error {
	p.bring(work)
	return p.attachingTo.take(ctx, work)
}

// bring is take where nothing is attached.
func (p *planned) bring(work content.Plan) {
	for _, item := range work.Items {
		d := item.Descriptor.Digest
		p.brought[d] = p.brought[d] || item.Action != content.PlanHeld
	}
}

// Exists implements content.Holder.
func (p *planned) Exists(ctx context.Context, desc oci.Descriptor) (bool, error) {
	if _, met := p.brought[desc.Digest]; met {
		return true, nil
	}
	return p.Holder.Exists(ctx, desc)
}

// Fetch implements content.Fetcher: what would have been brought is still at the
// source.
func (p *planned) Fetch(ctx context.Context, desc oci.Descriptor) (io.ReadCloser, error) {
	here, ok := p.Holder.(content.Fetcher)
	data, read := p.manifests.Get(desc.Digest)
	comes, met := p.brought[desc.Digest]
	switch {
	case read:
		return io.NopCloser(bytes.NewReader(data)), nil
	case comes, met && !ok:
		p.again.Add(1)
		return p.src.Fetch(ctx, desc)
	case ok:
		return here.Fetch(ctx, desc)
	}
	return nil, fmt.Errorf("%s: %w in this store", desc.Digest, content.ErrNotFound)
}

// Partial implements content.PartHolder.
func (p *planned) Partial(ctx context.Context, d oci.Digest) (int64, error) {
	if part, ok := p.Holder.(content.PartHolder); ok {
		return part.Partial(ctx, d)
	}
	return 0, nil
}
