package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"dist.example/blobstore"
	"dist.example/bundle"
	"dist.example/content"
	"dist.example/oci"
)

// collector is a target that takes down what it is given: a copy to it tells what an
// export carries. Only manifests are read.
type collector struct {
	store *blobstore.Store

	asking sync.Mutex // held while missing asks: a second connection costs more than dozens of questions
	mu     sync.Mutex
	sizes  map[oci.Digest]int64
	types  map[oci.Digest]string
	made   map[oci.Digest][]byte // what the copy made, and the store does not have
	here   map[oci.Digest]bool   // what the store is known to have
	refs   []bundle.ReferrerEntry
	below  map[oci.Digest][]oci.Digest // what manifests list, without their subjects
	tags   map[string]attachedName
	// absent are what indexes list and the store lacks.
	absent []oci.Digest
}

var _ content.Attacher = (*collector)(nil)

func newCollector(s *blobstore.Store) *collector {
	return &collector{
		store: s, sizes: map[oci.Digest]int64{}, types: map[oci.Digest]string{}, made: map[oci.Digest][]byte{}, tags: map[string]attachedName{},
		below: map[oci.Digest][]oci.Digest{}, here: map[oci.Digest]bool{},
	}
}

// unread is a store whose blobs are not read.
type unread struct{ *blobstore.Store }

// ReaderAt implements content.Provider.
func (unread) ReaderAt(_ context.Context, desc oci.Descriptor) (content.ReaderAt, error) {
	return nobytes(desc.Size), nil
}

// nobytes is a blob of a size that nobody reads.
type nobytes int64

func (n nobytes) Size() int64                     { return int64(n) }
func (nobytes) ReadAt([]byte, int64) (int, error) { return 0, io.ErrUnexpectedEOF }
func (nobytes) Close() error                      { return nil }

// Exists implements content.Pusher.
func (c *collector) Exists(_ context.Context, desc oci.Descriptor) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.sizes[desc.Digest]
	return ok, nil
}

