package access

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"dist.example/oci"
)

const (
	// maxForm bounds a token request.
	maxForm = 64 << 10
	// formWait is how long a form may take to come, and maxForms how many may be coming:
	// nobody knows yet who sends them, and each takes a place of the server's.
	formWait = 10 * time.Second
	maxForms = 64
)

// Resolve finds the repository that a path means at the server; false when it means
// none or more than one. Errors are those of looking.
type Resolve func(ctx context.Context, path string) (repo oci.Reference, ok bool, err error)

// refusal is an answer of the token server that is an error. Clients of
// distribution's protocol read its code, those of OAuth 2 (RFC 6749, 5.2) its word.
type refusal struct {
	status     int
	code, word string
	message    string
}

func (e *refusal) Error() string { return e.message }

func badRequest(word, message string) error {
	return &refusal{http.StatusBadRequest, "UNSUPPORTED", word, message}
}

// ServeToken answers a request to the token server: GET with Basic authorization or
// without, or POST with a form (grant_type=password). It grants what is asked for
// as far as the visitor has it. Those without credentials get a token where they may
// do anything at all. The user is who has logged in, "" for nobody.
func (g *Gate) ServeToken(w http.ResponseWriter, r *http.Request, resolve Resolve) (user string) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", oci.MediaTypeJSON)
	visitor, form, err := g.applicant(w, r)
	if err != nil {
		g.refuse(w, r, err)
		return ""
	}
	answer, err := g.token(r.Context(), visitor, form, resolve)
	if err != nil {
		g.refuse(w, r, err)
		return visitor.user
	}
	_ = json.NewEncoder(w).Encode(answer)
	return visitor.user
}

// tokenAnswer is what the token server gives. The token stands there by both of the
// names that it has in the two protocols.
type tokenAnswer struct {
	Token       string    `json:"token"`
	AccessToken string    `json:"access_token"`
	Type        string    `json:"token_type"`
	ExpiresIn   int       `json:"expires_in"`
	IssuedAt    time.Time `json:"issued_at"`
}

// token is what visitor gets for the parameters in form.
func (g *Gate) token(ctx context.Context, visitor Visitor, form url.Values, resolve Resolve) (*tokenAnswer, error) {
	if service := form["service"]; len(service) > 1 || (len(service) == 1 && service[0] != Service) {
		return nil, badRequest("invalid_request", fmt.Sprintf("the service is %q here", Service))
	}
	asked, ok := parseScopes(form["scope"])
	if !ok {
		return nil, badRequest("invalid_scope", fmt.Sprintf("a token has %d scopes at most", maxScopes))
	}
	access, err := visitor.grants(ctx, asked, resolve)
	if err != nil {
		return nil, err
	}
	return g.issue(visitor, access)
}

// applicant is who asks for a token, and with which parameters.
func (g *Gate) applicant(w http.ResponseWriter, r *http.Request) (Visitor, url.Values, error) {
	switch r.Method {
	case http.MethodGet:
		v, err := g.Identify(r)
		if err == nil && v.token != nil {
			err = ErrCredentials // a token is no way to a longer one
		}
		if err == nil && v.user == "" && !v.rights.open() {
			err = ErrCredentials
		}
		return v, r.URL.Query(), err
	case http.MethodPost:
		return g.byForm(w, r)
	}
	w.Header().Set("Allow", "GET, POST")
	return Visitor{}, nil, &refusal{http.StatusMethodNotAllowed, "UNSUPPORTED", "invalid_request", r.Method + " is not possible here"}
}

// byForm reads the form of OAuth 2. Parameters count from the body alone: a password
// in an address ends up in logs.
func (g *Gate) byForm(w http.ResponseWriter, r *http.Request) (Visitor, url.Values, error) {
	if err := g.parseForm(w, r); err != nil {
		return Visitor{}, nil, err
	}
	form := r.PostForm
	if kind := form.Get("grant_type"); kind != "password" {
		return Visitor{}, nil, badRequest("unsupported_grant_type", "want grant_type=password: there are no refresh tokens here")
	}
	v, err := g.byPassword(r.Context(), form.Get("username"), form.Get("password"))
	return v, form, err
}

func (g *Gate) parseForm(w http.ResponseWriter, r *http.Request) error {
	select {
	case g.forms <- struct{}{}:
		defer func() { <-g.forms }()
	default:
		return ErrBusy
	}
	// Not every ResponseWriter has a deadline; those of a network have.
	conn := http.NewResponseController(w)
	_ = conn.SetReadDeadline(time.Now().Add(formWait))
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		return badRequest("invalid_request", "the form is malformed or too large, or came too slowly")
	}
	_ = conn.SetReadDeadline(time.Time{})
	return nil
}

// grants are those of the scopes that the visitor is entitled to.
func (v Visitor) grants(ctx context.Context, asked asking, resolve Resolve) ([]grant, error) {
	all := []grant{}
	for _, s := range asked.repositories {
		repo, ok, err := resolve(ctx, s.Path)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		var words []string
		for _, a := range s.Actions {
			if v.Entitled(a, repo) {
				words = append(words, string(a))
			}
		}
		if len(words) > 0 {
			all = append(all, grant{"repository", repo.Name(), words})
		}
	}
	if asked.catalog {
		all = append(all, grant{"registry", "catalog", []string{"*"}})
	}
	return all, nil
}

// issue signs a token for v.
func (g *Gate) issue(v Visitor, access []grant) (*tokenAnswer, error) {
	now := g.o.Now()
	c := claims{
		Issuer: issuer, Audience: Service, Subject: v.user, Mark: v.mark, ID: rand.Text(), Access: access,
		IssuedAt: now.Unix(), NotBefore: now.Add(-clockSkew).Unix(), Expires: now.Add(tokenLife).Unix(),
	}
	token, err := sign(g.key, c)
	return &tokenAnswer{
		Token: token, AccessToken: token, Type: "Bearer",
		ExpiresIn: int(tokenLife.Seconds()), IssuedAt: now.UTC().Truncate(time.Second),
	}, err
}

// refuse answers with err in the words of both protocols.
func (g *Gate) refuse(w http.ResponseWriter, r *http.Request, err error) {
	e := explain(err)
	if e.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="`+Service+`"`)
		if r.Method == http.MethodPost {
			e.word = "invalid_grant"
		}
	}
	if e.status == http.StatusTooManyRequests || e.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(e.status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"errors": []map[string]string{{"code": e.code, "message": e.message}},
		"error":  e.word, "error_description": e.message,
	})
}

// explain finds the answer for err.
func explain(err error) refusal {
	var known *refusal
	switch {
	case errors.As(err, &known):
		return *known
	case errors.Is(err, ErrBusy):
		return refusal{http.StatusTooManyRequests, "TOOMANYREQUESTS", "temporarily_unavailable", "too many log in at once"}
	case errors.Is(err, ErrCredentials), errors.Is(err, ErrToken):
		return refusal{http.StatusUnauthorized, "UNAUTHORIZED", "invalid_client", "wrong user name or password, or none"}
	}
	return refusal{http.StatusServiceUnavailable, "TOOMANYREQUESTS", "temporarily_unavailable", "the store is busy"}
}
