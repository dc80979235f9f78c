package sign

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"dist.example/oci"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

const (
	envelopeType  = "application/vnd.in-toto+json"
	statementType = "https://in-toto.io/Statement/v1"
)

// The documents of the bundle form, as they are written.
type (
	bundle struct {
		MediaType string   `json:"mediaType"`
		Material  material `json:"verificationMaterial"`
		Envelope  envelope `json:"dsseEnvelope"`
	}
	envelope struct {
		Payload     []byte              `json:"payload"`
		PayloadType string              `json:"payloadType"`
		Signatures  []envelopeSignature `json:"signatures"`
	}
	envelopeSignature struct {
		Sig []byte `json:"sig"`
	}
	material struct {
		PublicKey publicKeyHint `json:"publicKey"`
	}
	publicKeyHint struct {
		Hint string `json:"hint"`
	}
	statement struct {
		Type          string             `json:"_type"`
		Subject       []statementSubject `json:"subject"`
		PredicateType string             `json:"predicateType"`
		Predicate     any                `json:"predicate"`
	}
	statementSubject struct {
		Name        string            `json:"name"`
		Digest      map[string]string `json:"digest"`
		Annotations map[string]string `json:"annotations"`
	}
	predicate struct {
		Creator string `json:"creator"`
		Created string `json:"created"`
		Serial  int64  `json:"serial"`
	}
)

// SignBundle makes a signature in the bundle form: the bundle, and the layer that a
// manifest has for it. Errors: as SignPayload.
func SignBundle(ctx context.Context, s *Signer, st Statement) (data []byte, layer oci.Descriptor, err error) {
	if err := st.check(); err != nil {
		return nil, layer, err
	}
	about := statementSubject{Name: st.Identity, Digest: st.Subject.signed(), Annotations: map[string]string{}}
	for k, v := range st.Annotations {
		about.Annotations[k] = v
	}
	about.Annotations[AnnotationReference] = st.Identity
	data, err = s.envelop(ctx, statement{
		Type: statementType, Subject: []statementSubject{about}, PredicateType: oci.PredicateSignature,
		Predicate: predicate{Creator: st.Creator, Created: st.Created.UTC().Format(time.RFC3339), Serial: st.serial()},
	})
	return data, oci.Describe(MediaTypeBundle, data), err
}

// envelop signs a statement, and puts it into a bundle of sigstore's.
func (s *Signer) envelop(ctx context.Context, st statement) ([]byte, error) {
	claim, err := json.Marshal(st)
	if err != nil {
		return nil, fmt.Errorf("sign bundle: %w", err)
	}
	sig, err := s.sign(ctx, dsse.PAE(envelopeType, claim))
	if err != nil {
		return nil, err
	}
	return json.Marshal(bundle{
		MediaType: MediaTypeBundle, Material: material{publicKeyHint{s.public.hint()}},
		Envelope: envelope{claim, envelopeType, []envelopeSignature{{sig}}},
	})
}

func (c *Candidate) parseBundle(mediaType string, data []byte) error {
	if mediaType != MediaTypeBundle {
		return c.fault(ReasonUnsupported, "bundle of type %.100q, and only %s is read", mediaType, MediaTypeBundle)
	}
	var own string
	enveloped := false
	r := oci.NewStrictJSON(data)
	err := r.Object(func(key string) (err error) {
		switch key {
		case "mediaType":
			own, err = r.Text()
		case "verificationMaterial":
			err = c.readMaterial(r)
		case "dsseEnvelope":
			enveloped = true
			err = c.readEnvelope(r)
		case "messageSignature":
			err = c.fault(ReasonUnsupported, "a bundle that signs a message, not a statement")
		default:
			err = r.Fail("no such key of a bundle: %.40q", key)
		}
		return err
	})
	if err == nil {
		err = r.End()
	}
	switch {
	case err != nil:
		return err
	case own != mediaType:
		return r.Fail("it calls itself %.80q", own)
	case !enveloped:
		return r.Fail("it has no envelope")
	}
	return nil
}

// readMaterial reads how the signature is to be verified. What time stamps and logs
// say counts for nothing here.
func (c *Candidate) readMaterial(r *oci.StrictJSON) error {
	certified := false
	err := r.Object(func(key string) (err error) {
		switch key {
		case "publicKey":
			c.Claim.hint, err = readOnly(r, "hint")
		case "certificate", "x509CertificateChain":
			certified = true
			_, err = r.Value()
		case "tlogEntries", "timestampVerificationData":
			_, err = r.Value()
		default:
			err = r.Fail("no such key of a bundle's material: %.40q", key)
		}
		return err
	})
	if err == nil && certified {
		err = c.fault(ReasonUnsupported, "signed with a certificate")
	}
	return err
}

