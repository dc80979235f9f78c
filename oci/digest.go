package oci

import (
	_ "crypto/sha256" // the two algorithms that image-spec registers
	_ "crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Digest is "algorithm:hex". A Digest that came out of this package is valid;
// the methods of go-digest panic on one that is not, so text goes through
// ParseDigest first.
type Digest = digest.Digest

// Algorithm names a digest algorithm.
type Algorithm = digest.Algorithm

// The algorithms that are accepted, all others are refused.
const (
	SHA256 = digest.SHA256
	SHA512 = digest.SHA512
)

// ParseDigest checks s against the grammar of image-spec (descriptor.md,
// digests) and the accepted algorithms. The hex part is lower case.
func ParseDigest(s string) (Digest, error) {
	alg, enc, ok := strings.Cut(s, ":")
	if !ok {
		return "", fmt.Errorf("digest %q: %w: want algorithm:hex, for example sha256:<64 hex digits>", s, ErrInvalid)
	}
	a := Algorithm(alg)
	if a != SHA256 && a != SHA512 {
		return "", fmt.Errorf("digest %q: %w: algorithm %q is not sha256 or sha512", s, ErrInvalid, alg)
	}
	if len(enc) != a.Size()*2 || strings.Trim(enc, "0123456789abcdef") != "" {
		return "", fmt.Errorf("digest %q: %w: %s wants %d lower-case hex digits", s, ErrInvalid, alg, a.Size()*2)
	}
	return Digest(s), nil
}

// DigestBytes is the sha256 digest of p, the canonical algorithm.
func DigestBytes(p []byte) Digest { return digest.FromBytes(p) }

// NewDigest is the digest that h, a hash of algorithm a, has arrived at.
func NewDigest(a Algorithm, h hash.Hash) Digest { return digest.NewDigest(a, h) }

// DigestReader reads r to its end and returns its sha256 digest and length.
func DigestReader(r io.Reader) (Digest, int64, error) {
	d := SHA256.Digester()
	n, err := io.Copy(d.Hash(), r)
	return d.Digest(), n, err
}

// RawDigest is a digest as the catalog and the packs keep it: one byte for the
// algorithm (1 sha256, 2 sha512) and the hash. Errors: ErrInvalid for what
// ParseDigest would refuse.
func RawDigest(d Digest) ([]byte, error) {
	if _, err := ParseDigest(string(d)); err != nil {
		return nil, err
	}
	alg := byte(1)
	if d.Algorithm() == SHA512 {
		alg = 2
	}
	sum, err := hex.DecodeString(d.Encoded())
	if err != nil {
		return nil, fmt.Errorf("digest %q: %w: %v", string(d), ErrInvalid, err)
	}
	return append([]byte{alg}, sum...), nil
}

// DigestFromRaw is the inverse of RawDigest.
func DigestFromRaw(raw []byte) (Digest, error) {
	switch {
	case len(raw) == 33 && raw[0] == 1:
		return encoded(SHA256, raw[1:]), nil
	case len(raw) == 65 && raw[0] == 2:
		return encoded(SHA512, raw[1:]), nil
	}
	return "", fmt.Errorf("raw digest of %d bytes: %w", len(raw), ErrInvalid)
}

// CutRawDigest takes the raw form that p begins with. Errors: ErrInvalid.
func CutRawDigest(p []byte) (d Digest, rest []byte, err error) {
	if len(p) == 0 || p[0] != 1 && p[0] != 2 || len(p) < rawWidth(p[0]) {
		return "", p, fmt.Errorf("raw digest among %d bytes: %w", len(p), ErrInvalid)
	}
	n := rawWidth(p[0])
	d, err = DigestFromRaw(p[:n])
	return d, p[n:], err
}

// encoded is a digest from a hash. It is made for every row that is read, and so
// without fmt.
func encoded(a Algorithm, sum []byte) Digest {
	text := make([]byte, 0, len(a)+1+2*len(sum))
	text = append(append(text, a...), ':')
	return Digest(hex.AppendEncode(text, sum))
}

// ChainID names the file system that a layer makes on top of those below it, whose chain id
// is below, "" for none (image-spec, config.md, Layer ChainID). diffID is that of the layer.
func ChainID(below, diffID Digest) Digest {
	if below == "" {
		return diffID
	}
	return digest.FromString(below.String() + " " + diffID.String())
}
