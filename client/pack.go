package client

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/layer"
	"dist.example/oci"
)

// PackKind is the kind of manifest that Pack makes.
type PackKind string

// The kinds.
const (
	PackImage    PackKind = "image"
	PackArtifact PackKind = "artifact"
	PackIndex    PackKind = "index"
)

// PackOptions direct Pack.
type PackOptions struct {
	// Kind is what is made, "" an image. With Append it is what the name has to stand
	// for, "" anything.
	Kind PackKind
	// Append adds to the manifest that the name stands for.
	Append bool
	// ArtifactType is the type of a new artifact, a media type. "" is
	// DefaultArtifactType or, with a configuration, none: that one's type counts.
	ArtifactType string
	// Compression is that of layers made of folders; nil is gzip. Folders in artifacts
	// are gzip, which is what those who unpack them take: anything else is ErrInvalid,
	// and so is any for an index.
	Compression *layer.Compression
	FollowLinks bool   // symbolic links in folders are packed as what they lead to
	Prefix      string // folders become this one in the image, "" its root
	// Platform is what a new image is for, as far as a given configuration does not
	// say; nil is oci.DefaultPlatform.
	Platform *oci.Platform
	Epoch    time.Time // of SOURCE_DATE_EPOCH, zero when it is not set
	// Sign says how the manifest is signed, for its name. Without a key, named or called
	// DefaultKey, it is not.
	Sign SignOptions
	// RequireKey makes it an error (ErrUntrusted) when no key signs.
	RequireKey bool
	// Annotations go onto the manifest or index. They win over those that Pack makes
	// and, with Append, over those that are there.
	Annotations map[string]string
	// Subject is the id of a manifest or index that is held here, which this one is
	// then about; "" is none, or with Append the one that there is.
	Subject string
	// Config is what the word config=Config means; "" is none.
	Config string
	// Base is the name or id of an image that a new image is made from, "" for none:
	// its layers come first, its configuration is the beginning. Of an index it is the
	// image for Platform.
	Base string
	// Settings change the configuration of an image, new or appended to.
	Settings layer.Settings
}

// Packed is the outcome of Pack.
type Packed struct {
	Name       oci.Reference
	Kind       PackKind
	Descriptor oci.Descriptor    // of the manifest, with its artifact type
	Manifest   []byte            // its exact bytes
	Config     oci.Descriptor    // zero for an index
	Layers     []layer.LayerInfo // all of them; those of artifacts have no DiffID
	Manifests  []Part            // of an index, all of them
	Signed     *Signed           // nil when no key signed it
}

// Pack makes a manifest, or adds to one, and lets name stand for it. Each word is
// ID, KEY=ID, PATH[:TYPE] or KEY=PATH[:TYPE]; an id is a digest, a name or a prefix
// of a hash. What words and keys mean depends on the kind:
//
//   - image: layers, lowest first: objects, folders, tars (plain, gzip, zstd). The
//     keys are layer and config.
//   - artifact: files, folders and objects, as they are. A path is the title under
//     which it comes back; any key is a title, but for config.
//   - index: manifests and indexes. A key is a platform, os/arch[/variant].
//
// With Append there need be no word where annotations, a subject or settings are
// given; nor with a base, nor for an artifact that has annotations or a subject.
//
// Identical input gives an identical digest, on any machine and in any folder.
// Everything is stored in one session, and the name moves in the transaction that
// makes the manifest visible, if it still stands for what it did at the beginning. So
// do its signatures, where a key signs: the manifest is never there without them.
//
// Errors: ErrInvalid for words and options that do not fit the kind, and for words
// that are both an object and a file; ErrNotFound for what is neither, for a subject
// that is no manifest here, and when the base or, with Append, name is not here with
// all that it reaches (ErrCorrupt when that is damaged); ErrUnsupported for what the
// format appended to cannot say; ErrConflict when the name moved meanwhile.
func (c *Client) Pack(ctx context.Context, name string, words []string, o PackOptions) (Packed, error) {
	ref, err := oci.ParseReference(name)
	if err != nil {
		return Packed{}, err
	}
	out, err := c.pack(ctx, ref, words, o)
	if err != nil {
		return Packed{}, fmt.Errorf("pack %s: %w", ref, err)
	}
	return out, nil
}

