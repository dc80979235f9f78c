package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
)

// PushOptions direct Push.
type PushOptions struct {
	// Target is a locator of where to, "" the registry that the name says.
	Target string
	// Registry replaces the host of the name, "" leaves it. It is not for Target.
	Registry string
	// Platform pushes, of an index, the image for this platform alone under the
	// name. nil pushes the index with all that it lists.
	Platform *oci.Platform
	// IfDigest is what the registry's tag has to stand for, the empty digest that
	// there is no such tag; nil asks for nothing.
	IfDigest *oci.Digest
	// NoReferrers leaves behind what is about the image: signatures and the like.
	NoReferrers bool
}

// Push sends what a local name stands for, or with NAME@{WHEN} stood for, to a registry, or
// to another place: what
// is missing there first, the name last, so that nothing is visible before it is
// whole. What the registry has is not sent, and what it has in another repository
// is mounted.
//
// Errors: ErrNotFound when the name is not here, or when it is an index of which
// neither the store nor the registry has all images; ErrConflict when IfDigest does
// not hold; those of the registry.
func (c *Client) Push(ctx context.Context, name string, o PushOptions) (Summary, error) {
	start, asked := time.Now(), c.Traffic().Requests
	p, elsewhere, err := c.newPush(ctx, name, o)
	if err != nil {
		return Summary{}, err
	}
	if elsewhere != nil {
		err = elsewhere.run(ctx, TransportStore+":"+name, o.Target)
		return elsewhere.summary(start, asked, "push "+name, err)
	}
	p.store.Use(ctx, p.name)
	if err = p.run(ctx); err != nil {
		err = fmt.Errorf("push %s: %w", p.to, err)
	}
	return Summary{
		Stats: p.stats, Requests: c.Traffic().Requests - asked, Elapsed: time.Since(start),
		Names: []Moved{{Name: p.to.String(), Target: p.root, Changed: p.moved}}, Looked: p.looked,
	}, err
}

// PlanPush says what Push would do. Errors: as Push.
func (c *Client) PlanPush(ctx context.Context, name string, o PushOptions) (Plan, error) {
	ctx = blobstore.AsItIs(ctx) // a plan changes nothing
	asked := c.Traffic().Requests
	p, elsewhere, err := c.newPush(ctx, name, o)
	if err != nil {
		return Plan{}, err
	}
	if elsewhere != nil {
		plan, err := elsewhere.plan(ctx, TransportStore+":"+name, o.Target, asked)
		if err != nil {
			err = fmt.Errorf("push %s: %w", name, err)
		}
		return plan, err
	}
	plan, err := p.plan(ctx, asked)
	if err != nil {
		err = fmt.Errorf("push %s: %w", p.to, err)
	}
	return plan, err
}

// newPush is a push to a registry, or a copy to any other place.
func (c *Client) newPush(ctx context.Context, name string, o PushOptions) (p *push, elsewhere *copyJob, err error) {
	ref, when, err := parseNamed(name)
	if err != nil {
		return nil, nil, err
	}
	to := Locator{Transport: TransportRegistry, Place: ref.String(), Reference: ref}
	switch {
	case o.Target != "":
		to, err = c.Locate(o.Target)
	case o.Registry != "":
		to.Reference, err = atRegistry(ref, o.Registry)
		to.Place = to.Reference.String()
	}
	if err != nil {
		return nil, nil, err
	}
	if to.Transport == TransportStore {
		return nil, nil, content.WithHint(fmt.Errorf("push %s: %w: it is in the store already", name, content.ErrInvalid), "`dist tag` gives it another name")
	}
	if to.Transport != TransportRegistry {
		return nil, &copyJob{c: c, verb: "push", o: CopyOptions{Platform: o.Platform, IfDigest: o.IfDigest, NoReferrers: o.NoReferrers}}, nil
	}
	p = &push{c: c, o: o, name: ref}
	target, err := c.target(ctx, to)
	if err != nil {
		return nil, nil, err
	}
	p.repo = target.(*toRegistry) // what that transport gives
	if p.store, err = c.Open(ctx); err != nil {
		return nil, nil, err
	}
	c.healing(p.store)
	if p.root, err = resolveNamed(ctx, p.store, ref, when); err != nil {
		return nil, nil, fmt.Errorf("push %s: %w", ref, err)
	}
	return p, nil, p.aim(ctx, ref)
}

// push is one run of Push.
type push struct {
	c     *Client
	o     PushOptions
	store *blobstore.Store
	name  oci.Reference // in the store
	repo  *toRegistry
	to    oci.Reference
	root  oci.Descriptor
	stats content.Stats
	moved bool
	// looked: what is about the image has been looked after.
	looked bool

	mu   sync.Mutex
	sent []oci.Digest // the manifests that the registry has for certain
}

