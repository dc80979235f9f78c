package sign_test

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"dist.example/oci"
	"dist.example/sign"
)

func TestASignatureOfSomethingElseDoesNotCount(t *testing.T) {
	t.Parallel()
	s, subject := key(t, sign.ECDSA), manifest("{}")
	for identity, want := range map[string]sign.Reason{
		name:                               "",
		"registry.example/team/app:v2":     sign.ReasonOtherName, // re-tagged
		"registry.example/team/other:v1":   sign.ReasonOtherName, // copied
		"other.example/team/app:v1":        sign.ReasonOtherName, // mirrored
		"registry.example:443/team/app:v1": sign.ReasonOtherName,
	} {
		for _, c := range both(t, s, statement(subject, identity)) {
			expect(t, string(c.Kind)+" for "+identity, c, want, sign.Facts{})
		}
	}
	for _, c := range both(t, s, statement(manifest("{ }"), name)) {
		expect(t, string(c.Kind)+" of another manifest", c, sign.ReasonOtherDigest, sign.Facts{})
	}
}

func TestAStrangersSignatureHidesNothing(t *testing.T) {
	t.Parallel()
	stranger, subject := key(t, sign.Ed25519), manifest("{}")
	for _, c := range both(t, stranger, statement(subject, name)) {
		expect(t, string(c.Kind)+" by a stranger", c, sign.ReasonStranger, sign.Facts{})
	}
	hint := func(s *sign.Signer) string { return b64(string(unhex(t, s.Public().ID().Encoded()))) }
	borrowed := strings.Replace(envelope(t, stranger, inToto, goodClaim), hint(stranger), hint(key(t, sign.ECDSA)), 1)
	expect(t, "by a stranger who names a trusted key", parse(bundleLayer, borrowed), sign.ReasonForged, sign.Facts{})
	// One that names another key than the trusted one that made it is good all the same.
	modest := strings.Replace(envelope(t, key(t, sign.ECDSA), inToto, goodClaim), hint(key(t, sign.ECDSA)), hint(stranger), 1)
	expect(t, "by a trusted key that names a stranger", parse(bundleLayer, modest), "", sign.Facts{})
	expect(t, "by a trusted key that names another", parse(bundleLayer, modest), "", sign.Facts{}, trusted(stranger, key(t, sign.RSA), key(t, sign.ECDSA))...)
}

func TestOneThatCouldNotBeGotHidesNothing(t *testing.T) {
	t.Parallel()
	c := sign.Unreadable(oci.DigestBytes(nil), bundleLayer, errNotThere)
	expect(t, "unreadable", c, sign.ReasonUnreadable, sign.Facts{})
	if sign.Verifies(c, key(t, sign.ECDSA).Public()) || c.Kind != sign.KindBundle {
		t.Errorf("%+v", c)
	}
}

func TestWhatSpeaksAgainstAKey(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	before, after := now.Add(-time.Hour), now.Add(time.Hour)
	for _, row := range []struct {
		what   string
		limits sign.Limits
		seen   time.Time
		want   sign.Reason
	}{
		{"no limits", sign.Limits{}, now, ""},
		{"within its time", sign.Limits{NotBefore: before, NotAfter: after}, now, ""},
		{"at its first moment", sign.Limits{NotBefore: now}, now, ""},
		{"at its last moment", sign.Limits{NotAfter: now}, now, ""},
		{"before its time", sign.Limits{NotBefore: after}, now, sign.ReasonExpired},
		{"after its time", sign.Limits{NotAfter: before}, now, sign.ReasonExpired},
		{"revoked", sign.Limits{Revoked: true, NotBefore: before, NotAfter: after}, now, sign.ReasonRevoked},
		{"revoked and expired", sign.Limits{Revoked: true, NotAfter: before}, now, sign.ReasonRevoked},
		// What was never seen before is seen now, which is after 1970 and before 9999.
		{"never seen, of an expired key", sign.Limits{NotAfter: time.Unix(1, 0)}, time.Time{}, sign.ReasonExpired},
		{"never seen, of a key to come", sign.Limits{NotBefore: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}, time.Time{}, sign.ReasonExpired},
	} {
		for _, c := range both(t, key(t, sign.ECDSA), statement(manifest("{}"), name)) {
			facts := sign.Facts{
				Limits: func(k *sign.PublicKey) sign.Limits {
					if k.ID() == key(t, sign.ECDSA).Public().ID() {
						return row.limits
					}
					return sign.Limits{}
				},
				Seen: func(*sign.Candidate) time.Time { return row.seen },
			}
			v := sign.Judge(reference(t, name), manifest("{}"), []*sign.Candidate{c}, trusted(key(t, sign.ECDSA)), facts)
			if got := v.Met[0].Outcomes[0].Reason; got != row.want || v.Accepted != (row.want == "") {
				t.Errorf("%s: %s is %q, want %q", row.what, c.Kind, got, row.want)
			}
			// Another key's signature beside it counts.
			other := bundled(t, key(t, sign.RSA), says{name: name})
			v = sign.Judge(reference(t, name), manifest("{}"), []*sign.Candidate{c, other}, trusted(key(t, sign.ECDSA), key(t, sign.RSA)), facts)
			if !v.Accepted {
				t.Errorf("%s, and another: %v", row.what, v.Err())
			}
		}
	}
}

