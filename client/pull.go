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
	"dist.example/unpack"
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
	// Unpacked is what Pull has unpacked, nil if that was not asked for.
	Unpacked *Unpacked
}

// Moved is one name of a Summary.
type Moved struct {
	Name    string // a reference, or the locator of another target
	Target  oci.Descriptor
	Changed bool // false when it stood for Target before
	// Vouchers are the ids of the keys that vouch for it by the policy, none where
	// nobody has to.
	Vouchers []oci.Digest
}

// PullOptions direct Pull.
type PullOptions struct {
	Platforms
	// List is pulled beside the names: what ReadList gave. An entry NAME:TAG@DIGEST
	// pulls the digest and lets NAME:TAG stand for it, so that a lock brings back the
	// very names it was made of; among the names such a reference is kept as
	// NAME@DIGEST, as Docker does.
	List []ListEntry
	// As is the name for the one image that is pulled, "" for its own.
	As string
	// Lock is a file to write when all is done: the names with their digests, a list
	// again. "" writes none.
	Lock string
	// Registry replaces the host of every reference, "" leaves it.
	Registry string
	// Verify hashes again what is here already, and fetches what is damaged.
	Verify bool
	// Referrers says whether what is about the images comes along.
	Referrers Referrers
	// Revalidate is how long it is not asked again what is about an image that is
	// here. 0 means DefaultRevalidate, less than 0 that it always is.
	Revalidate time.Duration
	// Evict gives up names to make room, those first that were not used for longest,
	// where that is enough. Without, what does not fit is refused.
	Evict bool
	// AllowRollback takes an image whose signature is older than one that was accepted
	// for its name before.
	AllowRollback bool
	// Unpack says where to unpack the one image that is pulled, nil for nowhere. Of an
	// index it is that for Platforms.Only.
	Unpack *UnpackTo
}

// Pull brings images and other artifacts from registries and other places, given
// as references or locators, into the store, which is made when there is none, and
// lets their names stand for them: all names or, with an error, none. What is here
// is not fetched; what an earlier try left half done goes on where it stopped. Of
// an index only the chosen platforms come, and the others are recorded as absent.
// What is about the images comes after them; of those that are here, their place is
// asked for it once in a while. What a registry cannot give comes from another that
// is known to have it.
//
// Where there is a policy, each image is held to it before anything of it comes but
// manifest and signatures.
//
// Errors: those of the sources; ErrUntrusted for an image that the policy refuses;
// ErrInvalid for an image that no name is known for,
// and for two images under one name; ErrUnsupported for a section of an unknown
// type; ErrConflict when a name was moved by somebody else meanwhile; those of Unpack,
// with which the image is here nevertheless.
func (c *Client) Pull(ctx context.Context, names []string, o PullOptions) (Summary, error) {
	p, err := c.newPull(ctx, names, o)
	if err != nil {
		return Summary{}, err
	}
	defer p.close()
	if err := p.online(); err != nil {
		return Summary{}, err
	}
	if p.store, err = c.Init(ctx); err != nil {
		return Summary{}, err
	}
	if err = p.run(ctx); err == nil && o.Lock != "" {
		err = writeLock(ctx, o.Lock, p.lock())
	}
	sum := p.summary()
	if err == nil && o.Unpack != nil {
		sum.Unpacked, err = p.unpack(ctx)
	}
	return sum, err
}

// unpack unpacks the image that is here now.
func (p *pull) unpack(ctx context.Context) (*Unpacked, error) {
	o := p.o.Unpack.UnpackOptions
	o.Platform = p.images[0].wanted.Only
	out, err := p.c.Unpack(ctx, p.images[0].desc.Digest.String(), p.o.Unpack.Dir, o)
	if err != nil {
		return nil, fmt.Errorf("it is here, and is not unpacked: %w", err)
	}
	return &out, nil
}

// PlanPull says what Pull would do. No store is made. Errors: as Pull.
func (c *Client) PlanPull(ctx context.Context, names []string, o PullOptions) (Plan, error) {
	p, err := c.newPull(ctx, names, o)
	if err != nil {
		return Plan{}, err
	}
	defer p.close()
	if err := p.online(); err != nil {
		return Plan{}, err
	}
	return p.plan(ctx)
}

