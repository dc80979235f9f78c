package sign_test

import (
	"encoding/json"
	"strings"
	"testing"

	"dist.example/oci"
	"dist.example/sign"
)

func TestAStatementThatIsSignedAndMalformed(t *testing.T) {
	t.Parallel()
	subject := `{"name":"` + name + `","digest":{"sha256":"` + digestHex + `"},"annotations":{"docker-reference":"` + name + `"}}`
	for _, row := range []struct {
		was, is string
		want    sign.Reason
	}{
		{"https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1", sign.ReasonMalformed},
		{`"_type":"https://in-toto.io/Statement/v1",`, ``, sign.ReasonMalformed},
		{`"_type":"`, `"_type":"x","_type":"`, sign.ReasonMalformed},
		{`"_type":"https://in-toto.io/Statement/v1"`, `"_type":null`, sign.ReasonMalformed},
		{`"_type"`, `"_Type"`, sign.ReasonMalformed},
		{`{"_type"`, `{"more":1,"_type"`, sign.ReasonMalformed},
		{"https://sigstore.dev/cosign/sign/v1", "https://sigstore.dev/cosign/sign/v2", sign.ReasonOtherPredicate},
		{"https://sigstore.dev/cosign/sign/v1", "https://slsa.dev/provenance/v1", sign.ReasonOtherPredicate},
		{"https://sigstore.dev/cosign/sign/v1", "https://sigstore.dev/cosign/sign/v1/", sign.ReasonOtherPredicate},
		{"https://sigstore.dev/cosign/sign/v1", `\u001b[31m` + strings.Repeat("x", 500), sign.ReasonOtherPredicate},
		{`"predicateType":"https://sigstore.dev/cosign/sign/v1",`, ``, sign.ReasonMalformed},
		{`"predicateType":"`, `"predicateType":"x","predicateType":"`, sign.ReasonMalformed},
		{`"predicateType":"https://sigstore.dev/cosign/sign/v1"`, `"predicateType":["https://sigstore.dev/cosign/sign/v1"]`, sign.ReasonMalformed},
		// subject
		{`"subject":[` + subject + `],`, ``, sign.ReasonMalformed},
		{`"subject":[` + subject + `]`, `"subject":[]`, sign.ReasonMalformed},
		{`"subject":[` + subject + `]`, `"subject":null`, sign.ReasonMalformed},
		{`"subject":[` + subject + `]`, `"subject":` + subject, sign.ReasonMalformed},
		{`[` + subject + `]`, `[` + subject + `,` + subject + `]`, sign.ReasonMalformed},
		{`[` + subject + `]`, `[` + subject + `,` + strings.ReplaceAll(subject, digestHex, otherHex) + `]`, sign.ReasonMalformed},
		{`[` + subject + `]`, `[{},` + subject + `]`, sign.ReasonMalformed},
		{`[` + subject + `]`, `[null]`, sign.ReasonMalformed},
		{`[` + subject + `]`, `[{}]`, sign.ReasonOtherDigest},
		{`"subject":[`, `"subject":[],"subject":[`, sign.ReasonMalformed},
		{`[{"name"`, `[{"more":1,"name"`, sign.ReasonMalformed},
		{`[{"name"`, `[{"uri":"https://x","mediaType":"y","name"`, ""},
		{`[{"name":"`, `[{"name":"x","name":"`, sign.ReasonMalformed},
		{`"name":"` + name + `"`, `"name":7`, sign.ReasonMalformed},
		{`"name":"` + name + `"`, `"name":["` + name + `"]`, sign.ReasonMalformed},
		{`"name":"` + name + `"`, `"name":null`, ""},
		{`"name":"` + name + `",`, ``, ""},
		{`"name":"` + name + `"`, `"name":""`, ""},
		{`"name":"` + name, `"name":"registry.example/team/app:v2`, sign.ReasonMalformed},
		{`"name":"` + name, `"name":"registry.example/team/app`, sign.ReasonMalformed},
		{`"docker-reference":"` + name, `"docker-reference":"registry.example/team/app:v2`, sign.ReasonMalformed},
		{`"docker-reference":"` + name, `"docker-reference":"`, sign.ReasonMalformed},
		{`"docker-reference":"` + name + `"`, `"docker-reference":null`, sign.ReasonMalformed},
		{`"docker-reference":"`, `"docker-reference":"x","docker-reference":"`, sign.ReasonMalformed},
		{`"docker-reference":"` + name + `"`, `"Docker-Reference":"x"`, ""},
		{`,"annotations":{"docker-reference":"` + name + `"}`, ``, ""},
		{`"annotations":{"docker-reference":"` + name + `"}`, `"annotations":null`, ""},
		{`"annotations":{"docker-reference":"` + name + `"}`, `"annotations":[]`, sign.ReasonMalformed},
		{`"annotations":{`, `"annotations":{"n":1,`, sign.ReasonMalformed},
		{`"annotations":{`, `"annotations":{},"annotations":{`, sign.ReasonMalformed},
		// digest
		{`"digest":{"sha256":"` + digestHex + `"},`, ``, sign.ReasonOtherDigest},
		{`{"sha256":"` + digestHex + `"}`, `{}`, sign.ReasonOtherDigest},
		{`{"sha256":"` + digestHex + `"}`, `null`, sign.ReasonOtherDigest},
		{`{"sha256":"` + digestHex + `"}`, `{"sha256":null}`, sign.ReasonOtherDigest},
		{`{"sha256":"` + digestHex + `"}`, `"sha256:` + digestHex + `"`, sign.ReasonMalformed},
		{digestHex, otherHex, sign.ReasonOtherDigest},
		{digestHex, strings.ToUpper(digestHex), sign.ReasonOtherDigest},
		{digestHex, "sha256:" + digestHex, sign.ReasonOtherDigest},
		{digestHex, digestHex[:63], sign.ReasonOtherDigest},
		{digestHex, `\u001b` + strings.Repeat("x", 9999), sign.ReasonOtherDigest},
		{`"sha256":"`, `"sha1":"`, sign.ReasonOtherDigest},
		{`"sha256":"`, `"SHA256":"`, sign.ReasonOtherDigest},
		{`"sha256":"`, `"sha256":"x","sha256":"`, sign.ReasonMalformed},
		{`"sha256":"`, `"sha256":"x","sha25\u0036":"`, sign.ReasonMalformed},
		{`"digest":{`, `"digest":{},"digest":{`, sign.ReasonMalformed},
		// predicate
		{`{"creator":"x","created":"2027-01-15T08:00:00Z","serial":1800000000}`, `{}`, ""},
		{`{"creator":"x","created":"2027-01-15T08:00:00Z","serial":1800000000}`, `null`, ""},
		{`,"predicate":{"creator":"x","created":"2027-01-15T08:00:00Z","serial":1800000000}`, ``, ""},
		{`{"creator":"x","created":"2027-01-15T08:00:00Z","serial":1800000000}`, `[]`, sign.ReasonMalformed},
		{`"predicate":{`, `"predicate":{},"predicate":{`, sign.ReasonMalformed},
		{`"serial":`, `"serial":1,"serial":`, sign.ReasonMalformed},
		{`"creator":"x"`, `"creator":{"a":1,"a":2}`, sign.ReasonMalformed},
		{`"creator":"x"`, `"creator":7`, ""},
		{`1800000000`, `"1800000000"`, ""},
		{`1800000000`, `9223372036854775808`, ""},
		{"2027-01-15T08:00:00Z", "9999-12-31T23:59:59-23:00", ""},
		{"2027-01-15T08:00:00Z", "0000-01-01T00:00:00+23:00", ""},
		// the whole
		{goodClaim, goodClaim + goodClaim, sign.ReasonMalformed},
		{goodClaim, goodClaim + "]", sign.ReasonMalformed},
		{goodClaim, "[]", sign.ReasonMalformed},
		{goodClaim, "null", sign.ReasonMalformed},
		{goodClaim, "x", sign.ReasonMalformed},
		{goodClaim, " " + goodClaim + "\n", ""},
		{`"predicate":{`, `"predicate":{"a":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `,`, sign.ReasonMalformed},
	} {
		if !strings.Contains(goodClaim, row.was) {
			t.Fatalf("no %s in the claim", row.was)
		}
		c := claimOf(t, strings.Replace(goodClaim, row.was, row.is, 1))
		expect(t, "claim with "+clip(row.is)+" for "+clip(row.was), c, row.want, sign.Facts{})
		mustMarshal(t, c)
	}
}

// What is around a claim that a trusted key signed can be altered by anybody: it makes
// the candidate malformed, or changes nothing.
func TestABundleThatIsAltered(t *testing.T) {
	t.Parallel()
	bundle := envelope(t, key(t, sign.ECDSA), inToto, goodClaim)
	var parts struct {
		Material json.RawMessage `json:"verificationMaterial"`
		Envelope struct {
			Payload    string
			Signatures json.RawMessage
		} `json:"dsseEnvelope"`
	}
	must(t, json.Unmarshal([]byte(bundle), &parts))
	material, sigs := string(parts.Material), string(parts.Envelope.Signatures)
	one := strings.Trim(sigs, "[]")
	for _, row := range []struct {
		was, is string
		want    sign.Reason
	}{
		{`{"mediaType":"` + sign.MediaTypeBundle + `",`, `{`, sign.ReasonMalformed},
		{`{"mediaType":"` + sign.MediaTypeBundle, `{"mediaType":"application/vnd.dev.sigstore.bundle.v0.4+json`, sign.ReasonMalformed},
		{`{"mediaType":"`, `{"mediaType":"x","mediaType":"`, sign.ReasonMalformed},
		{`{"mediaType"`, `{"MediaType"`, sign.ReasonMalformed},
		{`{"mediaType"`, `{"more":null,"mediaType"`, sign.ReasonMalformed},
		{`{"mediaType"`, `{"messageSignature":{},"mediaType"`, sign.ReasonUnsupported},
		{`"verificationMaterial":` + material + `,`, ``, ""}, // the hint only orders attempts
		{`"verificationMaterial":` + material, `"verificationMaterial":null`, sign.ReasonMalformed},
		{`"verificationMaterial":`, `"verificationMaterial":{},"verificationMaterial":`, sign.ReasonMalformed},
		{material, `{}`, ""},
		{material, `{"publicKey":{}}`, ""},
		{material, `{"publicKey":null}`, sign.ReasonMalformed},
		{material, `{"publicKey":{"hint":""}}`, sign.ReasonMalformed},
		{material, `{"publicKey":{"hint":7}}`, sign.ReasonMalformed},
		{material, `{"publicKey":{"hint":"\u0000\n"}}`, ""},
		{material, `{"publicKey":{"hint":"a","hint":"b"}}`, sign.ReasonMalformed},
		{material, `{"publicKey":{"rawBytes":"a"}}`, sign.ReasonMalformed},
		{material, `{"publicKey":{},"more":1}`, sign.ReasonMalformed},
		{material, `{"publicKey":{},"tlogEntries":[{"logIndex":"1"}],"timestampVerificationData":{}}`, ""},
		{material, `{"certificate":{"rawBytes":"a"}}`, sign.ReasonUnsupported},
		{material, `{"x509CertificateChain":{"certificates":[]}}`, sign.ReasonUnsupported},
		{material, `{"publicKey":{"hint":"a"},"certificate":null}`, sign.ReasonUnsupported},
		{`"payload":"` + parts.Envelope.Payload + `",`, ``, sign.ReasonMalformed},
		{`"payload":"`, `"payload":"e30=","payload":"`, sign.ReasonMalformed},
		{`"payload":"`, `"payload":"!`, sign.ReasonMalformed},
		{`"payload":"` + parts.Envelope.Payload, `"payload":"e30=`, sign.ReasonMalformed},
		{parts.Envelope.Payload, b64(strings.ReplaceAll(goodClaim, digestHex, otherHex)), sign.ReasonForged},
		{parts.Envelope.Payload, b64(goodClaim + " "), sign.ReasonForged},
		{`"payloadType":"` + inToto + `",`, ``, sign.ReasonMalformed},
		{`"payloadType":"` + inToto, `"payloadType":"application/json`, sign.ReasonMalformed},
		{`"payloadType":"`, `"payloadType":"x","payloadType":"`, sign.ReasonMalformed},
		{`"dsseEnvelope":{`, `"dsseEnvelope":{"more":1,`, sign.ReasonMalformed},
		{`"dsseEnvelope":{`, `"dsseEnvelope":{},"dsseEnvelope":{`, sign.ReasonMalformed},
		{`"dsseEnvelope":{`, `"DsseEnvelope":{`, sign.ReasonMalformed},
		{sigs, `[]`, sign.ReasonUnsigned},
		{sigs, `[{}]`, sign.ReasonUnsigned},
		{sigs, `null`, sign.ReasonMalformed},
		{sigs, `[null]`, sign.ReasonMalformed},
		{sigs, `{}`, sign.ReasonMalformed},
		{`,"signatures":` + sigs, ``, sign.ReasonUnsigned},
		{sigs, `[` + one + `,` + one + `]`, sign.ReasonMalformed},
		{sigs, `[{"sig":"AA=="},` + one + `]`, sign.ReasonMalformed},
		{sigs, `[{"sig":""}]`, sign.ReasonMalformed},
		{sigs, `[{"sig":"!"}]`, sign.ReasonMalformed},
		{sigs, `[{"sig":"AA=="}]`, sign.ReasonForged},
		{`[{"sig":"`, `[{"sig":"AA==","sig":"`, sign.ReasonMalformed},
		{`[{"sig"`, `[{"keyid":"anybody","sig"`, ""},
		{`[{"sig"`, `[{"cert":"x","sig"`, sign.ReasonMalformed},
		{bundle, bundle + "{}", sign.ReasonMalformed},
		{bundle, bundle + "x", sign.ReasonMalformed},
		{bundle, "[" + bundle + "]", sign.ReasonMalformed},
		{bundle, "null", sign.ReasonMalformed},
		{bundle, "{}", sign.ReasonMalformed},
		{bundle, `{"mediaType":"` + sign.MediaTypeBundle + `"}`, sign.ReasonMalformed},
		{bundle, " \n" + bundle + "\n ", ""},
		{bundle, strings.Repeat(" ", sign.MaxEnvelope) + bundle, sign.ReasonMalformed},
	} {
		if !strings.Contains(bundle, row.was) {
			t.Fatalf("no %s in the bundle", row.was)
		}
		c := parse(bundleLayer, strings.Replace(bundle, row.was, row.is, 1))
		expect(t, "bundle with "+clip(row.is)+" for "+clip(row.was), c, row.want, sign.Facts{})
		mustMarshal(t, c)
	}
	for _, kind := range []string{
		"application/vnd.dev.sigstore.bundle+json;version=0.3", "application/vnd.dev.sigstore.bundle.v0.2+json", "application/vnd.dev.sigstore.bundle\x1b", "application/json", "",
	} {
		expect(t, "layer of type "+kind, parse(oci.Descriptor{MediaType: kind}, bundle), sign.ReasonUnsupported, sign.Facts{})
	}
}

// An envelope's signature is over its type, too.
func TestAnEnvelopeOfAnotherType(t *testing.T) {
	t.Parallel()
	other := envelope(t, key(t, sign.ECDSA), "application/json", goodClaim)
	expect(t, "signed as it is", parse(bundleLayer, other), sign.ReasonMalformed, sign.Facts{})
	expect(t, "called a statement afterwards", parse(bundleLayer, strings.Replace(other, `"application/json"`, `"`+inToto+`"`, 1)), sign.ReasonForged, sign.Facts{})
	// A payload of the tag form in an envelope, and the other way round.
	expect(t, "payload as a claim", claimOf(t, goodPayload), sign.ReasonMalformed, sign.Facts{})
	expect(t, "claim as a payload", payloadOf(t, goodClaim), sign.ReasonMalformed, sign.Facts{})
	expect(t, "envelope as a payload", payloadOf(t, preAuthentication(inToto, goodClaim)), sign.ReasonMalformed, sign.Facts{})
}
