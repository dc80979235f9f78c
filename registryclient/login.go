package registryclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"dist.example/content"
	"dist.example/oci"
)

// maxSecret caps a password or token. The longest in use are key files of a few
// kilobytes.
const maxSecret = 64 << 10

// LoginOptions are the credential that a login checks and keeps.
type LoginOptions struct {
	// Username goes with Password. "<token>" says that the password is an identity
	// token, which the token server of the registry takes for a refresh token of
	// OAuth2.
	Username string
	// Password is a password or an access token, of at most 64 KiB.
	Password string
}

// Kept is where a credential is kept.
type Kept struct {
	Key    string // the file's or the helper's name for what it is for
	File   string // the file that holds it, or that names the helper
	Helper string // the helper that holds it, "" for the file
}

// Login is what came of a login.
type Login struct {
	Kept
	// Checked is false when the registry lets everybody in, so that nothing says
	// whether the credential is right.
	Checked bool
}

// Login shows a registry a credential and keeps it where requests to that registry
// find it. scope is HOST[:PORT], or HOST[:PORT]/PATH for what lies below a path.
//
// What is written is AuthFile, or what REGISTRY_AUTH_FILE names; else the first
// file in the order of reading that already answers for the registry with an entry,
// a helper or a credential store; else the first that is there, or that
// DOCKER_CONFIG names; else the user's containers/auth.json. A helper or store that
// the file configures gets the credential in place of the file. The file is
// replaced as a whole and is its owner's alone (0600). Logins at once, in any
// number of processes, keep each other's entries.
//
// Errors: ErrDenied when the registry refuses the credential, and then nothing is
// written; ErrInvalid; ErrOffline; ErrUnavailable for a registry that does not answer and for a
// helper that fails; ErrNotFound for a helper that is not there; those of writing a
// file.
func (c *Client) Login(ctx context.Context, scope string, o LoginOptions) (Login, error) {
	name, scheme, err := parseScope(scope)
	if err != nil {
		return Login{}, err
	}
	cred, err := o.credential()
	if err != nil {
		return Login{}, err
	}
	if err := c.Online(); err != nil {
		return Login{}, err
	}
	e, err := c.ownEndpoint(name.Registry)
	if err != nil {
		return Login{}, err
	}
	if scheme != "" && scheme != e.base.Scheme {
		return Login{}, content.WithHint(fmt.Errorf("registry %s: %w: it is spoken to in %s", scope, content.ErrInvalid, e.base.Scheme),
			"give the name without %s://; --plain-http leaves TLS away", scheme)
	}
	checked, err := c.check(ctx, e, name, cred)
	if err != nil {
		return Login{}, err
	}
	kept, err := c.creds.keep(ctx, e.base, name.Repository, cred)
	c.forgetGrants()
	return Login{kept, checked}, err
}

// parseScope reads what a login is for. People paste addresses: a scheme before it
// and the version of the API after it say nothing else.
func parseScope(s string) (name oci.Reference, scheme string, err error) {
	rest := s
	if before, after, ok := strings.Cut(s, "://"); ok {
		scheme, rest = before, strings.TrimRight(after, "/")
		rest = strings.TrimSuffix(strings.TrimSuffix(rest, "/v1"), "/v2")
	}
	name, err = oci.ParseScope(strings.TrimSuffix(rest, "/"))
	if err == nil && !slices.Contains([]string{"", "http", "https"}, scheme) {
		err = fmt.Errorf("registry %q: %w: no such scheme", s, content.ErrInvalid)
	}
	return name, scheme, err
}

// credential checks what Basic authorization and the files can carry.
func (o LoginOptions) credential() (credential, error) {
	bad := func(what string) (credential, error) {
		return credential{}, fmt.Errorf("credential: %w: %s", content.ErrInvalid, what)
	}
	switch {
	case o.Username == "":
		return bad("no user name")
	case strings.ContainsFunc(o.Username, func(r rune) bool { return r == ':' || r < ' ' || r == 0x7f }):
		return bad("a user name has no colons and no control characters")
	case o.Password == "":
		return bad("an empty password")
	case len(o.Password) > maxSecret:
		return bad(fmt.Sprintf("the password is larger than %d bytes", maxSecret))
	case strings.ContainsRune(o.Password, 0):
		return bad("a password has no zero bytes")
	case o.Username == tokenUser:
		return credential{identityToken: o.Password}, nil
	}
	return credential{username: o.Username, password: o.Password}, nil
}

// ownEndpoint is the registry itself, as nobody has talked to it yet: no mirror,
// and no other host that stands in for it, whose credentials go by its own name.
func (c *Client) ownEndpoint(registry string) (*endpoint, error) {
	rt, err := c.route(oci.Reference{Registry: registry})
	if err != nil {
		return nil, err
	}
	for _, e := range rt.endpoints {
		if canonicalHost(e.base) == canonicalHost(&url.URL{Scheme: e.base.Scheme, Host: dialHost(registry)}) {
			return e.afresh(), nil
		}
	}
	host := rt.endpoints[len(rt.endpoints)-1].host()
	return nil, content.WithHint(fmt.Errorf("registry %s: %w: the configuration lets %s answer for it", registry, content.ErrInvalid, host),
		"credentials belong to a host: dist login %s", host)
}

