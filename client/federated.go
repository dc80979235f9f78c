package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"sync"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryclient"
)

// maxPlaces bounds the repositories that are asked for one object.
const maxPlaces = 8

// federated is a repository as a source, and, for what it cannot give, every other
// place that is known to have it: naming is not transport, and a digest is as good
// from one place as from the other. Those are the store itself, where it is not the
// target, the sources that it remembers, the last used first, then the repositories
// that the command names. They are looked for only when they are needed.
//
// It is a content.RangeFetcher, a content.StretchFetcher, a content.ReferrerLister, a content.AttachmentLister,
// and Located.
type federated struct {
	own    oci.Reference
	store  func(context.Context) (*blobstore.Store, error) // nil for none
	here   bool                                            // the store itself is asked, too
	remote *registryclient.Client
	others []oci.Reference
	warn   func(string)

	mu      sync.Mutex
	repos   map[oci.Reference]*registryclient.Repository
	objects map[oci.Digest]*places
	down    bool // the repository itself did not answer
}

// places are where one object is asked for, in order, and how far that went.
type places struct {
	list []oci.Reference
	next int
	all  bool          // list has the others, too
	gave oci.Reference // the last one that gave something
}

// inStore stands for the store among places; no repository is called that.
var inStore = oci.Reference{Registry: "the store"}

// federate is src for a copy past the store, and where that is a registry, for what
// it cannot give, the store and what that remembers. A store that cannot be opened
// is none: the copy is not about it.
func (c *Client) federate(src content.ImageSource) content.Fetcher {
	from, ok := src.(fromRegistry)
	if !ok {
		return src
	}
	f := newFederated(from.ref, from.remote, c.opts.Warn)
	f.store, f.here = c.storeIfAny, true
	f.repos[f.own] = from.Repository
	return f
}

func newFederated(own oci.Reference, remote *registryclient.Client, warn func(string)) *federated {
	return &federated{
		own: repository(own), remote: remote, warn: warn,
		repos: map[oci.Reference]*registryclient.Repository{}, objects: map[oci.Digest]*places{},
	}
}

// repository is ref without tag and digest.
func repository(ref oci.Reference) oci.Reference {
	return oci.Reference{Registry: ref.Registry, Repository: ref.Repository}
}

// repo is one Repository for each place: it remembers what it learns about the way.
func (f *federated) repo(ref oci.Reference) *registryclient.Repository {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, ok := f.repos[ref]
	if !ok {
		r = f.remote.Repository(ref)
		f.repos[ref] = r
	}
	return r
}

// Referrers implements content.ReferrerLister by the repository itself: what is
// about something elsewhere is others' business.
func (f *federated) Referrers(ctx context.Context, subject oci.Digest, artifactType string) iter.Seq2[oci.Descriptor, error] {
	return f.repo(f.own).Referrers(ctx, subject, artifactType)
}

// Attachments implements content.AttachmentLister, as Referrers.
func (f *federated) Attachments(ctx context.Context, subject oci.Digest) iter.Seq2[content.Attachment, error] {
	return f.repo(f.own).Attachments(ctx, subject)
}

// Doubt implements content.Doubter.
func (f *federated) Doubt() {
	f.mu.Lock()
	repos := slices.Collect(func(yield func(*registryclient.Repository) bool) {
		for _, r := range f.repos {
			if !yield(r) {
				return
			}
		}
	})
	f.mu.Unlock()
	for _, r := range repos {
		r.Doubt()
	}
}

// Locator implements content.Located.
func (f *federated) Locator(d oci.Digest) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p, ok := f.objects[d]; ok && p.gave.Repository != "" {
		return p.gave.Name()
	}
	return ""
}

