package memory

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"

	"dist.example/content"
	"dist.example/oci"
)

// document is what a manifest says of itself and others; empty for a blob.
type document struct {
	edges        []oci.Edge
	artifactType string
	annotations  map[string]string
}

// parse reads data as mediaType says. What is no manifest is not looked at.
func parse(mediaType string, data []byte) (document, error) {
	edges, err := oci.Successors(mediaType, data)
	if err != nil || !oci.HasSuccessors(mediaType) {
		return document{}, err
	}
	doc := document{edges: edges}
	if oci.IsIndex(mediaType) {
		x, err := oci.ParseIndex(mediaType, data)
		doc.artifactType, doc.annotations = x.ArtifactType, x.Annotations
		return doc, err
	}
	m, err := oci.ParseManifest(mediaType, data)
	doc.artifactType, doc.annotations = m.ArtifactType, m.Annotations
	if doc.artifactType == "" {
		doc.artifactType = m.Config.MediaType
	}
	return doc, err
}

// link records who mentions whom. The store's lock is held.
func (s *Store) link(d oci.Digest, edges []oci.Edge) {
	for _, e := range edges {
		by := s.backward(e.Role)
		if by[e.Digest] == nil {
			by[e.Digest] = map[oci.Digest]bool{}
		}
		by[e.Digest][d] = true
	}
}

func (s *Store) unlink(d oci.Digest, edges []oci.Edge) {
	for _, e := range edges {
		by := s.backward(e.Role)
		if delete(by[e.Digest], d); len(by[e.Digest]) == 0 {
			delete(by, e.Digest)
		}
	}
}

func (s *Store) backward(r oci.Role) map[oci.Digest]map[oci.Digest]bool {
	if r == oci.RoleSubject {
		return s.referrers
	}
	return s.parents
}

// holders are the held objects that keep d: its parents, and its subject.
func (s *Store) holders(d oci.Digest) []oci.Digest {
	all := slices.Collect(maps.Keys(s.parents[d]))
	for _, e := range s.objects[d].edges {
		if e.Role == oci.RoleSubject && s.objects[e.Digest] != nil {
			all = append(all, e.Digest)
		}
	}
	return slices.DeleteFunc(all, func(h oci.Digest) bool { return h == d })
}

// held are the held objects that d keeps: its children, and its referrers.
func (s *Store) held(d oci.Digest) []oci.Digest {
	set := map[oci.Digest]bool{}
	for _, e := range s.objects[d].edges {
		if e.Role != oci.RoleSubject && s.objects[e.Digest] != nil {
			set[e.Digest] = true
		}
	}
	maps.Copy(set, s.referrers[d])
	delete(set, d)
	return slices.Sorted(maps.Keys(set))
}

// byDepth orders everything held so that holders come before what they hold,
// level by level. An index that lists its own subject holds what holds it: such
// a knot is cut at its smallest digest. The store's lock is held.
func (s *Store) byDepth() []oci.Digest {
	waits := map[oci.Digest]int{} // how many holders are still to come
	var level, order []oci.Digest
	for d := range s.objects {
		holders := map[oci.Digest]bool{}
		for _, h := range s.holders(d) {
			holders[h] = true
		}
		if waits[d] = len(holders); waits[d] == 0 {
			level = append(level, d)
		}
	}
	for len(waits) > 0 {
		if len(level) == 0 {
			level = []oci.Digest{slices.Min(slices.Collect(maps.Keys(waits)))}
		}
		slices.Sort(level)
		order = append(order, level...)
		for _, d := range level {
			delete(waits, d)
		}
		level = s.next(level, waits)
	}
	return order
}

// next counts level off its objects' waits and returns those that wait no more.
func (s *Store) next(level []oci.Digest, waits map[oci.Digest]int) []oci.Digest {
	var free []oci.Digest
	for _, d := range level {
		for _, child := range s.held(d) {
			if n, ok := waits[child]; ok {
				if waits[child] = n - 1; n == 1 {
					free = append(free, child)
				}
			}
		}
	}
	return free
}

// complete checks that root and what it reaches are held. Platforms may be left
// out of an index, and layers that registries need not hold may be absent. The
// store's lock is held.
func (s *Store) complete(root oci.Digest) error {
	seen := map[oci.Digest]bool{}
	var visit func(d oci.Digest) error
	visit = func(d oci.Digest) error {
		o, ok := s.objects[d]
		if !ok {
			return fmt.Errorf("%s: %w", d, content.ErrNotFound)
		}
		if seen[d] {
			return nil
		}
		seen[d] = true
		for _, e := range o.edges {
			if s.optional(e) {
				continue
			}
			if err := visit(e.Digest); err != nil {
				return err
			}
		}
		return nil
	}
	return visit(root)
}

// optional says whether what e points to may be missing, or is.
func (s *Store) optional(e oci.Edge) bool {
	if e.Role == oci.RoleSubject {
		return true
	}
	mayMiss := e.Role == oci.RoleManifest || oci.IsNonDistributable(e.MediaType)
	return mayMiss && s.objects[e.Digest] == nil
}

// Delete implements content.Manager. A lease holds what it was made for as long
// as it lasts.
func (s *Store) Delete(ctx context.Context, digests ...oci.Digest) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	set := map[oci.Digest]bool{}
	for _, d := range digests {
		if s.objects[d] != nil {
			set[d] = true
		}
	}
	for d := range set {
		if err := s.deletable(d, set); err != nil {
			return err
		}
	}
	for d := range set {
		s.remove(d)
	}
	return nil
}

// deletable says who outside of set holds d, if anybody does.
func (s *Store) deletable(d oci.Digest, set map[oci.Digest]bool) error {
	for _, h := range s.holders(d) {
		if !set[h] {
			return fmt.Errorf("delete %s: %w: %s holds it", d, content.ErrConflict, h)
		}
	}
	for id, l := range s.leases {
		if l.objects[d] {
			return fmt.Errorf("delete %s: %w: lease %s holds it", d, content.ErrConflict, id)
		}
	}
	return nil
}

func (s *Store) remove(d oci.Digest) {
	o := s.objects[d]
	s.unlink(d, o.edges)
	s.used -= o.info.Size
	delete(s.objects, d)
	delete(s.members, d)
	for key, n := range s.names {
		if n.Target.Digest == d {
			delete(s.names, key)
			s.seq++
		}
	}
}

// Referrers implements content.ReferrerLister, in order of digest.
func (s *Store) Referrers(ctx context.Context, subject oci.Digest, artifactType string) iter.Seq2[oci.Descriptor, error] {
	return list(ctx, func() []oci.Descriptor {
		var all []oci.Descriptor
		for _, d := range slices.Sorted(maps.Keys(s.referrers[subject])) {
			o := s.objects[d]
			if artifactType != "" && o.artifactType != artifactType {
				continue
			}
			desc := o.info.Descriptor()
			desc.ArtifactType, desc.Annotations = o.artifactType, maps.Clone(o.annotations)
			all = append(all, desc)
		}
		return all
	}, &s.mu)
}
