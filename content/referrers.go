package content

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"dist.example/oci"
)

const (
	// MaxReferrers is how many referrers of one subject Copy takes. Signatures and
	// the like are few; a list without end is an attack or an accident.
	MaxReferrers = 1000
	// maxAbout bounds the referrers of a whole Copy: those of all its subjects, and
	// theirs.
	maxAbout = 10_000
)

// remember notes a manifest that the target has, for asking what is about it.
func (w *walk) remember(desc oci.Descriptor) {
	if !w.opts.Referrers {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.subjects = append(w.subjects, desc)
}

// vouched notes, where a Closed target has desc and so needs no look below it,
// the manifests there: what is about them may be new.
func (w *walk) vouched(ctx context.Context, desc oci.Descriptor) error {
	if !w.opts.Referrers || !w.tells() {
		return nil
	}
	w.remember(desc)
	if !oci.IsIndex(desc.MediaType) {
		return nil
	}
	data, err := w.fetch(ctx, desc)
	if err != nil {
		return err
	}
	edges, err := w.children(desc, data, "")
	if err != nil {
		return err
	}
	for _, e := range edges {
		if oci.HasSuccessors(e.MediaType) {
			w.remember(e.Descriptor)
		}
	}
	return nil
}

// tells says whether the source knows what is about something.
func (w *walk) tells() bool {
	_, referrers := w.src.(ReferrerLister)
	_, attachments := w.src.(AttachmentLister)
	return referrers || attachments
}

// visitReferrers walks what is about the manifests of the graph, then what is
// about that, until nothing new comes up. By tag, only what is about the graph is.
func (w *walk) visitReferrers(ctx context.Context) error {
	for first := true; w.tells() && len(w.subjects) > 0; first = false {
		round := w.subjects
		w.subjects = nil
		g := w.abreast()
		for _, subject := range round {
			g.Go(func() error {
				err := w.visitAbout(ctx, subject.Digest)
				if err == nil && first && !oci.IsAttestation(subject) {
					err = w.visitAttachments(ctx, subject.Digest)
				}
				if err != nil {
					w.fail(err)
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return err
		}
	}
	return nil
}

// visitAbout walks the referrers of one subject.
func (w *walk) visitAbout(ctx context.Context, subject oci.Digest) error {
	lister, ok := w.src.(ReferrerLister)
	if !ok {
		return nil
	}
	found, err := listed(ctx, w, "referrers", subject, 1, lister.Referrers(ctx, subject, ""))
	if err != nil {
		return err
	}
	for _, desc := range found {
		if err := w.meet(desc, subject); err != nil {
			return err
		}
	}
	g := w.abreast()
	for _, desc := range found {
		g.Go(func() error {
			err := w.visit(ctx, desc, subject)
			if err == nil {
				w.count(desc.Digest)
			}
			return err
		})
	}
	return g.Wait()
}

// listed reads a list of what is about subject, which takes so many requests; what
// names those it lists. Who has no such list lists nothing.
func listed[T any](ctx context.Context, w *walk, what string, subject oci.Digest, requests int, list iter.Seq2[T, error]) ([]T, error) {
	if err := w.slots.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer w.slots.Release(1)
	w.listed.Add(int64(requests))
	var found []T
	for one, err := range list {
		switch {
		case errors.Is(err, ErrNotFound), errors.Is(err, ErrUnsupported):
			return found, nil
		case err != nil:
			return nil, err
		case len(found) == MaxReferrers:
			return nil, fmt.Errorf("%s of %s: %w: more than %d", what, subject, ErrUnsupported, MaxReferrers)
		}
		found = append(found, one)
	}
	return found, nil
}

// meet refuses a referrer that cannot be walked.
func (w *walk) meet(desc oci.Descriptor, subject oci.Digest) error {
	if !oci.HasSuccessors(desc.MediaType) {
		return fmt.Errorf("referrer %s of %s: %w: %q is neither a manifest nor an index", desc.Digest, subject, ErrUnsupported, desc.MediaType)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, known := w.about[desc.Digest]; !known && len(w.about) == maxAbout {
		return fmt.Errorf("referrers of %s: %w: more than %d in all", subject, ErrUnsupported, maxAbout)
	} else if !known {
		w.about[desc.Digest] = false
	}
	return nil
}

// count counts a referrer that has been walked, once.
func (w *walk) count(d oci.Digest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.about[d] {
		w.about[d] = true
		w.referrers++
	}
}
