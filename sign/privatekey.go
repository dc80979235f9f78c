package sign

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"dist.example/content"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/options"
)

// The kinds of keys that Generate makes.
const (
	ECDSA   = "ecdsa-p256"
	Ed25519 = "ed25519"
	RSA     = "rsa-3072"
)

// Passphrase is asked for the passphrase of a key, at most once for each key. The
// empty passphrase is one, too. from says for people where it came from, such as the
// name of a file, "" for nothing to say. An error of it ends what was to be done.
type Passphrase func(ctx context.Context) (passphrase []byte, from string, err error)

// ErrPassphrase is about a key that was not opened, for want of the right passphrase.
// It is an ErrDenied.
var ErrPassphrase error = passphraseError{}

// passphraseError is of the class ErrDenied without its words: no access was denied by
// anybody, and those read as if it had been.
type passphraseError struct{}

func (passphraseError) Error() string { return "passphrase" }
func (passphraseError) Unwrap() error { return content.ErrDenied }

// Signer signs with one private key. It is safe for concurrent use; a key that a
// program keeps may be asked one at a time.
type Signer struct {
	public  *PublicKey
	signer  signature.Signer
	private crypto.PrivateKey // nil for a key that is kept elsewhere
}

// Public is the key that verifies what s signs.
func (s *Signer) Public() *PublicKey { return s.public }

// sign is the signature over message.
func (s *Signer) sign(ctx context.Context, message []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	sig, err := s.signer.SignMessage(bytes.NewReader(message), options.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("sign with %s: %w", s.public.ID(), err)
	}
	// A key that a program keeps may be another than the one it showed.
	if !s.public.verifies(sig, message) {
		return nil, fmt.Errorf("sign with %s: %w: the signature does not verify with that key", s.public.ID(), content.ErrCorrupt)
	}
	return sig, nil
}

// Generate makes a key: ECDSA, Ed25519 or RSA. Errors: ErrInvalid for another kind.
func Generate(kind string) (*Signer, error) {
	var (
		key crypto.PrivateKey
		err error
	)
	switch kind {
	case ECDSA:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case Ed25519:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case RSA:
		key, err = rsa.GenerateKey(rand.Reader, 3072)
	default:
		return nil, fmt.Errorf("kind of key %q: %w: want %s, %s or %s", kind, content.ErrInvalid, ECDSA, Ed25519, RSA)
	}
	if err != nil {
		return nil, fmt.Errorf("generate %s: %w", kind, err)
	}
	return newSigner(key)
}

// newSigner takes a private key of the standard library. It signs with SHA-256 on
// every curve, which is what all verifiers take, and with pure Ed25519.
func newSigner(key crypto.PrivateKey) (*Signer, error) {
	holder, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("private key: %w: %T does not sign", content.ErrUnsupported, key)
	}
	public, err := NewPublicKey(holder.Public())
	if err != nil {
		return nil, err
	}
	s, err := signature.LoadSigner(key, crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("private key: %w: %v", content.ErrUnsupported, err)
	}
	return &Signer{public: public, signer: s, private: key}, nil
}

// PEM is the private key as a file. With a passphrase, which may be empty, it is
// encrypted in the form that cosign reads; nil leaves it as plain PKCS#8. Errors:
// ErrUnsupported for a key that a program keeps.
func (s *Signer) PEM(passphrase []byte) ([]byte, error) {
	if s.private == nil {
		return nil, fmt.Errorf("key %s: %w: it does not leave the program that keeps it", s.public.ID(), content.ErrUnsupported)
	}
	if passphrase == nil {
		return cryptoutils.MarshalPrivateKeyToPEM(s.private)
	}
	der, err := cryptoutils.MarshalPrivateKeyToEncryptedDER(s.private, func(bool) ([]byte, error) { return passphrase, nil })
	if err != nil {
		return nil, fmt.Errorf("encrypt private key: %w", err)
	}
	return cryptoutils.PEMEncode(cryptoutils.EncryptedSigstorePrivateKeyPEMType, der), nil
}

// IsEncrypted says whether a private key in PEM needs a passphrase.
func IsEncrypted(data []byte) bool {
	block, _ := pem.Decode(data)
	return block != nil && (strings.Contains(block.Type, "ENCRYPTED") || block.Headers["DEK-Info"] != "")
}

// ParsePrivateKey reads a private key in PEM: encrypted as cosign and dist write it,
// PKCS#8 (also encrypted), PKCS#1, SEC 1. pass is called when it is encrypted, and may
// be nil where nobody can be asked. Errors: ErrInvalid for what is no private key;
// ErrPassphrase, and what pass returned; ErrUnsupported for a kind of key that is not
// used here, and for an encryption that would take too long to undo.
func ParsePrivateKey(ctx context.Context, data []byte, pass Passphrase) (*Signer, error) {
	if len(data) > MaxKeyFile {
		return nil, fmt.Errorf("private key: %w: more than %d bytes", content.ErrInvalid, MaxKeyFile)
	}
	block, rest := pem.Decode(data)
	switch {
	case block == nil || !strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return nil, fmt.Errorf("private key: %w: not a private key in PEM", content.ErrInvalid)
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, fmt.Errorf("private key: %w: something follows it", content.ErrInvalid)
	}
	if !IsEncrypted(data) {
		key, err := unmarshal(data, nil)
		if err != nil {
			return nil, fmt.Errorf("private key: %w: %v", content.ErrInvalid, err)
		}
		return newSigner(key)
	}
	if err := checkCost(block); err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	if pass == nil {
		return nil, fmt.Errorf("private key: it needs a %w", ErrPassphrase)
	}
	passphrase, from, err := pass(ctx)
	if err != nil {
		return nil, err
	}
	key, err := unmarshal(data, append([]byte{}, passphrase...))
	if err != nil {
		return nil, wrongPassphrase(from)
	}
	return newSigner(key)
}

// wrongPassphrase leaves out the library's words, which could repeat what they were
// given.
func wrongPassphrase(from string) error {
	err := fmt.Errorf("private key: wrong %w, or the file is damaged", ErrPassphrase)
	if from == "" {
		return err
	}
	return content.WithHint(err, "the passphrase came from %s", from)
}

// unmarshal is the library's, which must not end the program on what it reads.
func unmarshal(data, passphrase []byte) (key crypto.PrivateKey, err error) {
	defer func() {
		if r := recover(); r != nil {
			key, err = nil, errors.New("malformed")
		}
	}()
	return cryptoutils.UnmarshalPEMToPrivateKey(data, func(bool) ([]byte, error) { return passphrase, nil })
}
