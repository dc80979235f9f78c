package testscripts

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

const (
	tokenIssuer  = "e2e tokens"
	tokenService = "e2e registry"
)

// askToken starts a token server over TLS, at an address of its own, whose tokens
// the docker-registry believes.
func askToken(env *testscript.Env, dir string, ca *issuer) (string, error) {
	cert, err := ca.issue()
	if err != nil {
		return "", err
	}
	bundle := filepath.Join(dir, "tokens.crt")
	if err := ca.write(bundle); err != nil {
		return "", err
	}
	srv := httptest.NewUnstartedServer(tokenServer{ca})
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that do not trust it
	srv.StartTLS()
	env.Defer(srv.Close)
	if err := ca.trusted(env, strings.TrimPrefix(srv.URL, "https://")); err != nil {
		return "", err
	}
	return fmt.Sprintf("{token: {realm: %q, service: %q, issuer: %q, rootcertbundle: %q}}",
		srv.URL+"/token", tokenService, tokenIssuer, bundle), nil
}

// tokenServer gives tokens as the specification of docker-registry's token
// authentication has it: a GET with Basic credentials, and the scopes that are
// asked for. Everybody who is known may do everything; nobody else gets a token.
type tokenServer struct{ ca *issuer }

func (s tokenServer) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	user, password, ok := req.BasicAuth()
	if !ok || user != securedUser || password != securedPassword {
		w.Header().Set("WWW-Authenticate", `Basic realm="e2e"`)
		http.Error(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
		return
	}
	q := req.URL.Query()
	token, err := s.token(user, q.Get("service"), q["scope"], time.Now())
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"token": token, "expires_in": 300})
}

// access is one repository and what may be done with it.
type access struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// accesses reads scopes such as repository:team/app:pull,push.
func accesses(scopes []string) []access {
	all := []access{}
	for _, s := range scopes {
		for one := range strings.FieldsSeq(s) {
			kind, rest, _ := strings.Cut(one, ":")
			if i := strings.LastIndex(rest, ":"); i >= 0 {
				all = append(all, access{kind, rest[:i], strings.Split(rest[i+1:], ",")})
			}
		}
	}
	return all
}

// token is a JSON Web Token that bears the certificate to check it with.
func (s tokenServer) token(user, service string, scopes []string, now time.Time) (string, error) {
	header, err := part(map[string]any{
		"typ": "JWT", "alg": "ES256",
		"x5c": []string{base64.StdEncoding.EncodeToString(s.ca.cert.Raw)},
	})
	if err != nil {
		return "", err
	}
	claims, err := part(map[string]any{
		"iss": tokenIssuer, "sub": user, "aud": service, "jti": rand.Text(),
		"iat": now.Unix(), "nbf": now.Add(-time.Minute).Unix(), "exp": now.Add(5 * time.Minute).Unix(),
		"access": accesses(scopes),
	})
	if err != nil {
		return "", err
	}
	signed := header + "." + claims
	sum := sha256.Sum256([]byte(signed))
	r, v, err := ecdsa.Sign(rand.Reader, s.ca.key, sum[:])
	if err != nil {
		return "", err
	}
	signature := append(r.FillBytes(make([]byte, 32)), v.FillBytes(make([]byte, 32))...)
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}

// part is a part of a token.
func part(v any) (string, error) {
	p, err := json.Marshal(v)
	return base64.RawURLEncoding.EncodeToString(p), err
}
