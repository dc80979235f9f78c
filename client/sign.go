package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/sign"
)

// SignForm picks the forms in which signatures are written.
type SignForm string

// The forms. FormBoth is what all readers of either take.
const (
	FormBoth   SignForm = "both"
	FormBundle SignForm = "bundle"
	FormTag    SignForm = "tag"
)

// SignOptions direct Sign, and Pack and Squash, which sign for the name that they give.
type SignOptions struct {
	// Key is the key that signs, "" the one with the label DefaultKey.
	Key        string
	Passphrase sign.Passphrase
	Form       SignForm // "" means FormBoth
	// Recursive signs, of an index, all manifests that it lists, too, as far as they
	// are there: for those who pull one of them by its digest. It and Identity are for
	// Sign alone.
	Recursive bool
	// Annotations are signed with the rest.
	Annotations map[string]string
	// Identity is the name that is signed for, "" for the one that the word says. A
	// manifest that an index lists is signed for the repository of that name.
	Identity string
}

// Signed is one manifest that was signed.
type Signed struct {
	Descriptor oci.Descriptor
	Identity   string
	Key        oci.Digest
	Serial     int64
	// Manifests carry the signature: a referrer, a manifest for the tag, or both.
	Manifests []oci.Digest
}

// Sign signs a manifest of the store, or one where a locator says, and puts the
// signatures beside it. The name that it is for is signed, too. The key is opened
// once, however many manifests there are. In the store all signatures appear
// together, and what the key has signed there in the same words, and nothing else for
// the name since, is not signed again; what is at the tag of cosign's signatures already stays there beside
// them. A manifest without a name there gets the bundle form alone.
//
// Errors: ErrNotFound for the manifest or the key; ErrInvalid when nobody says what
// the manifest is called; those of the key and of the place.
func (c *Client) Sign(ctx context.Context, word string, o SignOptions) ([]Signed, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	p, err := c.openNamed(ctx, word)
	if err != nil {
		return nil, err
	}
	defer p.done()
	if p.store == nil && p.where.Transport != TransportRegistry {
		return nil, content.WithHint(fmt.Errorf("%s: %w: signatures are put into the store and into registries", p.where, content.ErrUnsupported),
			"pull it, sign it, and copy it back")
	}
	j := &signing{c: c, o: o, p: p}
	if err := j.identify(word); err != nil {
		return nil, err
	}
	if j.signer, err = c.signer(ctx, o.Key, o.Passphrase); err != nil {
		return nil, err
	}
	if j.signer == nil {
		return nil, errNoKey()
	}
	if err := j.prepare(ctx, p.desc, j.identity.String()); err != nil {
		return nil, err
	}
	if p.store != nil {
		err = j.keep(ctx)
	} else {
		err = j.send(ctx)
	}
	return j.signed, err
}

func errNoKey() error {
	return content.WithHint(fmt.Errorf("key: %w: none is named, and none is called %s", content.ErrNotFound, DefaultKey),
		"`dist key generate` makes one; -k KEY or DIST_KEY names another")
}

func (o SignOptions) check() error {
	switch o.Form {
	case "", FormBoth, FormBundle, FormTag:
	default:
		return fmt.Errorf("format %q: %w: want %s, %s or %s", o.Form, content.ErrInvalid, FormBoth, FormBundle, FormTag)
	}
	for _, reserved := range []string{"creator", "timestamp", sign.AnnotationReference} {
		if _, ok := o.Annotations[reserved]; ok {
			return fmt.Errorf("annotation %q: %w: a signature has one of that name already", reserved, content.ErrInvalid)
		}
	}
	return nil
}

// signing is one run of Sign.
type signing struct {
	c        *Client
	o        SignOptions
	p        place
	signer   *sign.Signer
	identity oci.Reference
	signed   []Signed
	about    *signatures
	marks    []blobstore.TrustMark
}

// identify settles the name that is signed for.
func (j *signing) identify(word string) (err error) {
	if j.identity = j.p.name; j.o.Identity != "" {
		j.identity, err = sign.ParseIdentity(j.o.Identity)
		return err
	}
	if j.p.store != nil && strings.Contains(word, momentMark) {
		return content.WithHint(fmt.Errorf("%s: %w: a signature says that it is the newest of the name", word, content.ErrInvalid),
			"give --identity %s if that is meant", j.identity)
	}
	if j.identity == (oci.Reference{}) {
		return content.WithHint(fmt.Errorf("%s: %w: nobody says which name it is signed for", word, content.ErrInvalid), "give --identity HOST/REPOSITORY:TAG")
	}
	if j.identity.Digest != "" { // its repository: the digest is signed in any case
		j.identity = repository(j.identity)
	}
	return nil
}

