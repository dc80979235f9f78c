package sign

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"maps"
	"strings"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// What is read of one subject, at most.
const (
	// MaxCandidates is the number of signatures in one place.
	MaxCandidates = 64
	// MaxEnvelope is the size of a payload or a bundle in bytes.
	MaxEnvelope = 1 << 20
)

// The media types by which signatures are known.
const (
	MediaTypePayload    = "application/vnd.dev.cosign.simplesigning.v1+json"
	MediaTypeBundle     = "application/vnd.dev.sigstore.bundle.v0.3+json"
	annotationSignature = "dev.cosignproject.cosign/signature"
	// AnnotationReference binds a bundle's statement to a name, and says a payload's
	// again; cosign verify -a asks for it.
	AnnotationReference = "docker-reference"
)

// Kind is a form of signatures.
type Kind string

// The forms.
const (
	KindPayload Kind = "simplesigning"
	KindBundle  Kind = "bundle"
)

// states is the type of predicate that a statement of the kind has.
func (k Kind) states() string {
	switch k {
	case kindContents:
		return PredicateContents
	case kindReceipt:
		return PredicateReceipt
	}
	return oci.PredicateSignature
}

// about is what a statement of the kind is about, for people.
func (k Kind) about() string {
	switch k {
	case kindContents:
		return "bundle"
	case kindReceipt:
		return "receipt"
	}
	return "manifest"
}

// KindOf is the form of the signature that a layer of a manifest carries, "" for
// none.
func KindOf(layer oci.Descriptor) Kind {
	switch {
	case layer.MediaType == MediaTypePayload:
		return KindPayload
	case strings.HasPrefix(layer.MediaType, oci.MediaTypeBundles):
		return KindBundle
	}
	return ""
}

// Subject is a manifest that is signed, or whose signatures are judged.
type Subject struct {
	oci.Descriptor
	hashes map[string]string // the hash of its bytes in hex, by in-toto's names of algorithms
}

// NewSubject takes the manifest's bytes, which the caller has verified.
func NewSubject(desc oci.Descriptor, data []byte) Subject {
	short, long := sha256.Sum256(data), sha512.Sum512(data)
	desc.Size = int64(len(data))
	return Subject{desc, map[string]string{"sha256": hex.EncodeToString(short[:]), "sha512": hex.EncodeToString(long[:])}}
}

// signed are the digests that a statement about s has: SHA-256, which everybody
// reads, and that by which s is addressed.
func (s Subject) signed() map[string]string {
	digests := map[string]string{"sha256": s.hashes["sha256"]}
	alg := s.Digest.Algorithm().String()
	digests[alg] = s.hashes[alg]
	return digests
}

// is says whether digests, by algorithm, are those of s: at least one that is known,
// and none that differs.
func (s Subject) is(digests map[string]string) bool {
	known := false
	for alg, hash := range digests {
		own, ok := s.hashes[alg]
		if ok && own != hash {
			return false
		}
		known = known || ok
	}
	return known
}

// Claim is what a signature says. Nothing of it is true before a key vouches for it.
type Claim struct {
	Digests  map[string]string // of the manifest, hashes in hex by algorithm
	Identity string            // the name that it is for, "" for none
	Serial   int64             // seconds since 1970, 0 for none
	Created  time.Time         // zero when it does not say
	Creator  string
	// Annotations are what else was signed.
	Annotations map[string]string
	// hint names the key, base64 of the hash of its SPKI; "" for none.
	hint string
}

// Candidate is one signature that was found, whatever it is worth. It is immutable
// once it has been parsed.
type Candidate struct {
	Kind     Kind
	Manifest oci.Digest // that carries it
	Blob     oci.Digest // the payload or the bundle
	Claim    Claim
	// Fault is why it cannot count at all, "" when that depends on the key.
	Fault  Reason
	Detail string // of Fault, for people

	message   []byte // what was signed
	sig       []byte
	predicate []byte // of a statement, as it stands
}

// Signature is the raw signature, nil where there is none.
func (c *Candidate) Signature() []byte { return c.sig }

// Predicate is the type of a signature's statement in the bundle form, "" in the tag
// form. It says nothing of a candidate with a Fault.
func (c *Candidate) Predicate() string {
	if c.Kind == KindBundle {
		return oci.PredicateSignature
	}
	return ""
}

// Hint is what the signature says of its key: the hash of its SPKI in base64, "" for
// nothing.
func (c *Candidate) Hint() string { return c.Claim.hint }

// Parse reads the signature in a layer of manifest, whose content is data, already
// verified. What is malformed becomes a candidate with a Fault, never an error: it is
// one of several, and the others count.
func Parse(manifest oci.Digest, layer oci.Descriptor, data []byte) *Candidate {
	c := &Candidate{Kind: KindOf(layer), Manifest: manifest, Blob: layer.Digest}
	var err error
	switch {
	case len(data) > MaxEnvelope:
		err = c.fault(ReasonMalformed, "more than %d bytes", MaxEnvelope)
	case c.Kind == KindPayload:
		err = c.parsePayload(data, layer.Annotations)
	default:
		err = c.parseBundle(layer.MediaType, data)
	}
	if err != nil && c.Fault == "" {
		c.Fault, c.Detail = ReasonMalformed, brief(trimClass(err))
	}
	return c
}

// brief bounds a text of which somebody else has chosen the length.
func brief(text string) string { return fmt.Sprintf("%.300s", text) }

// Unreadable is the candidate for a signature that could not be got; why says what
// is wrong.
func Unreadable(manifest oci.Digest, layer oci.Descriptor, why error) *Candidate {
	return &Candidate{Kind: KindOf(layer), Manifest: manifest, Blob: layer.Digest, Fault: ReasonUnreadable, Detail: brief(why.Error())}
}

// fault notes why the candidate cannot count, and returns that as an error.
func (c *Candidate) fault(r Reason, format string, args ...any) error {
	c.Fault, c.Detail = r, brief(fmt.Sprintf(format, args...))
	return fmt.Errorf("%w: %s", content.ErrInvalid, c.Detail)
}

func trimClass(err error) string {
	return strings.TrimPrefix(err.Error(), content.ErrInvalid.Error()+": ")
}

// Statement is what is to be signed.
type Statement struct {
	Subject  Subject
	Identity string // host/repository[:tag], see ParseIdentity
	Serial   int64  // 0 takes Created
	Created  time.Time
	Creator  string // dist/VERSION
	// Annotations are signed, too.
	Annotations map[string]string
}

// check refuses a statement for a name that nobody could ask for.
func (s Statement) check() error {
	if _, err := ParseIdentity(s.Identity); err != nil {
		return fmt.Errorf("sign %s: %w", s.Subject.Digest, err)
	}
	return nil
}

func (s Statement) serial() int64 {
	if s.Serial != 0 {
		return s.Serial
	}
	return s.Created.Unix()
}

// Says says whether c is the signature of k that st would be, but for its time, and is
// not older than serial.
func (c *Candidate) Says(k *PublicKey, st Statement, serial int64) bool {
	return Verifies(c, k) && st.Subject.is(c.Claim.Digests) && c.Claim.Identity == st.Identity && c.Claim.Serial >= serial &&
		c.Claim.Serial > 0 && maps.Equal(c.Claim.Annotations, st.Annotations)
}
