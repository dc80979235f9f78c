package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryclient"
)

// Summary is the account of a verb that moved content.
type Summary struct {
	content.Stats
	Requests int64
	Elapsed  time.Duration
	Names    []Moved
	// Looked says whether it was asked now what is about the images. Without,
	// Referrers counts nothing.
	Looked bool
}

// Moved is one name of a Summary.
type Moved struct {
	Reference oci.Reference
	Target    oci.Descriptor
	Changed   bool // false when it stood for Target before
}

// PullOptions direct Pull.
type PullOptions struct {
	Platforms
	// Registry replaces the host of every reference, "" leaves it.
	Registry string
	// Verify hashes again what is here already, and fetches what is damaged.
	Verify bool
	// Referrers says whether what is about the images comes along.
	Referrers Referrers
	// Revalidate is how long it is not asked again what is about an image that is
	// here. 0 means DefaultRevalidate, less than 0 that it always is.
	Revalidate time.Duration
}

// Pull brings images and other artifacts from their registries into the store,
// which is made when there is none, and lets their names stand for them: all
// names or, with an error, none. What is here is not fetched; what an earlier try
// left half done goes on where it stopped. Of an index only the chosen platforms
// come, and the others are recorded as absent. What is about the images comes
// after them; of those that are here, the registry is asked for it once in a
// while. What a registry cannot give comes from another that is known to have it.
//
// Errors: those of the registry; ErrUnsupported for a section of an unknown type;
// ErrConflict when a name was moved by somebody else meanwhile.
func (c *Client) Pull(ctx context.Context, names []string, o PullOptions) (Summary, error) {
	p := &pull{c: c, o: o, start: time.Now()}
	for _, name := range names {
		ref, err := parseName(name, o.Registry)
		if err != nil {
			return Summary{}, err
		}
		if !slices.ContainsFunc(p.images, func(im *pulled) bool { return im.ref == ref }) {
			p.images = append(p.images, &pulled{ref: ref})
		}
	}
	var err error
	if p.remote, err = c.registry(); err != nil {
		return Summary{}, err
	}
	if err = p.remote.Online(); err != nil {
		return Summary{}, err
	}
	p.asked = p.remote.Stats().Requests
	if p.store, err = c.Init(ctx); err != nil {
		return Summary{}, err
	}
	err = p.run(ctx)
	return p.summary(), err
}

// pull is one run of Pull.
type pull struct {
	c      *Client
	o      PullOptions
	remote *registryclient.Client
	store  *blobstore.Store
	start  time.Time
	asked  int64 // requests of this client before
	images []*pulled
	stats  content.Stats
}

// pulled is one reference of a pull.
type pulled struct {
	ref    oci.Reference
	desc   oci.Descriptor
	old    oci.Digest // what the name stood for, "" for nothing
	needed bool       // false when everything is here and the name stands
	look   bool       // it is to be asked what is about it
	source *federated
}

func (p *pull) summary() Summary {
	s := Summary{Stats: p.stats, Requests: p.remote.Stats().Requests - p.asked, Elapsed: time.Since(p.start)}
	for _, im := range p.images {
		if im.desc.Digest != "" {
			s.Names = append(s.Names, Moved{im.ref.Local(), im.desc, im.old != im.desc.Digest})
			s.Looked = s.Looked || im.look
		}
	}
	return s
}

func (p *pull) run(ctx context.Context) error {
	work := false
	for _, im := range p.images {
		if err := p.resolve(ctx, im); err != nil {
			return err
		}
		work = work || im.needed || im.look
	}
	if !work {
		return nil
	}
	p.c.hook("pull.resolved")
	ses, err := p.store.Begin(ctx, blobstore.SessionOptions{Note: "pull"})
	if err != nil {
		return err
	}
	defer ses.Close()
	// What a name reaches may be given up or found damaged between the copy and
	// the transaction: then it is fetched again.
	for try := 0; ; try++ {
		if err := p.copyAll(ctx, ses); err != nil {
			return err
		}
		p.c.hook("pull.copied")
		err := ses.Commit(ctx, p.changes()...)
		p.c.hook("pull.named")
		if err == nil {
			p.noteLooks(ctx)
		}
		var missing *blobstore.MissingError
		switch {
		case try == 2:
			return err
		case errors.As(err, &missing):
		case errors.Is(err, content.ErrConflict):
			if quicker, lerr := p.overtaken(ctx); lerr != nil || !quicker {
				return errors.Join(err, lerr)
			}
		default:
			return err
		}
	}
}

// overtaken says whether names were moved meanwhile to the very content that was
// pulled, by others who pulled it too. That is no conflict: they stay.
func (p *pull) overtaken(ctx context.Context) (bool, error) {
	found := false
	for _, im := range p.images {
		n, err := p.store.Name(ctx, im.ref)
		if errors.Is(err, content.ErrNotFound) {
			continue
		}
		if err != nil {
			return false, err
		}
		if n.Target.Digest == im.desc.Digest && im.old != im.desc.Digest {
			im.old, found = im.desc.Digest, true
		}
	}
	return found, nil
}

