package content

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"dist.example/oci"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

// DefaultJobs is how many blobs Copy moves at once when nothing else is said.
const DefaultJobs = 4

// CopyOptions direct a Copy. The zero value copies everything.
type CopyOptions struct {
	// Jobs bounds the blobs in flight; 0 means DefaultJobs.
	Jobs int
	// Children picks which of a manifest's successors go along, nil means all. The
	// subject is never among edges: a referrer does not bring what it is about.
	// An error ends the copy.
	Children func(parent oci.Descriptor, edges []oci.Edge) ([]oci.Edge, error)
	// MountFrom names repositories on the target's registry that may hold a blob.
	MountFrom func(oci.Descriptor) []oci.Reference
	// Origin is the locator recorded as the source of what is written.
	Origin string
	// Observe is told of progress, nil is fine.
	Observe Observer
}

// Stats is the account of a Copy.
type Stats struct {
	MovedBytes  int64 // read from the source and written
	ReusedBytes int64 // held by the target before, or mounted there
	MovedBlobs  int
	ReusedBlobs int
}

// Add returns the sum of two accounts.
func (s Stats) Add(t Stats) Stats {
	return Stats{
		s.MovedBytes + t.MovedBytes, s.ReusedBytes + t.ReusedBytes,
		s.MovedBlobs + t.MovedBlobs, s.ReusedBlobs + t.ReusedBlobs,
	}
}

// Copy moves root and what it reaches from src to dst: leaves first, each
// manifest after its children, root last, so that a target never holds a
// manifest whose content it lacks. Blobs go in parallel, each digest once. What
// dst holds is not moved. Copy gives no names.
//
// A target that is an Ingester gets every blob as a resumable ingest keyed by
// its digest: an interrupted Copy goes on where it stopped, and two at once
// share the work. The account is valid also when an error is returned.
func Copy(ctx context.Context, dst Target, src Source, root oci.Descriptor, opts CopyOptions) (Stats, error) {
	if opts.Jobs <= 0 {
		opts.Jobs = DefaultJobs
	}
	if opts.Observe == nil {
		opts.Observe = func(Event) {}
	}
	c := &copier{
		dst: dst, src: src, opts: opts,
		slots: semaphore.NewWeighted(int64(opts.Jobs)),
		nodes: map[oci.Digest]*node{},
	}
	if cl, ok := dst.(Closed); ok {
		c.closed = cl.Closed()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	c.fail = cancel
	err := c.visit(ctx, root)
	if err != nil {
		// The first failure, not what it led to elsewhere in the graph.
		err = context.Cause(ctx)
	}
	return Stats{
		MovedBytes: c.movedBytes.Load(), ReusedBytes: c.reusedBytes.Load(),
		MovedBlobs: int(c.movedBlobs.Load()), ReusedBlobs: int(c.reusedBlobs.Load()),
	}, err
}

type copier struct {
	dst    Target
	src    Source
	opts   CopyOptions
	closed bool
	fail   context.CancelCauseFunc // ends everything, with the first error
	slots  *semaphore.Weighted

	mu    sync.Mutex
	nodes map[oci.Digest]*node

	movedBytes, reusedBytes, movedBlobs, reusedBlobs atomic.Int64
}

// node is one digest's turn: the first visitor does the work, others wait.
type node struct {
	done chan struct{}
	err  error
}

func (c *copier) visit(ctx context.Context, desc oci.Descriptor) error {
	c.mu.Lock()
	n, seen := c.nodes[desc.Digest]
	if !seen {
		n = &node{done: make(chan struct{})}
		c.nodes[desc.Digest] = n
	}
	c.mu.Unlock()
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
		n.err = c.manifest(ctx, desc)
	} else {
		n.err = c.blob(ctx, desc)
	}
	if n.err != nil {
		c.fail(n.err)
	}
	return n.err
}

