package content

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

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

// AttachmentHolder is a target that knows which attachments it has.
type AttachmentHolder interface {
	// Attached returns what has the tag of an attachment now, and its bytes. It changes
	// nothing. Errors: ErrNotFound for no such tag; ErrCorrupt, with the descriptor,
	// for what is damaged; ErrUnsupported for what is neither manifest nor index, and
	// as AttachmentTag; ErrDenied, ErrUnavailable.
	Attached(ctx context.Context, subject oci.Digest, suffix string) (oci.Descriptor, []byte, error)
}

// Attacher is a target that keeps attachments. See Copy for what becomes of one that
// is to have a tag of another.
type Attacher interface {
	AttachmentHolder
	// Attach lets the tag name desc, a manifest with the bytes data, which it stores. All
	// that the manifest reaches is there. old is what Attached said, "" for nothing.
	// What is only visible by and by, see ImageTarget, is so with the tag, too. Errors:
	// ErrConflict when the tag names something else than old by now; else as Push.
	Attach(ctx context.Context, subject oci.Digest, suffix string, desc oci.Descriptor, data []byte, old oci.Digest) error
}

// AttachmentTag is the tag of an attachment to subject, which every Attacher asks for
// before anything else. Errors: ErrUnsupported where oci.AttachmentTag knows none.
func AttachmentTag(subject oci.Digest, suffix string) (string, error) {
	tag := oci.AttachmentTag(subject, suffix)
	if tag == "" {
		return "", fmt.Errorf("attachment to %s: %w: its tag would be too long", subject, ErrUnsupported)
	}
	return tag, nil
}

// attachTries bounds the tries at a tag that others move all the time.
const attachTries = 10

// visitAttachments walks the attachments of one subject, one after the other: two of
// them may be for one tag.
func (w *walk) visitAttachments(ctx context.Context, subject oci.Digest) error {
	lister, ok := w.src.(AttachmentLister)
	to, ok2 := w.target.(AttachmentHolder)
	if !ok || !ok2 {
		return nil
	}
	requests := 0
	if oci.AttachmentTag(subject, oci.SuffixSignature) != "" {
		requests = len(oci.AttachmentSuffixes()) // a tag each
	}
	found, err := listed(ctx, w, "attachments", subject, requests, lister.Attachments(ctx, subject))
	if err != nil {
		return err
	}
	for _, a := range found {
		if err := w.meet(a.Descriptor, subject); err != nil {
			return err
		}
		at := tagging{to: to, subject: subject, suffix: a.Suffix}
		err := ErrConflict
		for try := 0; try < attachTries && errors.Is(err, ErrConflict); try++ {
			err = w.attachment(ctx, at, a.Descriptor)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
	}
	return nil
}

// tagging is the tag of an attachment at a target.
type tagging struct {
	to      AttachmentHolder
	subject oci.Digest
	suffix  string
	old     oci.Descriptor // what it names, the zero Descriptor for nothing
	data    []byte         // its bytes
}

func (t tagging) String() string {
	return "attachment " + cmp.Or(oci.AttachmentTag(t.subject, t.suffix), t.suffix+" of "+t.subject.String())
}

// attachment walks one attachment, and gives it its tag. Where the tag names
// another, the two are joined, if they can be. Errors: ErrConflict when somebody else
// moved the tag meanwhile.
func (w *walk) attachment(ctx context.Context, at tagging, desc oci.Descriptor) error {
	err := w.lookAttached(ctx, &at)
	same := at.old.Digest == desc.Digest
	switch {
	case same && w.closed: // which has all below it, too
		w.to.held(desc)
		w.count(desc.Digest)
		return nil
	case same, errors.Is(err, ErrNotFound):
		err = nil
	case errors.Is(err, ErrCorrupt), errors.Is(err, ErrUnsupported):
		w.opts.warn("%s stays as it is: %v", at, err)
		return nil
	}
	if err != nil {
		return err
	}
	data, held, err := w.read(ctx, desc)
	if err != nil {
		return err
	}
	if same || at.old.Digest == "" {
		return w.giveTag(ctx, at, desc, data, held)
	}
	j, err := joinAttachments(at, desc, data)
	switch {
	case err != nil:
		w.opts.warn("%s stays as it is, and %s is left out: %v", at, desc.Digest, err)
		return nil
	case j.nothingNew:
		w.count(desc.Digest)
		return nil
	case j.data == nil:
		return w.giveTag(ctx, at, desc, data, held)
	}
	return w.join(ctx, at, desc, data, j)
}

// lookAttached asks what has the tag.
func (w *walk) lookAttached(ctx context.Context, at *tagging) (err error) {
	if err := w.slots.Acquire(ctx, 1); err != nil {
		return err
	}
	defer w.slots.Release(1)
	w.looked.Add(1)
	at.old, at.data, err = at.to.Attached(ctx, at.subject, at.suffix)
	return err
}

// giveTag brings what an attachment of the source reaches, then itself with its tag.
// held says that the target has its bytes.
func (w *walk) giveTag(ctx context.Context, at tagging, desc oci.Descriptor, data []byte, held bool) error {
	if err := w.below(ctx, desc, data, func(e oci.Edge) bool { return e.Role != oci.RoleSubject }); err != nil {
		return err
	}
	if err := w.slots.Acquire(ctx, 1); err != nil {
		return err
	}
	defer w.slots.Release(1)
	if held {
		w.to.held(desc)
	}
	if !held || at.old.Digest != desc.Digest {
		g := given{Descriptor: desc, data: data, moves: desc.Size, held: held}
		if err := w.to.attach(ctx, at, g); err != nil {
			return err
		}
	}
	w.count(desc.Digest)
	return nil
}

// join brings the layers that the target's attachment lacks, then the manifest that
// has all of them.
func (w *walk) join(ctx context.Context, at tagging, desc oci.Descriptor, data []byte, j joined) error {
	layers := func(e oci.Edge) bool { return e.Role == oci.RoleLayer }
	if err := w.below(ctx, desc, data, layers); err != nil {
		return err
	}
	if err := w.slots.Acquire(ctx, 1); err != nil {
		return err
	}
	defer w.slots.Release(1)
	if err := w.to.made(ctx, j.config, j.configData); err != nil {
		return err
	}
	if err := w.to.attach(ctx, at, given{Descriptor: j.desc, data: j.data}); err != nil {
		return err
	}
	w.count(desc.Digest)
	return nil
}

// below walks those of an attachment's successors that want picks. CopyOptions.Children
// is about images, whose form an attachment has to keep anything in.
func (w *walk) below(ctx context.Context, desc oci.Descriptor, data []byte, want func(oci.Edge) bool) error {
	edges, err := oci.Successors(desc.MediaType, data)
	if err != nil {
		return fmt.Errorf("manifest %s: %w: %v", desc.Digest, ErrCorrupt, err)
	}
	return w.visitAll(ctx, slices.DeleteFunc(edges, func(e oci.Edge) bool { return !want(e) }))
}

// given is a manifest on its way to the tag of an attachment.
type given struct {
	oci.Descriptor
	data  []byte
	moves int64 // bytes of it that come from the source
	held  bool  // it is there, and has been told of
}
