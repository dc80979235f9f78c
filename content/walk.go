package content

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"dist.example/oci"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

// walker is told what a walk meets. Its methods are called from several
// goroutines at once, each digest once in all, but for coming.
type walker interface {
	// coming: desc is the root, or in a manifest, and will be walked. It may come for
	// one digest more than once.
	coming(desc oci.Descriptor)
	// held: the target holds desc, and where it is Closed all below it too.
	held(desc oci.Descriptor)
	// manifest: the target lacks desc, whose bytes are data, and holds all below it.
	manifest(ctx context.Context, desc oci.Descriptor, data []byte) error
	// blob has to find out by itself whether the target holds desc.
	blob(ctx context.Context, desc oci.Descriptor) error
	// made is blob for what no source has: its bytes are data.
	made(ctx context.Context, desc oci.Descriptor, data []byte) error
	// attach: the tag is to name g, and the target has all below that. Errors:
	// ErrConflict.
	attach(ctx context.Context, at tagging, g given) error
}

// walk goes over the graph of a root, then over what is about it, each digest
// once, and asks source and target what it has to know for that. Copy and
// PlanCopy are the same walk and differ in their walkers.
type walk struct {
	target Holder
	src    Fetcher
	opts   CopyOptions
	to     walker
	closed bool
	fail   context.CancelCauseFunc // ends everything, with the first error
	slots  *semaphore.Weighted

	mu       sync.Mutex
	nodes    map[oci.Digest]*node
	subjects []oci.Descriptor // manifests that nobody has been asked about yet
	about    map[oci.Digest]bool

	referrers int // those of about that have been walked
	// What the walk itself has asked for.
	looked, fetched, listed atomic.Int64
}

// node is one digest's turn: the first visitor does the work, others wait.
type node struct {
	done chan struct{}
	err  error
}

func newWalk(target Holder, src Fetcher, opts CopyOptions, to walker) *walk {
	if opts.Jobs <= 0 {
		opts.Jobs = DefaultJobs
	}
	w := &walk{
		target: target, src: src, opts: opts, to: to,
		slots: semaphore.NewWeighted(int64(opts.Jobs)),
		nodes: map[oci.Digest]*node{}, about: map[oci.Digest]bool{},
	}
	if c, ok := target.(Closed); ok {
		w.closed = c.Closed()
	}
	return w
}

func (w *walk) run(ctx context.Context, root oci.Descriptor) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w.fail = cancel
	w.to.coming(root)
	err := w.visit(ctx, root, "")
	if err == nil {
		err = w.visitReferrers(ctx)
	}
	if err != nil {
		// The first failure, not what it led to elsewhere in the graph.
		err = context.Cause(ctx)
	}
	return err
}

// visit walks desc's graph, unless that is done or under way. subject is what
// desc is said to be about, "" for nothing in particular.
func (w *walk) visit(ctx context.Context, desc oci.Descriptor, subject oci.Digest) error {
	w.mu.Lock()
	n, seen := w.nodes[desc.Digest]
	if !seen {
		n = &node{done: make(chan struct{})}
		w.nodes[desc.Digest] = n
	}
	w.mu.Unlock()
	if seen {
		select {
		case <-n.done:
			return n.err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	defer close(n.done)
	if oci.HasSuccessors(desc.MediaType) {
		n.err = w.manifest(ctx, desc, subject)
	} else {
		n.err = w.blob(ctx, desc)
	}
	if n.err != nil {
		w.fail(n.err)
	}
	return n.err
}

func (w *walk) blob(ctx context.Context, desc oci.Descriptor) error {
	if err := w.slots.Acquire(ctx, 1); err != nil {
		return err
	}
	defer w.slots.Release(1)
	return w.to.blob(ctx, desc)
}

// manifest walks what desc reaches, then desc itself.
func (w *walk) manifest(ctx context.Context, desc oci.Descriptor, subject oci.Digest) error {
	if w.closed {
		here, err := w.exists(ctx, desc)
		if err != nil {
			return err
		}
		if here {
			w.to.held(desc)
			return w.vouched(ctx, desc)
		}
	}
	data, held, err := w.read(ctx, desc)
	if err != nil {
		return err
	}
	edges, err := w.children(desc, data, subject)
	if err != nil {
		return err
	}
	if err := w.visitAll(ctx, edges); err != nil {
		return err
	}
	w.remember(desc)
	if held {
		w.to.held(desc)
		return nil
	}
	if err := w.slots.Acquire(ctx, 1); err != nil {
		return err
	}
	defer w.slots.Release(1)
	return w.to.manifest(ctx, desc, data)
}

// visitAll walks successors of one manifest.
func (w *walk) visitAll(ctx context.Context, edges []oci.Edge) error {
	for _, e := range edges {
		w.to.coming(e.Descriptor)
	}
	g := w.abreast()
	for _, e := range edges {
		g.Go(func() error { return w.visit(ctx, e.Descriptor, "") })
	}
	return g.Wait()
}

// abreast bounds how many successors of one manifest are walked at a time: each that
// is a manifest is in memory until all below it has been. There are more than slots,
// since some of them ask and wait while others move.
func (w *walk) abreast() *errgroup.Group {
	var g errgroup.Group
	g.SetLimit(2 * w.opts.Jobs)
	return &g
}

func (w *walk) exists(ctx context.Context, desc oci.Descriptor) (bool, error) {
	w.looked.Add(1)
	return w.target.Exists(ctx, desc)
}

// read gets a manifest's bytes: from the target if it can give them back, so
// that a second copy asks the source for nothing.
func (w *walk) read(ctx context.Context, desc oci.Descriptor) (data []byte, held bool, err error) {
	if f, ok := w.target.(Fetcher); ok && !w.closed {
		here, err := w.exists(ctx, desc)
		if err != nil {
			return nil, false, err
		}
		if here {
			if data, err = ReadAll(ctx, f, desc, oci.MaxManifestSize); err == nil {
				return data, true, nil
			}
		}
	}
	data, err = w.fetch(ctx, desc)
	return data, false, err
}

func (w *walk) fetch(ctx context.Context, desc oci.Descriptor) ([]byte, error) {
	if err := w.slots.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer w.slots.Release(1)
	if data, ok := w.opts.Manifests.Get(desc.Digest); ok {
		return data, nil
	}
	w.fetched.Add(1)
	data, err := ReadAll(ctx, w.src, desc, oci.MaxManifestSize)
	if err == nil {
		w.opts.Manifests.add(desc.Digest, data)
	}
	return data, err
}

// children picks the successors of desc that go along. subject, if it is not "",
// is what desc has to be about.
func (w *walk) children(desc oci.Descriptor, data []byte, subject oci.Digest) ([]oci.Edge, error) {
	all, err := oci.Successors(desc.MediaType, data)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w: %v", desc.Digest, ErrCorrupt, err)
	}
	edges := all[:0]
	for _, e := range all {
		if e.Role != oci.RoleSubject {
			edges = append(edges, e)
		} else if e.Digest == subject {
			subject = ""
		}
	}
	if subject != "" {
		return nil, fmt.Errorf("referrer %s of %s: %w: it is not about that", desc.Digest, subject, ErrCorrupt)
	}
	if w.opts.Children == nil {
		return edges, nil
	}
	return w.opts.Children(desc, edges)
}
