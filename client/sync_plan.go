package client

import (
	"context"

	"dist.example/content"
)

// plan says what is left to do after look.
func (r *syncRun) plan(ctx context.Context) (Plan, error) {
	var plan Plan
	pending := map[*syncItem]bool{}
	for _, it := range r.pending() {
		pending[it] = true
	}
	for _, it := range r.items {
		if it.failed {
			continue
		}
		n := PlannedName{Name: it.name.String(), Old: it.old.Digest, Action: action(it.old.Digest, it.root.Digest), Where: it.Where}
		var work *content.Plan
		if pending[it] {
			var err error
			if work, err = r.planOne(ctx, it); err != nil {
				if err = r.fail(ctx, it, n.Name, err); err != nil {
					return plan, err
				}
				continue
			}
		}
		if n.Target = it.root; n.Target.MediaType == "" {
			n.Target = it.old
		}
		switch {
		case it.same() && work != nil:
			work.HeldBytes += it.old.Size - it.root.Size
		case it.same():
			n.Held = it.old.Size
		}
		plan.add(n, work)
	}
	for _, x := range r.extra {
		plan.add(PlannedName{Name: x.name.String(), Action: NameDelete}, nil)
		plan.Requests++
	}
	plan.Requests += r.c.Traffic().Requests - r.asked - r.spent
	plan.sort()
	return plan, nil
}

// planOne says what moving one image takes, its tag included.
func (r *syncRun) planOne(ctx context.Context, it *syncItem) (*content.Plan, error) {
	if err := r.complete(ctx, it); err != nil {
		return nil, err
	}
	before := r.c.Traffic().Requests
	to := &plannedTarget{toRegistry: it.to, run: r.share}
	work, err := content.PlanCopy(ctx, to, r.c.federate(it.src), it.root, r.options(ctx, it, r.jobs))
	if err == nil {
		to.take(&work)
		r.c.more(&work, before)
		err = it.to.entering(ctx, it.root.Digest, &work)
		standing(&work)
	}
	r.spent += r.c.Traffic().Requests - before
	if err != nil {
		return nil, err
	}
	if !it.same() {
		work.Requests += it.to.tagging(it.name, work)
	}
	return it.where.asking(&work), nil
}

// approve shows the plan of a run that deletes.
func (r *syncRun) approve(ctx context.Context) error {
	if len(r.extra) == 0 || r.o.Approve == nil {
		return nil
	}
	plan, err := r.plan(ctx)
	if err != nil {
		return err
	}
	// What was planned has not been moved.
	r.share, r.spent = newSharing(), 0
	return r.o.Approve(plan)
}
