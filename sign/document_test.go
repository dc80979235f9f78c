package sign_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"dist.example/content"
	"dist.example/oci"
	"dist.example/sign"
)

const said = `{"version":1,"name":"site-b/weekly","serial":7,"created":"2026-01-02T03:04:05Z"}`

func signedContents(t *testing.T, kind string, predicate string) ([]byte, oci.Digest, *sign.PublicKey) {
	t.Helper()
	index := oci.DigestBytes([]byte("index"))
	s := key(t, kind)
	data, err := sign.SignContents(t.Context(), s, index, []byte(predicate))
	if err != nil {
		t.Fatal(err)
	}
	return data, index, s.Public()
}

// bundles is a policy in which a key signs a scope of bundles.
func bundles(t *testing.T, scope string, k *sign.PublicKey) *sign.Policy {
	t.Helper()
	p, err := sign.NewPolicy().With(sign.TransportBundle, scope, k, sign.IdentityRule{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestWhatABundleSaysOfItselfIsSignedWithEveryKindOfKey(t *testing.T) {
	for _, kind := range []string{sign.ECDSA, sign.Ed25519, sign.RSA} {
		data, index, k := signedContents(t, kind, said)
		d, err := sign.ParseSigned(data)
		if err != nil {
			t.Fatal(err)
		}
		if string(d.Predicate) != said || d.Index != index || d.Candidate.Claim.Serial != 7 {
			t.Errorf("%s: %s about %s", kind, d.Predicate, d.Index)
		}
		_, reqs, demanded := bundles(t, "site-b", k).ForBundle("site-b/weekly")
		if v := sign.JudgeDocument(&d, index, reqs, sign.DocumentFacts{Now: time.Now()}); !demanded || !v.Verified {
			t.Errorf("%s: %v", kind, v.Err())
		}
		if v := sign.JudgeDocument(&d, oci.DigestBytes(nil), reqs, sign.DocumentFacts{Now: time.Now()}); v.Accepted {
			t.Errorf("%s: accepted for another index.json", kind)
		}
	}
}

func TestABundleIsJudgedByItsScope(t *testing.T) {
	data, index, k := signedContents(t, sign.ECDSA, said)
	d, err := sign.ParseSigned(data)
	if err != nil {
		t.Fatal(err)
	}
	stranger := key(t, sign.Ed25519).Public()
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for what, c := range map[string]struct {
		policy *sign.Policy
		name   string
		doc    *sign.Document
		facts  sign.DocumentFacts
		scope  string
		good   bool
		reason sign.Reason
	}{
		"its name":              {bundles(t, "site-b/weekly", k), "site-b/weekly", &d, sign.DocumentFacts{}, "site-b/weekly", true, ""},
		"its beginning":         {bundles(t, "site-b", k), "site-b/weekly", &d, sign.DocumentFacts{}, "site-b", true, ""},
		"all bundles":           {bundles(t, "", k), "site-b/weekly", &d, sign.DocumentFacts{}, "", true, ""},
		"no beginning":          {bundles(t, "site", stranger), "site-b/weekly", &d, sign.DocumentFacts{}, sign.ScopeDefault, true, ""},
		"another key":           {bundles(t, "site-b", stranger), "site-b/weekly", &d, sign.DocumentFacts{}, "site-b", false, sign.ReasonStranger},
		"unsigned":              {bundles(t, "site-b", k), "site-b/weekly", nil, sign.DocumentFacts{}, "site-b", false, ""},
		"unsigned, no name":     {bundles(t, "", k), "", nil, sign.DocumentFacts{}, "", false, ""},
		"a revoked key":         {bundles(t, "site-b", k), "site-b/weekly", &d, sign.DocumentFacts{Limits: func(*sign.PublicKey) sign.Limits { return sign.Limits{Revoked: true} }}, "site-b", false, sign.ReasonRevoked},
		"a key that is over":    {bundles(t, "site-b", k), "site-b/weekly", &d, sign.DocumentFacts{Limits: func(*sign.PublicKey) sign.Limits { return sign.Limits{NotAfter: now.Add(-time.Hour)} }}, "site-b", false, sign.ReasonExpired},
		"a serial of before":    {bundles(t, "site-b", k), "site-b/weekly", &d, sign.DocumentFacts{Serial: func(*sign.PublicKey) int64 { return 8 }}, "site-b", false, sign.ReasonOlder},
		"the same serial":       {bundles(t, "site-b", k), "site-b/weekly", &d, sign.DocumentFacts{Serial: func(*sign.PublicKey) int64 { return 7 }}, "site-b", true, ""},
		"a key that is not yet": {bundles(t, "site-b", k), "site-b/weekly", &d, sign.DocumentFacts{Limits: func(*sign.PublicKey) sign.Limits { return sign.Limits{NotBefore: now.Add(time.Hour)} }}, "site-b", false, sign.ReasonExpired},
	} {
		scope, reqs, demanded := c.policy.ForBundle(c.name)
		c.facts.Now = now
		v := sign.JudgeDocument(c.doc, index, reqs, c.facts)
		if !demanded || scope != c.scope || v.Accepted != c.good {
			t.Errorf("%s: scope %q, accepted %v: %v", what, scope, v.Accepted, v.Err())
		}
		if others := v.Others(); c.reason != "" && (len(others) != 1 || others[0].Reason != c.reason) {
			t.Errorf("%s: %v, want %s", what, others, c.reason)
		}
	}
	if _, _, demanded := sign.NewPolicy().ForBundle("site-b"); demanded {
		t.Error("a policy that does not speak of bundles asks something of them")
	}
	gone, err := bundles(t, "site-b", k).Without(sign.TransportBundle, in("site-b"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, demanded := gone.ForBundle("site-b"); demanded {
		t.Error("a policy that speaks of bundles no more asks something of them")
	}
}

func TestAPolicyForBundlesIsReadStrictly(t *testing.T) {
	pem := base64.StdEncoding.EncodeToString(key(t, sign.ECDSA).Public().PEM())
	policy := func(scope, more string) []byte {
		return []byte(`{"default":[{"type":"reject"}],"transports":{"dist-bundle":{"` + scope + `":[{"type":"sigstoreSigned","keyData":"` + pem + `"` + more + `}]}}}`)
	}
	p, err := sign.ParsePolicy(policy("site-b", ""))
	if err != nil {
		t.Fatal(err)
	}
	if found := p.Lint(); len(found) != 0 {
		t.Errorf("lint: %q", found)
	}
	for what, data := range map[string][]byte{
		"a scope that is no name": policy("site b", ""), "an identity": policy("site-b", `,"signedIdentity":{"type":"matchExact"}`),
	} {
		if _, err := sign.ParsePolicy(data); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if scope, reqs, demanded := p.ForBundle("other"); !demanded || scope != sign.ScopeDefault || reqs[0].Type != sign.RejectAll {
		t.Errorf("another bundle: %q, %v, %v", scope, reqs, demanded)
	}
}

func TestASignedStatementThatIsAltered(t *testing.T) {
	data, index, k := signedContents(t, sign.ECDSA, said)
	_, reqs, _ := bundles(t, "", k).ForBundle("x")
	for i := range data { // every byte: it is refused, or still what was signed
		bent := bytes.Clone(data)
		bent[i] ^= 1
		d, err := sign.ParseSigned(bent)
		if err != nil {
			if !errors.Is(err, content.ErrCorrupt) && !errors.Is(err, content.ErrUnsupported) {
				t.Fatalf("byte %d: %v", i, err)
			}
			continue
		}
		if v := sign.JudgeDocument(&d, index, reqs, sign.DocumentFacts{Now: time.Now()}); v.Accepted && string(d.Predicate) != said {
			t.Fatalf("byte %d: accepted, and says %s", i, d.Predicate)
		}
	}
	receipt, err := sign.SignReceipt(t.Context(), key(t, sign.ECDSA), index, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sign.ParseSigned(receipt); !errors.Is(err, content.ErrCorrupt) {
		t.Errorf("a receipt is taken for contents: %v", err)
	}
	if _, err := sign.ParseReceipt(data); !errors.Is(err, content.ErrCorrupt) {
		t.Errorf("contents are taken for a receipt: %v", err)
	}
	if _, err := sign.ParseReceipt(receipt); err != nil {
		t.Error(err)
	}
	full := `{"list":[` + strings.Repeat("{},", 500_000) + `{}]}`
	crowded, err := sign.SignContents(t.Context(), key(t, sign.ECDSA), index, []byte(full))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sign.ParseSigned(crowded); !errors.Is(err, content.ErrCorrupt) || !strings.Contains(err.Error(), "more than anybody writes") {
		t.Errorf("one of little but brackets: %v", err)
	}
	outside := bytes.Replace(data, []byte(`"publicKey"`), []byte(`"tlogEntries":[`+strings.Repeat("{},", 9000)+`{}],"publicKey"`), 1)
	if _, err := sign.ParseSigned(outside); !errors.Is(err, content.ErrCorrupt) || !strings.Contains(err.Error(), "more than anybody writes") {
		t.Errorf("one with little but brackets around it: %v", err)
	}
	long := bytes.Repeat([]byte(" "), sign.MaxSigned+1)
	if _, err := sign.ParseSigned(long); !errors.Is(err, content.ErrUnsupported) {
		t.Errorf("a large one: %v", err)
	}
	if _, err := sign.SignContents(t.Context(), key(t, sign.ECDSA), oci.Digest("sha512:"+strings.Repeat("0", 128)), []byte("{}")); !errors.Is(err, content.ErrInvalid) {
		t.Errorf("of another algorithm: %v", err)
	}
}

func FuzzSigned(f *testing.F) {
	s := key(f, sign.ECDSA)
	index := oci.DigestBytes([]byte("index"))
	data, err := sign.SignContents(f.Context(), s, index, []byte(said))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"mediaType":"` + sign.MediaTypeBundle + `","dsseEnvelope":{}}`))
	f.Add([]byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"index.json","digest":{"sha256":"` + index.Encoded() +
		`"},"annotations":{}}],"predicateType":"` + sign.PredicateContents + `","predicate":` + said + `}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		// Of what the key has signed, which is what it has said alone, nothing else passes.
		d, err := sign.ParseSigned(data)
		if err == nil && sign.Verifies(d.Candidate, s.Public()) && (string(d.Predicate) != said || d.Index != index) {
			t.Fatalf("%s about %s passes for signed", d.Predicate, d.Index)
		}
		// And whatever the key signs is read as the statement that it is, or refused.
		d, err = sign.ParseSigned([]byte(envelope(t, s, "application/vnd.in-toto+json", string(data))))
		if err != nil {
			if !errors.Is(err, content.ErrCorrupt) && !errors.Is(err, content.ErrUnsupported) {
				t.Fatal(err)
			}
			return
		}
		if _, err := oci.ParseDigest(d.Index.String()); err != nil || !bytes.Contains(data, d.Predicate) {
			t.Fatalf("%s is read as %s about %s", data, d.Predicate, d.Index)
		}
	})
}
