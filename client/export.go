package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"dist.example/blobstore"
	"dist.example/bundle"
	"dist.example/content"
	"dist.example/layer"
	"dist.example/oci"
)

// Export writes images of the store, with all that is here of them and about them, into
// a file, a folder or a stream that other programs load and Import takes in: a bundle
// (docs/FORMATS.md). Of an index, images that are not here are left out, with a line
// about it. What is damaged is healed, where that can be. Nothing has the name of the
// file before it is whole; nothing is kept elsewhere meanwhile, and a stream has no
// room but what the store takes.
//
// Errors: ErrNotFound for a name, or a part of an image, that is not here; ErrInvalid
// for options that exclude each other; ErrUnsupported for what Docker does not load, in
// its form; ErrCorrupt, ErrNoSpace, ErrDenied; those of the key.
func (c *Client) Export(ctx context.Context, names []string, o ExportOptions) (ExportSummary, error) {
	start := time.Now()
	e, err := c.newExport(ctx, names, o)
	if err != nil {
		return ExportSummary{}, err
	}
	lease, release, err := c.hold(ctx, e.store, "export", e.roots()...)
	if err != nil {
		return ExportSummary{}, err
	}
	defer func() { release() }()
	e.store.Use(ctx, e.used...)
	out, err := e.layOut(ctx, e.seal())
	if err != nil {
		return ExportSummary{}, err
	}
	c.hook("export.begun")
	if err := e.write(ctx, out); err != nil {
		return ExportSummary{}, err
	}
	sum := ExportSummary{ExportPlan: e.plan(out), Signed: o.Sign, Elapsed: time.Since(start)}
	_, sum.Index = out.Contents()
	if e.alone {
		noted, err := e.record(ctx, out, lease)
		if err != nil {
			return sum, err
		}
		if noted {
			release = func() {} // that has ended it
		}
	}
	if o.Lock != "" {
		err = writeLock(ctx, o.Lock, e.lock())
	}
	return sum, err
}

// PlanExport says what Export would carry, and writes nothing. The size of a bundle that
// is to be signed may be a block off. Errors: as Export.
func (c *Client) PlanExport(ctx context.Context, names []string, o ExportOptions) (ExportPlan, error) {
	ctx = blobstore.AsItIs(ctx) // a plan changes nothing
	e, err := c.newExport(ctx, names, o)
	if err != nil {
		return ExportPlan{}, err
	}
	e.plans = true
	out, err := e.layOut(ctx, e.sealLike())
	if err != nil {
		return ExportPlan{}, err
	}
	return e.plan(out), nil
}

// export is one run of Export.
type export struct {
	c      *Client
	o      ExportOptions
	to     exportTarget
	store  *blobstore.Store
	images []ExportedImage
	used   []oci.Reference // names that the images have here
	cargo  *collector
	base   *base // nil for none
	plans  bool  // nothing is written
	alone  bool  // what was written is a bundle: a layout with other images is none
}

// newExport finds out what is to be exported, and whether it can be.
func (c *Client) newExport(ctx context.Context, names []string, o ExportOptions) (*export, error) {
	e := &export{c: c, o: o, to: whereTo(o)}
	if err := e.check(); err != nil {
		return nil, e.told(err)
	}
	var err error
	if e.store, err = c.Open(ctx); err != nil {
		return nil, err
	}
	c.healing(e.store)
	if o.Request != "" {
		if len(names)+len(o.List) > 0 || o.All || o.Platform != nil {
			return nil, fmt.Errorf("export: %w: a request says itself which images are meant", content.ErrInvalid)
		}
		return e, e.answer(ctx)
	}
	if err := e.choose(ctx, names); err != nil {
		return nil, err
	}
	e.base, err = c.exportBase(ctx, e.store, o)
	return e, err
}

// answer takes what a request asks for.
func (e *export) answer(ctx context.Context) error {
	r, err := readRequest(e.o.Request)
	if err != nil {
		return err
	}
	if e.o.List, err = r.list(); err != nil {
		return err
	}
	if err := r.check(ctx, e.store); err != nil {
		return err
	}
	if err := e.choose(ctx, nil); err != nil {
		return err
	}
	e.base, err = r.base(ctx, e.store)
	return err
}

