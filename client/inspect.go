package client

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"dist.example/content"
	"dist.example/oci"
)

// Part is one thing that a manifest or index lists.
type Part struct {
	oci.Descriptor
	Role oci.Role
	Held bool // with, for an image of an index, all that it reaches
}

// Inspection is what an object says of itself. Exactly one of Index, Manifest and
// Config is set for content of those types, none for any other.
type Inspection struct {
	content.Info
	Names    []oci.Reference // local names that stand for it
	Sources  []string        // where it came from
	Parts    []Part          // in the order of the document
	Index    *oci.Index
	Manifest *oci.Manifest
	// Config is the configuration itself, or an image manifest's as far as it is
	// here.
	Config *oci.Image
	// Signatures are those that are here, those that count first: a computed field,
	// since a manifest carries none itself. Verified says that the policy wants some for
	// the name that was asked for, and is content.
	Signatures  []Signature
	Verified    bool
	Held, Known int64 // bytes of all that it reaches: here, and altogether
}

// ArtifactType is what kind of artifact it is, see oci.ArtifactType; "" for an image
// and for what is no manifest.
func (in Inspection) ArtifactType() string {
	switch {
	case in.Manifest != nil:
		return oci.ArtifactType(*in.Manifest)
	case in.Index != nil:
		return in.Index.ArtifactType
	}
	return ""
}

// holding is what can be inspected: the store, and what is read in place.
type holding interface {
	content.Fetcher
	content.InfoReader
	content.NameReader
	Complete(ctx context.Context, d oci.Digest) (bool, error)
	Reach(ctx context.Context, d oci.Digest) (held, known int64, err error)
}

// Inspect describes an object of the store, or an image in a bundle
// (bundle:PATH:NAME). Of an index, platform picks the image to describe in its place;
// nil describes the index.
func (c *Client) Inspect(ctx context.Context, id string, platform *oci.Platform) (Inspection, error) {
	if at, in := strings.CutPrefix(id, TransportBundle+":"); in {
		return c.inspectInPlace(ctx, at, platform)
	}
	s, desc, err := c.find(ctx, id)
	if err != nil {
		return Inspection{}, err
	}
	in, err := inspect(ctx, s, desc, platform)
	if err == nil {
		in.Sources, err = s.Sources(ctx, in.Digest)
	}
	if err != nil || in.Index == nil && in.Manifest == nil {
		return in, err
	}
	name, err := nameHere(ctx, s, id, in.Digest)
	if err == nil {
		in.Signatures, in.Verified, err = c.standing(ctx, s, name, in.Info.Descriptor())
	}
	return in, err
}

// inspect describes an object as far as who holds it knows of it.
func inspect(ctx context.Context, s holding, desc oci.Descriptor, platform *oci.Platform) (in Inspection, err error) {
	if platform != nil && oci.IsIndex(desc.MediaType) {
		if desc, err = selectImage(ctx, s, desc, Platforms{Only: platform}); err != nil {
			return in, err
		}
	}
	if in.Info, err = s.Info(ctx, desc.Digest); err != nil {
		return in, err
	}
	if err := in.surroundings(ctx, s); err != nil {
		return in, err
	}
	return in, in.document(ctx, s)
}

// surroundings looks at what is known of the object besides.
func (in *Inspection) surroundings(ctx context.Context, s holding) (err error) {
	for n, err := range s.Names(ctx, "") {
		if err != nil {
			return err
		}
		if n.Target.Digest == in.Digest {
			in.Names = append(in.Names, n.Reference)
		}
	}
	in.Held, in.Known, err = s.Reach(ctx, in.Digest)
	return err
}

// document parses the object itself.
func (in *Inspection) document(ctx context.Context, s holding) error {
	desc := in.Info.Descriptor()
	switch {
	case oci.IsImageConfig(desc.MediaType):
		cfg, err := readConfig(ctx, s, desc)
		in.Config = cfg
		return err
	case !oci.HasSuccessors(desc.MediaType):
		return nil
	}
	data, err := content.ReadAll(ctx, s, desc, oci.MaxManifestSize)
	if err != nil {
		return err
	}
	if err := in.parts(ctx, s, data); err != nil {
		return err
	}
	if oci.IsIndex(desc.MediaType) {
		idx, err := oci.ParseIndex(desc.MediaType, data)
		in.Index = &idx
		return err
	}
	m, cfg, err := imageConfig(ctx, s, desc)
	in.Manifest, in.Config = m, cfg
	return err
}

func (in *Inspection) parts(ctx context.Context, s holding, data []byte) error {
	edges, err := oci.Successors(in.MediaType, data)
	if err != nil {
		return err
	}
	for _, e := range edges {
		held, err := s.Complete(ctx, e.Digest)
		if err != nil {
			return err
		}
		in.Parts = append(in.Parts, Part{e.Descriptor, e.Role, held})
	}
	return nil
}

// imageConfig reads a manifest and, if it is an image's and here, its
// configuration.
func imageConfig(ctx context.Context, s holding, desc oci.Descriptor) (*oci.Manifest, *oci.Image, error) {
	data, err := content.ReadAll(ctx, s, desc, oci.MaxManifestSize)
	if err != nil {
		return nil, nil, err
	}
	m, err := oci.ParseManifest(desc.MediaType, data)
	if err != nil {
		return nil, nil, err
	}
	if !oci.IsImageConfig(m.Config.MediaType) {
		return &m, nil, nil
	}
	if here, err := s.Complete(ctx, m.Config.Digest); err != nil || !here {
		return &m, nil, err
	}
	cfg, err := readConfig(ctx, s, m.Config)
	return &m, cfg, err
}

func readConfig(ctx context.Context, s holding, desc oci.Descriptor) (*oci.Image, error) {
	data, err := content.ReadAll(ctx, s, desc, oci.MaxConfigSize)
	if err != nil {
		return nil, err
	}
	var cfg oci.Image
	if err := json.Unmarshal(data, &cfg); err != nil {
		return nil, fmt.Errorf("configuration %s: %w: %v", desc.Digest, content.ErrInvalid, err)
	}
	return &cfg, nil
}
