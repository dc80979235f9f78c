package sign_test

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"testing"

	"dist.example/oci"
	"dist.example/sign"
)

// says is what a bundle made by hand says.
type says struct {
	name, reference string
	digests         map[string]string // nil for those of {}
	predicate       any
}

// bundled is a bundle that the key made in good faith, of whatever it says.
func bundled(t testing.TB, s *sign.Signer, what says) *sign.Candidate {
	t.Helper()
	if what.digests == nil {
		what.digests = map[string]string{"sha256": oci.DigestBytes([]byte("{}")).Encoded()}
	}
	about := map[string]any{"digest": what.digests}
	if what.name != "" {
		about["name"] = what.name
	}
	if what.reference != "" {
		about["annotations"] = map[string]string{"docker-reference": what.reference}
	}
	claim, err := json.Marshal(map[string]any{
		"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://sigstore.dev/cosign/sign/v1",
		"subject": []any{about}, "predicate": what.predicate,
	})
	must(t, err)
	return parse(bundleLayer, envelope(t, s, "application/vnd.in-toto+json", string(claim)))
}

// envelope is a bundle around a claim of any form, signed.
func envelope(t testing.TB, s *sign.Signer, kind, claim string) string {
	t.Helper()
	sig := base64.StdEncoding.EncodeToString(rawSign(t, s, preAuthentication(kind, claim)))
	hint := base64.StdEncoding.EncodeToString(unhex(t, s.Public().ID().Encoded()))
	return `{"mediaType":"` + sign.MediaTypeBundle + `","verificationMaterial":{"publicKey":{"hint":"` + hint + `"}},"dsseEnvelope":{"payload":"` +
		base64.StdEncoding.EncodeToString([]byte(claim)) + `","payloadType":"` + kind + `","signatures":[{"sig":"` + sig + `"}]}}`
}

var bundleLayer = oci.Descriptor{MediaType: sign.MediaTypeBundle}

// parse reads a signature from the layer of a manifest.
func parse(layer oci.Descriptor, data string) *sign.Candidate {
	d := oci.Describe(layer.MediaType, []byte(data))
	d.Annotations = layer.Annotations
	return sign.Parse(oci.DigestBytes([]byte("manifest")), d, []byte(data))
}

// payloadLayer is the layer of a payload with the key's signature beside it.
func payloadLayer(t testing.TB, s *sign.Signer, payload string) oci.Descriptor {
	t.Helper()
	return oci.Descriptor{MediaType: sign.MediaTypePayload, Annotations: map[string]string{
		"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(rawSign(t, s, payload)),
	}}
}

// preAuthentication is what the signature of an envelope is over (DSSE).
func preAuthentication(kind, claim string) string {
	return fmt.Sprintf("DSSEv1 %d %s %d %s", len(kind), kind, len(claim), claim)
}

// rawSign signs anything at all, as the library of the package would.
func rawSign(t testing.TB, s *sign.Signer, message string) []byte {
	t.Helper()
	key := holder(t, s)
	if _, pure := key.(ed25519.PrivateKey); pure {
		return hashSign(t, key, 0, message)
	}
	return hashSign(t, key, crypto.SHA256, message)
}

func hashSign(t testing.TB, key crypto.Signer, hash crypto.Hash, message string) []byte {
	t.Helper()
	sum := []byte(message)
	if hash != 0 {
		h := hash.New()
		h.Write(sum)
		sum = h.Sum(nil)
	}
	sig, err := key.Sign(rand.Reader, sum, hash)
	must(t, err)
	return sig
}

// holder is the private key itself.
func holder(t testing.TB, s *sign.Signer) crypto.Signer {
	t.Helper()
	data, err := s.PEM(nil)
	must(t, err)
	block, _ := pem.Decode(data)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	must(t, err)
	return key.(crypto.Signer)
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(text)
	must(t, err)
	return data
}
