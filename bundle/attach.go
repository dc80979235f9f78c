package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"dist.example/content"
	"dist.example/oci"
)

// newTags are the tags that a target gives to attachments when it is finished. The
// zero value is ready to be used.
type newTags struct {
	mu    sync.Mutex
	given map[string]newTag
}

type newTag struct {
	desc oci.Descriptor
	data []byte
	old  oci.Digest
}

// find is what a tag will name.
func (t *newTags) find(tag string) (newTag, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g, ok := t.given[tag]
	return g, ok
}

// attach pushes the manifest of g and gives it its tag.
func (t *newTags) attach(ctx context.Context, to content.Pusher, subject oci.Digest, suffix string, g newTag) error {
	tag, err := content.AttachmentTag(subject, suffix)
	if err != nil {
		return err
	}
	if err := to.Push(ctx, g.desc, bytes.NewReader(g.data)); err != nil {
		return err
	}
	t.give(tag, g)
	return nil
}

func (t *newTags) give(tag string, g newTag) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.given == nil {
		t.given = map[string]newTag{}
	}
	if first, again := t.given[tag]; again {
		g.old = first.old // what is there by now
	}
	t.given[tag] = g
}

// list is what stands in an index for them, in order of tag.
func (t *newTags) list() []oci.Descriptor {
	t.mu.Lock()
	defer t.mu.Unlock()
	var items []oci.Descriptor
	for tag, g := range t.given {
		items = append(items, listed(g.desc, oci.Reference{}, tag))
	}
	slices.SortFunc(items, func(a, b oci.Descriptor) int {
		return strings.Compare(a.Annotations[oci.AnnotationRefName], b.Annotations[oci.AnnotationRefName])
	})
	return items
}

// stillHold checks that nobody has given one of the tags to something else since it
// was looked at. index is an index.json, nil for none. Errors: ErrConflict.
func (t *newTags) stillHold(index []byte) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if index == nil || len(t.given) == 0 {
		return nil
	}
	entries, err := parseListing(index)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if g, ok := t.given[e.tag]; ok && e.Digest != g.old && e.Digest != g.desc.Digest {
			return content.WithHint(fmt.Errorf("%s: %w: somebody else gave it to %s meanwhile", e.tag, content.ErrConflict, e.Digest),
				"the same again joins the two")
		}
	}
	return nil
}

// Attached implements content.AttachmentHolder.
func (t *layoutTarget) Attached(ctx context.Context, subject oci.Digest, suffix string) (oci.Descriptor, []byte, error) {
	tag, err := content.AttachmentTag(subject, suffix)
	if err != nil {
		return oci.Descriptor{}, nil, err
	}
	if g, ok := t.tags.find(tag); ok {
		return g.desc, g.data, nil
	}
	none := fmt.Errorf("%s in %s: %w", tag, t.place.path, content.ErrNotFound)
	index, err := t.folder.document("index.json", oci.MaxManifestSize)
	if errors.Is(err, content.ErrNotFound) {
		return oci.Descriptor{}, nil, none
	}
	if err != nil {
		return oci.Descriptor{}, nil, err
	}
	entries, err := parseListing(index)
	if err != nil {
		return oci.Descriptor{}, nil, err
	}
	i := slices.IndexFunc(entries, func(e entry) bool { return e.tag == tag })
	if i < 0 {
		return oci.Descriptor{}, nil, none
	}
	desc := oci.Descriptor{MediaType: entries[i].MediaType, Digest: entries[i].Digest, Size: entries[i].Size}
	data, err := content.ReadAll(ctx, &t.source, desc, oci.MaxManifestSize)
	if errors.Is(err, content.ErrNotFound) {
		err = fmt.Errorf("%w: %w", content.ErrCorrupt, err)
	}
	return desc, data, err
}

// Attach implements content.Attacher: Finish lists the manifest under its tag.
func (t *layoutTarget) Attach(ctx context.Context, subject oci.Digest, suffix string, desc oci.Descriptor, data []byte, old oci.Digest) error {
	return t.tags.attach(ctx, t, subject, suffix, newTag{desc, data, old})
}

// Attached implements content.AttachmentHolder: a new archive has what was attached
// alone.
func (t *archiveTarget) Attached(_ context.Context, subject oci.Digest, suffix string) (oci.Descriptor, []byte, error) {
	tag, err := content.AttachmentTag(subject, suffix)
	if err != nil {
		return oci.Descriptor{}, nil, err
	}
	if g, ok := t.tags.find(tag); ok {
		return g.desc, g.data, nil
	}
	return oci.Descriptor{}, nil, fmt.Errorf("%s in %s: %w", tag, t.place.path, content.ErrNotFound)
}

// Attach implements content.Attacher. An archive lists its image alone, since many
// programs take what stands first or refuse several: that and under which tag it has
// attachments, an index says that stands among the blobs.
func (t *archiveTarget) Attach(ctx context.Context, subject oci.Digest, suffix string, desc oci.Descriptor, data []byte, old oci.Digest) error {
	return t.tags.attach(ctx, t, subject, suffix, newTag{desc, data, old})
}

// addTags writes the index of the attachments, for who has the turn.
func (t *archiveTarget) addTags() error {
	list := t.tags.list()
	if len(list) == 0 {
		return nil
	}
	data, desc, err := encodeIndex(list)
	if err != nil {
		return err
	}
	if here, _ := t.has(desc); here {
		return nil
	}
	_, err = t.tar.add(blobName(desc.Digest), desc.Size, bytes.NewReader(data))
	return err
}

// encodeIndex is an index of items: of the attachments that an archive has, under their tags,
// or of what is about a manifest.
func encodeIndex(items []oci.Descriptor) ([]byte, oci.Descriptor, error) {
	x := oci.Index{MediaType: oci.MediaTypeIndex, Manifests: items}
	x.SchemaVersion = 2
	return oci.Encode(oci.MediaTypeIndex, x)
}
