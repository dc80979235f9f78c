package registrytest

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"dist.example/oci"
	"dist.example/registryserver"
)

const tokenPath = "/token"

// Auth says what credentials a registry asks for.
type Auth struct {
	// User and Password are those that are right. With Bearer they may be "": the
	// token endpoint then gives tokens to everybody.
	User, Password string
	// Refresh is an identity token that the token endpoint takes in place of
	// User and Password.
	Refresh string
	// Bearer asks for tokens of the registry's own endpoint; else it is Basic.
	Bearer bool
	// Uses is how many requests a token is good for, 0 for any number.
	Uses int
	// Lifetime is how long a token is good for, 0 for ever.
	Lifetime time.Duration
	// Now is the clock that Lifetime goes by, nil for the real one.
	Now func() time.Time
	// PullOnly gives tokens that are good for reading alone, whatever was asked.
	PullOnly bool
}

// authority decides who may come in.
type authority struct {
	Auth
	mu     sync.Mutex
	tokens map[string]*token
}

type token struct {
	uses   int
	since  time.Time
	scopes []string // repository:NAME:ACTIONS
}

func newAuthority(a Auth) *authority {
	if a.Now == nil {
		a.Now = time.Now
	}
	return &authority{Auth: a, tokens: map[string]*token{}}
}

// Ask asks for credentials from now on, as Options.Auth does from the beginning.
func (r *Registry) Ask(a Auth) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.auth = newAuthority(a)
}

// ExpireTokens makes all tokens that were given out so far worthless.
func (r *Registry) ExpireTokens() {
	r.mu.Lock()
	a := r.auth
	r.mu.Unlock()
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.tokens)
}

// admit lets req by, or answers it: with a token, or with what is asked for.
func (a *authority) admit(base string, w http.ResponseWriter, req *http.Request) bool {
	if a.Bearer && req.URL.Path == tokenPath {
		a.giveToken(w, req)
		return false
	}
	if !a.Bearer {
		if a.knows(req) {
			return true
		}
		refuse(w, `Basic realm="registrytest"`)
		return false
	}
	scope := scopeOf(req)
	if given, ok := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer "); ok && a.accepts(given, scope) {
		return true
	}
	challenge := fmt.Sprintf(`Bearer realm="%s%s",service="registrytest"`, base, tokenPath)
	if scope != "" {
		challenge += fmt.Sprintf(`,scope="%s"`, scope)
	}
	refuse(w, challenge)
	return false
}

func (a *authority) knows(req *http.Request) bool {
	user, password, ok := req.BasicAuth()
	return ok && user == a.User && password == a.Password
}

func refuse(w http.ResponseWriter, challenge string) {
	w.Header().Set("WWW-Authenticate", challenge)
	w.Header().Set("Content-Type", oci.MediaTypeJSON)
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = w.Write([]byte(`{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`))
}

// scopeOf is what a token must allow for req, "" for any token.
func scopeOf(req *http.Request) string {
	name := registryserver.RepositoryOf(req.URL.Path)
	switch {
	case name == "":
		return ""
	case req.Method == http.MethodGet || req.Method == http.MethodHead:
		return "repository:" + name + ":pull"
	case req.Method == http.MethodDelete:
		return "repository:" + name + ":delete"
	}
	return "repository:" + name + ":pull,push"
}

// accepts says whether a token is good for scope, and counts its use.
func (a *authority) accepts(given, scope string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	t, ok := a.tokens[given]
	if !ok || !t.allows(scope) {
		return false
	}
	if a.Lifetime > 0 && a.Now().Sub(t.since) > a.Lifetime {
		return false
	}
	t.uses++
	return a.Uses == 0 || t.uses <= a.Uses
}

func (t *token) allows(scope string) bool {
	if scope == "" {
		return true
	}
	want := strings.Split(scope, ":")
	for _, s := range t.scopes {
		have := strings.Split(s, ":")
		if len(have) != 3 || have[0] != want[0] || have[1] != want[1] {
			continue
		}
		covered := true
		for action := range strings.SplitSeq(want[2], ",") {
			covered = covered && strings.Contains(","+have[2]+",", ","+action+",")
		}
		if covered {
			return true
		}
	}
	return false
}

// giveToken is the token endpoint: GET with Basic credentials or none, or POST
// with a refresh token or a password.
func (a *authority) giveToken(w http.ResponseWriter, req *http.Request) {
	req.Body = http.MaxBytesReader(w, req.Body, 64<<10)
	if err := req.ParseForm(); err != nil || !a.entitled(req) {
		refuse(w, `Basic realm="registrytest"`)
		return
	}
	t := &token{since: a.Now()}
	for _, s := range req.Form["scope"] {
		for one := range strings.FieldsSeq(s) {
			if a.PullOnly {
				one = strings.ReplaceAll(strings.ReplaceAll(one, "push,", ""), ",push", "")
			}
			t.scopes = append(t.scopes, one)
		}
	}
	name := rand.Text()
	a.mu.Lock()
	a.tokens[name] = t
	a.mu.Unlock()
	answer := map[string]any{"token": name, "access_token": name}
	if a.Lifetime > 0 {
		answer["expires_in"] = max(int(a.Lifetime.Seconds()), 1)
	}
	w.Header().Set("Content-Type", oci.MediaTypeJSON)
	_ = json.NewEncoder(w).Encode(answer)
}

func (a *authority) entitled(req *http.Request) bool {
	switch req.Form.Get("grant_type") {
	case "refresh_token":
		return a.Refresh != "" && req.PostForm.Get("refresh_token") == a.Refresh
	case "password":
		return req.PostForm.Get("username") == a.User && req.PostForm.Get("password") == a.Password
	}
	return a.User == "" || a.knows(req)
}