func (c *Candidate) readEnvelope(r *oci.StrictJSON) error {
	var kind string
	var claim []byte
	var sigs [][]byte
	err := r.Object(func(key string) (err error) {
		switch key {
		case "payloadType":
			kind, err = r.Text()
		case "payload":
			claim, err = readBase64(r)
		case "signatures":
			err = r.List(func() error {
				sig, err := readSignature(r)
				sigs = append(sigs, sig)
				return err
			})
		default:
			err = r.Fail("no such key of an envelope: %.40q", key)
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case kind != envelopeType:
		return r.Fail("the envelope holds %.80q, not %s", kind, envelopeType)
	case len(sigs) == 0 || len(sigs) == 1 && len(sigs[0]) == 0:
		return c.fault(ReasonUnsigned, "the envelope has no signature")
	case len(sigs) > 1:
		return r.Fail("the envelope has %d signatures, and wants one", len(sigs))
	}
	if len(claim) > MaxEnvelope { // as documents have them
		if err := oci.CheckSparse(claim); err != nil {
			return err
		}
	}
	c.sig, c.message = sigs[0], dsse.PAE(kind, claim)
	return c.readStatement(oci.NewStrictJSON(claim))
}

func readSignature(r *oci.StrictJSON) (sig []byte, err error) {
	err = r.Object(func(key string) (err error) {
		switch key {
		case "sig":
			sig, err = readBase64(r)
		case "keyid":
			_, err = r.Value()
		default:
			err = r.Fail("no such key of a signature: %.40q", key)
		}
		return err
	})
	return sig, err
}

func readBase64(r *oci.StrictJSON) ([]byte, error) {
	text, err := r.Text()
	if err != nil {
		return nil, err
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, r.Fail("not in base64")
	}
	return data, nil
}

// readStatement reads what the envelope holds.
func (c *Candidate) readStatement(r *oci.StrictJSON) error {
	var kind, predicateType string
	var said json.RawMessage
	subjects := 0
	err := r.Object(func(key string) (err error) {
		switch key {
		case "_type":
			kind, err = r.Text()
		case "predicateType":
			predicateType, err = r.Text()
		case "subject":
			err = r.List(func() error {
				subjects++
				return c.readSubject(r)
			})
		case "predicate":
			said, err = r.Value()
		default:
			err = r.Fail("no such key of a statement: %.40q", key)
		}
		return err
	})
	if err == nil {
		err = r.End()
	}
	switch {
	case err != nil:
		return err
	case predicateType == "":
		return r.Fail("the statement has no predicateType")
	case predicateType != c.Kind.states(): // of whatever type: cosign's attestations have an older one
		return c.fault(ReasonOtherPredicate, "it states %.100q, and not %s", predicateType, c.Kind.states())
	case kind != statementType:
		return r.Fail("the statement is of type %.80q, not %s", kind, statementType)
	case subjects != 1:
		return r.Fail("the statement is about %d subjects, and has to be about one", subjects)
	}
	c.predicate = said
	return c.readPredicate(said)
}

func (c *Candidate) readSubject(r *oci.StrictJSON) error {
	var name string
	annotations := map[string]string{}
	err := r.Object(func(key string) (err error) {
		switch key {
		case "name":
			var raw json.RawMessage
			if raw, err = r.Value(); err == nil && json.Unmarshal(raw, &name) != nil {
				err = r.Fail("the subject's name is no text")
			}
		case "digest":
			c.Claim.Digests, err = readTexts(r)
		case "annotations":
			annotations, err = readTexts(r)
		case "uri", "content", "downloadLocation", "mediaType": // of in-toto's ResourceDescriptor
			_, err = r.Value()
		default:
			err = r.Fail("no such key of a subject: %.40q", key)
		}
		return err
	})
	if err != nil {
		return err
	}
	said, bound := annotations[AnnotationReference]
	delete(annotations, AnnotationReference)
	if bound && name != "" && said != name {
		return r.Fail("it is for %.100q and for %.100q", name, said)
	}
	if c.Claim.Identity = name; name == "" {
		c.Claim.Identity = said
	}
	c.Claim.Annotations = annotations
	return nil
}

// readTexts reads an object of texts, or null.
func readTexts(r *oci.StrictJSON) (map[string]string, error) {
	raw, err := r.Value()
	if err != nil {
		return nil, err
	}
	texts := map[string]string{}
	if json.Unmarshal(raw, &texts) != nil {
		return nil, r.Fail("want an object of texts")
	}
	return texts, nil
}

// readPredicate takes what it understands of a predicate; cosign's own is empty.
func (c *Candidate) readPredicate(raw json.RawMessage) error {
	if len(raw) == 0 || string(raw) == "null" {
		return nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return c.fault(ReasonMalformed, "its predicate is no object")
	}
	var when string
	_ = json.Unmarshal(fields["creator"], &c.Claim.Creator) // another form means nothing
	_ = json.Unmarshal(fields["created"], &when)
	c.Claim.Serial = readSerial(fields["serial"])
	if at, err := time.Parse(time.RFC3339, strings.TrimSpace(when)); err == nil {
		c.Claim.Created = created(at)
	}
	return nil
}
