package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"dist.example/blobstore"
	"dist.example/bundle"
	"dist.example/content"
	"dist.example/oci"
)

// CopyOptions direct Copy.
type CopyOptions struct {
	// Platform copies, of an index, the image for this platform alone. nil copies the
	// index with all that it lists: with less its digest would be another.
	Platform *oci.Platform
	// IfDigest is what the target's tag has to stand for, the empty digest that there
	// is no such tag; nil asks for nothing. It is for registries.
	IfDigest *oci.Digest
	// NoReferrers leaves behind what is about the image: signatures and the like.
	NoReferrers bool
	// Evict is as in PullOptions, for a copy into the store.
	Evict bool
}

// Copy moves an image from one place to another, both given as locators (see
// ParseLocator), without the store in between: what comes in goes out at once. What
// a registry cannot give comes from the store, where there is one that has it, or
// from another place that the store remembers for it.
// Between repositories of one registry blobs are mounted. A target without a tag
// takes that of the source. The name comes last, so that nothing is visible before
// it is whole. Where the target's tag stands for the image already, nothing is
// looked at but that.
//
// What goes into the store is held to the policy, where there is one.
//
// Errors: those of the source and of the target; ErrUntrusted; ErrConflict when IfDigest does not
// hold; ErrNotFound when the source lacks a part of an index.
func (c *Client) Copy(ctx context.Context, src, dst string, o CopyOptions) (Summary, error) {
	start, asked := time.Now(), c.Traffic().Requests
	j := &copyJob{c: c, verb: "copy", o: o}
	err := j.run(ctx, src, dst)
	return j.summary(start, asked, "copy "+src, err)
}

// PlanCopy says what Copy would do. Errors: as Copy.
func (c *Client) PlanCopy(ctx context.Context, src, dst string, o CopyOptions) (Plan, error) {
	ctx = blobstore.AsItIs(ctx) // a plan changes nothing
	asked := c.Traffic().Requests
	j := &copyJob{c: c, verb: "copy", o: o}
	plan, err := j.plan(ctx, src, dst, asked)
	if err != nil {
		err = fmt.Errorf("copy %s: %w", src, err)
	}
	return plan, err
}

// copyJob is one run of Copy.
type copyJob struct {
	c    *Client
	verb string
	o    CopyOptions

	src      content.ImageSource
	srcName  oci.Reference // what the image is called at the source
	srcWhere Locator
	dst      Locator
	root     oci.Descriptor
	name     string        // the target's
	at       oci.Reference // the same, of a registry
	old      oci.Digest
	same     bool
	stats    content.Stats
	// manifests are those that were read to find out what has to come.
	manifests *content.Manifests
}

// summary is the account of a run that began at start, after asked requests.
func (j *copyJob) summary(start time.Time, asked int64, what string, err error) (Summary, error) {
	s := Summary{Stats: j.stats, Requests: j.c.Traffic().Requests - asked, Elapsed: time.Since(start)}
	if err != nil {
		return s, fmt.Errorf("%s: %w", what, err)
	}
	s.Names = []Moved{{Name: j.name, Target: j.root, Changed: !j.same}}
	return s, nil
}

func (j *copyJob) run(ctx context.Context, src, dst string) error {
	if err := j.open(ctx, src, dst); err != nil {
		return err
	}
	defer j.src.Close()
	to, err := j.c.target(ctx, j.dst)
	if err != nil {
		return err
	}
	defer to.Close()
	if err := j.look(ctx, to); err != nil || j.same {
		return err
	}
	if err := j.admit(ctx, to); err != nil {
		return err
	}
	release, err := j.c.using(ctx, j.src, j.verb, j.root.Digest)
	if err != nil {
		return err
	}
	defer release()
	j.c.alone(j.src, to)
	source := j.c.federate(j.src)
	if err := j.fit(ctx, to, source); err != nil {
		return err
	}
	for try, healed := 0, false; ; try++ {
		stats, err := content.Copy(ctx, to, source, j.root, j.options(ctx, to))
		if try == 0 || healed {
			j.stats = j.stats.Add(stats)
		}
		if healed = err != nil && try == 0 && j.mended(ctx, err); healed {
			continue
		}
		if err != nil {
			return err
		}
		j.c.hook("copy.copied")
		err = to.Finish(ctx, j.root, j.srcName)
		again, merr := j.overtaken(ctx, to, err, try)
		if !again || merr != nil {
			return errors.Join(err, merr)
		}
	}
}

// mended says whether a copy out of the store that met damage can be tried again: an
// archive cannot, which has bytes by then.
func (j *copyJob) mended(ctx context.Context, err error) bool {
	return !strings.HasSuffix(j.dst.Transport, "-archive") && j.c.mendedSource(ctx, j.src, j.root.Digest, err)
}

