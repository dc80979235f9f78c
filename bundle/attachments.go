package bundle

import (
	"context"
	"iter"
	"slices"

	"dist.example/content"
	"dist.example/oci"
)

// What `cosign save` says of the entries of a layout: it holds one image, and those
// beside it are about that.
const (
	cosignKind   = "kind"
	cosignPrefix = "dev.cosignproject.cosign/"
)

// tagged is an attachment and what it is about.
type tagged struct {
	subject oci.Digest
	content.Attachment
}

// Attachments implements content.AttachmentLister: what an index that is looked at for
// Referrers lists under the tag of an attachment, or as cosign keeps it, each
// manifest once. What is not there in its size is left out.
func (s *source) Attachments(ctx context.Context, subject oci.Digest) iter.Seq2[content.Attachment, error] {
	return func(yield func(content.Attachment, error) bool) {
		found, err := s.findings(ctx)
		if err != nil {
			yield(content.Attachment{}, err)
			return
		}
		seen := map[oci.Digest]bool{}
		for _, suffix := range oci.AttachmentSuffixes() {
			for _, a := range found.attachments {
				if a.subject != subject || a.Suffix != suffix || seen[a.Digest] {
					continue
				}
				seen[a.Digest] = true
				if size, err := s.shelf.size(a.Digest); err != nil || size != a.Size {
					continue
				}
				if !yield(a.Attachment, nil) {
					return
				}
			}
		}
	}
}

// attachmentsIn picks those among the entries of an index that are attachments.
func attachmentsIn(entries []entry) (found []tagged) {
	image := cosignImage(entries)
	for _, e := range entries {
		subject, suffix, ok := oci.ParseAttachmentTag(e.tag)
		if !ok {
			subject, suffix = image, e.cosignSuffix()
		}
		if subject == "" || suffix == "" || !oci.IsManifest(e.MediaType) {
			continue
		}
		desc := oci.Descriptor{MediaType: e.MediaType, Digest: e.Digest, Size: e.Size}
		found = append(found, tagged{subject, content.Attachment{Suffix: suffix, Descriptor: desc}})
	}
	return found
}

// cosignImage is the one image in a layout of cosign's, "" elsewhere.
func cosignImage(entries []entry) oci.Digest {
	var images []oci.Digest
	for _, e := range entries {
		if k := e.Annotations[cosignKind]; k == cosignPrefix+"image" || k == cosignPrefix+"imageIndex" {
			images = append(images, e.Digest)
		}
	}
	if slices.Sort(images); len(slices.Compact(images)) != 1 {
		return ""
	}
	return images[0]
}

// cosignSuffix is what e is to the one image in a layout of cosign's, "" when it is no
// attachment.
func (e entry) cosignSuffix() string {
	for _, suffix := range oci.AttachmentSuffixes() {
		if word := cosignWord(suffix); word != "" && e.Annotations[cosignKind] == cosignPrefix+word {
			return suffix
		}
	}
	return ""
}

// cosignWord is what cosign calls attachments of a kind in a layout, "" for a kind that
// it keeps in none.
func cosignWord(suffix string) string {
	switch suffix {
	case oci.SuffixSignature:
		return "sigs"
	case oci.SuffixAttestation:
		return "atts"
	}
	return ""
}
