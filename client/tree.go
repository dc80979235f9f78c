package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"

	"dist.example/content"
	"dist.example/oci"
)

// maxTreeDepth bounds what is about what is about something, and indexes in indexes.
const maxTreeDepth = 16

// TreeOptions direct Tree.
type TreeOptions struct {
	// Platform shows, of an index, the image for this platform alone. nil shows all.
	Platform *oci.Platform
}

// TreeNode is a manifest and what is about it.
type TreeNode struct {
	oci.Descriptor // with the artifact type; the platform of an image of an index
	Kind           oci.Kind
	// Tag is the tag that makes it an attachment, "" for a referrer.
	Tag string
	// Predicate is what kind of statement an attestation makes, "" where it does not
	// say.
	Predicate string
	Layers    int        // how many: an attachment has one for each signature
	About     []TreeNode // what is about it: referrers, then attachments
	Images    []TreeNode // of an index
}

// Tree shows what is about an image, and about each image of an index: signatures,
// lists of contents and the like, by their subject or by a tag, and in turn what is
// about those. where is an id or a name in the store, or a locator of another place:
// docker://REFERENCE asks a registry. Nothing is stored. What an index lists and is not
// there is shown without what it says of itself.
//
// Errors: those of Lookup and of the place; ErrUnsupported for what is no manifest, and
// when more than content.MaxReferrers manifests are about it.
func (c *Client) Tree(ctx context.Context, where string, o TreeOptions) (TreeNode, error) {
	p, err := c.open(ctx, where)
	if err != nil {
		return TreeNode{}, err
	}
	defer p.done()
	if !oci.HasSuccessors(p.desc.MediaType) {
		return TreeNode{}, fmt.Errorf("%s: %w: %s is no manifest", p.desc.Digest, content.ErrUnsupported, p.desc.MediaType)
	}
	t := &treeing{src: p.src, platform: o.Platform, seen: map[oci.Digest]bool{}}
	return t.node(ctx, p.desc, 0)
}

// treeing is one run of Tree.
type treeing struct {
	src      content.Fetcher
	platform *oci.Platform
	seen     map[oci.Digest]bool // subjects that were asked about
	about    int
}

// node looks at a manifest of the image itself.
func (t *treeing) node(ctx context.Context, desc oci.Descriptor, depth int) (TreeNode, error) {
	n, edges, err := t.look(ctx, desc)
	if err != nil {
		return n, err
	}
	if t.seen[desc.Digest] || depth > maxTreeDepth {
		return n, nil
	}
	if n.About, err = t.aboutIt(ctx, desc.Digest, true, depth); err != nil || !oci.IsIndex(desc.MediaType) {
		return n, err
	}
	if edges, err = t.chosen(desc, edges); err != nil {
		return n, err
	}
	for _, e := range edges {
		if !oci.HasSuccessors(e.MediaType) || e.Role != oci.RoleManifest {
			continue
		}
		image, err := t.node(ctx, e.Descriptor, depth+1)
		if err != nil {
			return n, err
		}
		if oci.IsAttestation(e.Descriptor) {
			image.Kind = oci.KindAttestation
		}
		n.Images = append(n.Images, image)
	}
	return n, nil
}

// chosen are the successors of an index that are shown.
func (t *treeing) chosen(index oci.Descriptor, edges []oci.Edge) ([]oci.Edge, error) {
	if t.platform == nil {
		return edges, nil
	}
	return Platforms{Only: t.platform}.manifests(index, edges)
}

// look reads a manifest, as far as it is there.
func (t *treeing) look(ctx context.Context, desc oci.Descriptor) (n TreeNode, edges []oci.Edge, err error) {
	n = TreeNode{Descriptor: desc, Kind: oci.KindIndex}
	if !oci.IsIndex(desc.MediaType) {
		n.Kind = cmp.Or(oci.KindOfType(desc.ArtifactType), oci.KindArtifact)
	}
	data, err := content.ReadAll(ctx, t.src, desc, oci.MaxManifestSize)
	if errors.Is(err, content.ErrNotFound) {
		return n, nil, nil
	}
	if err == nil {
		edges, err = oci.Successors(desc.MediaType, data)
	}
	if err != nil {
		return n, nil, err
	}
	if oci.IsIndex(desc.MediaType) {
		x, err := oci.ParseIndex(desc.MediaType, data)
		n.ArtifactType, n.Annotations = x.ArtifactType, x.Annotations
		return n, edges, err
	}
	m, err := oci.ParseManifest(desc.MediaType, data)
	if err != nil {
		return n, nil, err
	}
	n.Kind, n.ArtifactType, n.Annotations = oci.KindOf(m), oci.ArtifactType(m), m.Annotations
	n.Predicate, n.Layers = m.Annotations[oci.AnnotationPredicate], len(m.Layers)
	return n, edges, nil
}

// aboutIt looks at what is about a subject; by tags only where tags is set.
func (t *treeing) aboutIt(ctx context.Context, subject oci.Digest, tags bool, depth int) (nodes []TreeNode, err error) {
	t.seen[subject] = true
	for desc, err := range t.referrers(ctx, subject) {
		if err != nil {
			return nil, err
		}
		n, err := t.aboutOne(ctx, desc)
		if err == nil && !t.seen[desc.Digest] && depth < maxTreeDepth {
			n.About, err = t.aboutIt(ctx, desc.Digest, false, depth+1)
		}
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	lister, ok := t.src.(content.AttachmentLister)
	if !ok || !tags {
		return nodes, nil
	}
	for a, err := range lister.Attachments(ctx, subject) {
		if err != nil {
			return nil, err
		}
		n, err := t.aboutOne(ctx, a.Descriptor)
		if err != nil {
			return nil, err
		}
		n.Kind, n.Tag = oci.KindOfSuffix(a.Suffix), oci.AttachmentTag(subject, a.Suffix)
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// aboutOne looks at one manifest that is about another.
func (t *treeing) aboutOne(ctx context.Context, desc oci.Descriptor) (TreeNode, error) {
	if t.about++; t.about > content.MaxReferrers {
		return TreeNode{}, fmt.Errorf("%w: more than %d manifests are about it", content.ErrUnsupported, content.MaxReferrers)
	}
	if !oci.HasSuccessors(desc.MediaType) {
		return TreeNode{Descriptor: desc, Kind: cmp.Or(oci.KindOfType(desc.ArtifactType), oci.KindArtifact)}, nil
	}
	n, _, err := t.look(ctx, desc)
	return n, err
}

// referrers lists what is about a subject; a source that knows of none has none.
func (t *treeing) referrers(ctx context.Context, subject oci.Digest) iter.Seq2[oci.Descriptor, error] {
	return func(yield func(oci.Descriptor, error) bool) {
		lister, ok := t.src.(content.ReferrerLister)
		if !ok {
			return
		}
		for desc, err := range lister.Referrers(ctx, subject, "") {
			if errors.Is(err, content.ErrNotFound) || errors.Is(err, content.ErrUnsupported) || !yield(desc, err) {
				return
			}
		}
	}
}
