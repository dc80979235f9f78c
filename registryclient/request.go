package registryclient

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"dist.example/budgets"
	"dist.example/content"
)

const maxRedirects = 10

// call is one request to a registry, which may be sent several times.
type call struct {
	what   string // for messages: "manifest latest", "blob sha256:…"
	method string
	url    *url.URL
	header http.Header
	body   *body    // nil for none
	scopes []string // what a token has to allow
	ok     []int    // statuses that are the answer; all others are errors
	once   bool     // errors come back as *failure, for a caller that tries again by itself
	grants int      // how many tokens may be refused, 0 means maxGrants
}

// at is the URL below an endpoint's /v2/<repository>.
func (r *Repository) at(e *endpoint, path string, query url.Values) *url.URL {
	u := *e.root()
	u.Path = strings.TrimRight(u.Path, "/") + "/" + e.rename.of(r.ref.Repository) + path
	if e.ns != "" {
		if query == nil {
			query = url.Values{}
		}
		query.Set("ns", e.ns)
	}
	u.RawQuery = query.Encode()
	return &u
}

// scope is the token scope for actions on the repository.
func (r *Repository) scope(actions string) []string {
	if r.pushing {
		actions = "pull,push"
	}
	return []string{"repository:" + r.ref.Repository + ":" + actions}
}

// do sends q until it is answered with one of q.ok, or must not or need not be
// tried again. The caller closes the answer's body.
func (r *Repository) do(ctx context.Context, e *endpoint, q call) (*http.Response, error) {
	t := r.tries(e, q.what)
	for {
		resp, err := r.try(ctx, e, q)
		if err == nil {
			return resp, nil
		}
		var f *failure
		if !errors.As(err, &f) {
			return nil, err
		}
		if q.once {
			return nil, err
		}
		if !f.transient {
			return nil, f.error
		}
		if more, err := t.again(ctx, f.cause, f.after); err != nil {
			return nil, fmt.Errorf("%s in %s: %w", q.what, r.ref.Name(), err)
		} else if !more {
			return nil, f.error
		}
	}
}

// failure is an error and what retrying has to know of it.
type failure struct {
	error
	cause     error // of the connection, nil after an answer
	transient bool
	after     time.Duration
}

func (f *failure) Unwrap() error { return f.error }

// try sends q once, or as often as tokens have to be renewed for it.
func (r *Repository) try(ctx context.Context, e *endpoint, q call) (*http.Response, error) {
	resp, sent, err := r.authorized(ctx, e, q)
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("%s in %s: %w", q.what, r.ref.Name(), ctx.Err())
		}
		var s *settled
		if errors.As(err, &s) {
			return nil, fmt.Errorf("%s in %s: %w", q.what, r.ref.Name(), s.error)
		}
		return nil, &failure{error: r.connError(e, q.what, err), cause: err, transient: true}
	}
	if slices.Contains(q.ok, resp.StatusCode) {
		return resp, nil
	}
	after := retryAfter(resp.Header, time.Now())
	out := r.answerError(e, q.what, resp, sent)
	if after > maxRetryAfter {
		out = content.WithHint(out, "%s asks for patience: try again in %s", e.host(), after.Round(time.Second))
	}
	return nil, &failure{error: out, transient: transientStatus(resp.StatusCode), after: after}
}

// read is do for answers that are read whole, of at most limit bytes. One that
// breaks off is asked for again; over the limit, the bytes are nil and nothing
// more of them is read.
func (r *Repository) read(ctx context.Context, e *endpoint, q call, limit int64) (http.Header, []byte, error) {
	t := r.tries(e, q.what)
	for {
		resp, err := r.do(ctx, e, q)
		if err != nil {
			return nil, nil, err
		}
		data, err := readLimited(resp, limit)
		if err == nil {
			return resp.Header, data, nil
		}
		more, ctxErr := t.again(ctx, err, 0)
		if ctxErr != nil {
			return nil, nil, fmt.Errorf("%s in %s: %w", q.what, r.ref.Name(), ctxErr)
		}
		if !more {
			return nil, nil, r.connError(e, q.what, err)
		}
	}
}