// aim settles what is pushed, and under which name.
func (p *push) aim(ctx context.Context, from oci.Reference) (err error) {
	if !oci.HasSuccessors(p.root.MediaType) {
		return fmt.Errorf("push %s: %w", from, notNameable(p.root))
	}
	if err := p.choose(ctx); err != nil {
		return fmt.Errorf("push %s: %w", from, err)
	}
	if p.o.Target == "" && p.repo.ref.Digest != "" {
		p.repo.ref = p.repo.ref.WithDigest(p.root.Digest)
	}
	if p.to, err = p.repo.settle(p.root, from); err != nil {
		return fmt.Errorf("push %s: %w", from, err)
	}
	if p.repo.expect = p.o.IfDigest; p.repo.expect != nil && p.to.Tag == "" {
		return fmt.Errorf("push %s: %w: there is no tag to ask for its digest", p.to, content.ErrInvalid)
	}
	return nil
}

func (p *push) run(ctx context.Context) error {
	old, err := p.look(ctx)
	if err != nil {
		return err
	}
	tagged := old == p.root.Digest
	if tagged {
		more, err := p.hasReferrers(ctx, p.root.Digest)
		if err != nil || !more {
			held, _, rerr := p.store.Reach(ctx, p.root.Digest)
			p.stats = content.Stats{ReusedBytes: held, ReusedBlobs: 1}
			return errors.Join(err, rerr)
		}
	}
	_, release, err := p.c.hold(ctx, p.store, "push", p.root.Digest)
	if err != nil {
		return err
	}
	defer release()
	if err := p.send(ctx); err != nil {
		return err
	}
	p.c.hook("push.root")
	if p.moved = !tagged; p.moved && p.to.Tag != "" {
		if err := p.tag(ctx); err != nil {
			return err
		}
	}
	p.remember(ctx)
	return nil
}

// tag puts the root under its tag. Its bytes are here.
func (p *push) tag(ctx context.Context) (err error) {
	if p.repo.data, err = content.ReadAll(ctx, p.store, p.root, oci.MaxManifestSize); err != nil {
		return err
	}
	err = p.repo.Finish(ctx, p.root, p.to)
	p.c.hook("push.tagged")
	return err
}

// look asks what the tag stands for now, and refuses what --if-digest forbids.
func (p *push) look(ctx context.Context) (oci.Digest, error) {
	if p.to.Tag == "" {
		return "", nil // the copy will find it
	}
	old, err := p.repo.current(ctx, p.to)
	if err == nil && p.repo.expect != nil && old.Digest != *p.repo.expect {
		err = p.repo.Moved(p.to.Tag, old.Digest, *p.repo.expect)
	}
	return old.Digest, err
}

// plan looks as run does, and adds what run would do from there on.
func (p *push) plan(ctx context.Context, asked int64) (Plan, error) {
	var plan Plan
	old, err := p.look(ctx)
	if err != nil {
		return plan, err
	}
	n := PlannedName{Name: p.to.String(), Target: p.root, Old: old, Action: action(old, p.root.Digest)}
	plan.Requests = p.c.Traffic().Requests - asked
	if n.Action == NameSame {
		more, err := p.hasReferrers(ctx, p.root.Digest)
		if err != nil || !more {
			held, _, rerr := p.store.Reach(ctx, p.root.Digest)
			n.Held = held
			plan.add(n, nil)
			return plan, errors.Join(err, rerr)
		}
	}
	work, err := content.PlanCopy(ctx, p.repo, p.store, p.root, p.options(ctx))
	if err != nil {
		return plan, err
	}
	if err := p.repo.entering(ctx, p.root.Digest, &work); err != nil {
		return plan, err
	}
	standing(&work)
	plan.add(n, &work)
	if n.Action != NameSame {
		p.repo.data = []byte{} // they are here
		plan.Requests += p.repo.tagging(p.to, work)
	}
	return plan, nil
}

// choose replaces an index by its image for the platform that was asked for.
func (p *push) choose(ctx context.Context) error {
	if p.o.Platform == nil || !oci.IsIndex(p.root.MediaType) {
		return nil
	}
	desc, err := selectImage(ctx, p.store, p.root, Platforms{Only: p.o.Platform})
	p.root = desc
	return err
}

// using sees to it that what is copied out of a store is not collected before release is
// called, and counts as used. Of another source it does nothing.
func (c *Client) using(ctx context.Context, src content.ImageSource, verb string, root oci.Digest) (release func(), err error) {
	from, ok := src.(fromStore)
	if !ok {
		return func() {}, nil
	}
	if _, release, err = c.hold(ctx, from.store, verb, root); err == nil {
		from.store.Use(ctx, from.ref)
	}
	return release, err
}

