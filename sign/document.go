package sign

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// MaxSigned is the size of the largest signed document that is read, in bytes: what it
// says is in base64.
const MaxSigned = 24 << 20

// The types of the statements about what is no manifest.
const (
	// PredicateContents is that of what a bundle holds, about its index.json.
	PredicateContents = "https://dist.example/bundle/v1"
	// PredicateReceipt is that of what a site says it has.
	PredicateReceipt = "https://dist.example/receipt/v1"
)

const (
	kindContents Kind = "contents"
	kindReceipt  Kind = "receipt"

	contentsSubject = "index.json"
	receiptSubject  = "receipt"
)

// Document is a signed statement about a file. Nothing that it says is true before
// JudgeDocument has accepted it.
type Document struct {
	// Predicate is what it says, byte for byte.
	Predicate []byte
	// Index is the SHA-256 of the file that it is about: of a bundle's contents, that of
	// index.json.
	Index oci.Digest
	// Candidate is its signature.
	Candidate *Candidate
}

// SignContents makes the signed statement of what a bundle holds: predicate is what it
// says, a JSON object, and index the SHA-256 of the bundle's index.json. It is a sigstore
// bundle v0.3 with a DSSE envelope, which `cosign verify-blob-attestation --type` takes
// with PredicateContents. Errors: ErrInvalid for a digest of another algorithm and for
// what is larger than MaxSigned; those of the key.
func SignContents(ctx context.Context, s *Signer, index oci.Digest, predicate []byte) ([]byte, error) {
	return s.signDocument(ctx, kindContents, contentsSubject, index, predicate)
}

// SignReceipt makes the signed statement about a receipt, whose SHA-256 is body.
// Errors: as SignContents.
func SignReceipt(ctx context.Context, s *Signer, body oci.Digest, predicate []byte) ([]byte, error) {
	return s.signDocument(ctx, kindReceipt, receiptSubject, body, predicate)
}

func (s *Signer) signDocument(ctx context.Context, kind Kind, name string, about oci.Digest, predicate []byte) ([]byte, error) {
	if about.Algorithm() != oci.SHA256 {
		return nil, fmt.Errorf("sign %s: %w: its digest %s is no sha256", name, content.ErrInvalid, about)
	}
	data, err := s.envelop(ctx, statement{
		Type: statementType, PredicateType: kind.states(), Predicate: json.RawMessage(predicate),
		Subject: []statementSubject{{Name: name, Digest: map[string]string{"sha256": about.Encoded()}, Annotations: map[string]string{}}},
	})
	if err == nil && len(data) > MaxSigned {
		err = fmt.Errorf("sign %s: %w: %d bytes, and %d are the most", name, content.ErrInvalid, len(data), MaxSigned)
	}
	return data, err
}

// ParseSigned reads what SignContents made. What it says is not judged. Errors:
// ErrCorrupt for what is malformed; ErrUnsupported for a signature of a kind that is not
// judged here, with a certificate for one.
func ParseSigned(data []byte) (Document, error) {
	return parseDocument(kindContents, contentsSubject, data)
}

// ParseReceipt reads what SignReceipt made. Errors: as ParseSigned.
func ParseReceipt(data []byte) (Document, error) {
	return parseDocument(kindReceipt, receiptSubject, data)
}

func parseDocument(kind Kind, name string, data []byte) (d Document, err error) {
	if len(data) > MaxSigned {
		return d, fmt.Errorf("signed statement of %d bytes: %w: the limit is %d", len(data), content.ErrUnsupported, MaxSigned)
	}
	c := &Candidate{Kind: kind, Blob: oci.DigestBytes(data)}
	if err = oci.CheckSparse(data); err == nil { // what is in base64 comes to that later
		err = c.parseBundle(MediaTypeBundle, data)
	}
	if err == nil && c.Claim.Identity != name {
		err = fmt.Errorf("%w: it is about %.100q, and not %s", content.ErrInvalid, c.Claim.Identity, name)
	}
	class := content.ErrCorrupt
	if c.Fault == ReasonUnsupported {
		class = content.ErrUnsupported
	}
	if err == nil {
		d.Index, err = oci.ParseDigest("sha256:" + c.Claim.Digests["sha256"])
	}
	if err != nil {
		return d, fmt.Errorf("signed statement: %w: %s", class, brief(trimClass(err)))
	}
	d.Predicate, d.Candidate = c.predicate, c
	return d, nil
}

// DocumentFacts are what is known besides the document itself.
type DocumentFacts struct {
	// Limits are those of a key; nil for none.
	Limits func(k *PublicKey) Limits
	// Serial is the highest of a key for the document's name, on another one; nil for
	// none.
	Serial func(k *PublicKey) int64
	// Now is the time that the limits of keys are held against.
	Now time.Time
}

// JudgeDocument holds a signed document to requirements, as Judge does a manifest:
// index is the digest of the file that it has to be about, "" where there is none and it
// can only be refused. An unsigned one is nil.
func JudgeDocument(d *Document, index oci.Digest, reqs []Requirement, f DocumentFacts) Verdict {
	subject := Subject{oci.Descriptor{Digest: index}, map[string]string{}}
	if index != "" {
		subject.hashes["sha256"] = index.Encoded()
	}
	var found []*Candidate
	if d != nil {
		found = append(found, d.Candidate)
	}
	for i := range reqs {
		reqs[i].Identity = IdentityRule{Type: anyIdentity}
	}
	return Judge(oci.Reference{}, subject, found, reqs, Facts{
		Limits: f.Limits, Serial: f.Serial, Seen: func(*Candidate) time.Time { return f.Now },
	})
}