func (c *Client) pack(ctx context.Context, ref oci.Reference, words []string, o PackOptions) (Packed, error) {
	p := &packing{c: c, o: o, ref: ref}
	if o.Config != "" {
		words = append(slices.Clone(words), "config="+o.Config)
	}
	err := p.o.parse()
	if err == nil {
		p.words, err = parseWords(words)
	}
	switch {
	case err != nil:
		return Packed{}, err
	case ref.Digest != "":
		return Packed{}, fmt.Errorf("%w: the digest comes from what is packed, give a tag", content.ErrInvalid)
	case len(words) == 0 && o.empty():
		return Packed{}, fmt.Errorf("%w: nothing to pack", content.ErrInvalid)
	}
	sig, err := p.signer(ctx)
	if err != nil {
		return Packed{}, err
	}
	change, err := p.open(ctx)
	if err != nil {
		return Packed{}, err
	}
	if p.ses, err = p.s.Begin(ctx, blobstore.SessionOptions{Note: "pack"}); err != nil {
		return Packed{}, err
	}
	defer p.ses.Close()
	out, err := p.build(ctx)
	if err != nil {
		return Packed{}, err
	}
	c.hook("packing.built")
	change.Why = "pack"
	if err := p.finish(ctx, sig, &out, change); err != nil {
		return Packed{}, err
	}
	return out, nil
}

// parse checks what can be checked before the kind is known.
func (o *PackOptions) parse() error {
	switch o.Kind {
	case "", PackImage, PackArtifact, PackIndex:
	default:
		return fmt.Errorf("kind %q: %w: want image, artifact or index", o.Kind, content.ErrInvalid)
	}
	if o.ArtifactType != "" {
		t, err := oci.ParseMediaType(o.ArtifactType)
		if err != nil {
			return fmt.Errorf("artifact %w", err)
		}
		o.ArtifactType = t
	}
	if err := checkAnnotations(o.Annotations); err != nil {
		return err
	}
	return o.Settings.Check()
}

// empty says whether there is nothing to do where there are no words.
func (o *PackOptions) empty() bool {
	about := len(o.Annotations) > 0 || o.Subject != ""
	switch {
	case o.Append:
		return !about && o.Settings.IsZero()
	case o.Kind == PackArtifact:
		return !about
	}
	return o.Base == ""
}

// suits refuses options that mean nothing for the kind.
func (o *PackOptions) suits(kind PackKind) error {
	switch {
	case o.ArtifactType != "" && kind != PackArtifact:
		return fmt.Errorf("%w: an artifact type is for an artifact, not for an %s", content.ErrInvalid, kind)
	case o.ArtifactType != "" && o.Append:
		return fmt.Errorf("%w: an artifact that is appended to keeps its type", content.ErrInvalid)
	case o.Prefix != "" && kind != PackImage:
		return fmt.Errorf("%w: a prefix is for an image, not for an %s", content.ErrInvalid, kind)
	case o.FollowLinks && kind == PackIndex:
		return fmt.Errorf("%w: an index has no folders whose links could be followed", content.ErrInvalid)
	case o.Config != "" && kind == PackIndex:
		return fmt.Errorf("%w: an index has no configuration", content.ErrInvalid)
	case o.Base != "" && (kind != PackImage || o.Append):
		return fmt.Errorf("%w: a base is for a new image", content.ErrInvalid)
	case !o.Settings.IsZero() && kind != PackImage:
		return fmt.Errorf("%w: an %s has no settings to run with", content.ErrInvalid, kind)
	case o.Compression != nil && kind == PackIndex:
		return fmt.Errorf("%w: an index has no folders that could be compressed", content.ErrInvalid)
	case kind == PackArtifact && o.compression() != layer.Gzip:
		return fmt.Errorf("%w: compression %s: folders in artifacts are gzip", content.ErrInvalid, o.compression())
	}
	return nil
}

// compression is that of folders.
func (o *PackOptions) compression() layer.Compression {
	if o.Compression == nil {
		return layer.Gzip
	}
	return *o.Compression
}

// packing is one run of Pack.
type packing struct {
	c     *Client
	s     *blobstore.Store
	ses   *blobstore.Session
	o     PackOptions
	ref   oci.Reference
	words []packWord
	base  *packBase // what is appended to, nil for a new manifest
	from  *packFrom // what a new image is made from, nil for nothing

	subject *oci.Descriptor // what the manifest is about, nil where nobody said
}

