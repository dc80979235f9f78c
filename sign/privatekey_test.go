package sign_test

import (
	"bytes"
	"context"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dist.example/content"
	"dist.example/sign"
)

// testKey is a key in a file, made by other programs for tests alone.
func testKey(t testing.TB, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "keys", "test-only-"+file))
	must(t, err)
	return data
}

// knows is somebody who knows a passphrase.
func knows(passphrase string) sign.Passphrase {
	return func(context.Context) ([]byte, string, error) { return []byte(passphrase), "a test", nil }
}

func publicKey(t testing.TB, file string) *sign.PublicKey {
	t.Helper()
	k, err := sign.ParsePublicKey(testKey(t, file))
	must(t, err)
	return k
}

func TestPrivateKeysOfOtherPrograms(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ file, passphrase, public string }{
		{"pkcs8-p256.key", "", "p256.pub"},
		{"sec1-p256.key", "", "p256.pub"},
		{"pkcs1-rsa2048.key", "", "pkcs1-rsa2048.pub"},
		{"pkcs8-ed25519.key", "", "ed25519.pub"},
		{"pbes2-p256.key", "test", "p256.pub"},
		{"pbes2-scrypt-p256.key", "test", "p256.pub"},
		{"legacy-p256.key", "test", "p256.pub"},
		{"cosign.key", "test", "cosign.pub"},
		{"cosign-v1.key", "test", "cosign.pub"},
		{"cosign-empty.key", "", "cosign-empty.pub"},
	} {
		data := testKey(t, row.file)
		asked := 0
		s, err := sign.ParsePrivateKey(t.Context(), data, func(context.Context) ([]byte, string, error) { asked++; return []byte(row.passphrase), "", nil })
		if err != nil {
			t.Errorf("%s: %v", row.file, err)
			continue
		}
		if s.Public().ID() != publicKey(t, row.public).ID() {
			t.Errorf("%s is another key", row.file)
		}
		want := 0
		if sign.IsEncrypted(data) {
			want = 1
		}
		if asked != want || sign.IsEncrypted(data) != strings.Contains(string(data), "ENCRYPTED") {
			t.Errorf("%s: asked %d times", row.file, asked)
		}
		subject := manifest("{}")
		for _, c := range both(t, s, statement(subject, name)) {
			if v := sign.Judge(reference(t, name), subject, []*sign.Candidate{c}, trusted(s), sign.Facts{}); !v.Accepted {
				t.Errorf("%s: %v", row.file, v.Err())
			}
		}
	}
}

func TestAPassphraseIsNeededAndNeverRepeated(t *testing.T) {
	t.Parallel()
	mine := errors.New("nobody to ask")
	for _, file := range []string{"cosign.key", "cosign-v1.key", "pbes2-p256.key", "pbes2-scrypt-p256.key", "legacy-p256.key"} {
		data := testKey(t, file)
		_, err := sign.ParsePrivateKey(t.Context(), data, nil)
		if !errors.Is(err, sign.ErrPassphrase) || !errors.Is(err, content.ErrDenied) {
			t.Errorf("%s without one: %v", file, err)
		}
		if _, err = sign.ParsePrivateKey(t.Context(), data, func(context.Context) ([]byte, string, error) { return nil, "", mine }); !errors.Is(err, mine) {
			t.Errorf("%s: %v", file, err)
		}
		for _, wrong := range []string{"hunter2", "Test", "test\n"} {
			if strings.HasPrefix(file, "cosign") && wrong != "hunter2" {
				continue // each try takes long
			}
			_, err = sign.ParsePrivateKey(t.Context(), data, knows(wrong))
			if !errors.Is(err, sign.ErrPassphrase) || strings.Contains(err.Error()+content.Hint(err), wrong) {
				t.Errorf("%s with a wrong one: %v", file, err)
			}
			if hint := content.Hint(err); hint != "the passphrase came from a test" {
				t.Errorf("%s with a wrong one: %s", file, hint)
			}
		}
	}
	// OpenSSL's files without any passphrase are beyond the library.
	for _, file := range []string{"pbes2-empty-p256.key", "pbes2-p256.key"} {
		if _, err := sign.ParsePrivateKey(t.Context(), testKey(t, file), knows("")); !errors.Is(err, sign.ErrPassphrase) {
			t.Errorf("%s with an empty one: %v", file, err)
		}
	}
}