// hold keeps graphs from being collected while they are read, by a lease that release
// ends. A read-only store has no collection, and gives no lease.
func (c *Client) hold(ctx context.Context, s *blobstore.Store, verb string, roots ...oci.Digest) (lease string, release func(), err error) {
	if s.ReadOnly() || s.IsBackup(ctx) {
		return "", func() {}, nil
	}
	l, err := s.Acquire(ctx, verb, blobstore.DefaultLease, roots...)
	if err != nil {
		return "", nil, err
	}
	return l.ID, func() {
		c.hook("hold.done")
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if err := s.Release(ctx, l.ID); err != nil {
			c.opts.Warn(fmt.Sprintf("the lease of this %s stays for a day: %v", verb, err))
		}
	}, nil
}

func (p *push) send(ctx context.Context) error {
	stats, err := content.Copy(ctx, p.repo, p.store, p.root, p.options(ctx))
	p.stats, p.looked = p.stats.Add(stats), !p.o.NoReferrers
	if errors.Is(err, content.ErrCorrupt) && p.c.mendedBelow(ctx, p.store, p.root.Digest) {
		stats, err = content.Copy(ctx, p.repo, p.store, p.root, p.options(ctx))
		p.stats = p.stats.Add(stats)
	}
	return err
}

func (p *push) options(ctx context.Context) content.CopyOptions {
	return content.CopyOptions{
		Jobs: p.c.opts.Jobs, Referrers: !p.o.NoReferrers, Observe: p.observe, Warn: p.c.opts.Warn,
		Children: func(parent oci.Descriptor, edges []oci.Edge) ([]oci.Edge, error) {
			return p.children(ctx, parent, edges)
		},
		MountFrom: func(d oci.Descriptor) []oci.Reference { return p.mountFrom(ctx, d) },
	}
}

// observe passes progress on; between two objects a test may stop.
func (p *push) observe(e content.Event) {
	p.c.opts.Observe(e)
	if e.Kind == content.EventFinished {
		p.c.hook("push.object")
	}
	if (e.Kind == content.EventFinished || e.Kind == content.EventReused) && oci.HasSuccessors(e.Descriptor.MediaType) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.sent = append(p.sent, e.Descriptor.Digest)
	}
}

// children leaves out what is not here where the registry has it, or need not
// have it.
func (p *push) children(ctx context.Context, parent oci.Descriptor, edges []oci.Edge) ([]oci.Edge, error) {
	var (
		out    []oci.Edge
		absent []string
	)
	for _, e := range edges {
		info, err := p.store.Info(ctx, e.Digest)
		switch {
		case err == nil && info.Place != "damaged":
			out = append(out, e)
			continue
		case err != nil && !errors.Is(err, content.ErrNotFound):
			return nil, err
		case oci.IsNonDistributable(e.MediaType):
			continue
		}
		damaged := err == nil
		there, err := p.there(ctx, parent, e.Descriptor)
		if err != nil {
			return nil, err
		}
		switch {
		case there:
		case damaged && blobstore.Heals(ctx) && p.c.heal(blobstore.AsItIs(ctx), e.Digest) == nil,
			damaged && p.c.wouldHeal(ctx, p.store, e.Digest):
			out = append(out, e)
		default:
			absent = append(absent, describeEdge(e))
		}
	}
	if len(absent) > 0 {
		return nil, content.WithHint(
			fmt.Errorf("%s: %w here nor there: %s", parent.Digest, content.ErrNotFound, strings.Join(absent, ", ")),
			"pull with --all-platforms first, or push one image with --platform")
	}
	return out, nil
}

// there says whether the registry has a child of parent that is not here: with
// the parent it has all of them.
func (p *push) there(ctx context.Context, parent, child oci.Descriptor) (bool, error) {
	p.mu.Lock()
	whole := slices.Contains(p.sent, parent.Digest)
	p.mu.Unlock()
	if whole {
		return true, nil
	}
	return p.repo.Exists(ctx, child)
}

func describeEdge(e oci.Edge) string {
	if name := oci.FormatPlatform(e.Platform); name != "" {
		return name
	}
	return fmt.Sprintf("%s %s", e.Role, e.Digest)
}

// mountFrom lists the repositories on the target's registry that a blob came
// from.
func (p *push) mountFrom(ctx context.Context, d oci.Descriptor) []oci.Reference {
	locators, err := p.store.Sources(ctx, d.Digest)
	if err != nil {
		return nil
	}
	var refs []oci.Reference
	for _, l := range locators {
		ref, err := oci.ParseRepository(l)
		if err == nil && ref.Registry == p.to.Registry && ref.Repository != p.to.Repository {
			refs = append(refs, ref)
		}
	}
	return refs
}
