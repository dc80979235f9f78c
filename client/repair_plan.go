package client

import (
	"context"
	"slices"

	"dist.example/blobstore"
	"dist.example/oci"
)

// RepairPlan is what Repair would do.
type RepairPlan struct {
	Objects []PlannedRepair // by digest
	CheckFindings
}

// PlannedRepair is what Repair would ask for.
type PlannedRepair struct {
	Lack
	From   []string // the sources, in the order of asking
	Ranges []Range  // that would be fetched, none for all of it
	Bytes  int64    // that would be fetched
}

// PlanRepair says what Repair would fetch, and from where. Nobody is asked, and nothing in
// the store changes: what is found damaged is not marked. Errors: as Repair.
func (c *Client) PlanRepair(ctx context.Context, ids []string, o RepairOptions) (plan RepairPlan, err error) {
	own, err := c.Open(ctx)
	if err != nil {
		return plan, err
	}
	s, err := blobstore.Open(ctx, own.Dir(), blobstore.Options{ReadOnly: true, Warn: c.opts.Warn})
	if err != nil {
		return plan, err
	}
	defer s.Close()
	r, err := c.newRepair(ctx, s, o.From)
	if err != nil {
		return plan, err
	}
	defer r.close()
	roots, err := r.find(ctx, ids, o)
	if err != nil {
		return plan, err
	}
	plan.CheckFindings = r.report.CheckFindings
	lacking, err := r.lacking(ctx, roots)
	for _, l := range lacking {
		plan.Objects = append(plan.Objects, r.plan(ctx, l))
	}
	return plan, err
}

// lacking is what is to be repaired in a store in which nothing can be marked.
func (r *repair) lacking(ctx context.Context, roots []oci.Digest) ([]Lack, error) {
	all, err := r.store.Lacking(ctx, roots...)
	if err != nil {
		return nil, err
	}
	known := map[oci.Digest]bool{}
	for _, l := range all {
		known[l.Digest] = true
	}
	for _, d := range r.found {
		if known[d] {
			continue
		}
		known[d] = true
		l, there, err := r.store.LackOf(ctx, d)
		if err != nil {
			return nil, err
		}
		if there {
			l.Info.Place = "damaged"
			all = append(all, l)
		}
	}
	slices.SortFunc(all, cmpDigests)
	return all, nil
}

func (r *repair) plan(ctx context.Context, l Lack) PlannedRepair {
	p := PlannedRepair{Lack: l, Bytes: l.Size}
	own, bad := r.own(ctx, l)
	sources := r.sources(ctx, l.Digest)
	switch {
	case own:
		p.Bytes, sources = 0, append([]*repairSource{ownCopy()}, sources...)
	case len(sources) > 0 && (sources[0].src == nil || canStitch(sources[0].src)):
		p.Ranges = bad
	}
	for i, b := range p.Ranges {
		if i == 0 {
			p.Bytes = 0
		}
		p.Bytes += b.Length
	}
	for _, s := range sources {
		p.From = append(p.From, s.name)
	}
	return p
}
