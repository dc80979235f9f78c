package client

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/sign"
)

// maxCarriers bounds the manifests about one subject that are looked into for
// signatures, in one place.
const maxCarriers = 4 * sign.MaxCandidates

// candidates are the signatures of one subject that were found in some places.
type candidates struct {
	all []*sign.Candidate
	// err is why some of the places, or some of what they list, could not be looked
	// into. What was found counts all the same.
	err error

	subject  oci.Digest
	carriers map[oci.Digest]bool // looked into, and read whole
	ids      map[signatureID]bool
	// What is left of the place that is looked into.
	room, looks int
}

// findSignatures looks for signatures of subject in places, in all forms: under the tag
// that cosign gives them, and among referrers, each of which is opened, since what a
// list says of it may be anything. Of each place it takes sign.MaxCandidates: what
// somebody put into one does not keep it from looking into the next.
func findSignatures(ctx context.Context, subject oci.Digest, places ...content.Fetcher) (*candidates, error) {
	f := &candidates{subject: subject, carriers: map[oci.Digest]bool{}, ids: map[signatureID]bool{}}
	for _, place := range places {
		f.room, f.looks = sign.MaxCandidates, maxCarriers
		f.attachments(ctx, place)
		f.referrers(ctx, place)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return f, nil
}

func (f *candidates) full() bool { return f.room == 0 || f.looks == 0 }

func (f *candidates) attachments(ctx context.Context, place content.Fetcher) {
	lister, ok := place.(content.AttachmentLister)
	if !ok {
		return
	}
	for a, err := range lister.Attachments(ctx, f.subject) {
		if err != nil {
			f.trouble(err)
			return
		}
		if f.full() {
			return
		}
		if a.Suffix == oci.SuffixSignature {
			f.carrier(ctx, place, a.Descriptor, false)
		}
	}
}

func (f *candidates) referrers(ctx context.Context, place content.Fetcher) {
	lister, ok := place.(content.ReferrerLister)
	if !ok {
		return
	}
	for desc, err := range lister.Referrers(ctx, f.subject, "") {
		if err != nil {
			f.trouble(err)
			return
		}
		if f.full() {
			return
		}
		if oci.IsManifest(desc.MediaType) {
			f.carrier(ctx, place, desc, true)
		}
	}
}

// trouble keeps an error that says that there may be more. That a place has nothing,
// or cannot have any, is none.
func (f *candidates) trouble(err error) {
	if !errors.Is(err, content.ErrNotFound) && !errors.Is(err, content.ErrUnsupported) {
		f.err = errors.Join(f.err, err)
	}
}

// carrier looks into a manifest that may carry signatures. A referrer has to say itself
// what it is about.
func (f *candidates) carrier(ctx context.Context, place content.Fetcher, desc oci.Descriptor, refers bool) {
	if f.carriers[desc.Digest] {
		return
	}
	f.looks--
	m, err := readCarrier(ctx, place, desc)
	if err != nil {
		f.add(sign.Unreadable(desc.Digest, desc, err))
		f.trouble(err)
		return
	}
	f.carriers[desc.Digest] = true
	if refers && (m.Subject == nil || m.Subject.Digest != f.subject) {
		return
	}
	for _, layer := range m.Layers {
		if sign.KindOf(layer) == "" {
			continue
		}
		if f.full() {
			return
		}
		c := f.open(ctx, place, desc.Digest, layer)
		if c.Fault == sign.ReasonUnreadable {
			delete(f.carriers, desc.Digest) // another place may have it whole
		}
		f.add(c)
	}
}

func readCarrier(ctx context.Context, place content.Fetcher, desc oci.Descriptor) (oci.Manifest, error) {
	data, err := content.ReadAll(ctx, place, desc, oci.MaxManifestSize)
	if err != nil {
		return oci.Manifest{}, err
	}
	return oci.ParseManifest(desc.MediaType, data)
}

// open reads one signature.
func (f *candidates) open(ctx context.Context, place content.Fetcher, carrier oci.Digest, layer oci.Descriptor) *sign.Candidate {
	if layer.Size > sign.MaxEnvelope {
		return sign.Unreadable(carrier, layer, fmt.Errorf("%w: %d bytes, more than %d", content.ErrUnsupported, layer.Size, sign.MaxEnvelope))
	}
	data, err := content.ReadAll(ctx, place, layer, sign.MaxEnvelope)
	if err != nil {
		f.trouble(err)
		return sign.Unreadable(carrier, layer, err)
	}
	return sign.Parse(carrier, layer, data)
}

// add takes a candidate that is not there yet.
func (f *candidates) add(c *sign.Candidate) {
	if id := idOf(c); !f.ids[id] {
		f.ids[id] = true
		f.all = append(f.all, c)
		f.room--
	}
}

// ownPlace is what a store has in the repository of a name. What others have about the
// same manifest, in theirs, is no part of it.
type ownPlace struct {
	*blobstore.Store
	repo oci.Reference
}

// placesIn are the places to look for signatures in where the store is asked about a
// name: first what is in its own repository, which nobody can fill up who may not
// write there.
func placesIn(s *blobstore.Store, name oci.Reference) []content.Fetcher {
	if name == (oci.Reference{}) {
		return []content.Fetcher{s}
	}
	return []content.Fetcher{ownPlace{s, repository(name)}, s}
}

// Attachments implements content.AttachmentLister, for signatures.
func (p ownPlace) Attachments(ctx context.Context, subject oci.Digest) iter.Seq2[content.Attachment, error] {
	return func(yield func(content.Attachment, error) bool) {
		name, err := p.repo.WithTag(oci.AttachmentTag(subject, oci.SuffixSignature))
		if err != nil {
			return // there is no such tag
		}
		n, err := p.Name(ctx, name)
		if errors.Is(err, content.ErrNotFound) || err == nil && !oci.IsManifest(n.Target.MediaType) {
			return
		}
		yield(content.Attachment{Suffix: oci.SuffixSignature, Descriptor: n.Target}, err)
	}
}

// Referrers implements content.ReferrerLister.
func (p ownPlace) Referrers(ctx context.Context, subject oci.Digest, artifactType string) iter.Seq2[oci.Descriptor, error] {
	return func(yield func(oci.Descriptor, error) bool) {
		for desc, err := range p.Store.Referrers(ctx, subject, artifactType) {
			in := []bool{true}
			if err == nil {
				in, err = p.InRepository(ctx, p.repo.Name(), desc.Digest)
			}
			if in[0] && !yield(desc, err) || err != nil {
				return
			}
		}
	}
}
