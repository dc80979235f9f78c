package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/fsys"
	"dist.example/layer"
	"dist.example/oci"
	"dist.example/unpack"
)

// repackedBy is what the history of an image says of a layer that Repack made.
const repackedBy = "dist repack"

// RepackOptions direct Repack. The zero value makes a plain layer on top of the image that
// the folder was unpacked from.
type RepackOptions struct {
	// Base is the image that the layer goes onto, "" for the one that the folder's record
	// names. Of an index it is that for Platform.
	Base        string
	Platform    *oci.Platform
	Compression layer.Compression
	Epoch       time.Time // of SOURCE_DATE_EPOCH, zero when it is not set
	// Sign and RequireKey are as in PackOptions.
	Sign       SignOptions
	RequireKey bool
}

// Repacked is the outcome of Repack.
type Repacked struct {
	Packed
	Base oci.Descriptor
	// Changed is how many paths differ. With none there is no new layer, and the name
	// stands for the image that the folder was unpacked from.
	Changed int
}

// Repack makes one layer of what has changed in a folder since an image was unpacked to it
// (unpack.Scan, layer.Delta), puts it on top of that image, and lets a name stand for the
// image that comes of it. Nothing may write to the folder meanwhile.
//
// Everything is stored in one session, as Squash does it. Errors: those of Squash, of
// unpack.ReadRecord, unless Base is given, and of unpack.Scan and layer.Delta; ErrNotFound
// when the image is not here any more.
func (c *Client) Repack(ctx context.Context, dir, name string, o RepackOptions) (Repacked, error) {
	out, err := c.repack(ctx, dir, name, o)
	if err != nil {
		return Repacked{}, fmt.Errorf("repack %s: %w", dir, err)
	}
	return out, nil
}

func (c *Client) repack(ctx context.Context, dir, name string, o RepackOptions) (out Repacked, err error) {
	p := packing{c: c, o: PackOptions{Epoch: o.Epoch, Sign: o.Sign, RequireKey: o.RequireKey}}
	if p.ref, err = oci.ParseReference(name); err == nil && p.ref.Digest != "" {
		err = fmt.Errorf("%s: %w: the digest comes from what is packed, give a tag", name, content.ErrInvalid)
	}
	if err != nil {
		return out, err
	}
	if p.s, err = c.Open(ctx); err != nil {
		return out, err
	}
	change, err := expectation(ctx, p.s, p.ref)
	if err != nil {
		return out, err
	}
	sig, err := p.signer(ctx)
	if err != nil {
		return out, err
	}
	w, err := c.changesOf(ctx, dir, o.Base, o.Platform)
	if err != nil {
		return out, err
	}
	defer w.root.Close()
	p.base = &packBase{desc: w.image}
	if err := p.base.read(ctx, p.s); err != nil {
		return out, err
	}
	if err := suitsFormat(w.image.MediaType, o.Compression); err != nil {
		return out, err
	}
	if p.ses, err = p.s.Begin(ctx, blobstore.SessionOptions{Note: "repack"}); err != nil {
		return out, err
	}
	defer p.ses.Close()
	if err := p.hold(ctx, w.image); err != nil {
		return out, err
	}
	if out, err = p.repacked(ctx, w, o); err != nil {
		return out, err
	}
	c.hook("packing.built")
	if *change.Expect == out.Descriptor.Digest {
		return out, nil
	}
	change.Why = "repack"
	return out, p.finish(ctx, sig, &out.Packed, change)
}

