package client

import (
	"context"
	"fmt"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
)

// packBase is the manifest that is appended to.
type packBase struct {
	desc     oci.Descriptor
	data     []byte
	kind     PackKind
	manifest oci.Manifest // of an image or an artifact
	index    oci.Index    // of an index
}

// readBase reads the manifest that the name stands for, and makes sure that all it
// needs is here.
func (p *packing) readBase(ctx context.Context, d oci.Digest) (*packBase, error) {
	if d == "" {
		return nil, content.WithHint(fmt.Errorf("%w in this store", content.ErrNotFound),
			"leave out -a to make it new; `dist images` lists the names there are")
	}
	info, err := p.s.Info(ctx, d)
	if err != nil {
		return nil, err
	}
	b := &packBase{desc: info.Descriptor()}
	if !oci.HasSuccessors(b.desc.MediaType) {
		return nil, content.WithHint(fmt.Errorf("%w: it stands for %s, which is no manifest", content.ErrInvalid, b.desc.MediaType),
			"leave out -a to make a manifest of it under another name")
	}
	if err := p.c.whole(ctx, p.s, p.ref.String(), d, hintPull); err != nil {
		return nil, err
	}
	return b, b.read(ctx, p.s)
}

// read reads and parses the manifest.
func (b *packBase) read(ctx context.Context, s *blobstore.Store) (err error) {
	if b.data, err = content.ReadAll(ctx, s, b.desc, oci.MaxManifestSize); err != nil {
		return err
	}
	return b.parse()
}

func (b *packBase) parse() (err error) {
	if oci.IsIndex(b.desc.MediaType) {
		b.kind = PackIndex
		b.index, err = oci.ParseIndex(b.desc.MediaType, b.data)
		return err
	}
	b.kind = PackArtifact
	b.manifest, err = oci.ParseManifest(b.desc.MediaType, b.data)
	if oci.IsImageConfig(b.manifest.Config.MediaType) {
		b.kind = PackImage
	}
	return err
}

// hintPull is for what is missing or damaged.
const hintPull = "`dist pull` fetches what is missing or damaged"

// maxWholes bounds how often a manifest is looked at anew once what it lacks has come:
// below a manifest that was damaged there may be more.
const maxWholes = 8

// whole refuses a manifest that lacks something here: what is made of it would
// lack it, too. What is damaged is healed first. name is what the message calls it.
func (c *Client) whole(ctx context.Context, s *blobstore.Store, name string, d oci.Digest, hint string) error {
	missing, err := s.Missing(ctx, d)
	for range maxWholes {
		if err == nil && c.healsAll(ctx, s, missing) {
			missing, err = s.Missing(ctx, d)
		}
	}
	if err != nil || len(missing) == 0 {
		return err
	}
	// What is known and not readable is damaged; what is absent is not known.
	_, err = s.Info(ctx, missing[0])
	return content.WithHint(&blobstore.MissingError{Name: name, Digests: missing, Damaged: err == nil}, "%s", hint)
}
