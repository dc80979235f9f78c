package content

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	"dist.example/oci"
)

// Holder is what a plan has to know of a target. Where it is also Closed, a
// Fetcher or a Mounter, the target has to be so too, and an Attacher where it is an
// AttachmentHolder.
type Holder interface {
	// Exists is Pusher's. It changes nothing.
	Exists(ctx context.Context, desc oci.Descriptor) (bool, error)
}

// PartHolder is a Holder that keeps what came of a blob before its copy ended.
type PartHolder interface {
	// Partial says how many bytes of d are there, 0 for none: the next copy goes on
	// behind them.
	Partial(ctx context.Context, d oci.Digest) (offset int64, err error)
}

// PlanAction is what a copy will do about one object.
type PlanAction string

// The actions of a plan.
const (
	PlanMove   PlanAction = "move"
	PlanResume PlanAction = "resume" // the rest of it
	PlanMount  PlanAction = "mount"  // asked for from a repository next door
	PlanHeld   PlanAction = "held"   // there already
)

// PlanItem is one object of a plan. Move is how many of its bytes will come from
// the source.
type PlanItem struct {
	Descriptor oci.Descriptor
	Action     PlanAction
	Move       int64
}

// Plan says what a Copy would do.
type Plan struct {
	// Items are blobs first, then manifests, each by digest. Below a manifest that
	// a Closed target has nothing is looked at, nor listed.
	Items []PlanItem
	// MoveBytes and HeldBytes are what Stats would tell as moved and reused. A
	// mount counts as held.
	MoveBytes int64
	HeldBytes int64
	// Requests is how many the copy would make if nothing goes wrong. A source that
	// is a Provider has its content at hand and costs none, any other one for each
	// manifest, blob, page of referrers and tag that an attachment may have. A target that is Closed costs one for
	// each look, mount and manifest, and two for each blob: beginning and bytes.
	// Large blobs that come in parallel parts take more.
	Requests int64
	// FromSource is the part of Requests that goes to the source.
	FromSource int64
	// Looks are those of them that planning made itself, as far as the walk can tell:
	// a list of referrers may have taken more.
	Looks int64
	// Subjects is how many manifests about others will be pushed, each of which a
	// registry without an API for that lists by hand: Requests leaves that out.
	Subjects int
	// Referrers is how many manifests about others there will be at the target.
	Referrers int
	// Attachments are those that will be given their tags. Requests has one for each
	// at a Closed target.
	Attachments []PlannedAttachment
}

// PlannedAttachment is what will have the tag of an attachment.
type PlannedAttachment struct {
	Subject oci.Digest
	Suffix  string
	Target  oci.Descriptor
	Data    []byte
}

// PlanCopy says what Copy would do, and does none of it: it is the same walk, of
// which only manifests are read, into memory. The bytes are exact as long as
// neither side changes, and no mount is refused.
//
// Errors: those that Copy would meet on the way, as far as it gets without
// reading blobs.
func PlanCopy(ctx context.Context, dst Holder, src Fetcher, root oci.Descriptor, opts CopyOptions) (Plan, error) {
	p := &planner{}
	p.walk = newWalk(dst, src, opts, p)
	if err := p.run(ctx, root); err != nil {
		return Plan{}, err
	}
	p.plan.Referrers = p.referrers
	p.plan.FromSource = p.fromSource()
	p.plan.Requests = p.plan.FromSource + p.toTarget()
	p.plan.Looks = p.looks()
	slices.SortFunc(p.plan.Items, func(a, b PlanItem) int {
		return cmp.Or(cmp.Compare(kindOf(a), kindOf(b)), cmp.Compare(a.Descriptor.Digest, b.Descriptor.Digest))
	})
	return p.plan, nil
}

// kindOf orders blobs before manifests, and those before indexes.
func kindOf(i PlanItem) int {
	switch t := i.Descriptor.MediaType; {
	case oci.IsIndex(t):
		return 2
	case oci.IsManifest(t):
		return 1
	}
	return 0
}

// planner is the walk of PlanCopy.
type planner struct {
	*walk

	lock sync.Mutex
	plan Plan
}

func (p *planner) add(desc oci.Descriptor, action PlanAction, move int64) {
	p.lock.Lock()
	defer p.lock.Unlock()
	p.plan.Items = append(p.plan.Items, PlanItem{desc, action, move})
	switch action {
	case PlanHeld, PlanMount:
		p.plan.HeldBytes += desc.Size
	default:
		p.plan.MoveBytes += move
	}
}

