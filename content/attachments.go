package content

import (
	"context"
	"iter"

	"dist.example/oci"
)

// Attachment is a manifest that is about another by its tag alone: ALG-HEX.SUFFIX, as
// cosign tags signatures. It is an image manifest without a subject, no index.
type Attachment struct {
	Suffix string // "sig", "att" or "sbom": see oci.AttachmentSuffixes
	oci.Descriptor
}

// AttachmentLister is a source that knows what is about something by tags alone.
type AttachmentLister interface {
	// Attachments lists what is about subject, signatures first. Several may have one
	// suffix, where the source has several repositories. A subject nobody has heard of
	// has none: that is no error. Errors: as ReferrerLister.
	Attachments(ctx context.Context, subject oci.Digest) iter.Seq2[Attachment, error]
}
