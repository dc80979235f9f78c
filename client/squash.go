package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/layer"
	"dist.example/oci"
)

// squashedBy is what the history of an image says of a layer that Squash made.
const squashedBy = "dist squash"

// SquashOptions direct Squash. The zero value squashes all layers into one, plain.
type SquashOptions struct {
	As string // the name that the result gets, "" the one that it is made of
	// Last is how many layers become one, those on top; From is the number of the
	// lowest of them, counted from 1. 0 is not said; both are ErrInvalid.
	Last, From  int
	Compression layer.Compression
	Platform    *oci.Platform // of an index, the image to squash
	Epoch       time.Time     // of SOURCE_DATE_EPOCH, zero when it is not set
	// Sign and RequireKey are as in PackOptions.
	Sign       SignOptions
	RequireKey bool
}

// Squashed is the outcome of Squash.
type Squashed struct {
	Packed
	Was oci.Descriptor // the manifest that it was made of
	// Gone are the layers that became one, lowest first. It is empty where there is
	// only one to be squashed: the image stays what it is then.
	Gone []oci.Descriptor
}

// Squash makes one layer of an image's layers, or of the last few of them, and lets a
// name stand for the image that has it. What the new layer looks like is told at
// layer.Squash, what becomes of configuration and manifest at layer.Flatten. All layers
// are read, those below too, and held against the configuration's diff_ids.
//
// Everything is stored in one session, and the name moves in the transaction that makes
// the manifest visible, if it still stands for what it did at the beginning. It is
// signed in the same step, where a key signs: signatures of what it was are of that.
//
// Errors: ErrInvalid for an index without a platform, for what is no image, and for an
// id that is no name where As is ""; ErrNotFound when something of it is not here
// (ErrCorrupt when that is damaged, or a layer is not what the configuration says);
// ErrUnsupported for layers that are no tars or go beyond the caps of package layer;
// ErrConflict when the name moved meanwhile.
func (c *Client) Squash(ctx context.Context, id string, o SquashOptions) (Squashed, error) {
	out, err := c.squash(ctx, id, o)
	if err != nil {
		return Squashed{}, fmt.Errorf("squash %s: %w", id, err)
	}
	return out, nil
}

func (c *Client) squash(ctx context.Context, id string, o SquashOptions) (Squashed, error) {
	q := &squashing{packing: packing{c: c, o: PackOptions{Epoch: o.Epoch, Sign: o.Sign, RequireKey: o.RequireKey}}, so: o}
	change, err := q.locate(ctx, id)
	if err != nil {
		return Squashed{}, err
	}
	sig, err := q.signer(ctx)
	if err != nil {
		return Squashed{}, err
	}
	if q.ses, err = q.s.Begin(ctx, blobstore.SessionOptions{Note: "squash"}); err != nil {
		return Squashed{}, err
	}
	defer q.ses.Close()
	out, err := q.result(ctx)
	if errors.Is(err, content.ErrCorrupt) && c.mendedBelow(ctx, q.s, q.base.desc.Digest) {
		out, err = q.result(ctx)
	}
	if err != nil {
		return Squashed{}, err
	}
	c.hook("packing.built")
	if *change.Expect == out.Descriptor.Digest {
		return out, nil
	}
	change.Why = "squash"
	if err := q.finish(ctx, sig, &out.Packed, change); err != nil {
		return Squashed{}, err
	}
	return out, nil
}

// squashing is one run of Squash. Its base is the image that is squashed.
type squashing struct {
	packing
	so SquashOptions
}