func (p *planner) coming(oci.Descriptor) {} // what it comes to is said of each once

func (p *planner) held(desc oci.Descriptor) { p.add(desc, PlanHeld, 0) }

func (p *planner) manifest(_ context.Context, desc oci.Descriptor, data []byte) error {
	p.add(desc, PlanMove, desc.Size)
	edges, err := oci.Successors(desc.MediaType, data)
	if err == nil && slices.ContainsFunc(edges, func(e oci.Edge) bool { return e.Role == oci.RoleSubject }) {
		p.lock.Lock()
		defer p.lock.Unlock()
		p.plan.Subjects++
	}
	return nil // the walk has read it before
}

func (p *planner) made(ctx context.Context, desc oci.Descriptor, _ []byte) error {
	here, err := p.exists(ctx, desc)
	if err != nil {
		return err
	}
	if here {
		p.held(desc)
	} else {
		p.add(desc, PlanMove, 0)
	}
	return nil
}

func (p *planner) attach(_ context.Context, at tagging, g given) error {
	if !g.held {
		p.add(g.Descriptor, PlanMove, g.moves)
	}
	p.lock.Lock()
	defer p.lock.Unlock()
	p.plan.Attachments = append(p.plan.Attachments, PlannedAttachment{at.subject, at.suffix, g.Descriptor, g.data})
	return nil
}

func (p *planner) blob(ctx context.Context, desc oci.Descriptor) error {
	here, err := p.exists(ctx, desc)
	if err != nil {
		return err
	}
	if here {
		p.held(desc)
		return nil
	}
	if _, ok := p.target.(Mounter); ok && p.opts.MountFrom != nil && len(p.opts.MountFrom(desc)) > 0 {
		p.add(desc, PlanMount, 0)
		return nil
	}
	if part, ok := p.target.(PartHolder); ok {
		offset, err := part.Partial(ctx, desc.Digest)
		if err != nil {
			return err
		}
		if _, ok := p.src.(RangeFetcher); ok && offset > 0 {
			p.add(desc, PlanResume, max(desc.Size-offset, 0))
			return nil
		}
	}
	p.add(desc, PlanMove, desc.Size)
	return nil
}

// looks counts what Plan.Looks promises to.
func (p *planner) looks() int64 {
	var n int64
	if p.closed {
		n = p.looked.Load()
	}
	if _, atHand := p.src.(Provider); !atHand {
		n += p.fetched.Load() + p.listed.Load()
	}
	return n
}

// fromSource counts the requests that the source gets.
func (p *planner) fromSource() int64 {
	if _, atHand := p.src.(Provider); atHand {
		return 0
	}
	n := p.fetched.Load() + p.listed.Load()
	for _, i := range p.plan.Items {
		if !oci.HasSuccessors(i.Descriptor.MediaType) && i.Move > 0 {
			n++
		}
	}
	return n
}

// toTarget counts the requests that a Closed target gets.
func (p *planner) toTarget() int64 {
	if !p.closed {
		return 0
	}
	n := p.looked.Load()
	for _, i := range p.plan.Items {
		switch {
		case i.Action == PlanHeld:
		case i.Action == PlanMount, oci.HasSuccessors(i.Descriptor.MediaType):
			n++
		default:
			n += 2
		}
	}
	return n
}

// HeldBy is a store as the Holder of a plan. It only reads.
func HeldBy(store interface {
	Fetcher
	Manager
	IngestManager
},
) Holder {
	return holder{store, store, store}
}

type holder struct {
	Fetcher
	blobs   Manager
	ingests IngestManager
}

// Exists implements Holder. A manifest that is held under another type, and so
// without its edges, has to come again.
func (h holder) Exists(ctx context.Context, desc oci.Descriptor) (bool, error) {
	info, err := h.blobs.Info(ctx, desc.Digest)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	typed := info.MediaType == desc.MediaType || !oci.HasSuccessors(desc.MediaType)
	return typed && info.Place != "damaged", nil
}

// Partial implements PartHolder.
func (h holder) Partial(ctx context.Context, d oci.Digest) (int64, error) {
	st, err := h.ingests.Status(ctx, d.String())
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	return st.Offset, err
}
