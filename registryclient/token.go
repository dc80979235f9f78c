package registryclient

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"dist.example/content"
)

const (
	maxTokenAnswer = 64 << 10
	// tokenLife is how long a token is good for when its server does not say.
	tokenLife = time.Minute
)

// authState is what is known about the way one endpoint wants to be asked.
type authState struct {
	answered atomic.Bool // somebody was, or nobody answers

	mu    sync.Mutex
	gate  chan struct{} // of one element: who asks first, alone
	offer *challenge    // from the last 401, nil before the first
	slots map[string]*slot
}

// slot holds the grant for one set of scopes. Its lock is held while a token is
// fetched, so that parallel requests share one.
type slot struct {
	lock chan struct{} // of one element, so that waiting can be cancelled
	held *grant
}

// grant is an Authorization header. A nil grant stands for a request without.
type grant struct {
	header   string
	expires  time.Time // zero for never
	personal bool      // made with the user's credentials
	fixed    bool      // asking again would give the same: basic, or a given token
	sent     atomic.Int32
	accepted atomic.Bool
}

func (g *grant) use() string {
	if g == nil {
		return ""
	}
	g.sent.Add(1)
	return g.header
}

func (g *grant) accept() {
	if g != nil {
		g.accepted.Store(true)
	}
}

func (g *grant) withCredentials() bool { return g != nil && g.personal }

// hopeless says that a refusal of g is final: it cannot change, or it was fresh
// and nobody but this request has used it.
func (g *grant) hopeless() bool {
	return g != nil && (g.fixed || (!g.accepted.Load() && g.sent.Load() == 1))
}

func (g *grant) valid() bool {
	return g != nil && (g.expires.IsZero() || time.Now().Before(g.expires))
}

// alone lets the first request to an endpoint go by itself, and the others wait
// for its answer: it tells what is asked for, and they need not all be refused to
// learn that. The caller calls done once it has the answer, or none, and before it
// asks again. The error is ctx's.
func (a *authState) alone(ctx context.Context) (done func(), err error) {
	if a.answered.Load() {
		return func() {}, nil
	}
	a.mu.Lock()
	if a.gate == nil {
		a.gate = make(chan struct{}, 1)
	}
	gate := a.gate
	a.mu.Unlock()
	select {
	case gate <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if a.answered.Load() {
		<-gate
		return func() {}, nil
	}
	return func() {
		a.answered.Store(true)
		<-gate
	}, nil
}

func (a *authState) slot(scopes []string) *slot {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := strings.Join(scopes, " ")
	s := a.slots[key]
	if s == nil {
		s = &slot{lock: make(chan struct{}, 1)}
		if a.slots == nil {
			a.slots = map[string]*slot{}
		}
		a.slots[key] = s
	}
	return s
}

// learn keeps what a 401 asks for. False when it asks for nothing that this
// client can give.
func (a *authState) learn(headers []string) bool {
	var best *challenge
	for _, ch := range parseChallenges(headers) {
		bearer := ch.scheme == "bearer" && ch.params["realm"] != ""
		if bearer || (ch.scheme == "basic" && best == nil) {
			best = &ch
		}
		if bearer {
			break
		}
	}
	if best == nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.offer = best
	return true
}

func (a *authState) offered() *challenge {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.offer
}

// drop forgets g, unless another grant has taken its place. The error is ctx's:
// whoever holds the lock may be waiting for a token.
func (s *slot) drop(ctx context.Context, g *grant) error {
	if g == nil {
		return nil
	}
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.leave()
	if s.held == g {
		s.held = nil
	}
	return nil
}

// take takes the lock. The error is ctx's.
func (s *slot) take(ctx context.Context) error {
	select {
	case s.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *slot) leave() { <-s.lock }

// grant returns what to authorise with: the slot's grant, or a new one when the
// endpoint is known to want one, else nil.
func (r *Repository) grant(ctx context.Context, e *endpoint, s *slot, scopes []string) (*grant, error) {
	if err := s.take(ctx); err != nil {
		return nil, err
	}
	defer s.leave()
	if s.held.valid() {
		return s.held, nil
	}
	offer := e.auth.offered()
	if offer == nil {
		return nil, nil
	}
	g, err := r.newGrant(ctx, e, offer, scopes)
	if err != nil {
		return nil, err
	}
	s.held = g
	return g, nil
}

func (r *Repository) newGrant(ctx context.Context, e *endpoint, offer *challenge, scopes []string) (*grant, error) {
	cred, err := r.credential(ctx, e)
	if err != nil {
		return nil, err
	}
	switch {
	case cred.registryToken != "":
		return &grant{header: "Bearer " + cred.registryToken, personal: true, fixed: true}, nil
	case offer.scheme == "bearer":
		return r.fetchToken(ctx, e, offer, cred, scopes)
	case cred.username == "" && cred.password == "":
		return &grant{fixed: true}, nil // basic is wanted and there is nothing to give
	}
	return &grant{header: basic(cred), personal: true, fixed: true}, nil
}

func basic(c credential) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.username+":"+c.password))
}