// check sends the registry the credential, and no other. asked is false when it
// did not want one.
func (c *Client) check(ctx context.Context, e *endpoint, name oci.Reference, cred credential) (asked bool, err error) {
	if e.base.Scheme == "http" && !isLoopback(e.base.Hostname()) {
		c.opts.Warn(fmt.Sprintf("%s is spoken to without TLS: whoever sits in between reads the password", e.host()))
	}
	r := c.Repository(name)
	r.given = &cred
	u := *e.base
	u.Path = strings.TrimRight(u.Path, "/") + "/"
	resp, err := r.do(ctx, e, call{what: "API", method: http.MethodGet, url: &u, ok: []int{http.StatusOK}})
	if err != nil {
		return false, err
	}
	drain(resp)
	return e.auth.offered() != nil, nil
}

// credential is what the repository's requests are authorised with.
func (r *Repository) credential(ctx context.Context, e *endpoint) (credential, error) {
	if r.given != nil {
		return *r.given, e.mayHave(*r.given)
	}
	cred, err := r.client.creds.lookup(ctx, e.root(), e.rename.of(r.ref.Repository))
	if err != nil {
		return cred, err
	}
	return cred, e.mayHave(cred)
}

// forgetGrants lets the next requests look credentials up again.
func (c *Client) forgetGrants() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.routes)
	clear(c.shared)
}

// keep writes cred where a look-up for u and path comes upon it first.
func (f *credentialFiles) keep(ctx context.Context, u *url.URL, path string, cred credential) (Kept, error) {
	f.mu.Lock()
	file, err := f.target(u, path)
	f.mu.Unlock()
	if err != nil {
		return Kept{}, err
	}
	keys := file.entryKeys(credentialKeys(u, path)[0], u.Scheme)
	kept := Kept{Key: keys[0], File: file.path}
	entry, err := f.handOver(ctx, file, credentialKeys(u, path)[0], u.Scheme, cred, &kept)
	if err == nil {
		err = f.rewrite(ctx, file.path, func(data []byte) ([]byte, error) { return setAuths(data, keys, entry) })
	}
	f.reread()
	if err != nil {
		return Kept{}, err
	}
	found, err := f.lookup(ctx, u, path)
	if found.from = ""; err == nil && found != cred {
		err = fmt.Errorf("%w: kept in %s, and yet another credential is found first", content.ErrConflict, kept.File)
	}
	return kept, err
}

// handOver gives the credential to the helper that the file has for key, where it
// has one, and returns what is left to be written into the file. A helper that
// fails is an error: the secret is not put into a file instead.
func (f *credentialFiles) handOver(ctx context.Context, file authFile, key, scheme string, cred credential, kept *Kept) ([]byte, error) {
	all := file.helpers(key, scheme, true)
	if len(all) == 0 {
		return cred.entry()
	}
	kept.Key, kept.Helper = all[0].key, all[0].name
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := all[0].store(ctx, cred); err != nil {
		return nil, content.WithHint(fmt.Errorf("%s: %w", file.path, err),
			"nothing was kept; --auth-file FILE keeps it in a file without helpers")
	}
	return []byte("{}"), nil
}

// reread lets the next look-up read the files again.
func (f *credentialFiles) reread() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.loaded = false
}

// target is the file that a login for u and path writes. Callers hold f.mu.
func (f *credentialFiles) target(u *url.URL, path string) (authFile, error) {
	named := f.named()
	if named != "" {
		file, err := readAuthFile(named)
		if errors.Is(err, content.ErrNotFound) {
			return authFile{path: named}, nil
		}
		return file, err
	}
	if f.load(); f.err != nil {
		return authFile{}, f.err
	}
	for _, file := range f.files {
		if file.answers(credentialKeys(u, path), u.Scheme) {
			return file, nil
		}
	}
	if len(f.files) > 0 {
		return f.files[0], nil
	}
	return f.firstFile()
}

// named is the file that login writes whatever others there are, "" for none.
func (f *credentialFiles) named() string {
	if f.explicit != "" || len(f.paths) == 0 {
		return f.explicit
	}
	return os.Getenv("REGISTRY_AUTH_FILE")
}

// firstFile is the file that login makes where there is none at all.
func (f *credentialFiles) firstFile() (authFile, error) {
	path := ""
	if d := xdgConfig(); d != "" {
		path = filepath.Join(d, "containers", "auth.json")
	}
	if d := os.Getenv("DOCKER_CONFIG"); d != "" {
		path = filepath.Join(d, "config.json")
	}
	if path == "" || len(f.paths) == 0 {
		return authFile{}, content.WithHint(fmt.Errorf("credentials: %w: no file to keep them in", content.ErrNotFound), "name one with --auth-file")
	}
	return authFile{path: path}, nil
}
