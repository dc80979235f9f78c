package registryclient

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"dist.example/content"
)

const (
	// helperTimeout bounds a credential helper: it may ask its user to unlock a
	// keyring.
	helperTimeout = time.Minute
	maxHelperOut  = 1 << 20
)

// errHelperMissing says that a helper's program is not in PATH.
var errHelperMissing = fmt.Errorf("%w in PATH", content.ErrNotFound)

// helper is a program docker-credential-NAME, and the key it is to be asked for.
type helper struct{ name, key string }

// get asks for the credential. The zero credential means that there is none.
func (h helper) get(ctx context.Context) (credential, error) {
	out, err := h.run(ctx, "get", []byte(h.key), "")
	if err != nil || out == nil {
		return credential{}, h.blame(err)
	}
	c, err := parseHelper(out)
	return c, h.blame(err)
}

// store gives the helper a credential to keep.
func (h helper) store(ctx context.Context, c credential) error {
	user, secret := c.username, c.password
	if c.identityToken != "" {
		user, secret = tokenUser, c.identityToken
	}
	in, err := json.Marshal(struct{ ServerURL, Username, Secret string }{h.key, user, secret})
	if err != nil {
		return h.blame(err)
	}
	_, err = h.run(ctx, "store", in, secret)
	return h.blame(err)
}

// erase lets the helper forget the credential. That it has none is no error.
func (h helper) erase(ctx context.Context) error {
	_, err := h.run(ctx, "erase", []byte(h.key), "")
	return h.blame(err)
}

func (h helper) blame(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("credential helper %s: %w", printable(h.name, 60), err)
}

// run lets the helper do what action says; nil output and no error mean that it
// has no such credential. Its input goes to its stdin alone, and its words are not
// part of errors but for one line that is not JSON and does not hold the secret.
func (h helper) run(ctx context.Context, action string, in []byte, secret string) ([]byte, error) {
	if h.name == "" || strings.ContainsAny(h.name, `/\`) {
		return nil, fmt.Errorf("%w: not a helper's name", content.ErrInvalid)
	}
	ctx, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker-credential-"+h.name, action)
	cmd.Stdin = bytes.NewReader(in)
	cmd.WaitDelay = time.Second
	out := &capped{limit: maxHelperOut}
	cmd.Stdout = out
	err := cmd.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return nil, errHelperMissing
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil && strings.Contains(out.String(), "credentials not found"):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%w: %w: %s", content.ErrUnavailable, err, helperWords(out.String(), secret))
	}
	return append([]byte{}, out.Bytes()...), nil
}

func helperWords(s, secret string) string {
	if strings.Contains(s, "{") || (secret != "" && strings.Contains(s, secret)) {
		return "(output not shown)"
	}
	return printable(s, 200)
}

// tokenUser is the user name that says that the secret is an identity token.
const tokenUser = "<token>"

func parseHelper(data []byte) (credential, error) {
	var answer struct{ Username, Secret string }
	if json.Unmarshal(data, &answer) != nil {
		return credential{}, fmt.Errorf("%w: the answer is not the JSON of the helper protocol", content.ErrInvalid)
	}
	if answer.Username == tokenUser {
		return credential{identityToken: answer.Secret}, nil
	}
	return credential{username: answer.Username, password: answer.Secret}, nil
}

// capped is a buffer that silently drops what is over its limit.
type capped struct {
	bytes.Buffer
	limit int
}

func (c *capped) Write(p []byte) (int, error) {
	if room := c.limit - c.Len(); room > 0 {
		c.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
