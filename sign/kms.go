package sign

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"dist.example/content"
	"github.com/sigstore/sigstore/pkg/signature/kms"
	"github.com/sigstore/sigstore/pkg/signature/options"
)

// IsPlugin says whether a word names a key that a program keeps: PLUGIN://KEY.
func IsPlugin(word string) bool {
	name, _, ok := strings.Cut(word, "://")
	return ok && name != ""
}

// OpenPlugin opens a key that the program sigstore-kms-PLUGIN on PATH keeps, in a
// device or with a service: PLUGIN://KEY. The program is run for the public key and
// for each signature, gets what is to be signed on stdin, and writes its messages to
// stderr (sigstore's protocol for such programs, version v1). Errors: ErrNotFound
// when there is no such program; ErrUnavailable for what it says.
func OpenPlugin(ctx context.Context, word string) (*Signer, error) {
	keeper, err := kms.Get(ctx, word, crypto.SHA256)
	if err != nil {
		name, _, _ := strings.Cut(word, "://")
		if errors.Is(err, exec.ErrNotFound) {
			return nil, content.WithHint(fmt.Errorf("key %s: %w: no program sigstore-kms-%s on PATH", word, content.ErrNotFound, name),
				"keys in files are given by their path or label")
		}
		return nil, fmt.Errorf("key %s: %w: %v", word, content.ErrUnavailable, err)
	}
	key, err := keeper.PublicKey(options.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("key %s: %w: %v", word, content.ErrUnavailable, err)
	}
	public, err := NewPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", word, err)
	}
	return &Signer{public: public, signer: keeper}, nil
}