// manifest copies what desc reaches, then desc itself.
func (c *copier) manifest(ctx context.Context, desc oci.Descriptor) error {
	if c.closed {
		here, err := c.dst.Exists(ctx, desc)
		if err != nil {
			return err
		}
		if here {
			c.reused(desc)
			return nil
		}
	}
	data, held, err := c.read(ctx, desc)
	if err != nil {
		return err
	}
	edges, err := c.children(desc, data)
	if err != nil {
		return err
	}
	var g errgroup.Group
	for _, e := range edges {
		g.Go(func() error { return c.visit(ctx, e.Descriptor) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	if held {
		c.reused(desc)
		return nil
	}
	return c.push(ctx, desc, data)
}

// read gets a manifest's bytes: from the target if it can give them back, so
// that a second copy asks the source for nothing.
func (c *copier) read(ctx context.Context, desc oci.Descriptor) (data []byte, held bool, err error) {
	if f, ok := c.dst.(Fetcher); ok && !c.closed {
		here, err := c.dst.Exists(ctx, desc)
		if err != nil {
			return nil, false, err
		}
		if here {
			if data, err = ReadAll(ctx, f, desc, oci.MaxManifestSize); err == nil {
				return data, true, nil
			}
		}
	}
	if err := c.slots.Acquire(ctx, 1); err != nil {
		return nil, false, err
	}
	defer c.slots.Release(1)
	data, err = ReadAll(ctx, c.src, desc, oci.MaxManifestSize)
	return data, false, err
}

func (c *copier) children(desc oci.Descriptor, data []byte) ([]oci.Edge, error) {
	all, err := oci.Successors(desc.MediaType, data)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w: %v", desc.Digest, ErrCorrupt, err)
	}
	edges := all[:0]
	for _, e := range all {
		if e.Role != oci.RoleSubject {
			edges = append(edges, e)
		}
	}
	if c.opts.Children == nil {
		return edges, nil
	}
	return c.opts.Children(desc, edges)
}

// push writes a manifest whose bytes are in memory.
func (c *copier) push(ctx context.Context, desc oci.Descriptor, data []byte) error {
	c.event(EventStarted, desc, 0)
	write := c.dst.Push
	if in, ok := c.dst.(Ingester); ok { // which takes the origin, too
		write = func(ctx context.Context, desc oci.Descriptor, r io.Reader) error { return c.write(ctx, in, desc, r) }
	}
	if err := write(ctx, desc, bytes.NewReader(data)); err != nil {
		c.event(EventFailed, desc, 0)
		return err
	}
	c.moved(desc, desc.Size)
	return nil
}

func (c *copier) write(ctx context.Context, in Ingester, desc oci.Descriptor, r io.Reader) error {
	w, err := in.Writer(ctx, IngestOptions{Expected: desc.Digest, Total: desc.Size, MediaType: desc.MediaType, Source: c.opts.Origin})
	if errors.Is(err, ErrExists) {
		return nil
	}
	if err != nil {
		return err
	}
	defer w.Close()
	if _, err := io.Copy(w, r); err != nil {
		return err
	}
	_, err = w.Commit(ctx)
	return err
}

func (c *copier) blob(ctx context.Context, desc oci.Descriptor) error {
	if err := c.slots.Acquire(ctx, 1); err != nil {
		return err
	}
	defer c.slots.Release(1)
	if in, ok := c.dst.(Ingester); ok {
		return c.ingest(ctx, in, desc)
	}
	here, err := c.dst.Exists(ctx, desc)
	if err != nil {
		return err
	}
	if !here {
		here, err = c.mount(ctx, desc)
	}
	if err != nil {
		return err
	}
	if here {
		c.reused(desc)
		return nil
	}
	c.event(EventStarted, desc, 0)
	if err := c.send(ctx, desc); err != nil {
		c.event(EventFailed, desc, 0)
		return err
	}
	c.moved(desc, desc.Size)
	return nil
}

// mount tries the repositories that may hold desc. A mount is an optimisation:
// when it fails the blob is pushed, and what is really wrong shows there.
func (c *copier) mount(ctx context.Context, desc oci.Descriptor) (bool, error) {
	m, ok := c.dst.(Mounter)
	if !ok || c.opts.MountFrom == nil {
		return false, nil
	}
	for _, from := range c.opts.MountFrom(desc) {
		if done, err := m.Mount(ctx, desc, from); err == nil && done {
			return true, nil
		}
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
	}
	return false, nil
}

func (c *copier) event(k EventKind, desc oci.Descriptor, offset int64) {
	c.opts.Observe(Event{Kind: k, Descriptor: desc, Offset: offset, Total: desc.Size})
}

func (c *copier) reused(desc oci.Descriptor) {
	c.reusedBytes.Add(desc.Size)
	c.reusedBlobs.Add(1)
	c.event(EventReused, desc, desc.Size)
}

func (c *copier) moved(desc oci.Descriptor, n int64) {
	c.movedBytes.Add(n)
	c.movedBlobs.Add(1)
	c.event(EventFinished, desc, desc.Size)
}
