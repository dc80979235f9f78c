package sign

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"dist.example/content"
	"dist.example/oci"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/kms"
	"github.com/sigstore/sigstore/pkg/signature/options"
)

// IsPlugin says whether a word names a key that a program keeps: PLUGIN://KEY, where
// PLUGIN is a word that is no path.
func IsPlugin(word string) bool {
	name, _, ok := strings.Cut(word, "://")
	return ok && oci.IsTag(name)
}

// OpenPlugin opens a key that the program sigstore-kms-PLUGIN on PATH keeps, in a
// device or with a service: PLUGIN://KEY. The program is run for the public key and
// for each signature, gets what is to be signed on stdin, and writes its messages to
// stderr (sigstore's protocol for such programs, version v1). Errors: ErrInvalid for
// another form; ErrNotFound when there is no such program; ErrUnavailable for what it
// says; ErrUnsupported for a kind of key that is not used here.
func OpenPlugin(ctx context.Context, word string) (*Signer, error) {
	if !IsPlugin(word) {
		return nil, fmt.Errorf("key %q: %w: want PLUGIN://KEY", word, content.ErrInvalid)
	}
	keeper, err := kms.Get(ctx, word, crypto.SHA256)
	if errors.Is(err, exec.ErrNotFound) {
		name, _, _ := strings.Cut(word, "://")
		return nil, content.WithHint(fmt.Errorf("key %s: %w: no program sigstore-kms-%s on PATH", word, content.ErrNotFound, name),
			"keys in files are given by their path or label")
	}
	var key crypto.PublicKey
	if err == nil {
		key, err = ask(ctx, func() (crypto.PublicKey, error) { return keeper.PublicKey(options.WithContext(ctx)) })
	} else {
		err = fmt.Errorf("%w: %v", content.ErrUnavailable, err)
	}
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", word, err)
	}
	public, err := NewPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", word, err)
	}
	return &Signer{public: public, signer: plugin{keeper}}, nil
}

// plugin signs with a key that a program keeps.
type plugin struct{ kms.SignerVerifier }

// SignMessage implements signature.Signer.
func (p plugin) SignMessage(message io.Reader, opts ...signature.SignOption) ([]byte, error) {
	ctx := context.Background()
	for _, o := range opts {
		o.ApplyContext(&ctx)
	}
	return ask(ctx, func() ([]byte, error) { return p.SignerVerifier.SignMessage(message, opts...) })
}

// ask asks the program, and waits no longer than ctx, even for one that leaves others
// behind with its output. An answer to something else, on which the library panics,
// is an error as any other. Errors: ErrUnavailable, that of ctx.
func ask[T any](ctx context.Context, question func() (T, error)) (T, error) {
	var reply T
	done := make(chan error, 1)
	go func() {
		var err error
		defer func() {
			if recover() != nil {
				err = errors.New("the program answers something else than was asked")
			}
			done <- err
		}()
		reply, err = question()
	}()
	var none T
	select {
	case err := <-done:
		if ctx.Err() != nil {
			return none, context.Cause(ctx)
		}
		if err != nil {
			return none, fmt.Errorf("%w: %v", content.ErrUnavailable, err)
		}
		return reply, nil
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}
