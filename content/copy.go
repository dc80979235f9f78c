package content

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"dist.example/oci"
)

// DefaultJobs is how many blobs Copy moves at once when nothing else is said.
const DefaultJobs = 4

// CopyOptions direct a Copy. The zero value copies everything.
type CopyOptions struct {
	// Jobs bounds the blobs and manifests in flight; 0 means DefaultJobs.
	Jobs int
	// Children picks which of a manifest's successors go along, nil means all. The
	// subject is never among edges: a referrer does not bring what it is about.
	// An error ends the copy. Attachments go along whole.
	Children func(parent oci.Descriptor, edges []oci.Edge) ([]oci.Edge, error)
	// Referrers brings along what is about the copied manifests: signatures, lists of
	// contents, and in turn what is about those. A source that is no ReferrerLister
	// has none. What is about them by a tag alone comes along, too, from a source that
	// is an AttachmentLister to a target that is an Attacher. See Copy.
	Referrers bool
	// MountFrom names repositories on the target's registry that may hold a blob.
	MountFrom func(oci.Descriptor) []oci.Reference
	// Origin is the locator recorded as the source of what is written, where a source
	// is not Located and knows better.
	Origin string
	// Manifests are those that a plan has read for the copy after it, or that one has
	// read: the source is asked for none of them. nil is fine.
	Manifests *Manifests
	// Observe is told of progress, nil is fine.
	Observe Observer
	// Warn is told what is left out, in a line each; nil is fine.
	Warn func(string)
}

// warn says in a line what a person should know.
func (o *CopyOptions) warn(format string, args ...any) {
	if o.Warn != nil {
		o.Warn(fmt.Sprintf(format, args...))
	}
}

// Stats is the account of a Copy.
type Stats struct {
	MovedBytes  int64 // read from the source and written
	ReusedBytes int64 // held by the target before, or mounted there
	MovedBlobs  int
	ReusedBlobs int
	Referrers   int // manifests about others, now at the target: moved or found there
}

// Add returns the sum of two accounts.
func (s Stats) Add(t Stats) Stats {
	return Stats{
		s.MovedBytes + t.MovedBytes, s.ReusedBytes + t.ReusedBytes,
		s.MovedBlobs + t.MovedBlobs, s.ReusedBlobs + t.ReusedBlobs,
		s.Referrers + t.Referrers,
	}
}

// Copy moves root and what it reaches from src to dst: leaves first, each
// manifest after its children, root after all of them, so that a target never
// holds a manifest whose content it lacks. Blobs go in parallel, each digest
// once. What dst holds is not moved. Copy gives no names.
//
// A target that is an Ingester gets every blob as a resumable ingest keyed by
// its digest: an interrupted Copy goes on where it stopped, and two at once
// share the work. The account is valid also when an error is returned.
//
// With Referrers, src is asked then what is about each manifest of the graph, and
// that is moved in the same way, each referrer a graph of its own whose subject
// is not followed. So are those that a Closed target need not be looked into for:
// when it has an index, src is asked about the index and the images that it
// lists, as it may have been signed since. A source that says ErrNotFound or
// ErrUnsupported to that has no referrers. More than MaxReferrers of one
// subject, and referrers that are neither manifest nor index, are refused
// (ErrUnsupported), as is one whose subject is another (ErrCorrupt).
//
// Then come the attachments of the graph's manifests, those that are attestations
// within an index left out. Where the target has another one at the tag, none is lost:
// it gets the layers of both, in the form in which cosign writes them. What cannot be
// joined (an SBOM, which is one document; another form; more than MaxJoined layers)
// stays as it is at the target, with a warning.
func Copy(ctx context.Context, dst Pusher, src Fetcher, root oci.Descriptor, opts CopyOptions) (Stats, error) {
	if opts.Observe == nil {
		opts.Observe = func(Event) {}
	}
	c := &copier{dst: dst}
	c.walk = newWalk(dst, src, opts, c)
	err := c.run(ctx, root)
	return Stats{
		MovedBytes: c.movedBytes.Load(), ReusedBytes: c.reusedBytes.Load(),
		MovedBlobs: int(c.movedBlobs.Load()), ReusedBlobs: int(c.reusedBlobs.Load()),
		Referrers: c.referrers,
	}, err
}

// copier is the walk of Copy.
type copier struct {
	*walk
	dst Pusher

	movedBytes, reusedBytes, movedBlobs, reusedBlobs atomic.Int64
}

// manifest writes a manifest whose bytes are in memory.
func (c *copier) manifest(ctx context.Context, desc oci.Descriptor, data []byte) error {
	return c.put(ctx, desc, data, desc.Size)
}

// put writes what is in memory, of which so many bytes come from the source.
func (c *copier) put(ctx context.Context, desc oci.Descriptor, data []byte, moves int64) error {
	c.event(EventStarted, desc, 0)
	write := c.dst.Push
	if in, ok := c.dst.(Ingester); ok { // which takes the origin, too
		write = func(ctx context.Context, desc oci.Descriptor, r io.Reader) error { return c.write(ctx, in, desc, r) }
	}
	if err := write(ctx, desc, bytes.NewReader(data)); err != nil {
		c.event(EventFailed, desc, 0)
		return err
	}
	c.moved(desc, moves)
	return nil
}

func (c *copier) made(ctx context.Context, desc oci.Descriptor, data []byte) error {
	here, err := c.dst.Exists(ctx, desc)
	if err != nil {
		return err
	}
	if here {
		c.held(desc)
		return nil
	}
	return c.put(ctx, desc, data, 0)
}

// attach gives a manifest that is in memory the tag of an attachment. A target that
// is not Closed gets it as any other before, so that it knows where it comes from.
func (c *copier) attach(ctx context.Context, at tagging, g given) error {
	to, ok := c.dst.(Attacher)
	if !ok {
		return fmt.Errorf("%s: %w: the target keeps none", at, ErrUnsupported)
	}
	give := func() error {
		return to.Attach(ctx, at.subject, at.suffix, g.Descriptor, g.data, at.old.Digest)
	}
	if !c.closed {
		if !g.held {
			if err := c.put(ctx, g.Descriptor, g.data, g.moves); err != nil {
				return err
			}
		}
		return give()
	}
	c.event(EventStarted, g.Descriptor, 0)
	if err := give(); err != nil {
		c.event(EventFailed, g.Descriptor, 0)
		return err
	}
	c.moved(g.Descriptor, g.moves)
	return nil
}

func (c *copier) write(ctx context.Context, in Ingester, desc oci.Descriptor, r io.Reader) error {
	w, err := in.Writer(ctx, IngestOptions{Expected: desc.Digest, Total: desc.Size, MediaType: desc.MediaType, Source: c.origin(desc)})
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
		c.held(desc)
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

func (c *copier) coming(desc oci.Descriptor) { c.event(EventPlanned, desc, 0) }

func (c *copier) held(desc oci.Descriptor) {
	c.reusedBytes.Add(desc.Size)
	c.reusedBlobs.Add(1)
	c.event(EventReused, desc, desc.Size)
}

func (c *copier) moved(desc oci.Descriptor, n int64) {
	c.movedBytes.Add(n)
	c.movedBlobs.Add(1)
	c.event(EventFinished, desc, desc.Size)
}
