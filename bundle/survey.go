package bundle

import (
	"context"
	"fmt"
	"slices"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

const (
	// maxManifests bounds the manifests of a place that is served: what is known of each
	// is held in memory.
	maxManifests = 100_000
	// maxMarks bounds what all repositories of a place refer to together. A few megabytes
	// can have thousands of names for an index of thousands of manifests.
	maxMarks = 10_000_000
)

// view is what a place held when its list was read. It does not change.
type view struct {
	shelf shelf
	nodes map[oci.Digest]*node
	about map[oci.Digest][]oci.Digest // referrers by subject, in the order of their digests
	names []name                      // in order
	repos []string                    // those of the names, in order

	written time.Time // when the archive or the list was
}

// node is what is known of one digest.
type node struct {
	mediaType string
	size      int64 // as whoever refers to it says
	// read says that it is a manifest which was read and found sound, and damaged that
	// its bytes are not what they should be.
	read, damaged bool
	looked        bool         // it has been looked at as a manifest, whatever came of that
	below         []oci.Digest // what it is made of
	subject       oci.Digest   // what it is about, "" for nothing
	in            []int        // the repositories that have it, as they stand in view.repos
}

// surveyor finds out what reaches what in a place.
type surveyor struct {
	shelf shelf
	known map[oci.Digest]*node // of an earlier survey: what was read is not read again
	nodes map[oci.Digest]*node
	reads int
}

// survey walks from what is listed, then from what may be a manifest besides. Each
// manifest is read once.
func (s *surveyor) survey(ctx context.Context, entries []entry) error {
	var queue []oci.Descriptor
	for _, e := range entries {
		queue = append(queue, e.Descriptor)
	}
	if err := s.walk(ctx, queue); err != nil {
		return err
	}
	for _, d := range s.shelf.unlisted(entries) {
		if s.nodes[d] != nil {
			continue
		}
		if err := s.walk(ctx, s.detect(ctx, d)); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// detect describes a blob that nobody has told of, if it is a manifest.
func (s *surveyor) detect(ctx context.Context, d oci.Digest) []oci.Descriptor {
	size, err := s.shelf.size(d)
	if err != nil {
		return nil
	}
	data, err := readWhole(ctx, s.shelf, oci.Descriptor{Digest: d, Size: size})
	if err != nil {
		return nil
	}
	mediaType := oci.DetectManifest(data)
	if !oci.HasSuccessors(mediaType) {
		return nil
	}
	return []oci.Descriptor{{MediaType: mediaType, Digest: d, Size: size}}
}

func (s *surveyor) walk(ctx context.Context, queue []oci.Descriptor) error {
	for len(queue) > 0 {
		desc := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		n := s.meet(desc)
		if n.looked || !oci.HasSuccessors(n.mediaType) {
			continue
		}
		n.looked = true
		below, err := s.look(ctx, desc.Digest, n)
		if err != nil {
			return err
		}
		queue = append(queue, below...)
	}
	return nil
}

// meet makes the node of desc. Where the same digest is called a blob and a manifest,
// it is a manifest.
func (s *surveyor) meet(desc oci.Descriptor) *node {
	n := s.nodes[desc.Digest]
	if n == nil {
		n = &node{}
		s.nodes[desc.Digest] = n
	} else if oci.HasSuccessors(n.mediaType) || !oci.HasSuccessors(desc.MediaType) {
		return n
	}
	n.mediaType, n.size = desc.MediaType, desc.Size
	return n
}

// look reads a manifest and says what is below it. One that is missing has nothing
// there, and one that is damaged is for whoever asks for it to hear of.
func (s *surveyor) look(ctx context.Context, d oci.Digest, n *node) ([]oci.Descriptor, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	if s.reads++; s.reads > maxManifests {
		return nil, fmt.Errorf("%w: more than %d manifests", content.ErrUnsupported, maxManifests)
	}
	desc := oci.Descriptor{MediaType: n.mediaType, Digest: d, Size: n.size}
	if old := s.known[d]; old != nil && old.read && old.mediaType == n.mediaType && old.size == n.size {
		return s.again(n, old), nil
	}
	data, err := readWhole(ctx, s.shelf, desc)
	switch {
	case isAny(err, content.ErrNotFound, content.ErrUnsupported):
		return nil, nil
	case isAny(err, content.ErrCorrupt):
		n.damaged = true
		return nil, nil
	case err != nil:
		return nil, err
	}
	edges, err := oci.Successors(desc.MediaType, data)
	if err != nil {
		return nil, nil // its bytes are served as they are, and lead nowhere
	}
	n.read = true
	var below []oci.Descriptor
	for _, e := range edges {
		if e.Role == oci.RoleSubject {
			n.subject = e.Digest
			continue
		}
		n.below = append(n.below, e.Digest)
		below = append(below, oci.Descriptor{MediaType: e.MediaType, Digest: e.Digest, Size: e.Size})
	}
	return below, nil
}

// again takes over what an earlier survey has read.
func (s *surveyor) again(n, old *node) []oci.Descriptor {
	n.read, n.below, n.subject = true, old.below, old.subject
	var below []oci.Descriptor
	for _, d := range old.below {
		if k := s.known[d]; k != nil {
			below = append(below, oci.Descriptor{MediaType: k.mediaType, Digest: d, Size: k.size})
		}
	}
	return below
}

// readWhole reads a manifest, verified.
func readWhole(ctx context.Context, sh shelf, desc oci.Descriptor) ([]byte, error) {
	return content.ReadAll(ctx, &source{shelf: sh}, desc, oci.MaxManifestSize)
}

// arrange makes a view of what was found, with the names that entries give and own
// for what has none. Names that cannot be given are told of. Errors: ErrUnsupported
// for more than maxMarks.
func (s *surveyor) arrange(entries []entry, own oci.Reference, warn func(string)) (*view, error) {
	v := &view{shelf: s.shelf, nodes: s.nodes, about: map[oci.Digest][]oci.Digest{}}
	for d, n := range s.nodes {
		if n.subject != "" {
			v.about[n.subject] = append(v.about[n.subject], d)
		}
	}
	for _, list := range v.about {
		slices.Sort(list)
	}
	v.names = v.namesOf(entries, own, warn)
	for _, n := range v.names {
		v.repos = append(v.repos, n.Reference.Name())
	}
	slices.Sort(v.repos)
	v.repos = slices.Compact(v.repos)
	byRepo := make([][]oci.Digest, len(v.repos))
	for _, n := range v.names {
		i, _ := slices.BinarySearch(v.repos, n.Reference.Name())
		byRepo[i] = append(byRepo[i], n.Target.Digest)
	}
	left := maxMarks
	for i, roots := range byRepo {
		if left = v.mark(i, roots, left); left == 0 {
			return nil, fmt.Errorf("%w: its repositories have more than %d manifests and blobs together", content.ErrUnsupported, maxMarks)
		}
	}
	return v, nil
}

// mark notes for all that roots reach, and for what is about any of it, that
// repository i has it. It ends after so many steps, and says how many are left: an
// index can list the same a thousand times.
func (v *view) mark(i int, stack []oci.Digest, left int) int {
	for len(stack) > 0 && left > 0 {
		d := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		left--
		n := v.nodes[d]
		if n == nil || (len(n.in) > 0 && n.in[len(n.in)-1] == i) {
			continue
		}
		n.in = append(n.in, i)
		stack = append(append(stack, n.below...), v.about[d]...)
	}
	return left
}

// roots are the manifests that nothing here is made of and that are about nothing
// here.
func (v *view) roots() []oci.Digest {
	held := map[oci.Digest]bool{}
	for d, n := range v.nodes {
		for _, b := range n.below {
			held[b] = true
		}
		if s := v.nodes[n.subject]; s != nil {
			held[d] = true
		}
	}
	var out []oci.Digest
	for d := range v.nodes {
		if !held[d] {
			out = append(out, d)
		}
	}
	slices.Sort(out)
	return out
}
