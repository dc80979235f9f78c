package registryclient

import (
	"context"
	"errors"
	"iter"

	"dist.example/content"
	"dist.example/oci"
)

// Attachments implements content.AttachmentLister with one HEAD request for each kind
// there is, for the next one only when it is asked for. What has the tag and is no
// image manifest is left out.
//
// Errors: ErrDenied, ErrUnavailable, ErrCorrupt.
func (r *Repository) Attachments(ctx context.Context, subject oci.Digest) iter.Seq2[content.Attachment, error] {
	return func(yield func(content.Attachment, error) bool) {
		for _, suffix := range oci.AttachmentSuffixes() {
			tag := oci.AttachmentTag(subject, suffix)
			if tag == "" {
				return
			}
			desc, err := r.Resolve(ctx, oci.Reference{Tag: tag})
			switch {
			case errors.Is(err, content.ErrNotFound), errors.Is(err, content.ErrUnsupported), err == nil && !oci.IsManifest(desc.MediaType):
				continue
			}
			if !yield(content.Attachment{Suffix: suffix, Descriptor: desc}, err) || err != nil {
				return
			}
		}
	}
}
