package sign_test

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"dist.example/oci"
	"dist.example/sign"
)

const (
	digestHex   = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a" // of {}
	otherHex    = "54136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
	goodPayload = `{"critical":{"identity":{"docker-reference":"` + name + `"},"image":{"docker-manifest-digest":"sha256:` + digestHex + `"},"type":"cosign container image signature"},"optional":{"creator":"x","timestamp":1800000000}}`
	goodClaim   = `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"` + name + `","digest":{"sha256":"` + digestHex + `"},"annotations":{"docker-reference":"` + name + `"}}],` +
		`"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{"creator":"x","created":"2027-01-15T08:00:00Z","serial":1800000000}}`
	inToto = "application/vnd.in-toto+json"
)

// expect judges a candidate alone, and beside a good one in each order.
func expect(t testing.TB, what string, c *sign.Candidate, want sign.Reason, facts sign.Facts, reqs ...sign.Requirement) {
	t.Helper()
	if len(reqs) == 0 {
		reqs = trusted(key(t, sign.ECDSA))
	}
	subject, ref := manifest("{}"), reference(t, name)
	v := sign.Judge(ref, subject, []*sign.Candidate{c}, reqs, facts)
	if o := v.Met[0].Outcomes[0]; o.Reason != want || v.Accepted != (want == "") || (v.Err() == nil) != (want == "") {
		t.Errorf("%s: %q (%s), want %q", what, o.Reason, o.Detail, want)
	}
	if o := v.Met[0].Outcomes[0]; (o.Detail == "") != (want == "") || strings.ContainsAny(o.Detail, "\x00\x1b\n\r") || len(o.Detail) > 600 {
		t.Errorf("%s: detail %q", what, o.Detail)
	}
	good := bundled(t, key(t, sign.ECDSA), says{name: name, predicate: map[string]any{"serial": 1_900_000_000}})
	for _, all := range [][]*sign.Candidate{{c, good}, {good, c}} {
		if v := sign.Judge(ref, subject, all, reqs, facts); !v.Accepted || !v.Verified || want != "" && (len(v.Others()) != 1 || v.Others()[0].Reason != want) {
			t.Errorf("%s beside a good one: %v", what, v.Err())
		}
	}
}

// payloadOf is a payload signed by the trusted key.
func payloadOf(t testing.TB, payload string) *sign.Candidate {
	t.Helper()
	return parse(payloadLayer(t, key(t, sign.ECDSA), payload), payload)
}

// claimOf is a bundle around a claim signed by the trusted key.
func claimOf(t testing.TB, claim string) *sign.Candidate {
	t.Helper()
	return parse(bundleLayer, envelope(t, key(t, sign.ECDSA), inToto, claim))
}

