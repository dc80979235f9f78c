package sign_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dist.example/oci"
	"dist.example/sign"
)

// What lies in testdata/cosign was signed by cosign v3.1.1 with the keys there, of
// which it read the last two from files of OpenSSL:
//
//	cosign sign --key KEY --use-signing-config=false --tlog-upload=false [--new-bundle-format=false] NAME@DIGEST
const signedByCosign = "127.0.0.1:5791/team/app"

func cosignFile(t testing.TB, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "cosign", file))
	must(t, err)
	return data
}

func cosignKey(t testing.TB, kind string) *sign.PublicKey {
	t.Helper()
	k, err := sign.ParsePublicKey(cosignFile(t, kind+".pub"))
	must(t, err)
	return k
}

// cosignLayers are the layers of a manifest that cosign wrote.
func cosignLayers(t testing.TB, file string) []oci.Descriptor {
	t.Helper()
	var m oci.Manifest
	must(t, json.Unmarshal(cosignFile(t, file), &m))
	return m.Layers
}

// ruled are requirements of one key and one rule for names.
func ruled(k *sign.PublicKey, text string) []sign.Requirement {
	rule, err := sign.ParseIdentityRule(text)
	if err != nil {
		panic(err)
	}
	return []sign.Requirement{{Type: sign.SignedBy, Keys: []*sign.PublicKey{k}, Identity: rule}}
}

func TestCosignsTagFormIsRead(t *testing.T) {
	t.Parallel()
	subject, payload := manifest(string(cosignFile(t, "image.json"))), cosignFile(t, "payload.json")
	layers := cosignLayers(t, "tag.json")
	kinds := []string{"p256", "ed25519", "p384"} // which have signed in this order, cosign Ed25519ph and with SHA-384
	var all []*sign.Candidate
	for _, layer := range layers {
		if sign.KindOf(layer) != sign.KindPayload || layer.Digest != oci.DigestBytes(payload) {
			t.Errorf("the layer is %+v", layer)
		}
		all = append(all, sign.Parse(oci.DigestBytes(nil), layer, payload))
	}
	if len(all) != len(kinds) {
		t.Fatalf("%d layers", len(all))
	}
	for i, kind := range kinds {
		k := cosignKey(t, kind)
		for _, row := range []struct {
			name, rule string
			want       sign.Reason
		}{
			{signedByCosign + "@" + subject.Digest.String(), "matchRepoDigestOrExact", ""},
			{signedByCosign + ":v1", "matchRepository", ""},
			{signedByCosign + ":v1", "matchRepoDigestOrExact", sign.ReasonOtherName}, // it names the repository alone
			{signedByCosign + ":v1", "unbound", sign.ReasonOtherName},
			{"other.example/app:v1", "exactRepository=" + signedByCosign, ""},
			{"other.example/app:v1", "matchRepository", sign.ReasonOtherName},
		} {
			v := sign.Judge(reference(t, row.name), subject, all, ruled(k, row.rule), sign.Facts{})
			for j, o := range v.Met[0].Outcomes {
				want := row.want
				if j != i {
					want = sign.ReasonStranger
				}
				if o.Reason != want {
					t.Errorf("%s, %s under %s: signature %d: %q (%s), want %q", kind, row.name, row.rule, j, o.Reason, o.Detail, want)
				}
			}
			if v.Verified != (row.want == "") {
				t.Errorf("%s, %s under %s: %v", kind, row.name, row.rule, v.Err())
			}
		}
		v := sign.Judge(reference(t, signedByCosign+":v1"), manifest("{}"), all, ruled(k, "matchRepository"), sign.Facts{})
		if v.Accepted || v.Met[0].Outcomes[i].Reason != sign.ReasonOtherDigest {
			t.Errorf("%s, another manifest: %v", kind, v.Err())
		}
	}
	for _, c := range all {
		if c.Claim.Identity != signedByCosign || c.Claim.Serial != 0 || !c.Claim.Created.IsZero() || c.Hint() != "" {
			t.Errorf("it claims %+v", c.Claim)
		}
	}
}

func TestCosignsBundlesAreRead(t *testing.T) {
	t.Parallel()
	subject := manifest(string(cosignFile(t, "image.json")))
	layer := cosignLayers(t, "bundle-manifest-p256.json")[0]
	if sign.KindOf(layer) != sign.KindBundle || layer.Digest != oci.DigestBytes(cosignFile(t, "bundle-p256.json")) {
		t.Errorf("the layer is %+v", layer)
	}
	all := []*sign.Candidate{parse(bundleLayer, string(cosignFile(t, "attestation.json")))}
	for _, kind := range []string{"p256", "ed25519", "p384"} {
		c := parse(bundleLayer, string(cosignFile(t, "bundle-"+kind+".json")))
		all = append(all, c)
		if c.Claim.Identity != "" || c.Hint() != b64(string(unhex(t, cosignKey(t, kind).ID().Encoded()))) {
			t.Errorf("%s claims %+v", kind, c.Claim)
		}
		for text, want := range map[string]sign.Reason{"unbound": "", "matchRepository": sign.ReasonUnbound, "exactRepository=" + signedByCosign: sign.ReasonUnbound} {
			v := sign.Judge(reference(t, signedByCosign+":v1"), subject, all, ruled(cosignKey(t, kind), text), sign.Facts{})
			if o := v.Met[0].Outcomes[len(all)-1]; o.Reason != want || v.Verified != (want == "") {
				t.Errorf("%s under %s: %q (%s)", kind, text, o.Reason, o.Detail)
			}
			if o := v.Met[0].Outcomes[0]; o.Reason != sign.ReasonOtherPredicate {
				t.Errorf("an attestation: %q (%s)", o.Reason, o.Detail)
			}
		}
		v := sign.Judge(reference(t, signedByCosign+":v1"), manifest("{}"), []*sign.Candidate{c}, ruled(cosignKey(t, kind), "unbound"), sign.Facts{})
		if v.Accepted || v.Met[0].Outcomes[0].Reason != sign.ReasonOtherDigest {
			t.Errorf("%s, another manifest: %v", kind, v.Err())
		}
	}
	// cosign's claims with dist's words put in.
	bundle := string(cosignFile(t, "bundle-p256.json"))
	claim := string(cosignClaim(t, bundle))
	for _, altered := range []string{
		strings.Replace(claim, `[{"digest"`, `[{"name":"`+signedByCosign+`:v1", "digest"`, 1),
		strings.Replace(claim, `"predicate":{}`, `"predicate":{"serial":9}`, 1),
		claim + "\n",
	} {
		c := parse(bundleLayer, strings.Replace(bundle, b64(claim), b64(altered), 1))
		v := sign.Judge(reference(t, signedByCosign+":v1"), subject, []*sign.Candidate{c}, ruled(cosignKey(t, "p256"), "unbound"), sign.Facts{})
		if altered == claim || v.Accepted || v.Met[0].Outcomes[0].Reason != sign.ReasonForged {
			t.Errorf("%s: %v", altered, v.Err())
		}
	}
}

func cosignClaim(t testing.TB, bundle string) []byte {
	t.Helper()
	var b struct {
		Envelope struct{ Payload []byte } `json:"dsseEnvelope"`
	}
	must(t, json.Unmarshal([]byte(bundle), &b))
	return b.Envelope.Payload
}