// prepare makes the signatures of a manifest and, of an index, of what it lists.
func (j *signing) prepare(ctx context.Context, desc oci.Descriptor, identity string) error {
	if j.about == nil {
		j.about = newSignatures(j.p.src)
	}
	subject, data, err := readSubject(ctx, j.p.src, desc)
	if err != nil {
		return err
	}
	if err := j.one(ctx, subject, identity); err != nil {
		return err
	}
	if !j.o.Recursive || !oci.IsIndex(desc.MediaType) {
		return nil
	}
	edges, err := oci.Successors(desc.MediaType, data)
	if err != nil {
		return err
	}
	for _, e := range edges {
		if e.Role != oci.RoleManifest || !oci.HasSuccessors(e.MediaType) || slices.ContainsFunc(j.signed, func(s Signed) bool { return s.Descriptor.Digest == e.Digest }) {
			continue
		}
		err := j.prepare(ctx, e.Descriptor, repository(j.identity).String())
		if errors.Is(err, content.ErrNotFound) {
			continue // a platform that is not here
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// one makes the signatures of one manifest.
func (j *signing) one(ctx context.Context, subject sign.Subject, identity string) error {
	st := sign.Statement{
		Subject: subject, Identity: identity, Created: time.Now().UTC().Truncate(time.Second), Creator: j.c.opts.Trust.Creator,
		Annotations: j.o.Annotations,
	}
	made, err := j.settleSerial(ctx, &st)
	if err != nil {
		return err
	}
	done := Signed{Descriptor: subject.Descriptor, Identity: identity, Key: j.signer.Public().ID(), Serial: st.Serial}
	for _, form := range []struct {
		kind sign.Kind
		not  SignForm
		make func(context.Context, sign.Statement) (oci.Digest, error)
	}{{sign.KindBundle, FormTag, j.bundled}, {sign.KindPayload, FormBundle, j.tagged}} {
		carrier, err := made[form.kind], error(nil)
		if carrier == "" && j.o.Form != form.not {
			carrier, err = form.make(ctx, st)
		}
		if err != nil {
			return err
		}
		if carrier != "" && j.o.Form != form.not {
			done.Manifests = append(done.Manifests, carrier)
		}
	}
	j.signed = append(j.signed, done)
	return nil
}

// settleSerial gives a statement its serial: now or, where the key has signed something
// else for the name with more, one more than that, so that what is signed later is never
// older. What the key has signed in the same words since then, and is here, need not be
// signed again: those manifests are returned by their form, and the serial is theirs.
func (j *signing) settleSerial(ctx context.Context, st *sign.Statement) (made map[sign.Kind]oci.Digest, err error) {
	st.Serial = st.Created.Unix()
	if j.p.store == nil {
		return nil, nil
	}
	name, err := sign.ParseIdentity(st.Identity)
	if err != nil {
		return nil, err
	}
	t := trial{name: name, subject: st.Subject}
	if t.marks, err = j.p.store.TrustMarks(ctx, name); err != nil {
		return nil, err
	}
	key := j.signer.Public()
	found, err := findSignatures(ctx, st.Subject.Digest, placesIn(j.p.store, j.p.name)...)
	if err != nil {
		return nil, err
	}
	made = map[sign.Kind]oci.Digest{}
	latest := int64(0)
	for _, c := range found.all {
		if c.Says(key, *st, t.serial(key)) {
			made[c.Kind], latest = c.Manifest, max(latest, c.Claim.Serial)
		}
	}
	if st.Serial = max(st.Serial, t.serial(key)+1); latest > 0 {
		st.Serial = latest
	}
	if name.Tag != "" {
		j.marks = append(j.marks, blobstore.TrustMark{
			Name: st.Identity, Key: key.ID(), Serial: st.Serial, Digest: st.Subject.Digest, At: time.Now().UTC(),
		})
	}
	return made, nil
}

// bundled makes the bundle form.
func (j *signing) bundled(ctx context.Context, st sign.Statement) (oci.Digest, error) {
	data, layer, err := sign.SignBundle(ctx, j.signer, st)
	if err != nil {
		return "", err
	}
	carrier, err := sign.CarryBundle(st.Subject.Descriptor, layer, st.Created)
	if err != nil {
		return "", err
	}
	j.about.refer(st.Subject.Digest, carrier, data)
	return carrier.Descriptor.Digest, nil
}

// tagged makes the tag form; "" where there is no such tag and another form will do.
func (j *signing) tagged(ctx context.Context, st sign.Statement) (oci.Digest, error) {
	d := st.Subject.Digest
	none := oci.AttachmentTag(d, oci.SuffixSignature) == ""
	switch {
	case j.o.Form != FormTag && (none || j.p.name == (oci.Reference{})):
		return "", nil
	case none:
		return "", fmt.Errorf("%s: %w: there is no tag for signatures of a %s digest", d, content.ErrUnsupported, d.Algorithm())
	case j.p.name == (oci.Reference{}):
		return "", content.WithHint(fmt.Errorf("%s: %w: it has no name here, whose repository the signature's tag would be in", d, content.ErrInvalid),
			"`dist tag` gives it one")
	}
	data, layer, err := sign.SignPayload(ctx, j.signer, st)
	if err != nil {
		return "", err
	}
	carrier, err := sign.CarryPayload(layer)
	if err != nil {
		return "", err
	}
	j.about.attach(d, carrier, data)
	return carrier.Descriptor.Digest, nil
}

// signTries bounds the tries beside others who sign the same manifest all the time. Each
// that fails means that one of them has succeeded.
const signTries = 20

// keep puts the signatures into the store.
func (j *signing) keep(ctx context.Context) error {
	ses, err := j.p.store.Begin(ctx, blobstore.SessionOptions{Note: "sign"})
	if err != nil {
		return err
	}
	defer ses.Close()
	names := newAttachedNames(j.p.store)
	for try := 0; ; try++ {
		if err := j.into(ctx, ses, names); err != nil {
			return err
		}
		j.c.hook("sign.made")
		ses.Trust(j.marks...)
		err := ses.Commit(ctx, names.changes("sign")...)
		if err == nil {
			for _, s := range j.signed {
				j.c.noteSignatures(ctx, j.p.store, j.p.name, s.Descriptor.Digest)
			}
			return nil
		}
		if !errors.Is(err, content.ErrConflict) || try == signTries {
			return err
		}
		// Somebody else signed at the same time: the two are joined.
		if moved, merr := names.moved(ctx); merr != nil || !moved {
			return errors.Join(err, merr)
		}
	}
}

// into adds the signatures to a session; those under tags get names in the repository
// that the manifest has its name in.
func (j *signing) into(ctx context.Context, ses *blobstore.Session, names *attachedNames) error {
	return j.copy(ctx, keeping{ses, attachingTo{names, repository(j.p.name)}})
}

// send pushes the signatures to where the manifest is.
func (j *signing) send(ctx context.Context) error {
	to, err := j.c.target(ctx, j.p.where)
	if err != nil {
		return err
	}
	defer to.Close()
	return j.copy(ctx, to)
}

// copy brings the signatures of every manifest, and nothing but them. One whose tag has
// something else is left out with a warning, unless that is the only form.
func (j *signing) copy(ctx context.Context, to content.Pusher) error {
	var left error
	warn := j.c.opts.Warn
	if j.o.Form == FormTag {
		warn = func(text string) { left = errors.Join(left, fmt.Errorf("%w: %s", content.ErrUnsupported, text)) }
	}
	for _, s := range j.signed {
		_, err := content.Copy(ctx, to, j.about, s.Descriptor, content.CopyOptions{
			Jobs: j.c.opts.Jobs, Referrers: true, Warn: warn, Observe: j.c.opts.Observe,
			Children: func(parent oci.Descriptor, edges []oci.Edge) ([]oci.Edge, error) {
				if parent.Digest == s.Descriptor.Digest {
					return nil, nil
				}
				return edges, nil
			},
		})
		if err = errors.Join(err, left); err != nil {
			return fmt.Errorf("sign %s: %w", s.Descriptor.Digest, err)
		}
		j.c.hook("sign.put")
	}
	return nil
}

// signatures is a source that knows what is about some manifests, and has it; the
// manifests themselves come from where they are.
type signatures struct {
	content.Fetcher
	blobs       map[oci.Digest][]byte
	referrers   map[oci.Digest][]oci.Descriptor
	attachments map[oci.Digest][]content.Attachment
}

var (
	_ content.ReferrerLister   = (*signatures)(nil)
	_ content.AttachmentLister = (*signatures)(nil)
)

func newSignatures(of content.Fetcher) *signatures {
	return &signatures{
		of, map[oci.Digest][]byte{}, map[oci.Digest][]oci.Descriptor{}, map[oci.Digest][]content.Attachment{},
	}
}

func (s *signatures) refer(subject oci.Digest, c sign.Carrier, envelope []byte) {
	s.hold(c, envelope)
	s.referrers[subject] = append(s.referrers[subject], c.Descriptor)
}

func (s *signatures) attach(subject oci.Digest, c sign.Carrier, envelope []byte) {
	s.hold(c, envelope)
	s.attachments[subject] = append(s.attachments[subject], content.Attachment{Suffix: oci.SuffixSignature, Descriptor: c.Descriptor})
}

func (s *signatures) hold(c sign.Carrier, envelope []byte) {
	maps.Copy(s.blobs, map[oci.Digest][]byte{
		c.Descriptor.Digest: c.Manifest, c.ConfigDesc.Digest: c.Config, oci.DigestBytes(envelope): envelope,
	})
}

// Fetch implements content.Fetcher.
func (s *signatures) Fetch(ctx context.Context, desc oci.Descriptor) (io.ReadCloser, error) {
	if data, ok := s.blobs[desc.Digest]; ok {
		return io.NopCloser(bytes.NewReader(data)), nil
	}
	return s.Fetcher.Fetch(ctx, desc)
}

// Referrers implements content.ReferrerLister.
func (s *signatures) Referrers(_ context.Context, subject oci.Digest, _ string) iter.Seq2[oci.Descriptor, error] {
	return sequence(s.referrers[subject])
}

// Attachments implements content.AttachmentLister.
func (s *signatures) Attachments(_ context.Context, subject oci.Digest) iter.Seq2[content.Attachment, error] {
	return sequence(s.attachments[subject])
}

func sequence[T any](list []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, v := range list {
			if !yield(v, nil) {
				return
			}
		}
	}
}