// open opens the store, settles the kind and says which change of the name is to
// come.
func (p *packing) open(ctx context.Context) (change content.NameChange, err error) {
	open := p.c.Init
	if p.o.Append {
		open = p.c.Open
	}
	if p.s, err = open(ctx); err != nil {
		return change, err
	}
	p.c.healing(p.s)
	if change, err = expectation(ctx, p.s, p.ref); err != nil {
		return change, err
	}
	if p.o.Append {
		if p.base, err = p.readBase(ctx, *change.Expect); err != nil {
			return change, err
		}
		if p.o.Kind != "" && p.o.Kind != p.base.kind {
			return change, fmt.Errorf("%w: it is an %s, not an %s", content.ErrInvalid, p.base.kind, p.o.Kind)
		}
		p.o.Kind = p.base.kind
	}
	if p.o.Kind == "" {
		p.o.Kind = PackImage
	}
	return change, p.o.suits(p.o.Kind)
}

// build makes or finds everything that the words name, and stores the manifest.
func (p *packing) build(ctx context.Context) (Packed, error) {
	if err := p.findSubject(ctx); err != nil {
		return Packed{}, err
	}
	var (
		out Packed
		err error
	)
	switch p.o.Kind {
	case PackArtifact:
		out, err = p.artifact(ctx)
	case PackIndex:
		out, err = p.index(ctx)
	default:
		out, err = p.image(ctx)
	}
	if err == nil {
		err = p.say(&out)
	}
	if err != nil {
		return Packed{}, err
	}
	out.Name, out.Kind = p.ref, p.o.Kind
	return out, p.store(ctx, out.Descriptor, out.Manifest)
}

// store puts a document that is in memory.
func (p *packing) store(ctx context.Context, desc oci.Descriptor, data []byte) error {
	_, err := p.ses.Put(ctx, blobstore.Blob{Data: data, MediaType: desc.MediaType, Expected: desc.Digest, KeepType: true})
	return err
}

// hold takes an object that is held under the session's lease. What is damaged is healed
// first.
func (p *packing) hold(ctx context.Context, desc oci.Descriptor) error {
	held, err := p.ses.Exists(ctx, desc)
	if err == nil && !held && p.c.healsAll(ctx, p.s, []oci.Digest{desc.Digest}) {
		held, err = p.ses.Exists(ctx, desc)
	}
	if err == nil && !held {
		err = fmt.Errorf("%s: %w in this store", desc.Digest, content.ErrNotFound)
	}
	return err
}

// write stores a layer that produce writes, and tells of progress.
func (p *packing) write(ctx context.Context, name, mediaType string, produce func(io.Writer) (layer.Result, error)) (layer.Result, error) {
	w, err := p.ses.Writer(ctx, content.IngestOptions{Total: -1, MediaType: mediaType, KeepType: true})
	if err != nil {
		return layer.Result{}, err
	}
	defer w.Close()
	t := &told{w: w, observe: p.c.opts.Observe, name: name, total: -1}
	var res layer.Result
	err = t.during(func() (err error) {
		if res, err = produce(t); err != nil {
			return err
		}
		info, err := w.Commit(ctx)
		if err == nil && info.Digest != res.Digest {
			err = fmt.Errorf("layer %s: %w: stored as %s", res.Digest, content.ErrCorrupt, info.Digest)
		}
		return err
	})
	if err != nil {
		return layer.Result{}, err
	}
	p.c.hook("packing.written")
	return res, nil
}

// told passes bytes on and tells of them.
type told struct {
	w       io.Writer
	observe content.Observer
	name    string
	total   int64 // -1 while it is not known
	n       int64
}

func (t *told) Write(p []byte) (int, error) {
	n, err := t.w.Write(p)
	t.n += int64(n)
	t.tell(content.EventAdvanced)
	return n, err
}

// during tells that do begins, and how it ended.
func (t *told) during(do func() error) error {
	t.tell(content.EventStarted)
	if err := do(); err != nil {
		t.tell(content.EventFailed)
		return err
	}
	t.tell(content.EventFinished)
	return nil
}

func (t *told) tell(k content.EventKind) {
	t.observe(content.Event{Kind: k, Name: t.name, Offset: t.n, Total: t.total})
}