// Reroute implements content.Rerouter.
func (f *federated) Reroute(ctx context.Context, d oci.Digest) bool {
	p := f.placesFor(ctx, d)
	f.mu.Lock()
	last := p.next+1 >= len(p.list)
	f.mu.Unlock()
	if last && !f.extend(ctx, d, p) {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p.next++
	return true
}

// Fetch implements content.Fetcher.
func (f *federated) Fetch(ctx context.Context, desc oci.Descriptor) (io.ReadCloser, error) {
	r, err := f.FetchFrom(ctx, desc, 0)
	if err != nil {
		return nil, err
	}
	return content.VerifyCloser(r, desc), nil
}

// FetchFrom implements content.RangeFetcher. Where one place stops giving, the
// next one goes on from there. The error is that of the first place.
func (f *federated) FetchFrom(ctx context.Context, desc oci.Descriptor, offset int64) (io.ReadCloser, error) {
	return f.stretch(ctx, desc, offset, toTheEnd)
}

// FetchStretch implements content.StretchFetcher, as FetchFrom.
func (f *federated) FetchStretch(ctx context.Context, desc oci.Descriptor, offset, length int64) (io.ReadCloser, error) {
	return f.stretch(ctx, desc, offset, offset+length)
}

// toTheEnd is the end of a stretch that has all that follows.
const toTheEnd = -1

func (f *federated) stretch(ctx context.Context, desc oci.Descriptor, offset, end int64) (io.ReadCloser, error) {
	r, err := f.open(ctx, desc, offset, end, nil)
	if err != nil {
		return nil, err
	}
	return &relay{f: f, ctx: ctx, desc: desc, at: offset, end: end, r: r}, nil
}

// open opens the object, or its bytes up to end, at the first place from p.next on that gives it. cause is
// what went wrong at the place before, nil for nothing yet.
func (f *federated) open(ctx context.Context, desc oci.Descriptor, offset, end int64, cause error) (io.ReadCloser, error) {
	p := f.placesFor(ctx, desc.Digest)
	for {
		at, ok := f.place(ctx, desc.Digest, p)
		if !ok {
			return nil, cause
		}
		r, err := f.fetch(ctx, at, desc, offset, end)
		if err == nil {
			f.settle(p, at, desc, cause)
			return r, nil
		}
		if !elsewhere(ctx, err) {
			return nil, err
		}
		f.passOver(p, at, err)
		if cause == nil {
			cause = err
		}
	}
}

// place is the next place to ask; false when all were asked.
func (f *federated) place(ctx context.Context, d oci.Digest, p *places) (oci.Reference, bool) {
	f.mu.Lock()
	end := p.next >= len(p.list)
	f.mu.Unlock()
	more := end && f.extend(ctx, d, p)
	f.mu.Lock()
	defer f.mu.Unlock()
	if end && !more {
		p.next = 0 // for another try
		return oci.Reference{}, false
	}
	return p.list[p.next], true
}

// fetch asks one place.
func (f *federated) fetch(ctx context.Context, at oci.Reference, desc oci.Descriptor, offset, end int64) (io.ReadCloser, error) {
	switch {
	case at == inStore:
	case end == toTheEnd:
		return f.repo(at).FetchFrom(ctx, desc, offset)
	default:
		return f.repo(at).FetchStretch(ctx, desc, offset, end-offset)
	}
	s, err := f.store(ctx)
	if err != nil {
		return nil, err
	}
	r, err := s.Fetch(ctx, desc)
	if err != nil {
		return nil, err
	}
	if _, err := io.CopyN(io.Discard, r, offset); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// settle notes who gives the object, and says so when it is not the repository
// that was asked.
func (f *federated) settle(p *places, at oci.Reference, desc oci.Descriptor, cause error) {
	f.mu.Lock()
	news := at != f.own && p.gave != at
	p.gave = at
	f.mu.Unlock()
	if !news {
		return
	}
	from := at.Name()
	if at == inStore {
		from = at.Registry
	}
	line := fmt.Sprintf("%s comes from %s in place of %s", desc.Digest, from, f.own.Name())
	if cause != nil {
		line += fmt.Sprintf(": %v", cause)
	}
	f.warn(line)
}

// passOver leaves a place that does not give the object.
func (f *federated) passOver(p *places, at oci.Reference, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p.next++
	f.down = f.down || at == f.own && errors.Is(err, content.ErrUnavailable)
}

// elsewhere says whether err is about the place, so that another may do better.
func elsewhere(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	for _, class := range []error{content.ErrNotFound, content.ErrUnavailable, content.ErrDenied, content.ErrCorrupt} {
		if errors.Is(err, class) {
			return true
		}
	}
	return false
}

// placesFor finds where d may be had: the repository itself first, unless it has
// been found not to answer.
func (f *federated) placesFor(ctx context.Context, d oci.Digest) *places {
	f.mu.Lock()
	p, ok := f.objects[d]
	if !ok {
		p = &places{}
		f.objects[d] = p
	}
	down := f.down
	f.mu.Unlock()
	if !ok && down {
		f.extend(ctx, d, p)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Contains(p.list, f.own) {
		p.list = append(p.list, f.own)
	}
	return p
}

// extend adds to p the places beside the repository itself, once, and says whether
// there are any.
func (f *federated) extend(ctx context.Context, d oci.Digest, p *places) bool {
	f.mu.Lock()
	done := p.all
	p.all = true
	f.mu.Unlock()
	if done {
		return false
	}
	more := f.elsewhere(ctx, d)
	f.mu.Lock()
	defer f.mu.Unlock()
	p.list = append(p.list, more...)
	return len(more) > 0
}

// elsewhere lists the places of d beside the repository itself.
func (f *federated) elsewhere(ctx context.Context, d oci.Digest) []oci.Reference {
	var list []oci.Reference
	add := func(ref oci.Reference) {
		if len(list) < maxPlaces && !slices.Contains(list, ref) && ref != f.own {
			list = append(list, ref)
		}
	}
	for _, locator := range f.known(ctx, d, add) {
		if ref, err := oci.ParseRepository(locator); err == nil {
			add(repository(ref))
		}
	}
	for _, ref := range f.others {
		add(ref)
	}
	return list
}

// known lists what the store remembers of d; add is told of the store itself, where
// it has d. Without a store there are fewer places.
func (f *federated) known(ctx context.Context, d oci.Digest, add func(oci.Reference)) []string {
	if f.store == nil {
		return nil
	}
	s, err := f.store(ctx)
	if err != nil || s == nil {
		return nil
	}
	if info, err := s.Info(ctx, d); f.here && err == nil && info.Place != "damaged" {
		add(inStore)
	}
	sources, _ := s.Sources(ctx, d) // see above
	return sources
}

// relay reads an object from one place after the other. Whoever reads it checks
// the whole.
type relay struct {
	f    *federated
	ctx  context.Context //nolint:containedctx // of opening: it covers the reading
	desc oci.Descriptor
	at   int64
	end  int64 // or toTheEnd
	r    io.ReadCloser
}

func (r *relay) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.at += int64(n)
	if err == nil || errors.Is(err, io.EOF) || oci.HasSuccessors(r.desc.MediaType) || !elsewhere(r.ctx, err) {
		return n, err
	}
	if !r.f.Reroute(r.ctx, r.desc.Digest) {
		return n, err
	}
	next, nerr := r.f.open(r.ctx, r.desc, r.at, r.end, err)
	if nerr != nil {
		return n, err
	}
	r.r.Close()
	r.r = next
	return n, nil
}

func (r *relay) Close() error { return r.r.Close() }