// locate finds the image and says which change of which name is to come.
func (q *squashing) locate(ctx context.Context, id string) (change content.NameChange, err error) {
	if q.s, err = q.c.Open(ctx); err != nil {
		return change, err
	}
	q.c.healing(q.s)
	desc, err := lookup(ctx, q.s, id)
	if err != nil {
		return change, err
	}
	if change, err = q.name(ctx, id, desc.Digest); err != nil {
		return change, err
	}
	if desc, err = q.choose(ctx, desc); err != nil {
		return change, err
	}
	if err := q.c.whole(ctx, q.s, id, desc.Digest, hintPull); err != nil {
		return change, err
	}
	q.base = &packBase{desc: desc}
	err = q.base.read(ctx, q.s)
	if err == nil && q.base.kind != PackImage {
		err = fmt.Errorf("%w: it is an %s, and images alone have layers to squash", content.ErrInvalid, q.base.kind)
	}
	return change, err
}

// name is the change of the name that the result gets: As, or id, which has to stand
// for d.
func (q *squashing) name(ctx context.Context, id string, d oci.Digest) (change content.NameChange, err error) {
	if q.so.As != "" {
		id = q.so.As
	}
	q.ref, err = oci.ParseReference(id)
	if err == nil && q.ref.Digest != "" {
		err = fmt.Errorf("%s: %w: the digest comes from what is squashed, give a tag", id, content.ErrInvalid)
	}
	if err == nil {
		change, err = expectation(ctx, q.s, q.ref)
	}
	if q.so.As == "" && (errors.Is(err, content.ErrInvalid) || err == nil && *change.Expect != d) {
		err = content.WithHint(fmt.Errorf("%w: it is no name that could move", content.ErrInvalid),
			"give the squashed image a name: --as NAME")
	}
	return change, err
}

// choose is the image to squash.
func (q *squashing) choose(ctx context.Context, desc oci.Descriptor) (oci.Descriptor, error) {
	switch {
	case !oci.HasSuccessors(desc.MediaType):
		return desc, fmt.Errorf("%w: it is %s, and no image", content.ErrInvalid, desc.MediaType)
	case !oci.IsIndex(desc.MediaType):
		return desc, nil
	case q.so.Platform == nil:
		return desc, content.WithHint(fmt.Errorf("%w: it is an index of several images", content.ErrInvalid),
			"choose one with --platform, and perhaps a name for it with --as")
	}
	return selectImage(ctx, q.s, desc, Platforms{Only: q.so.Platform})
}

// result stores the new layer and both documents.
func (q *squashing) result(ctx context.Context) (Squashed, error) {
	out := Squashed{Was: q.base.desc}
	out.Name, out.Kind = q.ref, PackImage
	layers := q.base.manifest.Layers
	from, err := q.lowest(len(layers))
	if err != nil {
		return out, err
	}
	if err := q.hold(ctx, q.base.desc); err != nil {
		return out, err
	}
	config, err := content.ReadAll(ctx, q.s, q.base.manifest.Config, oci.MaxConfigSize)
	if err != nil {
		return out, err
	}
	if from == len(layers)-1 {
		out.Descriptor, out.Manifest, out.Config = q.base.desc, q.base.data, q.base.manifest.Config
		return out, out.parseImage(config)
	}
	out.Gone = layers[from:]
	info, err := q.merge(ctx, from)
	if err != nil {
		return out, err
	}
	base := layer.Base{MediaType: q.base.desc.MediaType, Manifest: q.base.data, Config: config}
	config, out.Manifest, out.Config, out.Descriptor, err = layer.Flatten(base, from, info, q.so.Epoch)
	if err != nil {
		return out, err
	}
	if err := q.store(ctx, out.Config, config); err != nil {
		return out, err
	}
	if err := q.store(ctx, out.Descriptor, out.Manifest); err != nil {
		return out, err
	}
	return out, out.parseImage(config)
}

// lowest is the index of the lowest of n layers that is squashed.
func (q *squashing) lowest(n int) (int, error) {
	last, from := q.so.Last, q.so.From
	switch {
	case n == 0:
		return 0, fmt.Errorf("%w: it has no layers", content.ErrInvalid)
	case last != 0 && from != 0:
		return 0, fmt.Errorf("%w: how many layers, or from which on: not both", content.ErrInvalid)
	case last < 0 || last > n:
		return 0, fmt.Errorf("%w: the last %d layers of %d", content.ErrInvalid, last, n)
	case from < 0 || from > n:
		return 0, fmt.Errorf("%w: from layer %d of %d", content.ErrInvalid, from, n)
	case last > 0:
		return n - last, nil
	case from > 0:
		return from - 1, nil
	}
	return 0, nil
}

