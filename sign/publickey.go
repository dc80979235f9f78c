package sign

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"dist.example/content"
	"dist.example/oci"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
)

// MaxKeyFile is the size of the largest key file that is read, in bytes.
const MaxKeyFile = 64 << 10

// PublicKey verifies signatures. It is immutable and safe for concurrent use.
type PublicKey struct {
	key       crypto.PublicKey
	der       []byte
	id        oci.Digest
	verifiers []signature.Verifier
}

// ParsePublicKey reads a public key in PEM: PKIX ("PUBLIC KEY") or PKCS#1. Errors:
// ErrInvalid for anything else, a private key above all; ErrUnsupported for a key of
// a kind or size that cannot be judged here.
func ParsePublicKey(data []byte) (*PublicKey, error) {
	if len(data) > MaxKeyFile {
		return nil, fmt.Errorf("public key: %w: more than %d bytes", content.ErrInvalid, MaxKeyFile)
	}
	block, rest := pem.Decode(data)
	switch {
	case block == nil:
		return nil, fmt.Errorf("public key: %w: not in PEM", content.ErrInvalid)
	case strings.Contains(block.Type, "PRIVATE KEY"):
		return nil, content.WithHint(fmt.Errorf("public key: %w: this is a private key", content.ErrInvalid), "the public one belongs here: `dist key show --public`")
	case len(bytes.TrimSpace(rest)) > 0:
		return nil, fmt.Errorf("public key: %w: something follows it", content.ErrInvalid)
	}
	key, err := cryptoutils.UnmarshalPEMToPublicKey(data)
	if err != nil {
		return nil, fmt.Errorf("public key: %w: %v", content.ErrInvalid, err)
	}
	return NewPublicKey(key)
}

// ParsePublicDER reads a SubjectPublicKeyInfo. Errors: as ParsePublicKey.
func ParsePublicDER(der []byte) (*PublicKey, error) {
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return nil, fmt.Errorf("public key: %w: %v", content.ErrInvalid, err)
	}
	return NewPublicKey(key)
}

// NewPublicKey takes a key of the standard library: ECDSA on P-256, P-384 or P-521,
// Ed25519, or RSA of 2048, 3072 or 4096 bits. Errors: ErrUnsupported for any other.
func NewPublicKey(key crypto.PublicKey) (*PublicKey, error) {
	if err := checkKind(key); err != nil {
		return nil, err
	}
	der, err := cryptoutils.MarshalPublicKeyToDER(key)
	if err != nil {
		return nil, fmt.Errorf("public key: %w: %v", content.ErrInvalid, err)
	}
	k := &PublicKey{key: key, der: der, id: oci.DigestBytes(der)}
	if k.verifiers, err = verifiers(key); err != nil {
		return nil, fmt.Errorf("public key: %w: %v", content.ErrUnsupported, err)
	}
	return k, nil
}

func checkKind(key crypto.PublicKey) error {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if slices.Contains([]elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()}, k.Curve) {
			return nil
		}
		return fmt.Errorf("public key: %w: curve %s", content.ErrUnsupported, k.Curve.Params().Name)
	case *rsa.PublicKey:
		if k.E < 3 || k.E%2 == 0 { // 1 needs no secret at all
			return fmt.Errorf("public key: %w: RSA with the exponent %d", content.ErrUnsupported, k.E)
		}
		if slices.Contains([]int{2048, 3072, 4096}, k.N.BitLen()) {
			return nil
		}
		return fmt.Errorf("public key: %w: RSA of %d bits", content.ErrUnsupported, k.N.BitLen())
	case ed25519.PublicKey:
		return nil
	}
	return fmt.Errorf("public key: %w: %T", content.ErrUnsupported, key)
}

// verifiers are the ways in which a key of this type signs. Of the larger curves
// cosign uses the hash of their size in one place and SHA-256 in another, and of
// Ed25519 the pure form in one and the prehashed in another.
func verifiers(key crypto.PublicKey) (all []signature.Verifier, err error) {
	add := func(v signature.Verifier, e error) { all, err = append(all, v), errors.Join(err, e) }
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		v, e := signature.LoadECDSAVerifier(k, crypto.SHA256)
		add(v, e)
		if h := sizedHash(k); h != crypto.SHA256 {
			v, e := signature.LoadECDSAVerifier(k, h)
			add(v, e)
		}
	case ed25519.PublicKey:
		pure, e := signature.LoadED25519Verifier(k)
		add(pure, e)
		hashed, e := signature.LoadED25519phVerifier(k)
		add(hashed, e)
	case *rsa.PublicKey:
		v, e := signature.LoadRSAPKCS1v15Verifier(k, crypto.SHA256)
		add(v, e)
	}
	return all, err
}

func sizedHash(k *ecdsa.PublicKey) crypto.Hash {
	switch k.Curve.Params().BitSize {
	case 384:
		return crypto.SHA384
	case 521:
		return crypto.SHA512
	}
	return crypto.SHA256
}

// ID is the key's name among all keys: the SHA-256 of its SubjectPublicKeyInfo.
func (k *PublicKey) ID() oci.Digest { return k.id }

// Algorithm is the key's kind and size: ecdsa-p256, ed25519, rsa-3072 and so on.
func (k *PublicKey) Algorithm() string {
	switch key := k.key.(type) {
	case *ecdsa.PublicKey:
		return fmt.Sprintf("ecdsa-p%d", key.Curve.Params().BitSize)
	case *rsa.PublicKey:
		return fmt.Sprintf("rsa-%d", key.N.BitLen())
	}
	return "ed25519"
}

// DER is the key's SubjectPublicKeyInfo. The caller does not change it.
func (k *PublicKey) DER() []byte { return k.der }

// PEM is the key as a file, such as cosign and openssl read it.
func (k *PublicKey) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: string(cryptoutils.PublicKeyPEMType), Bytes: k.der})
}

// hint is how a bundle names the key.
func (k *PublicKey) hint() string {
	sum := sha256.Sum256(k.der)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// verifies says whether sig is this key's over message.
func (k *PublicKey) verifies(sig, message []byte) bool {
	for _, v := range k.verifiers {
		if v.VerifySignature(bytes.NewReader(sig), bytes.NewReader(message)) == nil {
			return true
		}
	}
	return false
}