// Push implements content.Pusher.
func (c *collector) Push(ctx context.Context, desc oci.Descriptor, r io.Reader) error {
	var data []byte
	missing, err := c.missing(ctx, desc.Digest)
	if err != nil {
		return err
	}
	if missing || oci.HasSuccessors(desc.MediaType) {
		if data, err = io.ReadAll(io.LimitReader(r, oci.MaxManifestSize+1)); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sizes[desc.Digest] = desc.Size
	c.typed(desc)
	if missing {
		c.made[desc.Digest] = data
	}
	if !oci.HasSuccessors(desc.MediaType) {
		return nil
	}
	return c.manifest(desc, data)
}

// look finds what the store has of what a manifest lists.
func (c *collector) look(ctx context.Context, edges []oci.Edge) (map[oci.Digest]content.Info, error) {
	digests := make([]oci.Digest, len(edges))
	for i, e := range edges {
		digests[i] = e.Digest
	}
	infos, err := c.store.Infos(ctx, digests...)
	c.mu.Lock()
	defer c.mu.Unlock()
	for d := range infos {
		c.here[d] = true
	}
	return infos, err
}

// missing says whether the store lacks something, and asks it where look has not found it.
func (c *collector) missing(ctx context.Context, d oci.Digest) (bool, error) {
	c.mu.Lock()
	here := c.here[d]
	c.mu.Unlock()
	if here {
		return false, nil
	}
	c.asking.Lock()
	defer c.asking.Unlock()
	_, err := c.store.Info(ctx, d)
	if errors.Is(err, content.ErrNotFound) {
		return true, nil
	}
	return false, err
}

// typed settles on one media type of all that manifests say: the order in which they
// come has to make no difference, and one that has edges counts first.
func (c *collector) typed(desc oci.Descriptor) {
	was, known := c.types[desc.Digest]
	better := desc.MediaType < was
	if a, b := oci.HasSuccessors(desc.MediaType), oci.HasSuccessors(was); a != b {
		better = a
	}
	if !known || better {
		c.types[desc.Digest] = desc.MediaType
	}
}

// manifest takes down what a manifest says of others.
func (c *collector) manifest(desc oci.Descriptor, data []byte) error {
	edges, err := oci.Successors(desc.MediaType, data)
	if err != nil {
		return fmt.Errorf("manifest %s: %w: %v", desc.Digest, content.ErrCorrupt, err)
	}
	for _, e := range edges {
		if e.Role != oci.RoleSubject {
			c.typed(e.Descriptor)
			c.below[desc.Digest] = append(c.below[desc.Digest], e.Digest)
			continue
		}
		kind, err := artifactType(desc, data)
		if err != nil {
			return err
		}
		c.refs = append(c.refs, bundle.ReferrerEntry{Digest: desc.Digest, Subject: e.Digest, ArtifactType: kind})
	}
	return nil
}

// artifactType is what a manifest says that it is.
func artifactType(desc oci.Descriptor, data []byte) (string, error) {
	if oci.IsIndex(desc.MediaType) {
		x, err := oci.ParseIndex(desc.MediaType, data)
		return x.ArtifactType, err
	}
	m, err := oci.ParseManifest(desc.MediaType, data)
	return oci.ArtifactType(m), err
}

// Attached implements content.AttachmentHolder.
func (c *collector) Attached(_ context.Context, subject oci.Digest, suffix string) (oci.Descriptor, []byte, error) {
	tag, err := content.AttachmentTag(subject, suffix)
	if err != nil {
		return oci.Descriptor{}, nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if given, ok := c.tags[tag]; ok {
		return given.desc, given.data, nil
	}
	return oci.Descriptor{}, nil, fmt.Errorf("attachment %s: %w", tag, content.ErrNotFound)
}

// Attach implements content.Attacher, but for the manifest, which Copy has pushed.
func (c *collector) Attach(_ context.Context, subject oci.Digest, suffix string, desc oci.Descriptor, data []byte, _ oci.Digest) error {
	tag, err := content.AttachmentTag(subject, suffix)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tags[tag] = attachedName{desc: desc, data: data}
	return nil
}

// count counts one image of an index, and whether it is here.
func (c *collector) count(im *ExportedImage, here bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	im.Known++
	if here {
		im.Held++
	}
}

func (c *collector) lacks(d oci.Digest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.absent = append(c.absent, d)
}

// blobs are all that was given, by digest.
func (c *collector) blobs() []bundle.BlobEntry {
	all := make([]bundle.BlobEntry, 0, len(c.sizes))
	for d, size := range c.sizes {
		all = append(all, bundle.BlobEntry{Digest: d, Size: size, MediaType: c.types[d]})
	}
	slices.SortFunc(all, func(a, b bundle.BlobEntry) int { return strings.Compare(string(a.Digest), string(b.Digest)) })
	return all
}

// referrers are the manifests about others, attachments among them.
func (c *collector) referrers() []bundle.ReferrerEntry {
	all := slices.Clone(c.refs)
	for tag, a := range c.tags {
		subject, _, _ := oci.ParseAttachmentTag(tag)
		all = append(all, bundle.ReferrerEntry{Digest: a.desc.Digest, Subject: subject, Tag: tag})
	}
	return all
}

// has says whether d was given.
func (c *collector) has(d oci.Digest) bool {
	_, ok := c.sizes[d]
	return ok
}

// spread adds to wanted what whoever lacks a manifest of it cannot know of: all that it
// lists, and all that is about it. What roots reach without a manifest that is wanted is
// known there, and not added.
func (c *collector) spread(wanted map[oci.Digest]bool, roots []oci.Digest) {
	lists := func(d oci.Digest) []oci.Digest { return c.below[d] }
	known := map[oci.Digest]bool{}
	follow(roots, lists, known, wanted)
	about := map[oci.Digest][]oci.Digest{}
	for _, r := range c.referrers() {
		about[r.Subject] = append(about[r.Subject], r.Digest)
	}
	from := slices.Collect(maps.Keys(wanted))
	clear(wanted)
	follow(from, func(d oci.Digest) []oci.Digest { return slices.Concat(c.below[d], about[d]) }, wanted, known)
}

// addAttachments adds what is about images by a tag, and all that it lists. What a receiver
// has kept of a delta that it could not finish has no tags yet.
func (c *collector) addAttachments(wanted map[oci.Digest]bool) {
	for _, a := range c.tags {
		follow([]oci.Digest{a.desc.Digest}, func(d oci.Digest) []oci.Digest { return c.below[d] }, wanted, nil)
	}
}

// follow adds to found what is reached from some, and not by way of what is in without.
func follow(from []oci.Digest, next func(oci.Digest) []oci.Digest, found, without map[oci.Digest]bool) {
	for todo := slices.Clone(from); len(todo) > 0; {
		d := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if found[d] || without[d] {
			continue
		}
		found[d] = true
		todo = append(todo, next(d)...)
	}
}

// about counts the manifests about others.
func (c *collector) about() int {
	seen := map[oci.Digest]bool{}
	for _, r := range c.referrers() {
		seen[r.Digest] = true
	}
	return len(seen)
}