// resolve asks what a reference stands for, with one request, and looks whether
// anything is left to do.
func (p *pull) resolve(ctx context.Context, im *pulled) error {
	var err error
	if im.desc, err = p.remote.Repository(im.ref).Resolve(ctx, im.ref); err != nil {
		return fmt.Errorf("pull %s: %w", im.ref, err)
	}
	n, err := p.store.Name(ctx, im.ref)
	if err != nil && !errors.Is(err, content.ErrNotFound) {
		return err
	}
	im.old, im.needed = n.Target.Digest, true
	im.look = p.o.Referrers != ReferrersNone
	if im.old != im.desc.Digest || p.o.Verify {
		return nil
	}
	here, size, err := p.complete(ctx, im.desc)
	if err != nil || !here {
		return err
	}
	im.needed = false
	if im.look, err = p.lookDue(ctx, im); err != nil || im.look {
		return err
	}
	p.stats.ReusedBytes += size
	p.stats.ReusedBlobs++
	p.c.opts.Observe(content.Event{Kind: content.EventReused, Descriptor: im.desc, Offset: im.desc.Size, Total: im.desc.Size})
	return nil
}

// complete says whether everything that is wanted of desc is here, and how many
// bytes that is.
func (p *pull) complete(ctx context.Context, desc oci.Descriptor) (bool, int64, error) {
	missing, err := p.store.Missing(ctx, desc.Digest)
	if err != nil || len(missing) > 0 {
		return false, 0, err
	}
	held, _, err := p.store.Reach(ctx, desc.Digest)
	if err != nil || !oci.IsIndex(desc.MediaType) {
		return err == nil, held, err
	}
	data, err := content.ReadAll(ctx, p.store, desc, oci.MaxManifestSize)
	if err != nil {
		return false, 0, nil // it comes again
	}
	edges, err := oci.Successors(desc.MediaType, data)
	if err != nil {
		return false, 0, nil
	}
	wanted, err := p.o.children(desc, edges)
	if err != nil {
		return false, 0, err
	}
	for _, e := range wanted {
		if e.Role == oci.RoleSubject {
			continue
		}
		if here, _, err := p.complete(ctx, e.Descriptor); err != nil || !here {
			return false, 0, err
		}
	}
	return true, held, nil
}

func (p *pull) copyAll(ctx context.Context, ses *blobstore.Session) error {
	for _, im := range p.images {
		if !im.needed && !im.look {
			continue
		}
		var to content.Target = ses
		if p.o.Verify {
			to = verifying{ses, p.store}
		}
		stats, err := content.Copy(ctx, to, p.source(im), im.desc, content.CopyOptions{
			Jobs: p.c.opts.Jobs, Children: p.o.children, Origin: im.ref.Name(), Observe: p.observe, Referrers: im.look,
		})
		p.stats = p.stats.Add(stats)
		if err != nil {
			return fmt.Errorf("pull %s: %w", im.ref, err)
		}
	}
	return nil
}

// observe passes progress on; between two objects a test may stop.
func (p *pull) observe(e content.Event) {
	p.c.opts.Observe(e)
	switch {
	case e.Kind != content.EventFinished:
	case oci.HasSuccessors(e.Descriptor.MediaType):
		p.c.hook("pull.manifest")
	default:
		p.c.hook("pull.blob")
	}
}

func (p *pull) changes() []content.NameChange {
	var changes []content.NameChange
	for _, im := range p.images {
		if im.needed && im.old != im.desc.Digest {
			changes = append(changes, content.NameChange{Reference: im.ref, Expect: &im.old, Target: im.desc.Digest, Why: "pull"})
		}
	}
	return changes
}

// verifying is a session that reads what is here before it says so: a blob that
// fails is marked by the reading, and so comes again.
type verifying struct {
	*blobstore.Session
	store *blobstore.Store
}

func (v verifying) Exists(ctx context.Context, desc oci.Descriptor) (bool, error) {
	// First the bytes: what Exists says yes to is to be kept.
	sound, err := v.sound(ctx, desc.Digest)
	if err != nil || !sound {
		return false, err
	}
	return v.Session.Exists(ctx, desc)
}

func (v verifying) Writer(ctx context.Context, o content.IngestOptions) (content.Writer, error) {
	if _, err := v.sound(ctx, o.Expected); err != nil {
		return nil, err
	}
	return v.Session.Writer(ctx, o)
}

func (v verifying) sound(ctx context.Context, d oci.Digest) (bool, error) {
	err := v.store.Check(ctx, d)
	if errors.Is(err, content.ErrCorrupt) || errors.Is(err, content.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