func TestWhatIsNoPrivateKey(t *testing.T) {
	t.Parallel()
	one := string(testKey(t, "pkcs8-p256.key"))
	for what, data := range map[string]string{
		"nothing":                       "",
		"text":                          "secret",
		"a public key":                  string(testKey(t, "p256.pub")),
		"two keys":                      one + string(testKey(t, "pkcs8-ed25519.key")),
		"a key twice":                   one + one,
		"a key and its public one":      one + string(testKey(t, "p256.pub")),
		"a key and text":                one + "x",
		"half a key":                    one[:len(one)/2],
		"a huge file":                   one + strings.Repeat("\n", sign.MaxKeyFile),
		"an empty key":                  "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
		"OpenSSH's":                     strings.ReplaceAll(one, "PRIVATE", "OPENSSH PRIVATE"),
		"another type":                  strings.ReplaceAll(one, "PRIVATE KEY", "EC PRIVATE KEY"),
		"a certificate":                 strings.ReplaceAll(one, "PRIVATE KEY", "CERTIFICATE"),
		"an encrypted one that is none": strings.ReplaceAll(one, "PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
	} {
		if s, err := sign.ParsePrivateKey(t.Context(), []byte(data), knows("test")); !errors.Is(err, content.ErrInvalid) || s != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for _, file := range []string{"pkcs1-rsa1024.key", "pkcs8-p224.key"} {
		if _, err := sign.ParsePrivateKey(t.Context(), testKey(t, file), nil); !errors.Is(err, content.ErrUnsupported) {
			t.Errorf("%s: %v", file, err)
		}
	}
	if s, err := sign.ParsePrivateKey(t.Context(), []byte(one+"\n\n"), nil); err != nil || s == nil {
		t.Errorf("with empty lines at its end: %v", err)
	}
}

// costly is an encrypted key whose numbers for making a key of the passphrase are others.
func costly(t testing.TB, file string, now ...*big.Int) []byte {
	t.Helper()
	block, _ := pem.Decode(testKey(t, file))
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
	_, err := asn1.Unmarshal(block.Bytes, &key)
	must(t, err)
	params := key.Algorithm.Params.Derivation.Params
	for i, n := range now {
		der, err := asn1.Marshal(n)
		must(t, err)
		params[1+i] = asn1.RawValue{FullBytes: der}
	}
	block.Bytes, err = asn1.Marshal(key)
	must(t, err)
	return pem.EncodeToMemory(block)
}

func TestAKeyThatTakesTooLongToOpenIsRefused(t *testing.T) {
	t.Parallel()
	n := big.NewInt
	never := func(context.Context) ([]byte, string, error) {
		t.Error("the passphrase is asked for")
		return nil, "", nil
	}
	for what, data := range map[string][]byte{
		"iterations":          costly(t, "pbes2-p256.key", n(10_000_001)),
		"more of them":        costly(t, "pbes2-p256.key", n(1<<62)),
		"without end":         costly(t, "pbes2-p256.key", new(big.Int).Lsh(n(1), 100)),
		"scrypt's memory":     costly(t, "pbes2-scrypt-p256.key", n(1<<20), n(8)),
		"its block":           costly(t, "pbes2-scrypt-p256.key", n(1024), n(1<<30)),
		"its block, negative": costly(t, "pbes2-scrypt-p256.key", n(1024), n(-8)),
		"its runs":            costly(t, "pbes2-scrypt-p256.key", n(1024), n(8), n(1000)),
	} {
		if _, err := sign.ParsePrivateKey(t.Context(), data, never); !errors.Is(err, content.ErrUnsupported) {
			t.Errorf("%s: %v", what, err)
		}
	}
	block, _ := pem.Decode(testKey(t, "pbes2-p256.key"))
	pbkdf2 := []byte{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0c} // RFC 8018, 5.2
	block.Bytes = bytes.Replace(block.Bytes, pbkdf2, append(pbkdf2[:8:8], 0x7f), 1)
	if _, err := sign.ParsePrivateKey(t.Context(), pem.EncodeToMemory(block), never); !errors.Is(err, content.ErrUnsupported) {
		t.Errorf("another way to a key: %v", err)
	}
	data := testKey(t, "pbes2-p256.key")
	if same := costly(t, "pbes2-p256.key", n(2048)); !bytes.Equal(same, data) {
		t.Errorf("the same numbers make another key:\n%s", same)
	}
}