// pull is one run of Pull.
type pull struct {
	c      *Client
	o      PullOptions
	store  *blobstore.Store // nil while there is none
	start  time.Time
	asked  int64 // requests of this client before
	images []*pulled
	stats  content.Stats
	// manifests are those that were read to find out what has to come.
	manifests *content.Manifests
	// attached are the names of what is about the images by tags.
	attached *attachedNames
	// bundles are those that images come from, and bundleMarks what the policy said.
	bundles     bundles
	bundleMarks []blobstore.TrustMark
}

// pulled is one image of a pull.
type pulled struct {
	ListEntry
	where  Locator
	wanted Platforms
	src    content.ImageSource
	name   oci.Reference // what it is called in the store
	desc   oci.Descriptor
	old    oci.Digest // what the name stood for, "" for nothing
	needed bool       // false when everything is here and the name stands
	size   int64      // of what is here then
	look   bool       // it is to be asked what is about it
	others *federated // src, and for what that cannot give, others
	// mending gets the damaged parts of what is here from others.
	mending *mending

	admitted admitted // by the policy
}

func (c *Client) newPull(ctx context.Context, names []string, o PullOptions) (*pull, error) {
	p := &pull{c: c, o: o, start: time.Now(), asked: c.Traffic().Requests, bundles: bundles{}}
	if err := p.find(ctx, slices.Concat(words(names), o.List)); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// find finds out which images are meant.
func (p *pull) find(ctx context.Context, entries []ListEntry) error {
	entries, err := p.bundles.spread(ctx, entries, p.c.opts.Warn)
	if err != nil {
		return err
	}
	for _, e := range entries {
		im, err := p.image(e)
		if err != nil {
			return e.at(err)
		}
		same := func(other *pulled) bool {
			return other.where == im.where && other.name == im.name &&
				oci.FormatPlatform(other.Platform) == oci.FormatPlatform(im.Platform)
		}
		if !slices.ContainsFunc(p.images, same) {
			p.images = append(p.images, im)
		}
	}
	if p.o.Unpack != nil {
		if len(p.images) != 1 {
			return fmt.Errorf("%w: one folder is for one image, not for %d", content.ErrInvalid, len(p.images))
		}
		// Before anything is fetched for it.
		if err := unpack.Vacant(p.o.Unpack.Dir); err != nil {
			return err
		}
	}
	if p.o.As == "" {
		return nil
	}
	if len(p.images) != 1 {
		return fmt.Errorf("%w: one name is for one image, not for %d", content.ErrInvalid, len(p.images))
	}
	p.images[0].name, err = oci.ParseReference(p.o.As)
	return err
}

// image finds out where an entry's image is, and under which name it is kept as far
// as that is known without looking.
func (p *pull) image(e ListEntry) (*pulled, error) {
	im := &pulled{ListEntry: e, wanted: p.o.Platforms}
	if e.Platform != nil && !p.o.All {
		im.wanted.Only = e.Platform
	}
	var err error
	if im.where, err = p.c.Locate(e.Word); err != nil {
		return nil, err
	}
	switch im.where.Transport {
	case TransportStore:
		return nil, content.WithHint(fmt.Errorf("%s: %w: what is in the store need not be pulled", e.Word, content.ErrInvalid),
			"a repository of that name is docker.io/library/%s", e.Word)
	case TransportRegistry:
		if p.o.Registry != "" {
			if im.where.Reference, err = atRegistry(im.where.Reference, p.o.Registry); err != nil {
				return nil, err
			}
		}
		im.where.Place = im.where.Reference.String()
		im.name = im.where.Reference.Local()
		if e.Where != "" && im.where.Reference.Tag != "" {
			im.name = im.where.Reference
			im.name.Digest = ""
		}
	}
	return im, nil
}

// online refuses a pull from registries while the network is not to be used, also
// of what is here, and any pull by a policy that is none.
func (p *pull) online() error {
	if _, err := p.c.inForce(); err != nil {
		return err
	}
	remote, err := p.c.registry()
	if err != nil || !slices.ContainsFunc(p.images, func(im *pulled) bool { return im.where.Transport == TransportRegistry }) {
		return err
	}
	return remote.Online()
}

// close gives back what was opened.
func (p *pull) close() {
	for _, im := range p.images {
		if im.src != nil {
			_ = im.src.Close() // it was only read
		}
	}
	p.bundles.close()
}

func (p *pull) summary() Summary {
	s := Summary{Stats: p.stats, Requests: p.c.Traffic().Requests - p.asked, Elapsed: time.Since(p.start)}
	for _, im := range p.images {
		if im.desc.Digest != "" {
			s.Names = append(s.Names, Moved{im.name.String(), im.desc, im.old != im.desc.Digest, im.admitted.vouchers})
			s.Looked = s.Looked || im.look
		}
	}
	return s
}

// lock is what was pulled, as lines of a lock.
func (p *pull) lock() []lockLine {
	var lines []lockLine
	for _, im := range p.images {
		line := lockLine{name: im.name, digest: im.desc.Digest}
		if !im.wanted.All { // no line says "all"
			line.platform = im.wanted.Only
		}
		lines = append(lines, line)
	}
	return lines
}

func (p *pull) run(ctx context.Context) error {
	if err := p.look(ctx); err != nil {
		return err
	}
	if err := p.admitAll(ctx); err != nil {
		return err
	}
	if !p.work() {
		if err := p.store.SetTrustMarks(ctx, p.marks()...); err != nil {
			return err
		}
		p.store.Use(ctx, p.names()...)
		return p.vouch(ctx)
	}
	p.c.hook("pull.resolved")
	ses, err := p.store.Begin(ctx, blobstore.SessionOptions{Note: "pull"})
	if err != nil {
		return err
	}
	defer ses.Close()
	if err := p.fit(ctx, ses); err != nil {
		return err
	}
	p.attached = newAttachedNames(p.store)
	// What a name reaches may be given up or found damaged between the copy and
	// the transaction: then it is fetched again.
	for try := 0; ; try++ {
		if err := p.copyAll(ctx, ses); err != nil {
			return err
		}
		p.c.hook("pull.copied")
		ses.Trust(p.marks()...)
		err := ses.Commit(ctx, p.changes()...)
		p.c.hook("pull.named")
		if err == nil {
			p.noteLooks(ctx)
			p.noteSignatures(ctx)
			p.store.Use(ctx, p.names()...)
			return p.vouch(ctx)
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

// names are what the images are called in the store.
func (p *pull) names() (names []oci.Reference) {
	for _, im := range p.images {
		names = append(names, im.name)
	}
	return names
}

// work says whether anything is left to do.
func (p *pull) work() bool {
	return slices.ContainsFunc(p.images, func(im *pulled) bool { return im.needed || im.look })
}

// overtaken says whether names were moved meanwhile to the very content that was
// pulled, by others who pulled it too, or made room for it. That is no conflict: they
// stay, or come anew.
func (p *pull) overtaken(ctx context.Context) (bool, error) {
	found, err := p.attached.moved(ctx) // and joined with what is there by now
	if err != nil {
		return false, err
	}
	for _, im := range p.images {
		n, err := p.store.Name(ctx, im.name)
		if errors.Is(err, content.ErrNotFound) {
			var made bool
			if made, err = p.store.MadeRoom(ctx, im.name); made && im.old != "" {
				im.old, found = "", true
			}
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

func (p *pull) copyAll(ctx context.Context, ses *blobstore.Session) error {
	for _, im := range p.images {
		if !im.needed && !im.look {
			continue
		}
		to := keeping{ses, attachingTo{p.attached, im.name}}
		if p.o.Verify {
			to.session = verifying{ses, p.store}
		}
		if err := p.open(ctx, im); err != nil {
			return fmt.Errorf("pull %s: %w", im.Word, im.at(err))
		}
		stats, err := content.Copy(ctx, to, p.source(im), im.desc, p.options(im))
		p.stats = p.stats.Add(stats)
		if err != nil {
			return fmt.Errorf("pull %s: %w", im.Word, im.at(err))
		}
	}
	return nil
}

func (p *pull) options(im *pulled) content.CopyOptions {
	o := content.CopyOptions{
		Jobs: p.c.opts.Jobs, Children: im.wanted.children, Referrers: im.look, Observe: p.observe,
		Warn: p.c.opts.Warn, Manifests: p.manifests,
	}
	if im.where.Transport == TransportRegistry {
		o.Origin = im.where.Reference.Name()
	}
	return o
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
	for i, im := range p.images {
		named := func(other *pulled) bool { return other.name == im.name }
		if im.needed && slices.IndexFunc(p.images, named) == i {
			changes = append(changes, content.NameChange{Reference: im.name, Expect: &im.old, Target: im.desc.Digest, Why: "pull"})
		}
	}
	return append(changes, p.attached.changes("pull")...)
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
	err := v.store.Check(blobstore.AsItIs(ctx), d) // what is damaged comes with all else
	if errors.Is(err, content.ErrCorrupt) || errors.Is(err, content.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