func TestWhatIsSignedInGoodFaithAndMalformed(t *testing.T) {
	t.Parallel()
	expect(t, "payload", payloadOf(t, goodPayload), "", sign.Facts{})
	expect(t, "claim", claimOf(t, goodClaim), "", sign.Facts{})
	for _, row := range []struct {
		was, is string
		want    sign.Reason
	}{
		// critical section
		{`"critical"`, `"Critical"`, sign.ReasonMalformed},
		{`{"critical"`, `{"more":1,"critical"`, sign.ReasonMalformed},
		{`{"critical"`, `{"critical":null,"critical"`, sign.ReasonMalformed},
		{`"docker-reference":"` + name + `"`, ``, sign.ReasonMalformed},
		{`"docker-reference":"` + name + `"`, `"docker-reference":""`, sign.ReasonMalformed},
		{`"docker-reference":"` + name + `"`, `"docker-reference":null`, sign.ReasonMalformed},
		{`"docker-reference":"` + name + `"`, `"docker-reference":["` + name + `"]`, sign.ReasonMalformed},
		{`"docker-reference":"`, `"docker-reference":"x","docker-reference":"`, sign.ReasonMalformed},
		{`"docker-reference":"`, `"docker-reference":"x","docker-referenc\u0065":"`, sign.ReasonMalformed},
		{`"docker-reference":"`, `"Docker-Reference":"`, sign.ReasonMalformed},
		{`"docker-reference":"`, `"more":1,"docker-reference":"`, sign.ReasonMalformed},
		{`"identity":{`, `"identity":{},"identity":{`, sign.ReasonMalformed},
		{`"identity":{"docker-reference":"` + name + `"},`, ``, sign.ReasonMalformed},
		{`"identity":{"docker-reference":"` + name + `"}`, `"identity":null`, sign.ReasonMalformed},
		{name, "registry.example/team/app:v2", sign.ReasonOtherName},
		{name, "registry.example/team/app", sign.ReasonOtherName},
		{name, "registry.example/team/other:v1", sign.ReasonOtherName},
		{name, `\u001b[31mred\u0000\n`, sign.ReasonOtherName},
		{name, strings.Repeat("a", 9999), sign.ReasonOtherName},
		{`"docker-manifest-digest":"sha256:` + digestHex + `"`, ``, sign.ReasonMalformed},
		{"sha256:" + digestHex, "sha256:" + otherHex, sign.ReasonOtherDigest},
		{"sha256:" + digestHex, "sha256:" + strings.ToUpper(digestHex), sign.ReasonMalformed},
		{"sha256:" + digestHex, "sha512:" + digestHex, sign.ReasonMalformed},
		{"sha256:" + digestHex, "sha1:" + digestHex[:40], sign.ReasonMalformed},
		{"sha256:" + digestHex, "sha256:" + digestHex[:63], sign.ReasonMalformed},
		{"sha256:" + digestHex, digestHex, sign.ReasonMalformed},
		{"sha256:" + digestHex, "", sign.ReasonMalformed},
		{`"image":{`, `"image":{},"image":{`, sign.ReasonMalformed},
		{`"image":{`, `"image":{"more":1,`, sign.ReasonMalformed},
		{`"type":"cosign container image signature"`, `"type":"atomic container signature"`, sign.ReasonMalformed},
		{`"type":"cosign`, `"type":"x","type":"cosign`, sign.ReasonMalformed},
		{`,"type":"cosign container image signature"`, ``, sign.ReasonMalformed},
		{`"type":"cosign`, `"more":1,"type":"cosign`, sign.ReasonMalformed},
		{`"type":"cosign container image signature"`, `"type":1`, sign.ReasonMalformed},
		// optional section
		{`{"creator":"x","timestamp":1800000000}`, `null`, ""},
		{`,"optional":{"creator":"x","timestamp":1800000000}`, ``, ""},
		{`{"creator":"x","timestamp":1800000000}`, `[]`, sign.ReasonMalformed},
		{`{"creator":"x","timestamp":1800000000}`, `"x"`, sign.ReasonMalformed},
		{`{"creator":"x"`, `{"creator":"y","creator":"x"`, sign.ReasonMalformed},
		{`{"creator":"x"`, `{"a":{"b":1,"b":2},"creator":"x"`, sign.ReasonMalformed},
		{`"optional"`, `"optional":null,"optional"`, sign.ReasonMalformed},
		{`"creator":"x"`, `"creator":7,"more":{"deep":[1]}`, ""},
		{`1800000000`, `9223372036854775807`, ""},
		{`1800000000`, `99999999999999999999`, ""},
		{`1800000000`, `-1`, ""},
		{`1800000000`, `1.8e9`, ""},
		// the whole
		{goodPayload, goodPayload + "{}", sign.ReasonMalformed},
		{goodPayload, goodPayload + "x", sign.ReasonMalformed},
		{goodPayload, "[" + goodPayload + "]", sign.ReasonMalformed},
		{goodPayload, "\xef\xbb\xbf" + goodPayload, sign.ReasonMalformed},
		{goodPayload, "null", sign.ReasonMalformed},
		{goodPayload, "{}", sign.ReasonMalformed},
		{goodPayload, "", sign.ReasonMalformed},
		{goodPayload, goodPayload + "\n", ""},
		{`{"critical":{`, `{"critical":` + strings.Repeat("[", 20000), sign.ReasonMalformed},
		{`"optional":{`, `"optional":{"a":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `,`, sign.ReasonMalformed},
		{`"optional":{`, `"optional":{"a":"` + strings.Repeat("x", sign.MaxEnvelope) + `",`, sign.ReasonMalformed},
	} {
		if !strings.Contains(goodPayload, row.was) {
			t.Fatalf("no %s in the payload", row.was)
		}
		c := payloadOf(t, strings.Replace(goodPayload, row.was, row.is, 1))
		expect(t, "payload with "+clip(row.is)+" for "+clip(row.was), c, row.want, sign.Facts{})
		mustMarshal(t, c)
	}
}

// mustMarshal checks that a candidate can be listed, whatever it claims.
func mustMarshal(t testing.TB, c *sign.Candidate) {
	t.Helper()
	if _, err := json.Marshal(c); err != nil {
		t.Error(err)
	}
}

func clip(s string) string { return s[:min(len(s), 90)] }

func TestEachPartOfASignatureCounts(t *testing.T) {
	t.Parallel()
	s := key(t, sign.ECDSA)
	layer, bundle := payloadLayer(t, s, goodPayload), envelope(t, s, inToto, goodClaim)
	for n := range len(goodPayload) {
		expect(t, goodPayload[:n], parse(layer, goodPayload[:n]), sign.ReasonMalformed, sign.Facts{})
	}
	for n := range len(bundle) {
		expect(t, bundle[:n], parse(bundleLayer, bundle[:n]), sign.ReasonMalformed, sign.Facts{})
	}
	// A bit of the signature, or of what is signed.
	for _, c := range []*sign.Candidate{payloadOf(t, goodPayload), claimOf(t, goodClaim)} {
		sig := c.Signature()
		for i := range sig {
			sig[i] ^= 1
			if v := sign.Judge(reference(t, name), manifest("{}"), []*sign.Candidate{c}, trusted(s), sign.Facts{}); v.Accepted {
				t.Errorf("%s with another byte %d in its signature counts", c.Kind, i)
			}
			sig[i] ^= 1
		}
	}
	for _, was := range []string{"v1", "team", digestHex[:8], "1800000000", `"creator":"x"`, "timestamp"} {
		altered := strings.Replace(goodPayload, was, strings.ToUpper(was[:len(was)-1])+"7", 1)
		c := parse(layer, altered)
		if c.Fault == "" {
			expect(t, "payload with another "+was, c, sign.ReasonStranger, sign.Facts{})
		}
	}
	for _, row := range []struct{ was, is string }{{"app:v1", "app:v2"}, {digestHex, otherHex}, {"1800000000", "1900000000"}, {`"creator":"x"`, `"creator":"y"`}, {`"predicate":`, ` "predicate":`}} {
		altered := strings.Replace(bundle, b64(goodClaim), b64(strings.ReplaceAll(goodClaim, row.was, row.is)), 1)
		expect(t, "claim with "+row.is, parse(bundleLayer, altered), sign.ReasonForged, sign.Facts{})
	}
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestASignatureBesideAPayload(t *testing.T) {
	t.Parallel()
	good := payloadLayer(t, key(t, sign.ECDSA), goodPayload)
	sig := good.Annotations["dev.cosignproject.cosign/signature"]
	raw := string(payloadOf(t, goodPayload).Signature())
	with := func(pairs ...string) oci.Descriptor {
		d := oci.Descriptor{MediaType: sign.MediaTypePayload, Annotations: map[string]string{}}
		for i := 0; i < len(pairs); i += 2 {
			d.Annotations[pairs[i]] = pairs[i+1]
		}
		return d
	}
	const here = "dev.cosignproject.cosign/signature"
	for what, row := range map[string]struct {
		layer oci.Descriptor
		want  sign.Reason
	}{
		"none":                   {with(), sign.ReasonUnsigned},
		"no annotations at all":  {oci.Descriptor{MediaType: sign.MediaTypePayload}, sign.ReasonUnsigned},
		"an empty one":           {with(here, ""), sign.ReasonUnsigned},
		"another key":            {with("dev.cosignproject.cosign/Signature", sig), sign.ReasonUnsigned},
		"not in base64":          {with(here, "!"), sign.ReasonMalformed},
		"twice":                  {with(here, b64(raw+raw)), sign.ReasonStranger},
		"halved":                 {with(here, sig[:len(sig)/2/4*4]), sign.ReasonStranger},
		"one byte":               {with(here, "AA=="), sign.ReasonStranger},
		"with a certificate":     {with(here, sig, "dev.sigstore.cosign/certificate", "x"), sign.ReasonUnsupported},
		"with a chain and a log": {with(here, sig, "dev.sigstore.cosign/chain", "x", "dev.sigstore.cosign/bundle", "{}"), ""},
		"by a stranger":          {payloadLayer(t, key(t, sign.Ed25519), goodPayload), sign.ReasonStranger},
		"over an envelope":       {with(here, base64.StdEncoding.EncodeToString(rawSign(t, key(t, sign.ECDSA), preAuthentication(sign.MediaTypePayload, goodPayload)))), sign.ReasonStranger},
		"of another media type":  {oci.Descriptor{MediaType: "application/json", Annotations: good.Annotations}, sign.ReasonUnsupported},
		"as a bundle":            {oci.Descriptor{MediaType: sign.MediaTypeBundle, Annotations: good.Annotations}, sign.ReasonMalformed},
		"as it should be":        {good, ""},
	} {
		expect(t, what, parse(row.layer, goodPayload), row.want, sign.Facts{})
	}
}
