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
	"dist.example/registryclient"
)

// PushOptions direct Push.
type PushOptions struct {
	// Registry replaces the host of the name, "" leaves it.
	Registry string
	// Platform pushes, of an index, the image for this platform alone under the
	// name. nil pushes the index with all that it lists.
	Platform *oci.Platform
	// NoReferrers leaves behind what is about the image.
	NoReferrers bool
}

// Push sends what a local name stands for to a registry: what is missing there
// first, then what is about the image, the tag last, so that nothing is visible
// before it is whole. What the registry has is not sent, and what it has in
// another repository is mounted: the store remembers what was pushed where.
//
// Errors: ErrNotFound when the name is not here, or when it is an index of which
// neither the store nor the registry has all images; those of the registry.
func (c *Client) Push(ctx context.Context, name string, o PushOptions) (Summary, error) {
	start := time.Now()
	ref, err := oci.ParseReference(name)
	if err != nil {
		return Summary{}, err
	}
	remote, err := c.registry()
	if err != nil {
		return Summary{}, err
	}
	if err = remote.Online(); err != nil {
		return Summary{}, err
	}
	s, err := c.Open(ctx)
	if err != nil {
		return Summary{}, err
	}
	asked := remote.Stats().Requests
	p := &push{c: c, o: o, store: s, to: ref}
	if p.root, err = s.Resolve(ctx, ref); err != nil {
		return Summary{}, fmt.Errorf("push %s: %w", ref, err)
	}
	if o.Registry != "" {
		if p.to, err = ref.WithRegistry(o.Registry); err != nil {
			return Summary{}, err
		}
	}
	p.repo = remote.Repository(p.to).ForPush()
	err = p.run(ctx)
	if err != nil {
		err = fmt.Errorf("push %s: %w", p.to, err)
	}
	return Summary{
		Stats: p.stats, Requests: remote.Stats().Requests - asked, Elapsed: time.Since(start),
		Names: []Moved{{p.to, p.root, p.moved}}, Looked: p.looked,
	}, err
}

// push is one run of Push.
type push struct {
	c     *Client
	o     PushOptions
	store *blobstore.Store
	repo  *registryclient.Repository
	to    oci.Reference
	root  oci.Descriptor
	stats content.Stats
	moved bool
	// looked: what is about the image has been looked after.
	looked bool

	mu   sync.Mutex
	sent []oci.Digest // the manifests that the registry has for certain
}

func (p *push) run(ctx context.Context) error {
	if !oci.HasSuccessors(p.root.MediaType) {
		return content.WithHint(fmt.Errorf("%w: it stands for %s, and registries name manifests only", content.ErrUnsupported, p.root.MediaType),
			"`dist pack` makes an image of layers")
	}
	if err := p.choose(ctx); err != nil {
		return err
	}
	if p.to.Digest != "" && p.to.Digest != p.root.Digest {
		p.to = p.to.WithDigest(p.root.Digest)
	}
	tagged, err := p.tagged(ctx)
	if err != nil {
		return err
	}
	if tagged {
		more, err := p.hasReferrers(ctx, p.root.Digest)
		if err != nil || !more {
			held, _, rerr := p.store.Reach(ctx, p.root.Digest)
			p.stats = content.Stats{ReusedBytes: held, ReusedBlobs: 1}
			return errors.Join(err, rerr)
		}
	}
	release, err := p.hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := p.send(ctx); err != nil {
		return err
	}
	p.c.hook("push.root")
	p.moved = !tagged
	if p.to.Tag != "" && !tagged {
		if err := p.tag(ctx); err != nil {
			return err
		}
	}
	p.remember(ctx)
	return nil
}

// tagged says whether the tag stands for the root already.
func (p *push) tagged(ctx context.Context) (bool, error) {
	if p.to.Tag == "" {
		return false, nil
	}
	there, err := p.repo.Resolve(ctx, p.to)
	if errors.Is(err, content.ErrNotFound) || errors.Is(err, content.ErrUnsupported) {
		return false, nil
	}
	return err == nil && there.Digest == p.root.Digest, err
}

// tag puts the root under its tag. Its bytes are here.
func (p *push) tag(ctx context.Context) error {
	data, err := content.ReadAll(ctx, p.store, p.root, oci.MaxManifestSize)
	if err != nil {
		return err
	}
	err = p.repo.PushManifest(ctx, p.root, data, p.to.Tag)
	p.c.hook("push.tagged")
	return err
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

// hold keeps the graph from being collected while it is sent. A read-only store
// has no collection.
func (p *push) hold(ctx context.Context) (release func(), err error) {
	if p.store.ReadOnly() {
		return func() {}, nil
	}
	l, err := p.store.Acquire(ctx, "push", blobstore.DefaultLease)
	if err != nil {
		return nil, err
	}
	release = func() {
		p.c.hook("push.done")
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		if err := p.store.Release(ctx, l.ID); err != nil {
			p.c.opts.Warn(fmt.Sprintf("the lease of this push stays for a day: %v", err))
		}
	}
	if err := p.store.Hold(ctx, l.ID, p.root.Digest); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

func (p *push) send(ctx context.Context) error {
	stats, err := content.Copy(ctx, p.repo, p.store, p.root, content.CopyOptions{
		Jobs: p.c.opts.Jobs, Observe: p.observe,
		Children: func(parent oci.Descriptor, edges []oci.Edge) ([]oci.Edge, error) {
			return p.children(ctx, parent, edges)
		},
		MountFrom: func(d oci.Descriptor) []oci.Reference { return p.mountFrom(ctx, d) },
		Referrers: !p.o.NoReferrers,
	})
	p.stats, p.looked = p.stats.Add(stats), !p.o.NoReferrers
	if errors.Is(err, content.ErrCorrupt) {
		p.judge(ctx, p.root.Digest)
	}
	return err
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

// judge reads everything that was to be sent, after a registry found something
// else in it: what is damaged here is marked by that, and the next pull mends it.
func (p *push) judge(ctx context.Context, d oci.Digest) {
	_ = p.store.Check(ctx, d) // its verdict is in the catalog
	children, err := p.store.Children(ctx, d)
	if err != nil {
		return
	}
	for _, c := range children {
		if c.Held && c.Role != oci.RoleSubject {
			p.judge(ctx, c.Digest)
		}
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
		there, err := p.there(ctx, parent, e.Descriptor)
		if err != nil {
			return nil, err
		}
		if !there {
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
