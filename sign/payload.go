package sign

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"dist.example/oci"
)

// payloadType is what a payload calls itself.
const payloadType = "cosign container image signature"

// payload is the document of the tag form (containers-signature(5), with cosign's
// type).
type payload struct {
	Critical struct {
		Identity struct {
			Reference string `json:"docker-reference"`
		} `json:"identity"`
		Image struct {
			Digest string `json:"docker-manifest-digest"`
		} `json:"image"`
		Type string `json:"type"`
	} `json:"critical"`
	Optional map[string]any `json:"optional"`
}

// SignPayload makes a signature in the tag form: the payload, and the layer that a
// manifest has for it. Errors: ErrInvalid for an identity that is no name; those of the
// key.
func SignPayload(ctx context.Context, s *Signer, st Statement) (data []byte, layer oci.Descriptor, err error) {
	if err := st.check(); err != nil {
		return nil, layer, err
	}
	var p payload
	p.Critical.Identity.Reference = st.Identity
	p.Critical.Image.Digest = st.Subject.Digest.String()
	p.Critical.Type = payloadType
	p.Optional = map[string]any{}
	for k, v := range st.Annotations {
		p.Optional[k] = v
	}
	p.Optional["creator"], p.Optional["timestamp"] = st.Creator, st.serial()
	p.Optional[AnnotationReference] = st.Identity
	if data, err = json.Marshal(p); err != nil {
		return nil, layer, fmt.Errorf("sign payload: %w", err)
	}
	sig, err := s.sign(ctx, data)
	if err != nil {
		return nil, layer, err
	}
	layer = oci.Describe(MediaTypePayload, data)
	layer.Annotations = map[string]string{annotationSignature: base64.StdEncoding.EncodeToString(sig)}
	return data, layer, nil
}

func (c *Candidate) parsePayload(data []byte, annotations map[string]string) error {
	c.message = data
	encoded, ok := annotations[annotationSignature]
	if !ok || encoded == "" {
		return c.fault(ReasonUnsigned, "the layer has no signature beside it")
	}
	var err error
	if c.sig, err = base64.StdEncoding.DecodeString(encoded); err != nil {
		return c.fault(ReasonMalformed, "the signature is not in base64")
	}
	if err := c.readPayload(oci.NewStrictJSON(data)); err != nil {
		return err
	}
	if _, certified := annotations["dev.sigstore.cosign/certificate"]; certified {
		return c.fault(ReasonUnsupported, "signed with a certificate")
	}
	return nil
}

// readPayload reads the document: nothing critical may be missing or unknown.
func (c *Candidate) readPayload(r *oci.StrictJSON) error {
	seen := 0
	err := r.Object(func(key string) error {
		switch key {
		case "critical":
			seen++
			return c.readCritical(r)
		case "optional":
			raw, err := r.Value()
			if err != nil {
				return err
			}
			return c.readOptional(raw)
		}
		return r.Fail("no such key of a payload: %.40q", key)
	})
	if err == nil {
		err = r.End()
	}
	if err == nil && seen == 0 {
		err = r.Fail("the payload has no critical section")
	}
	if c.Claim.Annotations[AnnotationReference] == c.Claim.Identity { // said again
		delete(c.Claim.Annotations, AnnotationReference)
	}
	return err
}

func (c *Candidate) readCritical(r *oci.StrictJSON) error {
	var digest, kind string
	err := r.Object(func(key string) (err error) {
		switch key {
		case "identity":
			c.Claim.Identity, err = readOnly(r, "docker-reference")
		case "image":
			digest, err = readOnly(r, "docker-manifest-digest")
		case "type":
			kind, err = r.Text()
		default:
			err = r.Fail("no such key of the critical section: %.40q", key)
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case kind != payloadType:
		return r.Fail("its type is %.60q, not %q", kind, payloadType)
	case digest == "":
		return r.Fail("it names no manifest")
	case c.Claim.Identity == "":
		return r.Fail("it names no image")
	}
	d, err := oci.ParseDigest(digest)
	if err != nil {
		return r.Fail("%v", err)
	}
	c.Claim.Digests = map[string]string{d.Algorithm().String(): d.Encoded()}
	return nil
}

// readOnly reads an object of one text.
func readOnly(r *oci.StrictJSON, only string) (text string, err error) {
	err = r.Object(func(key string) (err error) {
		if key != only {
			return r.Fail("no such key beside %q: %.40q", only, key)
		}
		text, err = r.Text()
		return err
	})
	return text, err
}

// readOptional takes from what may stand there what it understands.
func (c *Candidate) readOptional(raw json.RawMessage) error {
	if string(raw) == "null" {
		return nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return c.fault(ReasonMalformed, "its optional section is no object")
	}
	c.Claim.Annotations = map[string]string{}
	for key, v := range fields {
		var text string
		switch {
		case key == "timestamp":
			c.Claim.Serial = readSerial(v)
		case json.Unmarshal(v, &text) != nil:
		case key == "creator":
			c.Claim.Creator = text
		default:
			c.Claim.Annotations[key] = text
		}
	}
	if c.Claim.Serial > 0 {
		c.Claim.Created = created(time.Unix(c.Claim.Serial, 0))
	}
	return nil
}

// created is a time that a signature claims, zero for one that no date can be written
// of: such a claim must not keep the others from being listed.
func created(t time.Time) time.Time {
	if t = t.UTC(); t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}
	}
	return t
}

// readSerial is a whole positive number, 0 for anything else.
func readSerial(raw json.RawMessage) int64 {
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