// readLimited reads and closes an answer; nil when it is larger than limit,
// which is known before it is buffered where the answer tells its length.
func readLimited(resp *http.Response, limit int64) ([]byte, error) {
	defer resp.Body.Close()
	defer hurry(resp, 0)()
	if resp.ContentLength > limit {
		return nil, nil
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if int64(len(data)) > limit {
		return nil, nil
	}
	return data, err
}

const (
	// maxGrants bounds the tokens that one request has refused, though others used
	// them at the same time: they say nothing about each other.
	maxGrants = 6
	// maxWorn bounds the tokens of one request that were good for somebody. One
	// that dies young and is shared by many may be dead before all have used it.
	maxWorn = 64
)

// authorized sends q with the credentials that its endpoint is known to want,
// and again with a fresh token where that is refused. sent says whether the
// user's credentials were part of it.
func (r *Repository) authorized(ctx context.Context, e *endpoint, q call) (resp *http.Response, sent bool, err error) {
	if q, err = r.client.fit(ctx, e, q); err != nil {
		return nil, false, err
	}
	slot := e.auth.slot(q.scopes)
	for refused, worn := 0, 0; ; {
		done, err := e.auth.alone(ctx)
		if err != nil {
			return nil, false, err
		}
		g, err := r.grant(ctx, e, slot, q.scopes)
		if err != nil {
			done()
			return nil, false, &settled{err}
		}
		resp, origin, err := r.client.exchange(ctx, e, q, g.use())
		wanted := err == nil && origin && resp.StatusCode == http.StatusUnauthorized
		known := wanted && e.auth.learn(resp.Header.Values("WWW-Authenticate"))
		done()
		if err != nil {
			return nil, false, err
		}
		if !wanted {
			if resp.StatusCode/100 == 2 {
				g.accept()
			}
			return resp, g.withCredentials(), nil
		}
		if g != nil && g.accepted.Load() {
			worn++
		} else {
			refused++
		}
		if refused > cmp.Or(q.grants, maxGrants) || worn > maxWorn || g.hopeless() || !known {
			return resp, g.withCredentials(), nil
		}
		drain(resp)
		if err := slot.drop(ctx, g); err != nil {
			return nil, false, err
		}
	}
}

// drainTime is what a connection is worth that could be used again.
const drainTime = time.Second

// drain reads what little is left of an answer, so that its connection can be
// used again, and closes it.
func drain(resp *http.Response) {
	defer hurry(resp, drainTime)()
	_, _ = io.CopyN(io.Discard, resp.Body, 8<<10)
	resp.Body.Close()
}

// exchange sends q once and follows redirects. authorization and what hosts.toml
// adds go to the endpoint's own scheme, host and port only. origin says whether
// the answer is the endpoint's own.
func (c *Client) exchange(ctx context.Context, e *endpoint, q call, authorization string) (resp *http.Response, origin bool, err error) {
	h := hop{client: c, budget: c.budgetOf(e), base: e.root(), rt: e.rt, foreign: e.foreign, authorization: authorization, extra: e.header}
	return h.follow(ctx, q)
}

// hop is what stays the same while redirects are followed.
type hop struct {
	client        *Client
	budget        *budgets.Host // of the host that was asked first
	base          *url.URL      // whom authorization and extra are meant for
	rt            http.RoundTripper
	foreign       http.RoundTripper
	authorization string
	extra         http.Header
	forToken      bool
}

func (h hop) follow(ctx context.Context, q call) (*http.Response, bool, error) {
	target := q.url
	for redirects := 0; ; redirects++ {
		own := sameOrigin(target, h.base)
		resp, err := h.send(ctx, q, target, own)
		if err != nil {
			return nil, own, err
		}
		if own && !h.forToken {
			h.client.heed(h.base.Host, resp.Header)
		}
		next, err := redirectTarget(resp, target)
		if next == nil && err == nil {
			return resp, own, nil
		}
		drain(resp)
		if err != nil {
			return nil, own, err
		}
		if redirects == maxRedirects {
			return nil, own, errTooMany
		}
		if resp.StatusCode == http.StatusSeeOther && q.method != http.MethodHead {
			q.method, q.body = http.MethodGet, nil
		}
		if h.forToken && q.body != nil && !sameOrigin(next, h.base) {
			return nil, own, fmt.Errorf("%s redirects a request with credentials to %s: %w", h.base.Host, next.Host, errBadAddress)
		}
		target = next
	}
}

// redirectTarget is where resp points to, nil when it is no redirect.
func redirectTarget(resp *http.Response, from *url.URL) (*url.URL, error) {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil, nil
	}
	loc := resp.Header.Get("Location")
	if loc == "" {
		return nil, nil
	}
	return resolveURL(from, loc)
}