// check refuses options that exclude each other.
func (e *export) check() error {
	switch {
	case e.o.Output == "":
		return fmt.Errorf("%w: nobody says where to", content.ErrInvalid)
	case e.o.Request != "" && e.o.For+e.o.Since != "":
		return fmt.Errorf("%w: a request says itself what is left out", content.ErrInvalid)
	case e.o.Sign && e.o.Name == "":
		return content.WithHint(fmt.Errorf("%w: a bundle that is signed wants a name", content.ErrInvalid),
			"--name says what its receivers know it by, for example site-b/weekly")
	case !e.o.Sign && !e.o.Expires.IsZero():
		return fmt.Errorf("%w: only a signed bundle expires", content.ErrInvalid)
	case !e.o.Expires.IsZero() && !e.o.Expires.After(time.Now()):
		return fmt.Errorf("%w: a bundle that expires at %s is of no use to anybody: that is past", content.ErrInvalid, e.o.Expires.UTC().Format(time.RFC3339))
	case e.o.OCIReferrers && e.o.NoReferrers:
		return fmt.Errorf("%w: signatures and the like cannot be listed and left behind", content.ErrInvalid)
	case e.o.Name != "":
		if err := oci.CheckBundleName(e.o.Name); err != nil {
			return err
		}
	}
	if e.o.Lock != "" {
		if err := canCreate(e.o.Lock); err != nil {
			return fmt.Errorf("lock: %w", err)
		}
	}
	return e.to.check(e.o)
}

// roots are what is exported.
func (e *export) roots() (roots []oci.Digest) {
	for _, i := range e.images {
		roots = append(roots, i.Target.Digest)
	}
	slices.Sort(roots)
	return slices.Compact(roots)
}

// lock is the names with their digests.
func (e *export) lock() (lines []lockLine) {
	for _, i := range e.images {
		if i.Name != "" {
			lines = append(lines, lockLine{name: i.ref, digest: i.Target.Digest})
		}
	}
	return lines
}

// layOut collects what goes along, and lays the bundle out.
func (e *export) layOut(ctx context.Context, seal sealer) (*bundle.Outgoing, error) {
	if err := e.collect(ctx); err != nil {
		return nil, err
	}
	cargo, err := e.bundled(ctx)
	if err != nil {
		return nil, err
	}
	compression := layer.None
	if e.o.Compress != "" {
		if compression, err = layer.ParseCompression(e.o.Compress); err != nil {
			return nil, err
		}
	}
	out, err := bundle.NewOutgoing(ctx, cargo, bundle.WriteOptions{
		Form: e.to.form, ListReferrers: e.o.OCIReferrers, Epoch: e.c.opts.Epoch, Split: e.o.Split, Compression: compression,
		Seal: seal, Jobs: e.c.opts.Jobs, Observe: e.c.opts.Observe, Hook: e.c.opts.Hook,
	})
	if e.o.Form == ExportDocker && errors.Is(err, content.ErrUnsupported) {
		err = content.WithHint(err, "of an index, --platform takes one image; without --docker all of this goes along")
	}
	return out, e.told(err)
}

// bundled is what the bundle is made of.
func (e *export) bundled(ctx context.Context) (bundle.Cargo, error) {
	cargo := bundle.Cargo{Made: e.cargo.made}
	for _, i := range e.images {
		cargo.Images = append(cargo.Images, bundle.NamedImage{Name: i.ref, Target: i.Target})
	}
	cargo.Referrers, cargo.Absent = e.cargo.referrers(), e.cargo.absent
	has, err := e.leaves()
	if err != nil {
		return cargo, err
	}
	left := bundle.Base{}
	for _, b := range e.cargo.blobs() {
		if has(b.Digest) {
			left.Blobs++
			left.Size += b.Size
			continue
		}
		cargo.Blobs = append(cargo.Blobs, b)
	}
	if e.base != nil {
		about := *e.base.about
		about.Blobs, about.Size = left.Blobs, left.Size
		about.About = leftAbout(cargo.Referrers, has)
		cargo.Base = &about
	}
	if err := e.identify(ctx, &cargo.Contents); err != nil {
		return cargo, err
	}
	digests := make([]oci.Digest, len(cargo.Blobs))
	for i, b := range cargo.Blobs {
		digests[i] = b.Digest
	}
	if cargo.From, err = e.store.Locate(ctx, digests...); err != nil || e.o.NoProvenance {
		return cargo, err
	}
	cargo.Provenance, err = e.provenance(ctx, digests)
	return cargo, err
}

// leftAbout are the manifests about the images that are left out, in order.
func leftAbout(all []bundle.ReferrerEntry, has func(oci.Digest) bool) (left bundle.AboutList) {
	for _, r := range all {
		if !has(r.Digest) {
			continue
		}
		a := bundle.BaseAbout{Digest: r.Digest}
		if _, suffix, ok := oci.ParseAttachmentTag(r.Tag); ok {
			a.Suffix, a.Subject = suffix, r.Subject
		}
		left = append(left, a)
	}
	slices.SortFunc(left, func(a, b bundle.BaseAbout) int {
		return cmp.Or(strings.Compare(string(a.Digest), string(b.Digest)), strings.Compare(a.Suffix, b.Suffix), strings.Compare(string(a.Subject), string(b.Subject)))
	})
	return slices.Compact(left)
}