// repacked stores the layer and both documents, if anything has changed.
func (p *packing) repacked(ctx context.Context, w *worked, o RepackOptions) (Repacked, error) {
	out := Repacked{Base: w.image}
	out.Name, out.Kind = p.ref, PackImage
	for range w.changes(true) {
		out.Changed++
	}
	config, err := content.ReadAll(ctx, p.s, p.base.manifest.Config, oci.MaxConfigSize)
	if err != nil {
		return out, err
	}
	if out.Changed == 0 {
		out.Descriptor, out.Manifest, out.Config = w.image, p.base.data, p.base.manifest.Config
		return out, out.parseImage(config)
	}
	res, err := p.write(ctx, "the new layer", o.Compression.MediaType(), func(to io.Writer) (layer.Result, error) {
		open := func(path string) (io.ReadCloser, error) { return unpack.Open(ctx, w.root, path) }
		return layer.Delta(to, w.before, w.after, layer.DeltaOptions{Compression: o.Compression, Epoch: o.Epoch}, open)
	})
	if err != nil {
		return out, err
	}
	base := layer.Base{MediaType: w.image.MediaType, Manifest: p.base.data, Config: config}
	info := layer.LayerInfo{Descriptor: res.Descriptor(), DiffID: res.DiffID, CreatedBy: repackedBy}
	config, out.Manifest, out.Config, out.Descriptor, err = layer.Append(base, []layer.LayerInfo{info}, o.Epoch)
	if err != nil {
		return out, err
	}
	if err := p.store(ctx, out.Config, config); err != nil {
		return out, err
	}
	if err := p.store(ctx, out.Descriptor, out.Manifest); err != nil {
		return out, err
	}
	return out, out.parseImage(config)
}

// worked is an unpacked folder beside the image that it was unpacked from.
type worked struct {
	image         oci.Descriptor
	before, after *layer.Tree
	root          *os.Root // of the folder
}

func (w *worked) changes(times bool) iter.Seq[layer.Change] {
	return layer.Changes(w.before, w.after, times)
}

// changesOf looks at a folder. base is the image, "" for that of its record, which counts
// only for the image that it is about. The folder is the caller's to close.
func (c *Client) changesOf(ctx context.Context, dir, base string, p *oci.Platform) (*worked, error) {
	r, at, err := unpack.ReadRecord(dir)
	switch {
	case errors.Is(err, content.ErrNotFound) && base == "":
		return nil, content.WithHint(err, "give the image with --base")
	case errors.Is(err, content.ErrNotFound):
		// Nothing tells how it was unpacked: as whoever asks would have.
		r = unpack.Record{Rootless: os.Geteuid() != 0, Closed: true, UID: os.Geteuid()}
		if r.Rootless {
			r.Skipped = unpack.Skipped{Devices: 1, Xattrs: 1}
		}
	case err != nil:
		return nil, err
	}
	id := base
	if id == "" {
		id = r.Image.String()
	}
	w := &worked{}
	err = c.withImage(ctx, "repack", id, p, func(s *blobstore.Store, desc oci.Descriptor) error {
		if r.Image != "" && desc.Digest != r.Image {
			// What the record says of times is of another image.
			r.Started, r.Finished = time.Time{}, time.Time{}
		}
		in, err := c.insidesOf(ctx, s, id, desc, layer.NewTree(true))
		w.image, w.before = desc, in.tree
		in.tree.Explicit()
		return err
	})
	if err != nil {
		return nil, err
	}
	if w.root, err = os.OpenRoot(at); err != nil {
		return nil, fsys.Classify(err)
	}
	index, err := unpack.Scan(ctx, w.root, w.before, r)
	w.after = layer.NewTree(true)
	if err == nil {
		err = w.after.AddIndexes([]*layer.Index{index})
	}
	if err != nil {
		w.root.Close()
		return nil, err
	}
	return w, nil
}

// DiffFolder tells in what a folder differs from an image that is here: that which it was
// unpacked from, or another; see Repack. Only files are compared. Errors: those of Repack.
func (c *Client) DiffFolder(ctx context.Context, id, dir string, o DiffOptions) (Difference, error) {
	w, err := c.changesOf(ctx, dir, id, o.Platform)
	if err != nil {
		return Difference{}, err
	}
	defer w.root.Close()
	d := Difference{Kind: PackImage, Old: w.image}
	for range w.changes(o.Times) {
		d.files = w.changes(o.Times)
		break
	}
	return d, nil
}
