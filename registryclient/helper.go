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
var errHelperMissing = errors.New("not found in PATH")

// runHelper asks docker-credential-NAME for key's credential. The zero
// credential means that it has none. The helper's words are not part of errors
// but for one line that is not JSON: they may hold the secret.
func runHelper(ctx context.Context, name, key string) (credential, error) {
	if name == "" || strings.ContainsAny(name, `/\`) {
		return credential{}, fmt.Errorf("%w: not a helper's name", content.ErrInvalid)
	}
	ctx, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "docker-credential-"+name, "get")
	cmd.Stdin = strings.NewReader(key)
	cmd.WaitDelay = time.Second
	out := &capped{limit: maxHelperOut}
	cmd.Stdout = out
	err := cmd.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return credential{}, errHelperMissing
	case err != nil && strings.Contains(out.String(), "credentials not found"):
		return credential{}, nil
	case err != nil:
		return credential{}, fmt.Errorf("%w: %s", err, helperWords(out.String()))
	}
	return parseHelper(out.Bytes())
}

func helperWords(s string) string {
	if strings.Contains(s, "{") {
		return "(output not shown)"
	}
	return printable(s, 200)
}

func parseHelper(data []byte) (credential, error) {
	var answer struct{ Username, Secret string }
	if json.Unmarshal(data, &answer) != nil {
		return credential{}, fmt.Errorf("%w: the answer is not the JSON of the helper protocol", content.ErrInvalid)
	}
	if answer.Username == "<token>" {
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
