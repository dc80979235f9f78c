package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/fsys"
	"dist.example/layer"
	"dist.example/oci"
)

// PackOptions direct Pack.
type PackOptions struct {
	Compression layer.Compression // of layers made of folders
	FollowLinks bool              // symbolic links in folders are packed as what they lead to
	Prefix      string            // folders become this one in the image, "" its root
	Platform    *oci.Platform     // nil is oci.DefaultPlatform
	Epoch       time.Time         // of SOURCE_DATE_EPOCH, zero when it is not set
}

// Packed is the outcome of Pack.
type Packed struct {
	Name       oci.Reference
	Descriptor oci.Descriptor
	Manifest   []byte // the exact bytes of the manifest
	Layers     []layer.LayerInfo
	Config     oci.Descriptor
}

// Pack makes an image of layers, lowest first, and lets name stand for it. Each
// layer is an object put before (by id), a folder, or a tar that is a file.
// Identical input gives an identical digest, on any machine and in any folder.
// Manifest, configuration and name appear in one transaction.
//
// Errors: ErrInvalid for what is no layer, or is both an object and a file;
// ErrNotFound for what is neither.
func (c *Client) Pack(ctx context.Context, name string, layers []string, o PackOptions) (Packed, error) {
	ref, err := oci.ParseReference(name)
	if err != nil {
		return Packed{}, err
	}
	if ref.Digest != "" {
		return Packed{}, fmt.Errorf("pack %s: %w: the digest comes from what is packed, give a tag", name, content.ErrInvalid)
	}
	s, err := c.Init(ctx)
	if err != nil {
		return Packed{}, err
	}
	change, err := expectation(ctx, s, ref)
	if err != nil {
		return Packed{}, err
	}
	ses, err := s.Begin(ctx, blobstore.SessionOptions{Note: "pack"})
	if err != nil {
		return Packed{}, err
	}
	defer ses.Close()
	p := &packing{c: c, s: s, ses: ses, o: o}
	for _, word := range layers {
		info, err := p.layer(ctx, word)
		if err != nil {
			return Packed{}, fmt.Errorf("pack %s: %w", ref, err)
		}
		p.layers = append(p.layers, info)
	}
	out, err := p.image(ctx, ref)
	if err != nil {
		return Packed{}, fmt.Errorf("pack %s: %w", ref, err)
	}
	change.Target, change.Why = out.Descriptor.Digest, "pack"
	return out, ses.Commit(ctx, change)
}

// packing is one run of Pack.
type packing struct {
	c      *Client
	s      *blobstore.Store
	ses    *blobstore.Session
	o      PackOptions
	layers []layer.LayerInfo
}

// layer makes or finds one layer.
func (p *packing) layer(ctx context.Context, word string) (layer.LayerInfo, error) {
	desc, err := lookup(ctx, p.s, word)
	if err != nil && !errors.Is(err, content.ErrNotFound) && !errors.Is(err, content.ErrInvalid) {
		return layer.LayerInfo{}, err
	}
	fi, serr := os.Stat(word)
	switch {
	case err == nil && serr == nil:
		return layer.LayerInfo{}, content.WithHint(fmt.Errorf("%q: %w: it is both an object and a file", word, content.ErrInvalid),
			"write ./%s for the file, or the full digest for the object", word)
	case err == nil:
		return p.object(ctx, desc)
	case serr != nil && !os.IsNotExist(serr):
		return layer.LayerInfo{}, fsys.Classify(serr)
	case serr != nil && errors.Is(err, content.ErrInvalid) && !isPath(word):
		return layer.LayerInfo{}, err
	case serr != nil:
		return layer.LayerInfo{}, fmt.Errorf("%q: %w: neither an object nor a file", word, content.ErrNotFound)
	case fi.IsDir():
		return p.folder(ctx, word)
	}
	return p.file(ctx, word)
}

func isPath(word string) bool { return filepath.IsAbs(word) || filepath.Base(word) != word }