// fetchToken asks the token server that offer names (the token specification of
// distribution, GET; OAuth2, POST, where the credential is an identity token).
func (r *Repository) fetchToken(ctx context.Context, e *endpoint, offer *challenge, cred credential, scopes []string) (*grant, error) {
	realm, err := r.client.allowRealm(e.root(), offer.params["realm"])
	if err != nil {
		return nil, r.tokenError(e, 0, err)
	}
	if !cred.empty() && !r.client.trustsRealm(e.root(), realm) {
		return nil, content.WithHint(
			r.tokenError(e, 0, fmt.Errorf("%w: the registry sends its credentials to another domain, %s", content.ErrDenied, realm.Host)),
			"if that host is to be trusted with them, allow it with --token-host %s", realm.Host)
	}
	scopes = r.widen(scopes, offer.params["scope"])
	q := tokenCall(realm, offer.params["service"], scopes, cred)
	answer, err := r.tokenAnswer(ctx, e, realm, q, cred)
	if err != nil {
		return nil, err
	}
	g, err := answer.grant(!cred.empty())
	if err != nil {
		return nil, r.tokenError(e, http.StatusOK, fmt.Errorf("%w: %s answered without a token", err, realm.Host))
	}
	return g, nil
}

// widen adds the scopes that a challenge names and that are not about the
// repository as we know it: some registries keep it under another name. They
// get the actions that were wanted anyway, never more.
func (r *Repository) widen(scopes []string, offered string) []string {
	if len(scopes) == 0 {
		return nil // a login wants no more than to be let in
	}
	for _, s := range strings.Fields(offered) {
		kind, rest, ok := strings.Cut(s, ":")
		i := strings.LastIndexByte(rest, ':')
		if !ok || i <= 0 || kind != "repository" || len(scopes) > 4 {
			continue
		}
		prefix := "repository:" + rest[:i] + ":"
		if slices.ContainsFunc(scopes, func(s string) bool { return strings.HasPrefix(s, prefix) }) {
			continue
		}
		own := scopes[0]
		scopes = append(slices.Clip(scopes), prefix+own[strings.LastIndexByte(own, ':')+1:])
	}
	return scopes
}

func tokenCall(realm *url.URL, service string, scopes []string, cred credential) call {
	form := url.Values{"scope": scopes}
	if service != "" {
		form.Set("service", service)
	}
	if cred.identityToken == "" {
		u := *realm
		q := u.Query()
		for k, v := range form {
			q[k] = v
		}
		if cred.username != "" {
			q.Set("account", cred.username)
		}
		u.RawQuery = q.Encode()
		return call{method: http.MethodGet, url: &u}
	}
	if len(scopes) > 0 {
		form["scope"] = []string{strings.Join(scopes, " ")}
	}
	form.Set("grant_type", "refresh_token")
	form.Set("refresh_token", cred.identityToken)
	form.Set("client_id", "dist")
	return call{
		method: http.MethodPost, url: realm,
		header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
		body:   bytesBody([]byte(form.Encode())),
	}
}

