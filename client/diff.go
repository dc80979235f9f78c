package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/layer"
	"dist.example/oci"
)

// DiffOptions direct Diff.
type DiffOptions struct {
	Platform *oci.Platform // of an index, the image to compare; nil is the index itself
	// FilesOnly leaves all but the files alone, and asks for images.
	FilesOnly bool
	Times     bool // times of modification count, too
}

// Difference is in what two manifests differ.
type Difference struct {
	Kind     PackKind
	Old, New oci.Descriptor
	// Manifest are the fields of the manifest or index that differ, without those that
	// list parts; Config those of the configuration, without the list of diff_ids.
	Manifest, Config []FieldChange
	Parts            []PartChange           // all layers, or of indexes all manifests
	Reordered        bool                   // of parts, what both have stands in another order
	files            iter.Seq[layer.Change] // nil for none
}

// Files are those that differ, see layer.Changes. They are compared anew each time they
// are gone through, from what is in memory: nothing is read, and no list is held, which
// may be large.
func (d Difference) Files() iter.Seq[layer.Change] {
	if d.files == nil {
		return func(func(layer.Change) bool) {}
	}
	return d.files
}

// Differs says whether there is any difference. How the documents are written down
// is none.
func (d Difference) Differs() bool {
	return len(d.Manifest)+len(d.Config) > 0 || d.files != nil || d.Reordered ||
		slices.ContainsFunc(d.Parts, func(p PartChange) bool { return p.State() != PartCommon })
}

// Diff compares two images, artifacts or indexes that are here. Files are compared as
// the layers make them, see layer.Changes; a layer is read when somebody first looks into it.
// Layers are matched by their diff_ids, those of artifacts by their titles, else their
// digests, and manifests of an index by their platforms.
//
// Errors: ErrInvalid for what is no manifest and for two of different kinds;
// ErrNotFound when something that has to be read is not here; ErrCorrupt and
// ErrUnsupported as for Squash.
func (c *Client) Diff(ctx context.Context, a, b string, o DiffOptions) (Difference, error) {
	s, err := c.Open(ctx)
	if err != nil {
		return Difference{}, err
	}
	c.healing(s)
	var sides [2]*side
	for i, id := range []string{a, b} {
		if sides[i], err = readSide(ctx, s, id, o.Platform); err != nil {
			return Difference{}, fmt.Errorf("diff %s: %w", id, err)
		}
	}
	d, err := c.diff(ctx, s, sides[0], sides[1], o)
	if errors.Is(err, content.ErrCorrupt) && c.mendedBelow(ctx, s, sides[0].desc.Digest, sides[1].desc.Digest) {
		d, err = c.diff(ctx, s, sides[0], sides[1], o)
	}
	if err != nil {
		return d, fmt.Errorf("diff %s %s: %w", a, b, err)
	}
	return d, nil
}

// side is one of two manifests that are compared.
type side struct {
	packBase
	id     string
	config []byte // nil for an index, and where it is no JSON
}

// readSide reads documents. An image is one here whose layers are all tars.
func readSide(ctx context.Context, s *blobstore.Store, id string, p *oci.Platform) (*side, error) {
	desc, err := peek(ctx, s, id)
	if err == nil && oci.IsIndex(desc.MediaType) && p != nil {
		desc, err = selectImage(ctx, s, desc, Platforms{Only: p})
	}
	if err != nil {
		return nil, err
	}
	if !oci.HasSuccessors(desc.MediaType) {
		return nil, fmt.Errorf("%w: it is %s, which is no manifest", content.ErrInvalid, desc.MediaType)
	}
	x := &side{packBase: packBase{desc: desc}, id: id}
	if err := x.read(ctx, s); err != nil || x.kind == PackIndex {
		return x, err
	}
	for _, l := range x.manifest.Layers {
		if _, ok := layer.Promised(l.MediaType); !ok {
			x.kind = PackArtifact
		}
	}
	if x.manifest.Config.Size > oci.MaxConfigSize {
		return x, nil
	}
	x.config, err = content.ReadAll(ctx, s, x.manifest.Config, oci.MaxConfigSize)
	if !json.Valid(x.config) {
		x.config = nil
	}
	return x, err
}

func (c *Client) diff(ctx context.Context, s *blobstore.Store, a, b *side, o DiffOptions) (Difference, error) {
	d := Difference{Kind: a.kind, Old: a.desc, New: b.desc}
	switch {
	case a.kind != b.kind:
		err := fmt.Errorf("%w: one is an %s and one an %s", content.ErrInvalid, a.kind, b.kind)
		if a.kind == PackIndex || b.kind == PackIndex {
			err = content.WithHint(err, "--platform takes one image of an index")
		}
		return d, err
	case o.FilesOnly && a.kind != PackImage:
		return d, fmt.Errorf("%w: only images have files, and these are of kind %s", content.ErrInvalid, a.kind)
	}
	if !o.FilesOnly {
		if err := d.documents(a, b); err != nil {
			return d, err
		}
	}
	if a.kind != PackImage {
		return d, nil
	}
	var err error
	d.files, err = c.fileChanges(ctx, s, a, b, o.Times)
	return d, err
}