func TestAnOlderSignatureOfTheNameDoesNotCount(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		serial, seen int64
		want         sign.Reason
	}{
		{100, 0, ""}, {100, 99, ""}, {100, 100, ""}, {100, 101, sign.ReasonOlder}, {1, 1 << 62, sign.ReasonOlder}, {1 << 62, 1 << 61, ""},
	} {
		st := statement(manifest("{}"), name)
		st.Serial = row.serial
		facts := sign.Facts{Serial: func(*sign.PublicKey) int64 { return row.seen }}
		for _, c := range both(t, key(t, sign.ECDSA), st) {
			v := sign.Judge(reference(t, name), manifest("{}"), []*sign.Candidate{c}, trusted(key(t, sign.ECDSA)), facts)
			if got := v.Met[0].Outcomes[0].Reason; got != row.want || c.Claim.Serial != row.serial {
				t.Errorf("%s with serial %d after %d: %q, want %q", c.Kind, row.serial, row.seen, got, row.want)
			}
		}
	}
	facts := sign.Facts{Serial: func(*sign.PublicKey) int64 { return 1_850_000_000 }} // expect's good one is newer
	for _, c := range both(t, key(t, sign.ECDSA), statement(manifest("{}"), name)) {
		expect(t, "older "+string(c.Kind), c, sign.ReasonOlder, facts)
	}
	expect(t, "without a serial", bundled(t, key(t, sign.ECDSA), says{name: name}), "", facts)
}

func TestASignatureWithoutANameCountsWhereARuleTakesIt(t *testing.T) {
	t.Parallel()
	c := bundled(t, key(t, sign.ECDSA), says{})
	expect(t, "unbound", c, sign.ReasonUnbound, sign.Facts{})
	reqs := trusted(key(t, sign.ECDSA))
	reqs[0].Identity = sign.IdentityRule{Type: sign.Unbound}
	expect(t, "unbound, where that is taken", c, "", sign.Facts{}, reqs...)
	other := bundled(t, key(t, sign.ECDSA), says{name: "registry.example/team/app:v2"})
	expect(t, "bound to another name, where unbound is taken", other, sign.ReasonOtherName, sign.Facts{}, reqs...)
	other = bundled(t, key(t, sign.ECDSA), says{digests: map[string]string{"sha256": otherHex}})
	expect(t, "unbound, of another manifest", other, sign.ReasonOtherDigest, sign.Facts{}, reqs...)
}

// A manifest that is addressed by its SHA-512 is signed by both hashes in a bundle,
// and each that a signature has must be right.
func TestAManifestAddressedBySHA512(t *testing.T) {
	t.Parallel()
	data := []byte("{}")
	short, long := sha256.Sum256(data), sha512.Sum512(data)
	sha256Hex, sha512Hex := hex.EncodeToString(short[:]), hex.EncodeToString(long[:])
	subject := sign.NewSubject(oci.Descriptor{MediaType: oci.MediaTypeManifest, Digest: oci.Digest("sha512:" + sha512Hex)}, data)
	made := both(t, key(t, sign.ECDSA), statement(subject, name))
	for i, want := range []map[string]string{{"sha512": sha512Hex}, {"sha512": sha512Hex, "sha256": sha256Hex}} {
		if got := made[i].Claim.Digests; len(got) != len(want) || got["sha512"] != want["sha512"] || got["sha256"] != want["sha256"] {
			t.Errorf("%s signs %v", made[i].Kind, got)
		}
	}
	wrong := strings.Repeat("0", 128)
	for _, row := range []struct {
		what    string
		digests map[string]string
		want    sign.Reason
	}{
		{"both", map[string]string{"sha256": sha256Hex, "sha512": sha512Hex}, ""},
		{"sha512 alone", map[string]string{"sha512": sha512Hex}, ""},
		{"sha256 alone, over the same bytes", map[string]string{"sha256": sha256Hex}, ""},
		{"another sha512 beside the right sha256", map[string]string{"sha256": sha256Hex, "sha512": wrong}, sign.ReasonOtherDigest},
		{"another sha256 beside the right sha512", map[string]string{"sha256": wrong[:64], "sha512": sha512Hex}, sign.ReasonOtherDigest},
		{"no sha512 beside the right sha256", map[string]string{"sha256": sha256Hex, "sha512": ""}, sign.ReasonOtherDigest},
		{"an unknown one beside the right ones", map[string]string{"sha256": sha256Hex, "sha512": sha512Hex, "gitBlob": "x"}, ""},
		{"an unknown one alone", map[string]string{"gitBlob": sha256Hex}, sign.ReasonOtherDigest},
		{"the hashes exchanged", map[string]string{"sha256": sha512Hex, "sha512": sha256Hex}, sign.ReasonOtherDigest},
	} {
		c := bundled(t, key(t, sign.ECDSA), says{name: name, digests: row.digests})
		for _, addressed := range []sign.Subject{subject, manifest("{}")} {
			v := sign.Judge(reference(t, name), addressed, []*sign.Candidate{c}, trusted(key(t, sign.ECDSA)), sign.Facts{})
			if got := v.Met[0].Outcomes[0].Reason; got != row.want {
				t.Errorf("%s, for %s: %q, want %q", row.what, addressed.Digest, got, row.want)
			}
		}
	}
}
