package sign_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"dist.example/content"
	"dist.example/oci"
	"dist.example/sign"
)

const name = "registry.example/team/app:v1"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func reference(t testing.TB, s string) oci.Reference {
	t.Helper()
	ref, err := oci.ParseReference(s)
	must(t, err)
	return ref
}

func generate(t testing.TB, kind string) *sign.Signer {
	t.Helper()
	s, err := sign.Generate(kind)
	must(t, err)
	return s
}

func encoded(s *sign.Signer) string { return base64.StdEncoding.EncodeToString(s.Public().PEM()) }

func writeFile(t testing.TB, path string, data []byte) {
	t.Helper()
	must(t, os.WriteFile(path, data, 0o600))
}

// made are the keys that tests share, since those of RSA take long to make.
var made sync.Map

// key is a key of a kind, the same for all tests. But for RSA it is the same each time,
// so that what a fuzzer has found stays good.
func key(t testing.TB, kind string) *sign.Signer {
	t.Helper()
	once, _ := made.LoadOrStore(kind, sync.OnceValues(func() (*sign.Signer, error) {
		file, fixed := map[string]string{sign.ECDSA: "pkcs8-p256.key", sign.Ed25519: "pkcs8-ed25519.key"}[kind]
		if !fixed {
			return sign.Generate(kind)
		}
		return sign.ParsePrivateKey(t.Context(), testKey(t, file), nil)
	}))
	s, err := once.(func() (*sign.Signer, error))()
	must(t, err)
	return s
}

// manifest is something to sign.
func manifest(text string) sign.Subject {
	data := []byte(text)
	return sign.NewSubject(oci.Describe(oci.MediaTypeManifest, data), data)
}

func statement(subject sign.Subject, identity string) sign.Statement {
	return sign.Statement{Subject: subject, Identity: identity, Created: time.Unix(1_800_000_000, 0), Creator: "dist/test"}
}

// both are a manifest's signatures in both forms.
func both(t testing.TB, s *sign.Signer, st sign.Statement) []*sign.Candidate {
	t.Helper()
	payload, layer, err := sign.SignPayload(t.Context(), s, st)
	must(t, err)
	one := sign.Parse(oci.DigestBytes([]byte("carrier")), layer, payload)
	bundle, layer, err := sign.SignBundle(t.Context(), s, st)
	must(t, err)
	return []*sign.Candidate{one, sign.Parse(oci.DigestBytes([]byte("referrer")), layer, bundle)}
}

func trusted(keys ...*sign.Signer) []sign.Requirement {
	r := sign.Requirement{Type: sign.SignedBy}
	for _, k := range keys {
		r.Keys = append(r.Keys, k.Public())
	}
	return []sign.Requirement{r}
}

func TestWhatIsSignedIsVerified(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{sign.ECDSA, sign.Ed25519, sign.RSA} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s, stranger, subject := key(t, kind), generate(t, sign.Ed25519), manifest(`{"a":1}`)
			if kind != sign.RSA {
				s = generate(t, kind)
			}
			if s.Public().Algorithm() != kind {
				t.Errorf("it calls itself %s", s.Public().Algorithm())
			}
			for _, c := range both(t, s, statement(subject, name)) {
				if c.Fault != "" || c.Claim.Identity != name || c.Claim.Serial != 1_800_000_000 || c.Claim.Creator != "dist/test" {
					t.Errorf("%s: %+v", c.Kind, c)
				}
				v := sign.Judge(reference(t, name), subject, []*sign.Candidate{c}, trusted(stranger, s), sign.Facts{})
				if !v.Accepted || !v.Verified || len(v.Counting()) != 1 || v.Counting()[0].Key.ID() != s.Public().ID() || v.Err() != nil {
					t.Errorf("%s: %+v", c.Kind, v)
				}
				v = sign.Judge(reference(t, name), subject, []*sign.Candidate{c}, trusted(stranger), sign.Facts{})
				if v.Accepted || !errors.Is(v.Err(), content.ErrUntrusted) || v.Others()[0].Reason != sign.ReasonStranger {
					t.Errorf("%s by a stranger: %+v", c.Kind, v)
				}
			}
		})
	}
}

func TestKeysComeBackFromTheirFiles(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{sign.ECDSA, sign.Ed25519, sign.RSA} {
		s := key(t, kind)
		for _, secret := range [][]byte{nil, {}, []byte("open sesame")} {
			if secret != nil && kind != sign.ECDSA {
				continue // it takes long, and is the same for all
			}
			data, err := s.PEM(secret)
			must(t, err)
			if sign.IsEncrypted(data) != (secret != nil) {
				t.Errorf("%s with %q: %s", kind, secret, data)
			}
			asked := 0
			back, err := sign.ParsePrivateKey(t.Context(), data, func(context.Context) ([]byte, string, error) { asked++; return secret, "", nil })
			must(t, err)
			if back.Public().ID() != s.Public().ID() || asked > 1 {
				t.Errorf("%s comes back as %s, asked %d times", s.Public().ID(), back.Public().ID(), asked)
			}
		}
		public, err := sign.ParsePublicKey(s.Public().PEM())
		must(t, err)
		if !bytes.Equal(public.DER(), s.Public().DER()) {
			t.Errorf("%s is another public key", kind)
		}
	}
}
