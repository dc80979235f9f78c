package bundle

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"strings"

	"dist.example/content"
	"dist.example/oci"
)

// maxLooks bounds the manifests that are read to find referrers: as many as an archive may
// have members.
const maxLooks = maxMembers

// referrer is a manifest that is about another.
type referrer struct {
	oci.Descriptor
	subject oci.Digest
}

// link is what is kept of a referrer while others are looked for: what it says of
// itself may be long.
func (r referrer) link() referrer {
	r.Annotations, r.ArtifactType = nil, ""
	return r
}

// Referrers implements content.ReferrerLister. It reads the manifests that
// index.json lists and, where those are indexes, what they list, which includes the
// indexes kept under a referrers tag; of an archive, the blobs that nothing lists
// too.
func (s *source) Referrers(ctx context.Context, subject oci.Digest, artifactType string) iter.Seq2[oci.Descriptor, error] {
	return func(yield func(oci.Descriptor, error) bool) {
		all, err := s.findings(ctx)
		for _, r := range all.referrers {
			if r.subject != subject {
				continue
			}
			if r, _, err = s.look(ctx, r.Digest); err != nil {
				break
			}
			if r.subject != subject || (artifactType != "" && r.ArtifactType != artifactType) {
				continue
			}
			if !yield(r.Descriptor, nil) {
				return
			}
		}
		if err != nil {
			yield(oci.Descriptor{}, err)
		}
	}
}

// findings is what is about others on a shelf.
type findings struct {
	referrers   []referrer
	attachments []tagged
}

// findings are all there are, which is found out once.
func (s *source) findings(ctx context.Context) (findings, error) {
	s.finding.Lock()
	defer s.finding.Unlock()
	if s.found == nil {
		found, err := s.find(ctx)
		if err != nil {
			return found, err
		}
		s.found = &found
	}
	return *s.found, nil
}

// find looks at every manifest once, the listed ones first.
func (s *source) find(ctx context.Context) (findings, error) {
	var queue []oci.Digest
	found := findings{attachments: attachmentsIn(s.entries)}
	for _, e := range s.entries {
		if oci.HasSuccessors(e.MediaType) {
			queue = append(queue, e.Digest)
		}
	}
	queue = append(queue, s.shelf.unlisted(s.entries)...)
	seen := map[oci.Digest]bool{}
	for len(queue) > 0 {
		d := queue[0]
		queue = queue[1:]
		if seen[d] {
			continue
		}
		if seen[d] = true; len(seen) > maxLooks {
			return found, fmt.Errorf("%w: more than %d manifests would have to be looked at, to find what is about others", content.ErrUnsupported, maxLooks)
		}
		r, below, err := s.look(ctx, d)
		if err != nil {
			return found, err
		}
		if r.subject != "" {
			found.referrers = append(found.referrers, r.link())
		}
		found.attachments = append(found.attachments, attachmentsIn(below)...)
		for _, e := range below {
			queue = append(queue, e.Digest)
		}
	}
	return found, nil
}

// look reads one manifest. One that is missing or none at all refers to nothing;
// what is damaged is for whoever fetches it to find.
func (s *source) look(ctx context.Context, d oci.Digest) (r referrer, below []entry, err error) {
	desc, data, err := s.manifest(ctx, d)
	if isAny(err, content.ErrNotFound, content.ErrUnsupported, content.ErrCorrupt) {
		return r, nil, nil
	}
	if err != nil {
		return r, nil, err
	}
	edges, err := oci.Successors(desc.MediaType, data)
	if err != nil {
		return r, nil, nil
	}
	for _, e := range edges {
		if e.Role == oci.RoleManifest {
			below = append(below, newEntry(e.Descriptor))
		}
	}
	return asReferrer(desc, data), below, nil
}

// asReferrer reads what data, a sound manifest, is about; the subject is "" when it
// is about nothing.
func asReferrer(desc oci.Descriptor, data []byte) referrer {
	r := referrer{Descriptor: oci.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, Size: int64(len(data))}}
	if oci.IsIndex(desc.MediaType) {
		x, err := oci.ParseIndex(desc.MediaType, data)
		if err == nil && x.Subject != nil {
			r.subject, r.ArtifactType, r.Annotations = x.Subject.Digest, x.ArtifactType, maps.Clone(x.Annotations)
		}
		return r
	}
	m, err := oci.ParseManifest(desc.MediaType, data)
	if err == nil && m.Subject != nil {
		r.subject, r.ArtifactType, r.Annotations = m.Subject.Digest, oci.ArtifactType(m), maps.Clone(m.Annotations)
	}
	return r
}

func isAny(err error, classes ...error) bool {
	for _, c := range classes {
		if errors.Is(err, c) {
			return true
		}
	}
	return false
}

// blobName is where a layout keeps d.
func blobName(d oci.Digest) string { return "blobs/" + d.Algorithm().String() + "/" + d.Encoded() }

// blobDigest is the inverse of blobName.
func blobDigest(name string) (oci.Digest, bool) {
	rest, ok := strings.CutPrefix(name, "blobs/")
	if !ok {
		return "", false
	}
	d, err := oci.ParseDigest(strings.Replace(rest, "/", ":", 1))
	return d, err == nil
}