// merge makes and stores the one layer.
func (q *squashing) merge(ctx context.Context, from int) (layer.LayerInfo, error) {
	if err := suitsFormat(q.base.desc.MediaType, q.so.Compression); err != nil {
		return layer.LayerInfo{}, err
	}
	config, err := readConfig(ctx, q.s, q.base.manifest.Config)
	if err != nil {
		return layer.LayerInfo{}, err
	}
	ids, err := diffIDs(*config, q.base.manifest)
	if err != nil {
		return layer.LayerInfo{}, err
	}
	inputs := q.c.observedInputs(q.s, q.base.manifest, ids)
	res, err := q.write(ctx, "the squashed layer", q.so.Compression.MediaType(), func(w io.Writer) (layer.Result, error) {
		return layer.Squash(ctx, w, inputs, layer.SquashOptions{From: from, Compression: q.so.Compression})
	})
	return layer.LayerInfo{Descriptor: res.Descriptor(), DiffID: res.DiffID, CreatedBy: squashedBy}, err
}

// observedInputs are layerInputs of which is told how their reading goes.
func (c *Client) observedInputs(s *blobstore.Store, m oci.Manifest, ids []oci.Digest) []layer.Input {
	inputs := layerInputs(s, m, ids)
	for i := range inputs {
		inputs[i].Open = c.observed(m.Layers[i], inputs[i].Open)
	}
	return inputs
}

// observed tells how the first reading of a layer goes; what is read again is told as
// it is written.
func (c *Client) observed(desc oci.Descriptor, open func(context.Context) (io.ReadCloser, error)) func(context.Context) (io.ReadCloser, error) {
	first := true
	return func(ctx context.Context) (io.ReadCloser, error) {
		r, err := open(ctx)
		if err != nil || !first {
			return r, err
		}
		first = false
		t := &told{observe: c.opts.Observe, name: desc.Digest.String(), total: desc.Size}
		t.tell(content.EventStarted)
		return &toldReader{ReadCloser: r, told: t}, nil
	}
}

// toldReader passes bytes on and tells of them.
type toldReader struct {
	io.ReadCloser
	told *told
	done bool
}

func (r *toldReader) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.told.n += int64(n)
	switch {
	case err == nil:
		r.told.tell(content.EventAdvanced)
	case errors.Is(err, io.EOF) && !r.done:
		r.done = true
		r.told.tell(content.EventFinished)
	}
	return n, err
}

func (r *toldReader) Close() error {
	if !r.done {
		r.told.tell(content.EventFailed)
	}
	return r.ReadCloser.Close()
}

// diffIDs are those that the configuration of an image lists, one for each layer.
func diffIDs(config oci.Image, m oci.Manifest) ([]oci.Digest, error) {
	if n := len(config.RootFS.DiffIDs); n != len(m.Layers) {
		return nil, fmt.Errorf("%w: its configuration lists %d diff_ids, its manifest %d layers", content.ErrInvalid, n, len(m.Layers))
	}
	return config.RootFS.DiffIDs, nil
}

// layerInputs are the layers of an image that is here, with their diffIDs.
func layerInputs(s *blobstore.Store, m oci.Manifest, ids []oci.Digest) []layer.Input {
	inputs := make([]layer.Input, len(m.Layers))
	for i, desc := range m.Layers {
		inputs[i] = layer.Input{
			Name: fmt.Sprintf("layer %d, %s", i+1, desc.Digest), MediaType: desc.MediaType, DiffID: ids[i],
			Open: func(ctx context.Context) (io.ReadCloser, error) { return s.Fetch(ctx, desc) },
		}
	}
	return inputs
}
