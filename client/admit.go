package client

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/sign"
)

// admission is a manifest that is to get a name, which the policy may refuse.
type admission struct {
	name oci.Reference // that it is asked for by
	desc oci.Descriptor
	// src has the manifest and what is about it; store may have both, too, and keeps
	// what is found out. One of them may be nil.
	src   content.Fetcher
	store *blobstore.Store
	// apart counts what is in the name's own repository of the store alone.
	apart bool
	// rollback lets an older signature count again.
	rollback bool
	// under is the name whose requirements count, where that is not name.
	under oci.Reference
}

// admitted is what came of an admission.
type admitted struct {
	marks []blobstore.TrustMark // for the transaction that gives the name
	// vouchers are the ids of the keys that vouch, none where nobody has to.
	vouchers []oci.Digest
}

// demands says what the policy wants of a name, nothing where it accepts anything.
func (c *Client) demands(name oci.Reference) (*sign.Policy, bool, error) {
	policy, err := c.inForce()
	if err != nil || policy == nil {
		return nil, false, err
	}
	_, reqs := policy.For(name)
	for _, r := range reqs {
		if r.Type != sign.AcceptAnything {
			return policy, true, nil
		}
	}
	return policy, false, nil
}

// admit holds a manifest to the policy in force. Errors: ErrUntrusted, with what speaks
// against it; those of the policy and of the places.
func (c *Client) admit(ctx context.Context, a admission) (admitted, error) {
	if a.under == (oci.Reference{}) {
		a.under = a.name
	}
	policy, demanding, err := c.demands(a.under)
	if err != nil || !demanding {
		return admitted{}, err
	}
	out, err := c.judgeAdmission(ctx, policy, a)
	if errors.Is(err, content.ErrUntrusted) && content.Hint(err) == "" {
		err = content.WithHint(err, "`dist verify docker://%s` says of each signature why it does not count", a.name)
	}
	return out, err
}

func (c *Client) judgeAdmission(ctx context.Context, policy *sign.Policy, a admission) (admitted, error) {
	scope, reqs := policy.For(a.under)
	for _, r := range reqs {
		if r.Type == sign.RejectAll { // nothing has to be fetched for that
			return admitted{}, sign.Verdict{Scope: scope, Met: []sign.Met{{Requirement: r}}}.Err()
		}
	}
	t := &trial{c: c, name: a.name, store: a.store, source: a.name.Name()}
	places := a.places()
	var err error
	for _, p := range places { // the first that has it, undamaged
		t.subject, _, err = readSubject(ctx, p, a.desc)
		if err == nil || !errors.Is(err, content.ErrNotFound) && !errors.Is(err, content.ErrCorrupt) {
			break
		}
	}
	if err != nil {
		return admitted{}, err
	}
	found, err := findSignatures(ctx, a.desc.Digest, places...)
	if err != nil {
		return admitted{}, err
	}
	t.found = found.all
	t.rollback = a.rollback
	v, err := t.judge(ctx, reqs, policy.Digest())
	if err != nil {
		return admitted{}, err
	}
	v.Scope = scope
	if !v.Accepted {
		return admitted{}, settle(Judged{Verdict: v}, found.err)
	}
	return admitted{marks: t.accepted(v), vouchers: vouchers(v)}, nil
}

// places are where the manifest and its signatures may be.
func (a admission) places() (places []content.Fetcher) {
	if a.store != nil {
		places = placesIn(a.store, a.name)
	}
	if a.apart {
		places = places[:1]
	}
	if a.src != nil {
		places = append(places, a.src)
	}
	return places
}

// vouchers are the ids of the keys that vouch, each once.
func vouchers(v sign.Verdict) (ids []oci.Digest) {
	for _, o := range v.Counting() {
		if id := o.Key.ID(); !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// admitAll holds the images of a pull to the policy, before anything of them comes. What
// is here is judged by what is here, and its place is asked only when that does not do.
func (p *pull) admitAll(ctx context.Context) error {
	if err := p.admitBundles(ctx); err != nil {
		return err
	}
	for _, im := range p.images {
		if err := p.admit(ctx, im); err != nil {
			return fmt.Errorf("pull %s: %w", im.Word, im.at(err))
		}
	}
	return nil
}

func (p *pull) admit(ctx context.Context, im *pulled) error {
	a := admission{name: im.asked(), desc: im.desc, store: p.store, rollback: p.o.AllowRollback}
	_, demanding, err := p.c.demands(a.name)
	if err != nil || !demanding {
		return err
	}
	if !im.needed {
		out, err := p.c.admit(ctx, a)
		damaged := errors.Is(err, content.ErrCorrupt)
		if err == nil || !errors.Is(err, content.ErrUntrusted) && !damaged {
			im.admitted = out
			return err
		}
		im.needed = damaged // and comes again
		im.look = im.look || p.o.Referrers != ReferrersNone
	}
	if err := p.open(ctx, im); err != nil {
		return err
	}
	a.src = im.src
	im.admitted, err = p.c.admit(ctx, a)
	return err
}

// asked is the name that the policy is asked about: that of a registry, and elsewhere
// the one that the image gets.
func (im *pulled) asked() oci.Reference {
	if im.where.Transport != TransportRegistry {
		return im.name.Local()
	}
	ref := im.where.Reference
	if im.Where != "" && ref.Tag != "" { // of a list, whose lock says both
		ref.Digest = ""
		return ref
	}
	return ref.Local()
}

// marks are those of all images, for the transaction of their names.
func (p *pull) marks() (marks []blobstore.TrustMark) {
	marks = slices.Clone(p.bundleMarks)
	for _, im := range p.images {
		marks = append(marks, im.admitted.marks...)
	}
	return marks
}

func (p *pull) noteSignatures(ctx context.Context) {
	for _, im := range p.images {
		if im.look {
			p.c.noteSignatures(ctx, p.store, im.asked(), im.desc.Digest)
		}
	}
}

// noteSignatures notes when signatures of a manifest by keys that are known here were
// first seen, also where no policy asks for them: the limits of a key are held against
// that later. It is only a note, and they came under name.
func (c *Client) noteSignatures(ctx context.Context, s *blobstore.Store, name oci.Reference, manifest oci.Digest) {
	if err := c.noteSignaturesOf(ctx, s, name, manifest); err != nil {
		c.opts.Warn(fmt.Sprintf("when signatures of %s were seen is not noted: %v", manifest, err))
	}
}

func (c *Client) noteSignaturesOf(ctx context.Context, s *blobstore.Store, name oci.Reference, manifest oci.Digest) error {
	found, err := findSignatures(ctx, manifest, s)
	if err != nil || len(found.all) == 0 {
		return err
	}
	keys, err := c.Keys(ctx)
	if err != nil {
		return err
	}
	known := sign.Requirement{Type: sign.SignedBy}
	for _, k := range keys {
		known.Keys = append(known.Keys, k.Public)
	}
	t := &trial{c: c, store: s, found: found.all, source: name.Name()}
	t.subject.Descriptor.Digest = manifest
	_, err = t.rows(ctx, []sign.Requirement{known})
	return err
}
