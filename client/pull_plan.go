package client

import (
	"context"
	"fmt"

	"dist.example/content"
)

// plan looks as run does, and adds what run would do from there on.
func (p *pull) plan(ctx context.Context) (Plan, error) {
	var plan Plan
	here, err := p.c.heldHere(ctx)
	if err != nil {
		return plan, err
	}
	if _, none := here.(nothing); !none {
		if p.store, err = p.c.Open(ctx); err != nil {
			return plan, err
		}
	}
	if err := p.look(ctx); err != nil {
		return plan, err
	}
	if err := p.admitAll(ctx); err != nil {
		return plan, err
	}
	plan.Requests = p.c.Traffic().Requests - p.asked
	one := newPlanned(here)
	names := newAttachedNames(p.store)
	for _, im := range p.images {
		n := PlannedName{Name: im.name.String(), Target: im.desc, Old: im.old, Action: action(im.old, im.desc.Digest), Where: im.Where}
		if !im.needed && !im.look {
			n.Held = im.size
			plan.add(n, nil)
			continue
		}
		if err := p.open(ctx, im); err != nil {
			return plan, err
		}
		one.src, one.attachingTo = p.source(im), attachingTo{names, im.name}
		before := p.c.Traffic().Requests - one.again.Load()
		work, err := content.PlanCopy(ctx, one, one.src, im.desc, p.options(im))
		if err != nil {
			return plan, fmt.Errorf("pull %s: %w", im.Word, im.at(err))
		}
		p.c.more(&work, before+one.again.Load())
		if err := one.take(ctx, work); err != nil {
			return plan, err
		}
		plan.add(n, im.where.asking(&work))
	}
	if p.store == nil {
		return plan, nil
	}
	return plan, p.c.planRoom(ctx, p.store, plan.MoveBytes, p.o.Evict, p.names())
}