// object is a layer that was put before; its plain bytes are read for their
// digest.
func (p *packing) object(ctx context.Context, desc oci.Descriptor) (layer.LayerInfo, error) {
	r, err := p.s.Fetch(ctx, desc)
	if err != nil {
		return layer.LayerInfo{}, err
	}
	defer r.Close()
	if _, err := p.ses.Exists(ctx, desc); err != nil { // takes it under the lease
		return layer.LayerInfo{}, err
	}
	if desc.MediaType == oci.MediaTypeOctets {
		res, err := layer.Inspect(ctx, r)
		if err != nil {
			return layer.LayerInfo{}, fmt.Errorf("%s: %w", desc.Digest, err)
		}
		desc.MediaType = res.MediaType
		return layer.LayerInfo{Descriptor: desc, DiffID: res.DiffID, CreatedBy: "dist pack"}, nil
	}
	diffID, _, err := layer.DiffID(ctx, r, desc.MediaType)
	if err != nil {
		return layer.LayerInfo{}, fmt.Errorf("%s: %w", desc.Digest, err)
	}
	return layer.LayerInfo{Descriptor: desc, DiffID: diffID, CreatedBy: "dist pack"}, nil
}

// folder packs a folder; the store, if it lies in there, stays out.
func (p *packing) folder(ctx context.Context, path string) (layer.LayerInfo, error) {
	return p.write(ctx, path, p.o.Compression.MediaType(), func(w io.Writer) (layer.Result, error) {
		return layer.Write(ctx, w, path, layer.Options{
			Compression: p.o.Compression, Epoch: p.o.Epoch, Prefix: p.o.Prefix,
			FollowLinks: p.o.FollowLinks, Exclude: []string{p.s.Dir()},
		})
	})
}

// file takes a tar as it is.
func (p *packing) file(ctx context.Context, path string) (layer.LayerInfo, error) {
	f, err := openInput(ctx, path)
	if err != nil {
		return layer.LayerInfo{}, err
	}
	defer f.Close()
	head := make([]byte, 8)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return layer.LayerInfo{}, fsys.Classify(err)
	}
	info, err := p.write(ctx, path, layer.Detect(head[:n]).MediaType(), func(w io.Writer) (layer.Result, error) {
		return layer.Inspect(ctx, io.TeeReader(f, w))
	})
	if err != nil {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return info, err
}

// write stores what produce writes, and tells of progress.
func (p *packing) write(ctx context.Context, name, mediaType string, produce func(io.Writer) (layer.Result, error)) (layer.LayerInfo, error) {
	w, err := p.ses.Writer(ctx, content.IngestOptions{Total: -1, MediaType: mediaType})
	if err != nil {
		return layer.LayerInfo{}, err
	}
	defer w.Close()
	t := &told{w: w, observe: p.c.opts.Observe, name: name}
	t.tell(content.EventStarted)
	res, err := produce(t)
	if err != nil {
		t.tell(content.EventFailed)
		return layer.LayerInfo{}, err
	}
	info, err := w.Commit(ctx)
	if err != nil {
		return layer.LayerInfo{}, err
	}
	t.tell(content.EventFinished)
	if info.Digest != res.Digest {
		return layer.LayerInfo{}, fmt.Errorf("layer %s: %w: stored as %s", res.Digest, content.ErrCorrupt, info.Digest)
	}
	return layer.LayerInfo{Descriptor: res.Descriptor(), DiffID: res.DiffID, CreatedBy: "dist pack"}, nil
}

// told passes bytes on and tells of them.
type told struct {
	w       io.Writer
	observe content.Observer
	name    string
	n       int64
}

func (t *told) Write(p []byte) (int, error) {
	n, err := t.w.Write(p)
	t.n += int64(n)
	t.tell(content.EventAdvanced)
	return n, err
}

func (t *told) tell(k content.EventKind) {
	t.observe(content.Event{Kind: k, Name: t.name, Offset: t.n, Total: -1})
}

// image stores configuration and manifest.
func (p *packing) image(ctx context.Context, ref oci.Reference) (Packed, error) {
	platform := oci.DefaultPlatform()
	if p.o.Platform != nil {
		platform = *p.o.Platform
	}
	config, manifest, configDesc, manifestDesc, err := layer.Image(layer.ImageOptions{
		Platform: platform, Name: ref, Created: p.o.Epoch, Layers: p.layers,
	})
	if err != nil {
		return Packed{}, err
	}
	if err := p.ses.Push(ctx, configDesc, bytes.NewReader(config)); err != nil {
		return Packed{}, err
	}
	if err := p.ses.Push(ctx, manifestDesc, bytes.NewReader(manifest)); err != nil {
		return Packed{}, err
	}
	return Packed{Name: ref, Descriptor: manifestDesc, Manifest: manifest, Layers: p.layers, Config: configDesc}, nil
}
