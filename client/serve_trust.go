package client

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/layer"
	"dist.example/oci"
)

// naming is how tags of the registry server come to name a manifest that was pushed,
// nil where nothing speaks against it. The policy is read once: what it says later
// counts after a restart.
func (c *Client) naming(lib content.Library) (func(context.Context, oci.Descriptor, ...content.NameChange) error, error) {
	s, writes := lib.(*blobstore.Store)
	policy, err := c.inForce()
	if err != nil || policy == nil || !writes {
		return nil, err
	}
	return func(ctx context.Context, desc oci.Descriptor, changes ...content.NameChange) error {
		return c.nameTrusted(ctx, s, desc, changes)
	}, nil
}

// nameTrusted lets tags name a manifest that the policy accepts for each of them. Where
// another manifest came first, it is judged again: that one may be the newer.
func (c *Client) nameTrusted(ctx context.Context, s *blobstore.Store, desc oci.Descriptor, changes []content.NameChange) error {
	for try := 0; ; try++ {
		marks, err := c.admitTags(ctx, s, desc, changes)
		if err != nil {
			return err
		}
		err = s.SetTrustedNames(ctx, marks, changes...)
		if len(marks) == 0 || try == 2 || !errors.Is(err, content.ErrConflict) {
			return err
		}
	}
}

// admitTags holds a manifest to the policy under each of the tags, and returns the marks
// to set with them.
func (c *Client) admitTags(ctx context.Context, s *blobstore.Store, desc oci.Descriptor, changes []content.NameChange) (marks []blobstore.TrustMark, err error) {
	for _, change := range changes {
		name := change.Reference
		about, err := isAbout(ctx, s, name, desc)
		if err != nil {
			return nil, err
		}
		if about {
			continue
		}
		out, err := c.admit(ctx, admission{name: name.Local(), desc: desc, store: s, apart: true})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		marks = append(marks, out.marks...)
	}
	return marks, nil
}

// isAbout says whether a tag is one that only tells what is about another manifest: a
// signature and the like under cosign's tags, or the index that lists referrers where a
// client does not know that this server does. It is not, if it names something that
// could be run.
func isAbout(ctx context.Context, s *blobstore.Store, name oci.Reference, desc oci.Descriptor) (bool, error) {
	_, _, attachment := oci.ParseAttachmentTag(name.Tag)
	_, _, listing := oci.ParseAttachmentTag(name.Tag + "." + oci.SuffixSignature)
	if !attachment && !listing {
		return false, nil
	}
	data, err := content.ReadAll(ctx, s, desc, oci.MaxManifestSize)
	if err != nil {
		return false, err
	}
	if oci.IsIndex(desc.MediaType) {
		return listing && listsNoImage(ctx, s, desc, data), nil
	}
	m, err := oci.ParseManifest(desc.MediaType, data)
	return attachment && len(m.Layers) > 0 && !hasFiles(m), err
}

// maxListed bounds the entries of an index that are looked into for what could be run.
const maxListed = 1000

// listsNoImage says whether all that an index lists is here, and no image of it has
// files. An entry need not say that it is for a platform, and what is not here yet may
// be anything.
func listsNoImage(ctx context.Context, s *blobstore.Store, desc oci.Descriptor, data []byte) bool {
	x, err := oci.ParseIndex(desc.MediaType, data)
	if err != nil || len(x.Manifests) > maxListed {
		return false
	}
	for _, entry := range x.Manifests {
		m, err := readCarrier(ctx, s, entry)
		if err != nil || entry.Platform != nil || hasFiles(m) {
			return false
		}
	}
	return true
}

// hasFiles says whether a manifest has layers that containers are made of.
func hasFiles(m oci.Manifest) bool {
	return slices.ContainsFunc(m.Layers, func(l oci.Descriptor) bool {
		_, tar := layer.Promised(l.MediaType)
		return tar
	})
}
