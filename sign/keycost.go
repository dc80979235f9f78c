package sign

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"

	"dist.example/content"
)

// What it may cost, at most, to make a key of a passphrase: what files of OpenSSL
// cost, many times over. Of dist's own files the library knows the cost.
const (
	maxIterations = 10_000_000
	maxScrypt     = 1 << 28 // bytes of memory
	maxScryptRuns = 16
)

// The ways in which encrypted PKCS#8 makes a key (RFC 8018, RFC 7914).
const (
	oidPBKDF2 = "1.2.840.113549.1.5.12"
	oidScrypt = "1.3.6.1.4.1.11591.4.11"
)

// checkCost refuses an encrypted PKCS#8 key that would cost too much to open. Errors:
// ErrInvalid, ErrUnsupported.
func checkCost(block *pem.Block) error {
	if block.Type != "ENCRYPTED PRIVATE KEY" {
		return nil
	}
	var key struct {
		Algorithm struct {
			Scheme asn1.ObjectIdentifier
			Params struct{ Derivation, Cipher pkix.AlgorithmIdentifier }
		}
		Data []byte
	}
	if _, err := asn1.Unmarshal(block.Bytes, &key); err != nil {
		return fmt.Errorf("%w: not in the form of encrypted PKCS#8", content.ErrInvalid)
	}
	how := key.Algorithm.Params.Derivation
	cheap := true
	switch how.Algorithm.String() {
	case oidPBKDF2:
		var p struct {
			Salt       asn1.RawValue
			Iterations int
		}
		_, err := asn1.Unmarshal(how.Parameters.FullBytes, &p)
		cheap = err == nil && p.Iterations <= maxIterations
	case oidScrypt:
		var p struct {
			Salt    asn1.RawValue
			N, R, P int
		}
		_, err := asn1.Unmarshal(how.Parameters.FullBytes, &p)
		cheap = err == nil && p.P <= maxScryptRuns && p.R > 0 && p.R <= maxScrypt && p.N <= maxScrypt/128/p.R
	default:
		return fmt.Errorf("%w: its passphrase is used in the way %s", content.ErrUnsupported, how.Algorithm)
	}
	if !cheap {
		return fmt.Errorf("%w: its passphrase takes too long to try", content.ErrUnsupported)
	}
	return nil
}
