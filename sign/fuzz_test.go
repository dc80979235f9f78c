package sign_test

import (
	"bytes"
	"encoding/asn1"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dist.example/oci"
	"dist.example/sign"
)

// counts says whether one candidate is enough for the name, with a trusted key.
func counts(t *testing.T, c *sign.Candidate, keys ...*sign.PublicKey) bool {
	t.Helper()
	reqs := []sign.Requirement{{Type: sign.SignedBy, Keys: keys}}
	v := sign.Judge(reference(t, name), manifest("{}"), []*sign.Candidate{c}, reqs, sign.Facts{})
	mustMarshal(t, c)
	if _, detail := c.Fault, v.Met[0].Outcomes[0].Detail; v.Accepted != (detail == "") || strings.ContainsAny(detail, "\x00\x1b\n\r") {
		t.Errorf("accepted %v, detail %q", v.Accepted, detail)
	}
	return v.Accepted
}

// claimsGood checks that what counts says of the manifest and the name what was asked.
func claimsGood(t *testing.T, c *sign.Candidate) {
	t.Helper()
	signed, err := sign.ParseIdentity(c.Claim.Identity)
	if err != nil || signed != reference(t, name) {
		t.Errorf("it counts for %q", c.Claim.Identity)
	}
	if long, ok := c.Claim.Digests["sha512"]; c.Claim.Digests["sha256"] != digestHex && !ok || ok && len(long) != 128 {
		t.Errorf("it counts for %v", c.Claim.Digests)
	}
}

func FuzzPayload(f *testing.F) {
	good := payloadLayer(f, key(f, sign.ECDSA), goodPayload)
	sig := good.Annotations["dev.cosignproject.cosign/signature"]
	f.Add([]byte(goodPayload), sig)
	f.Add([]byte(strings.Replace(goodPayload, name, "other.example/app:v1", 1)), sig)
	f.Add(cosignFile(f, "payload.json"), "AA==")
	f.Fuzz(func(t *testing.T, data []byte, sig string) {
		layer := oci.Descriptor{MediaType: sign.MediaTypePayload, Annotations: map[string]string{"dev.cosignproject.cosign/signature": sig}}
		if counts(t, parse(layer, string(data)), key(t, sign.ECDSA).Public()) && string(data) != goodPayload {
			t.Errorf("%s counts", data)
		}
		// The key signs whatever it is given.
		if c := payloadOf(t, string(data)); counts(t, c, key(t, sign.ECDSA).Public()) {
			claimsGood(t, c)
		}
	})
}

func FuzzBundle(f *testing.F) {
	f.Add([]byte(envelope(f, key(f, sign.ECDSA), inToto, goodClaim)))
	f.Add([]byte(goodClaim))
	for _, file := range []string{"bundle-p256.json", "attestation.json"} {
		f.Add(cosignFile(f, file))
		f.Add(cosignClaim(f, string(cosignFile(f, file))))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		// Of what the key has signed, which is the good claim alone, nothing else counts.
		c := parse(bundleLayer, string(data))
		if counts(t, c, key(t, sign.ECDSA).Public(), cosignKey(t, "p256")) {
			claimsGood(t, c)
			if c.Claim.Serial != 1_800_000_000 || c.Claim.Creator != "x" {
				t.Errorf("an altered claim counts: %+v", c.Claim)
			}
		}
		if c := claimOf(t, string(data)); counts(t, c, key(t, sign.ECDSA).Public()) {
			claimsGood(t, c)
		}
	})
}

func FuzzPolicy(f *testing.F) {
	one := encoded(key(f, sign.ECDSA))
	f.Add([]byte(`{"default":` + accept + `,"transports":{"docker":{"":` + reject + `,"*.example":` + accept + `,"a.example/x@` + digest.String() + `":` + reject + `},"oci":{"/x":` + reject + `}}}`))
	for _, identity := range []string{
		`{"type":"matchExact"}`, `{"type":"unbound"}`, `{"type":"exactReference","dockerReference":"a.example/x:v1"}`,
		`{"type":"exactRepository","dockerRepository":"x"}`, `{"type":"remapIdentity","prefix":"a.example","signedPrefix":"b.example/c"}`,
	} {
		f.Add([]byte(`{"default":[{"type":"sigstoreSigned","keyDatas":["` + one + `"],"signedIdentity":` + identity + `},{"type":"sigstoreSigned","keyData":"` + one + `"}],"transports":{"docker":{"registry.example/team":` + reject + `}}}`))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.Contains(data, []byte("Path")) || bytes.Contains(data, []byte(`\u`)) {
			t.Skip("it may name files, and some of the system's never end")
		}
		p, err := sign.ParsePolicy(data)
		if err != nil {
			return
		}
		p.Lint()
		text, err := p.Encode()
		must(t, err)
		q := parsePolicy(t, string(text))
		again, err := q.Encode()
		must(t, err)
		if !bytes.Equal(text, again) || len(p.Scopes()) != len(q.Scopes()) {
			t.Errorf("%s becomes %s", text, again)
		}
		for _, s := range p.Scopes() {
			if got, want := rules(q, s.Transport, s.Scope), rules(p, s.Transport, s.Scope); got != want {
				t.Errorf("%s %q: %s becomes %s", s.Transport, s.Scope, want, got)
			}
		}
		c := []*sign.Candidate{bundled(t, key(t, sign.ECDSA), says{name: name})}
		before, after := p.Judge(reference(t, name), manifest("{}"), c, sign.Facts{}), q.Judge(reference(t, name), manifest("{}"), c, sign.Facts{})
		if before.Scope != after.Scope || before.Accepted != after.Accepted || before.Verified != after.Verified {
			t.Errorf("%+v becomes %+v", before, after)
		}
		// What a key vouches for is not accepted once the key is gone.
		if less, err := p.Without(sign.TransportDocker, nil, key(t, sign.ECDSA).Public()); err == nil {
			if v := less.Judge(reference(t, name), manifest("{}"), c, sign.Facts{}); v.Verified || v.Accepted && !before.Accepted {
				t.Errorf("without the key: %+v", v)
			}
		}
	})
}