// leaves says what is left out, since the receiver has it. Errors: ErrNotFound for what a
// request asks for and is no part of the images: nobody gets that for the asking.
func (e *export) leaves() (func(oci.Digest) bool, error) {
	switch {
	case e.base == nil:
		return func(oci.Digest) bool { return false }, nil
	case e.o.Request == "":
		return e.base.has, nil
	}
	wanted := map[oci.Digest]bool{}
	var odd []string
	for _, d := range e.base.asked {
		if wanted[d] = true; !e.cargo.has(d) {
			odd = append(odd, d.String())
		}
	}
	if len(odd) > 0 {
		return nil, content.WithHint(fmt.Errorf("request %s: %w in its images, and in what is about them: %s", e.o.Request, content.ErrNotFound, fewOf(odd)),
			"`dist why` tells what it belongs to here")
	}
	e.cargo.spread(wanted, e.roots())
	e.cargo.addAttachments(wanted)
	return func(d oci.Digest) bool { return !wanted[d] }, nil
}

// identify gives the bundle its name and serial, and a signed one what it says of when
// and by what it was made.
func (e *export) identify(ctx context.Context, c *bundle.Contents) (err error) {
	if c.Name = e.o.Name; c.Name != "" {
		if c.Serial, err = nextSerial(ctx, e.store, c.Name, e.plans); err != nil {
			return err
		}
		site := ""
		if e.base != nil {
			site = e.base.about.Site
		}
		if c.Previous, err = lastFor(ctx, e.store, c.Name, site); err != nil {
			return err
		}
	}
	if e.o.Sign {
		c.Created, c.Creator = time.Now().UTC().Truncate(time.Second), e.c.opts.Trust.Creator
		if !e.o.Expires.IsZero() {
			c.Expires = e.o.Expires.UTC().Truncate(time.Second)
		}
	}
	return nil
}

// provenance is what the store knows of where blobs come from, and of who vouches.
func (e *export) provenance(ctx context.Context, digests []oci.Digest) (*bundle.Provenance, error) {
	sources, vouched, err := e.store.Provenance(ctx, digests)
	if err != nil {
		return nil, err
	}
	p := &bundle.Provenance{}
	for _, s := range sources {
		if n := len(p.Sources); n == 0 || p.Sources[n-1].Locator != s.Locator {
			p.Sources = append(p.Sources, bundle.SourceEntry{Locator: s.Locator})
		}
		last := &p.Sources[len(p.Sources)-1]
		last.Objects = append(last.Objects, bundle.SourceSeen{Digest: s.Digest, FirstSeen: s.FirstSeen.UTC(), LastOK: s.LastOK.UTC()})
	}
	for _, v := range vouched {
		p.Vouched = append(p.Vouched, bundle.VouchingRecord{Subject: v.Subject, Key: v.Key, At: v.At.UTC()})
	}
	return p, nil
}

// plan is what is carried.
func (e *export) plan(out *bundle.Outgoing) ExportPlan {
	contents, _ := out.Contents()
	p := ExportPlan{
		Images: e.images, Blobs: len(contents.Blobs), Bytes: contents.TotalSize, Serial: contents.Serial,
		Referrers: e.cargo.about(),
	}
	if contents.Base != nil {
		p.LeftBlobs, p.LeftBytes = contents.Base.Blobs, contents.Base.Size
	}
	p.Files = e.to.files(out.Volumes(), e.o.Split > 0)
	for _, f := range p.Files {
		p.Size += f.Size
	}
	return p
}

// sealer signs the contents of a bundle; nil leaves them unsigned.
type sealer func(ctx context.Context, contents bundle.Contents, index oci.Digest) ([]byte, error)

func (e *export) seal() sealer {
	if !e.o.Sign {
		return nil
	}
	return func(ctx context.Context, contents bundle.Contents, index oci.Digest) ([]byte, error) {
		return e.c.signBundle(ctx, e.o.Key, contents, index)
	}
}

// sealLike takes as much room as a signature would, for a plan, which opens no key.
func (e *export) sealLike() sealer {
	if !e.o.Sign {
		return nil
	}
	return func(_ context.Context, contents bundle.Contents, _ oci.Digest) ([]byte, error) {
		data, err := contents.Encode()
		const statement, envelope = 300, 400 // around the predicate, and around its base64
		return make([]byte, (len(data)+statement)/3*4+envelope), err
	}
}

// record notes what was sent, for the deltas and serials to come, see recordExport.
func (e *export) record(ctx context.Context, out *bundle.Outgoing, lease string) (noted bool, err error) {
	contents, index := out.Contents()
	sent := sentBundle{contents: contents, index: index}
	for _, i := range e.images {
		sent.images = append(sent.images, bundle.NamedImage{Name: i.ref, Target: i.Target})
	}
	for _, b := range e.cargo.blobs() {
		sent.closure = append(sent.closure, b.Digest)
	}
	return e.c.recordExport(ctx, e.store, sent, lease)
}