// overtaken ends what Finish has returned err for, and says whether the image is to be
// copied once more: into the store, beside somebody who has brought what is about the
// same image meanwhile. The two are joined then. So it is where the name has made room.
func (j *copyJob) overtaken(ctx context.Context, to content.ImageTarget, err error, try int) (again bool, _ error) {
	s, ok := to.(*toStore)
	switch {
	case !ok:
		return false, nil
	case err == nil:
		j.c.noteSignatures(ctx, s.store, j.srcName, j.root.Digest)
		return false, nil
	case !errors.Is(err, content.ErrConflict) || try == signTries:
		return false, nil
	}
	if again, err := s.names.moved(ctx); again || err != nil {
		return again, err
	}
	return s.renew(ctx)
}

// plan counts the requests that it makes itself as those that finding out takes in
// a run, too, and adds what a run would make from there on.
func (j *copyJob) plan(ctx context.Context, src, dst string, asked int64) (Plan, error) {
	var p Plan
	if err := j.open(ctx, src, dst); err != nil {
		return p, err
	}
	defer j.src.Close()
	to, done, err := j.c.holder(ctx, j.dst)
	if err != nil {
		return p, err
	}
	defer done()
	if err := j.look(ctx, to); err != nil {
		return p, err
	}
	n := PlannedName{Name: j.name, Target: j.root, Old: j.old, Action: action(j.old, j.root.Digest)}
	p.Requests = j.c.Traffic().Requests - asked
	if j.same {
		n.Held = j.root.Size
		p.add(n, nil)
		return p, nil
	}
	before := j.c.Traffic().Requests
	work, err := content.PlanCopy(ctx, to, j.c.federate(j.src), j.root, j.options(ctx, to))
	if err != nil {
		return p, err
	}
	j.c.more(&work, before)
	if r, ok := to.(*toRegistry); ok {
		if err := r.entering(ctx, j.root.Digest, &work); err != nil {
			return p, err
		}
		standing(&work)
		work.Requests += r.tagging(j.at, work)
	}
	p.add(n, j.srcWhere.asking(&work))
	if j.dst.Transport != TransportStore {
		return p, nil
	}
	s, err := j.c.storeIfAny(ctx)
	if err != nil || s == nil {
		return p, err
	}
	return p, j.c.planRoom(ctx, s, p.MoveBytes, j.o.Evict, []oci.Reference{j.dst.Reference})
}

// open finds the source and what is to be copied of it.
func (j *copyJob) open(ctx context.Context, src, dst string) (err error) {
	if j.srcWhere, err = j.c.Locate(src); err != nil {
		return err
	}
	if j.dst, err = j.c.Locate(dst); err != nil {
		return err
	}
	if j.dst.Transport == TransportStore { // it has to be a name as it is now
		if _, err := oci.ParseReference(j.dst.Place); err != nil {
			return err
		}
	}
	if j.o.IfDigest != nil && j.dst.Transport != TransportRegistry {
		return fmt.Errorf("%s: %w: only a registry's tag can be asked for its digest", j.dst, content.ErrInvalid)
	}
	if j.o.Evict && j.dst.Transport != TransportStore {
		return fmt.Errorf("%s: %w: room is made in the store alone", j.dst, content.ErrInvalid)
	}
	if j.src, err = j.c.source(ctx, j.srcWhere); err != nil {
		return err
	}
	j.srcName, j.root, err = j.src.Image(ctx)
	if err == nil && j.o.Platform != nil && oci.IsIndex(j.root.MediaType) {
		j.root, err = selectImage(ctx, j.src, j.root, Platforms{Only: j.o.Platform})
	}
	if err == nil && !oci.HasSuccessors(j.root.MediaType) {
		err = notNameable(j.root)
	}
	if err != nil {
		j.src.Close()
	}
	return err
}

// notNameable is the error for content that no registry names.
func notNameable(desc oci.Descriptor) error {
	return content.WithHint(fmt.Errorf("%w: it stands for %s, and registries name manifests only", content.ErrUnsupported, desc.MediaType),
		"`dist pack` makes an image of layers")
}

// look settles the target's name and finds out what it stands for.
func (j *copyJob) look(ctx context.Context, to any) error {
	r, ok := to.(*toRegistry)
	if !ok {
		j.name = j.dst.String()
		return nil
	}
	name, err := r.settle(j.root, j.srcName)
	if err != nil {
		return err
	}
	j.at, j.name = name, name.String()
	if r.expect = j.o.IfDigest; r.expect != nil && name.Tag == "" {
		return fmt.Errorf("%s: %w: there is no tag to ask for its digest", j.name, content.ErrInvalid)
	}
	now, err := r.current(ctx, name)
	if err != nil {
		return err
	}
	j.old = now.Digest
	if r.expect != nil && j.old != *r.expect {
		return r.Moved(name.Tag, j.old, *r.expect)
	}
	if j.same = j.old == j.root.Digest; j.same {
		j.reuse()
	}
	return nil
}