func FuzzIdentity(f *testing.F) {
	for _, rule := range []string{"matchExact", "matchRepoDigestOrExact", "matchRepository", "unbound", "exactReference=a.example/x:v1", "exactRepository=a.example/x", "remapIdentity=registry.example=b.example/c"} {
		f.Add(rule, name, name)
		f.Add(rule, "registry.example/x@"+digest.String(), "b.example/c/x:v1")
	}
	f.Fuzz(func(t *testing.T, rule, wanted, signed string) {
		r, err := sign.ParseIdentityRule(rule)
		if err != nil {
			return
		}
		if again, err := sign.ParseIdentityRule(r.String()); err != nil || again != r {
			t.Errorf("%q becomes %q: %v", rule, r, err)
		}
		want, err := sign.ParseIdentity(wanted)
		if err != nil || !takes(t, r, wanted, signed) {
			return
		}
		got, err := sign.ParseIdentity(signed)
		switch {
		case signed == "":
			if r.Type != sign.Unbound {
				t.Errorf("%s takes no name", r)
			}
		case err != nil:
			t.Errorf("%s takes %q", r, signed)
		case r.Type == sign.ExactReference || r.Type == sign.ExactRepository:
			if got.Name() != r.Exact.Name() {
				t.Errorf("%s takes %q", r, signed)
			}
		case r.Type == sign.RemapIdentity:
			if got.Name() != want.Name() && !strings.HasPrefix(want.Name(), r.Prefix) {
				t.Errorf("%s takes %q for %q", r, signed, wanted)
			}
		case got.Name() != want.Name(), want.Digest == "" && r.Type != sign.MatchRepository && got != want:
			t.Errorf("%s takes %q for %q", r, signed, wanted)
		}
	})
}

func FuzzPublicKey(f *testing.F) {
	addFiles(f, "*.pub")
	f.Add(plain(f, key(f, sign.ECDSA)))
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := sign.ParsePublicKey(data)
		if err != nil {
			return
		}
		back, err := sign.ParsePublicKey(k.PEM())
		must(t, err)
		if back.ID() != k.ID() || k.Algorithm() != back.Algorithm() || !bytes.Equal(k.DER(), back.DER()) || k.ID() != oci.DigestBytes(k.DER()) {
			t.Errorf("%s becomes %s", k.PEM(), back.PEM())
		}
		if _, err := sign.ParsePrivateKey(t.Context(), data, nil); err == nil {
			t.Errorf("%s is a private key, too", data)
		}
		if counts(t, payloadOf(t, goodPayload), k) && k.ID() != key(t, sign.ECDSA).Public().ID() {
			t.Errorf("%s takes another key's signature", k.PEM())
		}
	})
}

func FuzzPrivateKey(f *testing.F) {
	addFiles(f, "*.key")
	f.Fuzz(func(t *testing.T, data []byte) {
		pass := knows("test")
		if sign.IsEncrypted(data) && takesLong(data) {
			pass = nil
		}
		s, err := sign.ParsePrivateKey(t.Context(), data, pass)
		if err != nil {
			if strings.Contains(err.Error(), "\x1b") {
				t.Errorf("%q", err)
			}
			return
		}
		back, err := sign.ParsePrivateKey(t.Context(), plain(t, s), nil)
		must(t, err)
		if back.Public().ID() != s.Public().ID() {
			t.Errorf("%s becomes %s", s.Public().ID(), back.Public().ID())
		}
		for _, c := range both(t, s, statement(manifest("{}"), name)) {
			if !counts(t, c, s.Public()) {
				t.Errorf("its own signature does not count: %+v", c)
			}
		}
	})
}

func addFiles(f *testing.F, pattern string) {
	f.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "keys", pattern))
	must(f, err)
	for _, file := range files {
		data, err := os.ReadFile(file)
		must(f, err)
		f.Add(data)
	}
}

// takesLong says whether trying a passphrase takes more than a moment.
func takesLong(data []byte) bool {
	block, _ := pem.Decode(data)
	var key struct {
		Algorithm struct {
			Scheme asn1.ObjectIdentifier
			Params struct {
				Derivation struct {
					Algorithm asn1.ObjectIdentifier
					Params    []asn1.RawValue
				}
				Cipher asn1.RawValue
			}
		}
		Data []byte
	}
	if block.Headers["DEK-Info"] != "" {
		return false
	}
	if _, err := asn1.Unmarshal(block.Bytes, &key); err != nil {
		return true
	}
	for _, p := range key.Algorithm.Params.Derivation.Params {
		if p.Tag == asn1.TagInteger && (len(p.Bytes) > 2 || len(p.Bytes) == 2 && p.Bytes[0] > 0x10) {
			return true
		}
	}
	return false
}
