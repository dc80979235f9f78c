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
			desc, err := r.tagged(ctx, oci.Reference{Tag: tag})
			if errors.Is(err, content.ErrNotFound) || errors.Is(err, content.ErrUnsupported) || err == nil && !oci.IsManifest(desc.MediaType) {
				continue
			}
			if !yield(content.Attachment{Suffix: suffix, Descriptor: desc}, err) || err != nil {
				return
			}
		}
	}
}

// tagged is Resolve for a tag that there need not be, the zero Descriptor where there
// is none.
func (r *Repository) tagged(ctx context.Context, ref oci.Reference) (oci.Descriptor, error) {
	return eachHost(ctx, r, resolving(ref), func(e *endpoint) (oci.Descriptor, error) {
		desc, err := r.resolveAt(ctx, e, ref)
		if errors.Is(err, content.ErrNotFound) && r.speaksFor(e) {
			return oci.Descriptor{}, nil
		}
		return desc, err
	})
}

// Attached implements content.AttachmentHolder with one GET request to where pushes
// go.
func (r *Repository) Attached(ctx context.Context, subject oci.Digest, suffix string) (oci.Descriptor, []byte, error) {
	tag, err := content.AttachmentTag(subject, suffix)
	if err != nil {
		return oci.Descriptor{}, nil, err
	}
	e, err := r.pushHost()
	if err != nil {
		return oci.Descriptor{}, nil, err
	}
	return r.getManifest(ctx, e, oci.Reference{Tag: tag}, manifestTypes)
}

// AttachRequests is how many requests Attach makes beside the one that puts the
// manifest.
const AttachRequests = 1 + tagLooks

// tagLooks is how often a tag is looked at to see that it stands.
const tagLooks = 2

// Attach implements content.Attacher. The tag is everybody's, and few registries offer
// to move it only if nobody else has: so it is looked at before, as by SwapTag, and
// twice afterwards.
func (r *Repository) Attach(ctx context.Context, subject oci.Digest, suffix string, desc oci.Descriptor, data []byte, old oci.Digest) error {
	tag, err := content.AttachmentTag(subject, suffix)
	if err != nil {
		return err
	}
	done, err := r.client.turns.take(ctx, r.ref.Name()+":"+tag)
	if err != nil {
		return err
	}
	defer done()
	err = r.SwapTag(ctx, desc, data, tag, old)
	if errors.Is(err, content.ErrUnsupported) { // who does not tell digests cannot be watched
		_, err = r.putManifest(ctx, desc, data, tag, nil)
		return err
	}
	if err != nil {
		return err
	}
	return r.watchTag(ctx, tag, desc.Digest)
}

// watchTag looks whether a tag that was put stands.
func (r *Repository) watchTag(ctx context.Context, tag string, put oci.Digest) error {
	e, err := r.pushHost()
	if err != nil {
		return err
	}
	for n := range tagLooks {
		if n > 0 {
			if err := r.breathe(ctx); err != nil {
				return err
			}
		}
		found, _, err := r.headTag(ctx, e, tag)
		if err != nil {
			return err
		}
		if found != put {
			return r.Moved(tag, found, put)
		}
	}
	return nil
}