// tokenAnswer sends q until it is answered, with the patience that registries
// get too.
func (r *Repository) tokenAnswer(ctx context.Context, e *endpoint, realm *url.URL, q call, cred credential) (tokenAnswer, error) {
	h := hop{client: r.client, budget: r.client.budgetOf(e), base: realm, rt: e.rt, foreign: e.foreign, forToken: true}
	if canonicalHost(realm) != canonicalHost(e.root()) && e.foreign != nil {
		h.rt = e.foreign
	}
	if cred.identityToken == "" && (cred.username != "" || cred.password != "") {
		h.authorization = basic(cred)
	}
	q.what = "token for " + r.ref.Name()
	t := r.tries(e, q.what)
	t.host = realm.Host
	for {
		answer, after, err := r.askToken(ctx, e, h, q)
		var f *failure
		if err == nil || !errors.As(err, &f) {
			return answer, err
		}
		if more, err := t.again(ctx, f.cause, after); err != nil {
			return answer, err
		} else if !more {
			return answer, f.error
		}
	}
}

// askToken sends q once. An error that may pass is a *failure.
func (r *Repository) askToken(ctx context.Context, e *endpoint, h hop, q call) (tokenAnswer, time.Duration, error) {
	resp, _, err := h.follow(ctx, q)
	if err != nil {
		if ctx.Err() != nil {
			return tokenAnswer{}, 0, ctx.Err()
		}
		cause := err
		err = fmt.Errorf("%w: %s: %w", content.ErrUnavailable, h.base.Host, shorten(err))
		return tokenAnswer{}, 0, &failure{error: r.tokenError(e, 0, err), cause: cause}
	}
	if resp.StatusCode != http.StatusOK {
		after := retryAfter(resp.Header, time.Now())
		err := r.tokenRefused(e, h, resp, h.authorization != "" || q.body != nil)
		if transientStatus(resp.StatusCode) {
			err = &failure{error: err}
		}
		return tokenAnswer{}, after, err
	}
	answer, err := readToken(resp)
	if err != nil {
		return answer, 0, r.tokenError(e, 0, fmt.Errorf("%w: %s: %w", content.ErrUnavailable, h.base.Host, shorten(err)))
	}
	return answer, 0, nil
}

func (r *Repository) tokenRefused(e *endpoint, h hop, resp *http.Response, sent bool) error {
	errs, text := readErrorBody(resp)
	class := statusClass(http.MethodGet, resp.StatusCode, errs)
	if resp.StatusCode/100 == 4 && class != content.ErrUnavailable {
		class = content.ErrDenied // token servers say 400 and 404 for what they do not grant
	}
	err := r.tokenError(e, resp.StatusCode, fmt.Errorf("%w: %s answered %d %s", class, h.base.Host, resp.StatusCode, text))
	if class == content.ErrDenied && sent && r.given == nil {
		return content.WithHint(err, "the credentials for %s were refused: renew them", e.host())
	}
	return r.hint(err, class, sent)
}

func (r *Repository) tokenError(e *endpoint, status int, err error) error {
	return &content.RemoteError{
		Registry: e.host(), Status: status, Retryable: errors.Is(err, content.ErrUnavailable),
		Err: fmt.Errorf("token for %s: %w", r.ref.Name(), err),
	}
}

// tokenAnswer is what token servers answer, in either protocol.
type tokenAnswer struct {
	Token       string          `json:"token"`
	AccessToken string          `json:"access_token"`
	ExpiresIn   json.RawMessage `json:"expires_in"` // a number; some servers quote it
}

func readToken(resp *http.Response) (tokenAnswer, error) {
	defer resp.Body.Close()
	defer hurry(resp, 0)()
	var a tokenAnswer
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxTokenAnswer+1))
	switch {
	case err != nil:
		return a, err
	case len(data) > maxTokenAnswer:
		return a, fmt.Errorf("the token is larger than %d bytes", maxTokenAnswer)
	case json.Unmarshal(bytes.TrimSpace(data), &a) != nil:
		return a, errors.New("the answer is not JSON")
	}
	return a, nil
}

// grant reads the token and its life. It is given up a little before its end.
func (a tokenAnswer) grant(personal bool) (*grant, error) {
	token := a.Token
	if token == "" {
		token = a.AccessToken
	}
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, content.ErrUnsupported
	}
	life := tokenLife
	secs, err := strconv.ParseFloat(strings.Trim(string(a.ExpiresIn), `"`), 64)
	if err == nil && secs >= 1 && secs < 1e9 {
		life = time.Duration(secs * float64(time.Second))
	}
	return &grant{header: "Bearer " + token, personal: personal, expires: time.Now().Add(life - life/10)}, nil
}
