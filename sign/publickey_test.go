package sign_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"dist.example/content"
	"dist.example/oci"
	"dist.example/sign"
)

func TestPublicKeysOfOtherPrograms(t *testing.T) {
	t.Parallel()
	for file, algorithm := range map[string]string{
		"p256.pub": "ecdsa-p256", "ed25519.pub": "ed25519", "pkcs1-rsa2048.pub": "rsa-2048", "cosign.pub": "ecdsa-p256",
	} {
		k := publicKey(t, file)
		back, err := sign.ParsePublicKey(k.PEM())
		if err != nil || k.Algorithm() != algorithm || back.ID() != k.ID() || k.ID() != oci.DigestBytes(k.DER()) || !bytes.Equal(back.DER(), k.DER()) {
			t.Errorf("%s is %s %s: %v", file, k.Algorithm(), k.ID(), err)
		}
	}
	if k := cosignKey(t, "p384"); k.Algorithm() != "ecdsa-p384" {
		t.Errorf("it calls itself %s", k.Algorithm())
	}
}

func TestWhatIsNoPublicKey(t *testing.T) {
	t.Parallel()
	one := string(testKey(t, "p256.pub"))
	for what, data := range map[string]string{
		"nothing":                   "",
		"text":                      "ssh-ed25519 AAAA",
		"bare base64":               strings.Split(one, "\n")[1],
		"two keys":                  one + string(testKey(t, "ed25519.pub")),
		"a key twice":               one + one,
		"a key and a private one":   one + string(testKey(t, "sec1-p256.key")),
		"a private key and another": string(testKey(t, "sec1-p256.key")) + one,
		"a key and text":            one + "x",
		"half a key":                one[:len(one)/2],
		"a huge file":               one + strings.Repeat("\n", sign.MaxKeyFile),
		"an empty key":              "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n",
		"another type":              strings.ReplaceAll(one, "PUBLIC KEY", "RSA PUBLIC KEY"),
		"a certificate":             strings.ReplaceAll(one, "PUBLIC KEY", "CERTIFICATE"),
		"a point off the curve":     strings.Replace(one, "E", "F", 1),
	} {
		if k, err := sign.ParsePublicKey([]byte(data)); !errors.Is(err, content.ErrInvalid) || k != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, file := range []string{"pkcs8-p256.key", "sec1-p256.key", "cosign.key", "cosign-v1.key", "pbes2-p256.key", "legacy-p256.key", "pkcs1-rsa2048.key"} {
		_, err := sign.ParsePublicKey(testKey(t, file))
		if !errors.Is(err, content.ErrInvalid) || !strings.Contains(err.Error(), "this is a private key") {
			t.Errorf("%s: %v", file, err)
		}
	}
	for _, file := range []string{"rsa1024.pub", "rsa2050.pub", "p224.pub", "x25519.pub"} {
		if _, err := sign.ParsePublicKey(testKey(t, file)); !errors.Is(err, content.ErrUnsupported) {
			t.Errorf("%s: %v", file, err)
		}
	}
	if _, err := sign.ParsePublicKey(testKey(t, "secp256k1.pub")); err == nil {
		t.Error("a key on another curve is taken")
	}
	if _, err := sign.ReadPublicKey(filepath.Join(t.TempDir(), "none.pub")); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("a file that is not there: %v", err)
	}
	if _, err := sign.ReadPublicKey(t.TempDir()); err == nil {
		t.Error("a folder is taken")
	}
}

// With an exponent of 1 the signature is the message.
func TestAKeyThatNeedsNoSecretIsRefused(t *testing.T) {
	t.Parallel()
	strong := holder(t, key(t, sign.RSA)).Public().(*rsa.PublicKey)
	for _, e := range []int{-1, 0, 1, 2, 4} {
		if _, err := sign.NewPublicKey(&rsa.PublicKey{N: strong.N, E: e}); !errors.Is(err, content.ErrUnsupported) {
			t.Errorf("exponent %d: %v", e, err)
		}
	}
	if _, err := sign.NewPublicKey("text"); !errors.Is(err, content.ErrUnsupported) {
		t.Errorf("no key at all: %v", err)
	}
}

// The algorithm follows from the key: those that cosign uses for it in one place or
// another, and no other.
func TestHowAKeySigns(t *testing.T) {
	t.Parallel()
	curve := func(c elliptic.Curve) crypto.Signer {
		k, err := ecdsa.GenerateKey(c, rand.Reader)
		must(t, err)
		return k
	}
	for _, row := range []struct {
		what string
		key  crypto.Signer
		good []crypto.Hash
	}{
		{"P-256", curve(elliptic.P256()), []crypto.Hash{crypto.SHA256}},
		{"P-384", curve(elliptic.P384()), []crypto.Hash{crypto.SHA256, crypto.SHA384}},
		{"P-521", curve(elliptic.P521()), []crypto.Hash{crypto.SHA256, crypto.SHA512}},
		{"Ed25519", holder(t, key(t, sign.Ed25519)), []crypto.Hash{0, crypto.SHA512}},
		{"RSA", holder(t, key(t, sign.RSA)), []crypto.Hash{crypto.SHA256}},
	} {
		public, err := sign.NewPublicKey(row.key.Public())
		must(t, err)
		hashes := []crypto.Hash{crypto.SHA1, crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512}
		if row.what == "Ed25519" {
			hashes = []crypto.Hash{0, crypto.SHA512} // the standard library has no other
		}
		for _, hash := range hashes {
			want := false
			for _, good := range row.good {
				want = want || good == hash
			}
			sig := hashSign(t, row.key, hash, goodPayload)
			c := parse(oci.Descriptor{MediaType: sign.MediaTypePayload, Annotations: map[string]string{
				"dev.cosignproject.cosign/signature": base64.StdEncoding.EncodeToString(sig),
			}}, goodPayload)
			if got := sign.Verifies(c, public); got != want {
				t.Errorf("%s with hash %d: %v, want %v", row.what, hash, got, want)
			}
		}
	}
	for _, s := range []*sign.Signer{key(t, sign.ECDSA), key(t, sign.Ed25519), key(t, sign.RSA)} {
		for _, other := range []string{sign.ECDSA, sign.Ed25519, sign.RSA} {
			c := parse(payloadLayer(t, s, goodPayload), goodPayload)
			if got, want := sign.Verifies(c, key(t, other).Public()), key(t, other) == s; got != want {
				t.Errorf("%s under the key %s: %v", s.Public().Algorithm(), other, got)
			}
		}
	}
}

func TestAnotherKindOfKeyIsNotMade(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"", "rsa", "rsa-1024", "dsa", "ECDSA-P256"} {
		if s, err := sign.Generate(kind); !errors.Is(err, content.ErrInvalid) || s != nil {
			t.Errorf("%q: %v", kind, err)
		}
	}
}
