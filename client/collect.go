package client

import (
	"context"
	"fmt"
	"time"

	"dist.example/blobstore"
	"dist.example/gc"
	"dist.example/oci"
)

// CollectOptions direct Collect and PlanCollection. Nil durations are the store's
// settings.
type CollectOptions struct {
	// Grace is how long content is kept after it was written, whoever holds
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
	// Snapshots gives up all layers that are kept unpacked and not in use.
	Snapshots bool
}

// The reports of Collect and PlanCollection.
type (
	// Collection is what a collection has done.
	Collection = gc.Report
	// CollectionPlan is what one would do.
	CollectionPlan = gc.Plan
)

// options are those of package gc, by what the store is told.
func (o CollectOptions) options(told Settings) gc.Options {
	opts := gc.Options{Grace: told.Grace, KeepHistory: told.KeepHistory, MaxTime: o.MaxTime, Compact: o.Compact, Snapshots: o.Snapshots}
	if o.Grace != nil {
		opts.Grace = *o.Grace
	}
	if o.KeepHistory != nil {
		opts.KeepHistory = *o.KeepHistory
	}
	return opts
}

// asTold are the options of a collection by what a store is told.
func asTold(ctx context.Context, s *blobstore.Store) (gc.Options, error) {
	told, err := s.Settings(ctx)
	return CollectOptions{}.options(told), err
}

// PlanCollection says what Collect would do now, and changes nothing.
func (c *Client) PlanCollection(ctx context.Context, o CollectOptions) (*CollectionPlan, error) {
	s, err := c.Open(ctx)
	if err != nil {
		return nil, err
	}
	told, err := s.Settings(ctx)
	if err != nil {
		return nil, err
	}
	opts := o.options(told)
	plan, err := gc.NewPlan(ctx, s, opts)
	if err != nil || told.Quota == 0 {
		return plan, err
	}
	lack, err := over(s, told)(ctx)
	plan.DropIdle(lack)
	if err == nil && lack > plan.Counted && !opts.Compact { // before a name goes
		opts.Compact = true
		if plan, err = gc.NewPlan(ctx, s, opts); err == nil {
			plan.DropIdle(lack)
		}
	}
	if err != nil || lack <= plan.Counted {
		return plan, err
	}
	var frees int64
	plan.Evicts, frees, err = gc.PlanEviction(ctx, s, gc.EvictOptions{Options: opts}, lack-plan.Counted)
	plan.Frees += frees
	plan.Counted += frees
	c.warnOfQuota(lack-plan.Counted, "would still take")
	return plan, err
}

// over says how many bytes a store takes beyond its quota.
func over(s *blobstore.Store, told Settings) func(context.Context) (int64, error) {
	return func(ctx context.Context) (int64, error) {
		used, err := s.Usage(ctx)
		return used.Total() - told.Quota, err
	}
}

// Collect gives up what nothing in the store needs any more, and where it takes more
// than its quota still, the names that were not used for longest. Others may read and write
// meanwhile; it waits until no other process collects. See package gc.
func (c *Client) Collect(ctx context.Context, o CollectOptions) (Collection, error) {
	s, err := c.Open(ctx)
	if err != nil {
		return Collection{}, err
	}
	told, err := s.Settings(ctx)
	if err != nil {
		return Collection{}, err
	}
	opts := o.options(told)
	opts.Observe = c.opts.Observe
	if told.Quota == 0 {
		return gc.Run(ctx, s, opts)
	}
	report, err := gc.Evict(ctx, s, gc.EvictOptions{Options: opts, Lack: over(s, told), Partly: true})
	if err != nil || report.Unfinished {
		return report, err
	}
	lack, err := over(s, told)(ctx)
	c.warnOfQuota(lack, "still takes")
	return report, err
}

// warnOfQuota says that all that may go is not enough.
func (c *Client) warnOfQuota(lack int64, takes string) {
	if lack > 0 {
		c.opts.Warn(fmt.Sprintf("the store %s %s more than its quota: the rest is pinned, younger than the grace, or kept by something else than a name",
			takes, oci.HumanSize(lack)))
	}
}
