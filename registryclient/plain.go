package registryclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"dist.example/content"
)

// bare is about an endpoint that registries.conf calls insecure: it is asked
// over TLS, with any certificate, and in plain HTTP where it does not speak TLS.
type bare struct {
	possible bool
	gate     chan struct{} // of one element, held while it is found out
	known    atomic.Bool
	plain    atomic.Bool
}

// root is the address of the endpoint's API, in the scheme that it turned out to
// speak.
func (e *endpoint) root() *url.URL {
	if !e.bare.plain.Load() {
		return e.base
	}
	u := *e.base
	u.Scheme = "http"
	return &u
}

// fit makes q what the endpoint understands: in its scheme, and with the scopes
// of the repository's name there. The error is ctx's, or of a connection.
func (c *Client) fit(ctx context.Context, e *endpoint, q call) (call, error) {
	if err := c.settle(ctx, e); err != nil {
		return q, err
	}
	if e.bare.plain.Load() && q.url.Scheme == "https" && canonicalHost(q.url) == canonicalHost(e.base) {
		u := *q.url
		u.Scheme = "http"
		q.url = &u
	}
	if e.rename != (rename{}) {
		q.scopes = slices.Clone(q.scopes)
		for i, s := range q.scopes {
			q.scopes[i] = e.renameScope(s)
		}
	}
	return q, nil
}

// renameScope is repository:NAME:ACTIONS with the name that the endpoint knows.
func (e *endpoint) renameScope(scope string) string {
	rest, ok := strings.CutPrefix(scope, "repository:")
	i := strings.LastIndexByte(rest, ':')
	if !ok || i < 0 {
		return scope
	}
	return "repository:" + e.rename.of(rest[:i]) + rest[i:]
}

// settle finds out, once it answers, whether an endpoint speaks TLS where it
// need not. Whatever goes wrong but silence may mean that it does not.
func (c *Client) settle(ctx context.Context, e *endpoint) error {
	if !e.bare.possible || e.bare.known.Load() {
		return nil
	}
	select {
	case e.bare.gate <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-e.bare.gate }()
	if e.bare.known.Load() {
		return nil
	}
	if err := c.knock(ctx, e, "https"); err != nil {
		if ctx.Err() != nil || timedOut(err) || c.knock(ctx, e, "http") != nil {
			return err
		}
		e.bare.plain.Store(true)
		c.once("plain "+e.host(), "%s is spoken to without TLS, as registries.conf allows", e.host())
	}
	e.bare.known.Store(true)
	return nil
}

// knock makes one request without credentials; any answer will do.
func (c *Client) knock(ctx context.Context, e *endpoint, scheme string) error {
	u := *e.base
	u.Scheme, u.Path = scheme, u.Path+"/"
	resp, err := hop{client: c, base: e.base, rt: e.rt}.send(ctx, call{what: "API", method: http.MethodGet}, &u, false)
	if err == nil {
		drain(resp)
	}
	return err
}

func timedOut(err error) bool {
	var netErr net.Error
	return errors.Is(err, errStalled) || (errors.As(err, &netErr) && netErr.Timeout())
}

// mayHave refuses credentials to an endpoint that turned out to speak plain HTTP,
// unless it is on this machine: whoever can break a connection could have it fall
// back to that.
func (e *endpoint) mayHave(cred credential) error {
	if cred.empty() || !e.bare.plain.Load() || isLoopback(e.base.Hostname()) {
		return nil
	}
	return content.WithHint(
		fmt.Errorf("%w: %s speaks plain HTTP, and credentials are not sent in the clear because registries.conf calls it insecure", content.ErrDenied, e.host()),
		"name it as http://%s in a hosts.toml if they are to be", e.host())
}