// admit holds an image that comes into the store to the policy.
func (j *copyJob) admit(ctx context.Context, to any) error {
	store, ok := to.(*toStore)
	if !ok {
		return nil
	}
	var marks []blobstore.TrustMark
	if in, ok := j.src.(bundle.InBundle); ok {
		out, err := j.c.admitBundle(ctx, store.store, claimOf(in.Head, false))
		if err != nil {
			return err
		}
		marks = out.marks
	}
	a := admission{name: j.dst.Reference.Local(), desc: j.root, src: j.src, store: store.store}
	if j.srcWhere.Transport == TransportRegistry {
		a.name = j.srcWhere.Reference.Local()
	}
	out, err := j.c.admit(ctx, a)
	store.Trust(append(marks, out.marks...)...)
	return err
}

// reuse is the account of a copy that had nothing to do.
func (j *copyJob) reuse() {
	j.stats = content.Stats{ReusedBytes: j.root.Size, ReusedBlobs: 1}
	j.c.opts.Observe(content.Event{Kind: content.EventReused, Descriptor: j.root, Offset: j.root.Size, Total: j.root.Size})
}

func (j *copyJob) options(ctx context.Context, to any) content.CopyOptions {
	return content.CopyOptions{
		Jobs: j.c.pairs(within(j.src, to), j.c.opts.Jobs), Referrers: !j.o.NoReferrers, Observe: j.c.opts.Observe,
		Origin: j.origin(), Warn: j.c.opts.Warn, Children: j.c.wholeImages(ctx, j.src), MountFrom: neighbour(j.src, to),
		Manifests: j.manifests,
	}
}

// origin is what is recorded as the source of what comes into the store.
func (j *copyJob) origin() string {
	if j.srcWhere.Transport == TransportRegistry {
		return j.srcWhere.Reference.Name()
	}
	return ""
}

// neighbour is the source's repository, where the target is one of the same
// registry.
func neighbour(src, dst any) func(oci.Descriptor) []oci.Reference {
	from, ok1 := src.(fromRegistry)
	to, ok2 := dst.(*toRegistry)
	if !ok1 || !ok2 || from.ref.Registry != to.ref.Registry || from.ref.Repository == to.ref.Repository {
		return nil
	}
	refs := []oci.Reference{from.Reference()}
	return func(oci.Descriptor) []oci.Reference { return refs }
}

// wholeImages lets everything go along but layers that need not be distributed. An
// image that the local store has in part is refused before anything moves: what is
// missing cannot be left out without another digest.
func (c *Client) wholeImages(ctx context.Context, src any) func(oci.Descriptor, []oci.Edge) ([]oci.Edge, error) {
	here, _ := src.(fromStore)
	return func(parent oci.Descriptor, edges []oci.Edge) ([]oci.Edge, error) {
		var (
			out    []oci.Edge
			absent []string
		)
		for _, e := range edges {
			if oci.IsNonDistributable(e.MediaType) {
				continue
			}
			if here.store != nil {
				info, err := here.store.Info(ctx, e.Digest)
				if err == nil && info.Place == "damaged" && blobstore.Heals(ctx) && c.heal(blobstore.AsItIs(ctx), e.Digest) == nil {
					info, err = here.store.Info(ctx, e.Digest)
				}
				if errors.Is(err, content.ErrNotFound) || err == nil && info.Place == "damaged" && !c.wouldHeal(ctx, here.store, e.Digest) {
					absent = append(absent, describeEdge(e))
				} else if err != nil {
					return nil, err
				}
			}
			out = append(out, e)
		}
		if len(absent) > 0 {
			return nil, content.WithHint(
				fmt.Errorf("%s: %w in this store: %s", parent.Digest, content.ErrNotFound, strings.Join(absent, ", ")),
				"pull with --all-platforms first, or take one image with --platform")
		}
		return out, nil
	}
}

// holder opens what a plan has to know of the place that l names, without writing.
func (c *Client) holder(ctx context.Context, l Locator) (to content.Holder, done func(), err error) {
	if l.Transport == TransportStore {
		here, err := c.heldHere(ctx)
		if err != nil {
			return nil, nil, err
		}
		s, err := c.storeIfAny(ctx)
		to := newPlanned(here)
		to.attachingTo = attachingTo{newAttachedNames(s), l.Reference}
		return to, func() {}, err
	}
	path, _, _ := strings.Cut(l.Place, ":")
	if strings.HasSuffix(l.Transport, "-archive") || l.Transport == "oci" && isEmpty(path) {
		return nothing{}, func() {}, nil // it is written anew, and opening it would begin with that
	}
	t, err := c.target(ctx, l)
	if err != nil {
		return nil, nil, err
	}
	return t, func() { _ = t.Close() }, nil
}