// resolveURL reads an address that a registry gave, relative to where it gave
// it. Only http and https are followed, and a user name in it is dropped.
func resolveURL(from *url.URL, s string) (*url.URL, error) {
	u, err := from.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("address %q: %w: not one of http or https", withoutSecrets(s), errBadAddress)
	}
	u.User, u.Fragment = nil, ""
	return u, nil
}

// send makes one request of one hop.
func (h hop) send(ctx context.Context, q call, target *url.URL, own bool) (*http.Response, error) {
	c := h.client
	if err := c.Online(); err != nil {
		return nil, &settled{err}
	}
	if err := h.budget.Request(ctx); err != nil {
		return nil, h.budgetError(ctx, err)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	ctx, wait := c.withConnWait(ctx)
	req, err := h.request(ctx, q, target, own)
	if err != nil {
		cancel(nil)
		return nil, err
	}
	rt := h.rt
	if h.foreign != nil && canonicalHost(target) != canonicalHost(h.base) {
		rt = h.foreign
	}
	w := &watch{client: c, host: target.Host, what: q.what, expired: func() { cancel(errStalled) }}
	answered := w.request(req, q.body)
	wait.watch(req, w)
	c.count(h.forToken, req)
	resp, err := rt.RoundTrip(req)
	answered()
	if err != nil {
		err = causeOf(ctx, err)
		cancel(nil)
		return nil, q.body.blame(err)
	}
	resp.Body = &watched{ReadCloser: resp.Body, client: c, budget: h.budget, watch: w, ctx: ctx, cancel: cancel}
	return resp, nil
}

func (h hop) request(ctx context.Context, q call, target *url.URL, own bool) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, q.method, target.String(), nil)
	if err != nil {
		return nil, err
	}
	for k, v := range q.header {
		req.Header[k] = v
	}
	if own {
		for k, v := range h.extra {
			req.Header[k] = v
		}
		if h.authorization != "" {
			req.Header.Set("Authorization", h.authorization)
		}
	}
	req.Header.Set("User-Agent", h.client.opts.UserAgent)
	if q.body != nil {
		return req, q.body.attach(req, h.budget)
	}
	return req, nil
}

func (c *Client) count(forToken bool, req *http.Request) {
	if forToken {
		c.tokenRequests.Add(1)
		return
	}
	c.requests.Add(1)
	if req.Body != nil {
		c.bytesOut.Add(req.ContentLength)
	}
}

// causeOf is why ctx ended, where that is why err happened.
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

// watched is an answer's body that ends with errStalled when a read takes too
// long. The pauses of its reader do not count.
type watched struct {
	io.ReadCloser
	client *Client
	budget *budgets.Host
	watch  *watch
	ctx    context.Context //nolint:containedctx // the request's own
	cancel context.CancelCauseFunc
}

func (w *watched) Read(p []byte) (int, error) {
	w.watch.begin("no byte comes", w.client.opts.StallTimeout)
	n, err := w.ReadCloser.Read(w.budget.Part(p))
	w.watch.end()
	w.client.bytesIn.Add(int64(n))
	if perr := w.budget.Bytes(w.ctx, n); err == nil {
		err = perr
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = causeOf(w.ctx, err)
	}
	return n, err
}

func (w *watched) Close() error {
	w.watch.end()
	w.cancel(nil)
	return w.ReadCloser.Close()
}

// hurry bounds the time that all of an answer's body may take, for those that are
// read whole: a byte now and then is not waited for, as it is with a blob. d is 0
// for as long as a registry may think, if no limit of the user's slows it down. The
// caller calls stop when it has read.
func hurry(resp *http.Response, d time.Duration) (stop func() bool) {
	w, ok := resp.Body.(*watched)
	if !ok || (d == 0 && w.budget.Paced()) {
		return func() bool { return true }
	}
	if d == 0 {
		d = w.client.thinking
	}
	return time.AfterFunc(d, func() { w.cancel(errSlow) }).Stop
}

// sameOrigin compares scheme, host and port.
func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && canonicalHost(a) == canonicalHost(b)
}

// canonicalHost is host:port in lower case, the port also where it goes unsaid.
func canonicalHost(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = defaultPorts[u.Scheme]
	}
	return strings.ToLower(u.Hostname()) + ":" + port
}

var defaultPorts = map[string]string{"http": "80", "https": "443"}
