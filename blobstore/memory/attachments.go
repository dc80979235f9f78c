package memory

import (
	"context"
	"iter"
	"maps"
	"slices"

	"dist.example/content"
	"dist.example/oci"
)

// Attachments implements content.AttachmentLister, in order of name for each suffix.
func (s *Store) Attachments(ctx context.Context, subject oci.Digest) iter.Seq2[content.Attachment, error] {
	return list(ctx, func() []content.Attachment {
		var found []content.Attachment
		seen := map[oci.Digest]bool{}
		for _, suffix := range oci.AttachmentSuffixes() {
			tag := oci.AttachmentTag(subject, suffix)
			for _, key := range slices.Sorted(maps.Keys(s.names)) {
				n := s.names[key]
				d := n.Target.Digest
				if tag == "" || n.Reference.Tag != tag || seen[d] || !oci.IsManifest(n.Target.MediaType) || !s.inRepository(n.Reference.Name(), subject, false) {
					continue
				}
				seen[d] = true
				found = append(found, content.Attachment{Suffix: suffix, Descriptor: n.Target})
			}
		}
		return found
	}, &s.mu)
}
