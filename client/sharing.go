package client

import (
	"context"
	"io"
	"slices"
	"sync"

	"dist.example/content"
	"dist.example/oci"
)

// sharing is what the images of one sync know of each other: which repositories of
// the target hold what, and what is on its way there. So nothing is asked for or
// sent twice, and a second repository mounts what the first one got.
type sharing struct {
	mu   sync.Mutex
	held map[oci.Digest][]oci.Reference // repositories
	busy map[oci.Digest]*errand
	tags map[oci.Reference]attachedTag // of attachments, as they are now
}

// attachedTag is what the tag of an attachment names.
type attachedTag struct {
	desc oci.Descriptor
	data []byte
}

// errand is the work of one image on one digest.
type errand struct {
	owner *sharedTarget
	done  chan struct{}
}

func newSharing() *sharing {
	return &sharing{
		held: map[oci.Digest][]oci.Reference{}, busy: map[oci.Digest]*errand{}, tags: map[oci.Reference]attachedTag{},
	}
}

func (s *sharing) add(d oci.Digest, repo oci.Reference) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(s.held[d], repo) {
		s.held[d] = append(s.held[d], repo)
	}
}

func (s *sharing) has(d oci.Digest, repo oci.Reference) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.held[d], repo)
}

// tag notes what the tag of an attachment names now.
func (s *sharing) tag(repo oci.Reference, subject oci.Digest, suffix string, desc oci.Descriptor, data []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	repo.Tag = oci.AttachmentTag(subject, suffix)
	s.tags[repo] = attachedTag{desc, data}
}

func (s *sharing) untag(repo oci.Reference, subject oci.Digest, suffix string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	repo.Tag = oci.AttachmentTag(subject, suffix)
	delete(s.tags, repo)
}

// tagged is what the tag of an attachment names, if one of the images knows.
func (s *sharing) tagged(repo oci.Reference, subject oci.Digest, suffix string) (attachedTag, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	repo.Tag = oci.AttachmentTag(subject, suffix)
	t, ok := s.tags[repo]
	return t, ok
}

// maxMounts is how many repositories are asked for a blob. One that refuses is a
// sign of a registry that always does.
const maxMounts = 2

// neighbours are repositories beside repo that hold d.
func (s *sharing) neighbours(d oci.Digest, repo oci.Reference) []oci.Reference {
	s.mu.Lock()
	defer s.mu.Unlock()
	var refs []oci.Reference
	for _, r := range s.held[d] {
		if r != repo && r.Registry == repo.Registry && len(refs) < maxMounts {
			refs = append(refs, r)
		}
	}
	return refs
}

// begin says that repo holds d, or gives the errand of bringing it there to owner,
// once nobody else is about it. Waiting cannot go in a circle: whoever has the
// errand of a manifest waits for what lies below it alone, and that of a blob is
// under way.
func (s *sharing) begin(ctx context.Context, d oci.Digest, owner *sharedTarget) (held bool, err error) {
	for {
		s.mu.Lock()
		other := s.busy[d]
		switch {
		case slices.Contains(s.held[d], owner.Reference()):
			s.mu.Unlock()
			return true, nil
		case other == nil:
			s.busy[d] = &errand{owner, make(chan struct{})}
			s.mu.Unlock()
			return false, nil
		}
		s.mu.Unlock()
		select {
		case <-other.done:
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

// end gives owner's errand back; there says whether its repository holds d now.
func (s *sharing) end(d oci.Digest, owner *sharedTarget, there bool) {
	if there {
		s.add(d, owner.Reference())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.busy[d]; e != nil && e.owner == owner {
		delete(s.busy, d)
		close(e.done)
	}
}

// leave gives back all errands of owner, whose copy has ended.
func (s *sharing) leave(owner *sharedTarget) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for d, e := range s.busy {
		if e.owner == owner {
			delete(s.busy, d)
			close(e.done)
		}
	}
}

// sharedTarget is the target of one image of a sync.
type sharedTarget struct {
	*toRegistry
	run *sharing
}

// Exists implements content.Pusher.
func (t *sharedTarget) Exists(ctx context.Context, desc oci.Descriptor) (bool, error) {
	if held, err := t.run.begin(ctx, desc.Digest, t); held || err != nil {
		return held, err
	}
	here, err := t.toRegistry.Exists(ctx, desc)
	if here || err != nil {
		t.run.end(desc.Digest, t, here)
	}
	return here, err
}

// Mount implements content.Mounter.
func (t *sharedTarget) Mount(ctx context.Context, desc oci.Descriptor, from oci.Reference) (bool, error) {
	done, err := t.toRegistry.Mount(ctx, desc, from)
	if done && err == nil {
		t.run.end(desc.Digest, t, true)
	}
	return done, err
}

// Push implements content.Pusher.
func (t *sharedTarget) Push(ctx context.Context, desc oci.Descriptor, r io.Reader) error {
	err := t.toRegistry.Push(ctx, desc, r)
	t.run.end(desc.Digest, t, err == nil)
	return err
}

// Attached implements content.AttachmentHolder.
func (t *sharedTarget) Attached(ctx context.Context, subject oci.Digest, suffix string) (oci.Descriptor, []byte, error) {
	if known, ok := t.run.tagged(t.Reference(), subject, suffix); ok {
		return known.desc, known.data, nil
	}
	return t.toRegistry.Attached(ctx, subject, suffix)
}

// Attach implements content.Attacher. What is known of a tag that somebody else has
// moved is forgotten.
func (t *sharedTarget) Attach(ctx context.Context, subject oci.Digest, suffix string, desc oci.Descriptor, data []byte, old oci.Digest) error {
	err := t.toRegistry.Attach(ctx, subject, suffix, desc, data, old)
	if err == nil {
		t.run.tag(t.Reference(), subject, suffix, desc, data)
	} else {
		t.run.untag(t.Reference(), subject, suffix)
	}
	return err
}

// plannedTarget is the same for a plan, in which images come one after the other.
type plannedTarget struct {
	*toRegistry
	run    *sharing
	mu     sync.Mutex
	spared int64 // requests that a run need not make either
}

// Exists implements content.Holder.
func (t *plannedTarget) Exists(ctx context.Context, desc oci.Descriptor) (bool, error) {
	if t.run.has(desc.Digest, t.Reference()) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.spared++
		return true, nil
	}
	return t.toRegistry.Exists(ctx, desc)
}

// Attached implements content.AttachmentHolder.
func (t *plannedTarget) Attached(ctx context.Context, subject oci.Digest, suffix string) (oci.Descriptor, []byte, error) {
	if known, ok := t.run.tagged(t.Reference(), subject, suffix); ok {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.spared++
		return known.desc, known.data, nil
	}
	return t.toRegistry.Attached(ctx, subject, suffix)
}

// take takes in what the plan of this image would bring or has found.
func (t *plannedTarget) take(work *content.Plan) {
	for _, a := range work.Attachments {
		t.run.tag(t.Reference(), a.Subject, a.Suffix, a.Target, a.Data)
	}
	work.Requests -= t.spared
	work.Looks -= t.spared
	for _, item := range work.Items {
		t.run.add(item.Descriptor.Digest, t.Reference())
	}
}