// documents compares all but files.
func (d *Difference) documents(a, b *side) error {
	x, err := a.fields()
	if err != nil {
		return err
	}
	y, err := b.fields()
	if err != nil {
		return err
	}
	d.Manifest = fieldChanges(x, y)
	if d.Config, err = configChanges(a, b); err != nil {
		return err
	}
	xs, err := a.parts()
	if err != nil {
		return err
	}
	ys, err := b.parts()
	if err != nil {
		return err
	}
	d.Parts, d.Reordered = partChanges(xs, ys)
	return nil
}

// fields are those of the manifest, without what lists parts and what says where the
// configuration is.
func (x *side) fields() (any, error) {
	fields, err := decodeJSON(x.data)
	if err != nil {
		return nil, err
	}
	doc, _ := fields.(map[string]any) // a manifest is an object
	delete(doc, "layers")
	delete(doc, "manifests")
	if config, ok := doc["config"].(map[string]any); ok {
		for _, key := range []string{"digest", "size", "data", "urls"} {
			delete(config, key)
		}
	}
	return doc, nil
}

// configChanges compares configurations: their fields where they are JSON, else what
// they are.
func configChanges(a, b *side) ([]FieldChange, error) {
	if a.kind == PackIndex || a.manifest.Config.Digest == b.manifest.Config.Digest {
		return nil, nil
	}
	if a.config == nil || b.config == nil {
		return fieldChanges(string(a.manifest.Config.Digest), string(b.manifest.Config.Digest)), nil
	}
	var docs [2]any
	for i, x := range []*side{a, b} {
		var err error
		if docs[i], err = decodeJSON(x.config); err != nil {
			return nil, err
		}
		if doc, ok := docs[i].(map[string]any); ok && x.kind == PackImage {
			if rootfs, ok := doc["rootfs"].(map[string]any); ok {
				delete(rootfs, "diff_ids")
			}
			nameEnv(doc)
		}
	}
	return fieldChanges(docs[0], docs[1]), nil
}

// nameEnv makes an object of a configuration's list of variables, if each has a name
// of its own: their order means nothing then.
func nameEnv(doc map[string]any) {
	config, _ := doc["config"].(map[string]any)
	list, ok := config["Env"].([]any)
	if !ok {
		return
	}
	named := map[string]any{}
	for _, v := range list {
		text, _ := v.(string)
		name, value, ok := strings.Cut(text, "=")
		if _, twice := named[name]; !ok || twice {
			return
		}
		named[name] = value
	}
	config["Env"] = named
}

// diffIDs are those of an image's configuration.
func (x *side) diffIDs() ([]oci.Digest, error) {
	var config oci.Image
	if err := json.Unmarshal(x.config, &config); err != nil {
		return nil, fmt.Errorf("configuration %s: %w: %v", x.manifest.Config.Digest, content.ErrInvalid, err)
	}
	ids, err := diffIDs(config, x.manifest)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", x.id, err)
	}
	return ids, nil
}

// fileChanges compares the file systems of two images. Nothing is read where the
// layers are the same. It returns nil where no file differs.
func (c *Client) fileChanges(ctx context.Context, s *blobstore.Store, a, b *side, times bool) (iter.Seq[layer.Change], error) {
	x, err := a.diffIDs()
	if err != nil {
		return nil, err
	}
	y, err := b.diffIDs()
	if err != nil || slices.Equal(x, y) {
		return nil, err
	}
	for _, side := range []*side{a, b} {
		if err := c.whole(ctx, s, side.id, side.desc.Digest, hintPull); err != nil {
			return nil, err
		}
	}
	shared := 0
	for shared < min(len(x), len(y)) && x[shared] == y[shared] {
		shared++
	}
	older, err := indexes(ctx, s, a.manifest.Layers, layerInputs(s, a.manifest, x))
	if err != nil {
		return nil, err
	}
	newer, err := indexes(ctx, s, b.manifest.Layers[shared:], layerInputs(s, b.manifest, y)[shared:])
	if err != nil {
		return nil, err
	}
	before := layer.NewTree(true)
	if err := before.AddIndexes(older[:shared]); err != nil {
		return nil, err
	}
	after := before.Clone()
	if err := errors.Join(before.AddIndexes(older[shared:]), after.AddIndexes(newer)); err != nil {
		return nil, err
	}
	changes := layer.Changes(before, after, times)
	for range changes {
		return changes, nil
	}
	return nil, nil
}
