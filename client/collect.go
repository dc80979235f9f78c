package client

import (
	"context"
	"time"

	"dist.example/gc"
)

// CollectOptions direct Collect and PlanCollection. Nil durations are the store's
// settings.
type CollectOptions struct {
	// Grace is how long content is kept after it was written or used, whoever holds
	// it, and files that no row points to.
	Grace *time.Duration
	// KeepHistory is how long a change of a name can be undone.
	KeepHistory *time.Duration
	// MaxTime ends the collection after that long; 0 for no limit. The next one goes
	// on.
	MaxTime time.Duration
	// Compact gives back the dead bytes of every pack that has more than a twentieth of
	// them.
	Compact bool
}

// The reports of Collect and PlanCollection.
type (
	// Collection is what a collection has done.
	Collection = gc.Report
	// CollectionPlan is what one would do.
	CollectionPlan = gc.Plan
)

// options are those of package gc.
func (o CollectOptions) options() gc.Options {
	opts := gc.Options{Grace: gc.DefaultGrace, KeepHistory: gc.DefaultKeepHistory, MaxTime: o.MaxTime, Compact: o.Compact}
	if o.Grace != nil {
		opts.Grace = *o.Grace
	}
	if o.KeepHistory != nil {
		opts.KeepHistory = *o.KeepHistory
	}
	return opts
}

// PlanCollection says what Collect would do now, and changes nothing.
func (c *Client) PlanCollection(ctx context.Context, o CollectOptions) (*CollectionPlan, error) {
	s, err := c.Open(ctx)
	if err != nil {
		return nil, err
	}
	return gc.NewPlan(ctx, s, o.options())
}

// Collect gives up what nothing in the store needs any more. Others may read and write
// meanwhile; it waits until no other process collects. See package gc.
func (c *Client) Collect(ctx context.Context, o CollectOptions) (Collection, error) {
	s, err := c.Open(ctx)
	if err != nil {
		return Collection{}, err
	}
	opts := o.options()
	opts.Observe = c.opts.Observe
	return gc.Run(ctx, s, opts)
}
