package access

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// Service is the name that the server has in challenges and tokens.
const Service = "dist"

// Errors of a Gate.
var (
	// ErrCredentials: there is no such user, or the password is another.
	ErrCredentials = fmt.Errorf("log in: %w: wrong user name or password", content.ErrDenied)
	// ErrToken: the token is not this server's, is too old, or its user is gone.
	ErrToken = fmt.Errorf("log in: %w: the token is no good", content.ErrDenied)
	// ErrScope: the token is good, but not for this.
	ErrScope = fmt.Errorf("log in: %w: the token is not for this", content.ErrDenied)
	// ErrBusy: too many passwords are being checked; a later try may succeed.
	ErrBusy = fmt.Errorf("log in: %w: too many log in at once", content.ErrUnavailable)
	// ErrHost: the request names no host that could be sent back.
	ErrHost = fmt.Errorf("host: %w: the Host of the request is malformed", content.ErrInvalid)
)

// Options make a Gate.
type Options struct {
	// Htpasswd is the file of users and hashes.
	Htpasswd string
	// Rules is the access file, "" for none.
	Rules string
	// Anonymous lets those in who have shown no credentials, to pull.
	Anonymous bool
	// URL is where clients reach the server, "" for where each request came to.
	URL string
	// PathOf is the path that a repository is served at, "" for none. Without it rules
	// go by full names alone.
	PathOf func(repo oci.Reference) string
	// Warn is told, in one line each, of files that have changed and cannot be read, and
	// at first of users that rules are for and who are not there; nil is fine.
	Warn func(string)
	// Now is the clock, nil for the real one.
	Now func() time.Time
}

// Gate knows users and their rights. A nil Gate lets everybody do everything. It is
// safe for concurrent use.
type Gate struct {
	users     *watched[*users]
	rules     *watched[*rules] // nil for none
	passwords *checker
	forms     chan struct{} // of as many elements as forms may be coming
	key       []byte        // of tokens
	base      string        // Options.URL
	o         Options
}

// New reads the files. Errors: ErrInvalid for what they or the URL say, those of
// opening a file.
func New(o Options) (*Gate, error) {
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.PathOf == nil {
		o.PathOf = func(oci.Reference) string { return "" }
	}
	base, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	g := &Gate{o: o, base: base, key: randomKey(), forms: make(chan struct{}, maxForms), passwords: newChecker(randomKey(), o.Now)}
	g.users = &watched[*users]{what: "password file", path: o.Htpasswd, parse: parseUsers, warn: o.Warn, now: o.Now}
	if err := g.users.load(); err != nil {
		return nil, err
	}
	if o.Rules == "" {
		return g, nil
	}
	g.rules = &watched[*rules]{what: "access file", path: o.Rules, parse: parseRules, warn: o.Warn, now: o.Now}
	if err := g.rules.load(); err != nil {
		return nil, err
	}
	if who := g.rules.get().strangers(g.users.get().hashes); len(who) > 0 {
		o.Warn(fmt.Sprintf("access file %s: the password file has no user %.200q: nobody can log in as that", o.Rules, strings.Join(who, ", ")))
	}
	return g, nil
}

func randomKey() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return key
}

func (g *Gate) rights() rights {
	t := rights{anonymous: g.o.Anonymous, pathOf: g.o.PathOf}
	if g.rules != nil {
		t.rules = g.rules.get()
	}
	return t
}

// Visitor is who has sent a request, with the rights of that moment. The zero
// Visitor may do nothing.
type Visitor struct {
	rights rights
	user   string
	mark   string  // of the user's hash, for tokens
	token  *claims // nil without one
	all    bool    // there is no gate
}

// User is the name of who is logged in, "" for those who are not.
func (v Visitor) User() string { return v.user }

// ByToken says whether it was a token that was shown.
func (v Visitor) ByToken() bool { return v.token != nil }

// Known says whether something was shown that proves something: credentials, or a
// token, which those without credentials get too. Without a gate everybody is known.
func (v Visitor) Known() bool { return v.all || v.user != "" || v.token != nil }

// May says whether the visitor may do a to repo, a repository without tag or
// digest: by his rights, and by the scopes of his token if he came with one.
func (v Visitor) May(a Action, repo oci.Reference) bool {
	return v.Entitled(a, repo) && (v.token == nil || v.token.covers("repository", repo.Name(), string(a)))
}

// Entitled is May whatever the token says: with another one it could be done.
func (v Visitor) Entitled(a Action, repo oci.Reference) bool {
	return v.all || (v.rights.pathOf != nil && v.rights.allow(v.user, a, repo))
}

// MayList says whether the visitor may ask which repositories there are. It is for
// the server to leave out those that he may not pull.
func (v Visitor) MayList() bool {
	return v.all || v.token.covers("registry", "catalog", "*") || (v.token == nil && v.user != "")
}

// covers says whether the token is for an action on something.
func (c *claims) covers(kind, name, action string) bool {
	return c != nil && slices.ContainsFunc(c.Access, func(g grant) bool {
		return g.Type == kind && g.Name == name && slices.Contains(g.Actions, action)
	})
}

// Identify finds out who has sent r: a user with Basic authorization or a token, or
// somebody without credentials. What is shown and is no good is an error, and never
// taken for nothing. Errors: ErrCredentials, ErrToken, ErrBusy, those of r's context.
func (g *Gate) Identify(r *http.Request) (Visitor, error) {
	if g == nil {
		return Visitor{all: true}, nil
	}
	scheme, shown, err := authorization(r.Header)
	if err != nil {
		return Visitor{}, err
	}
	switch scheme {
	case "":
		return Visitor{rights: g.rights()}, nil
	case "bearer":
		return g.byToken(shown)
	}
	return g.byBasic(r.Context(), shown)
}

// authorization takes the header apart: the scheme in lower case, "" for no header,
// and what is shown.
func authorization(h http.Header) (scheme, shown string, err error) {
	values := h.Values("Authorization")
	if len(values) == 0 {
		return "", "", nil
	}
	scheme, shown, ok := strings.Cut(values[0], " ")
	scheme = strings.ToLower(scheme)
	if len(values) > 1 || !ok || (scheme != "basic" && scheme != "bearer") {
		return "", "", ErrCredentials
	}
	return scheme, strings.TrimLeft(shown, " "), nil
}

// byBasic reads what Basic authorization shows.
func (g *Gate) byBasic(ctx context.Context, shown string) (Visitor, error) {
	data, err := base64.StdEncoding.DecodeString(shown)
	if err != nil {
		return Visitor{}, ErrCredentials
	}
	user, password, ok := strings.Cut(string(data), ":")
	if !ok {
		return Visitor{}, ErrCredentials
	}
	return g.byPassword(ctx, user, password)
}

func (g *Gate) byPassword(ctx context.Context, user, password string) (Visitor, error) {
	if !validUser(user) {
		return Visitor{}, ErrCredentials
	}
	us := g.users.get()
	if err := g.passwords.check(ctx, us, user, password); err != nil {
		return Visitor{}, err
	}
	return Visitor{rights: g.rights(), user: user, mark: g.mark(user, us.hashes[user])}, nil
}

// byToken reads a token. Its user has to be there still, with the same password.
func (g *Gate) byToken(shown string) (Visitor, error) {
	c, ok := open(g.key, shown, g.o.Now())
	if !ok {
		return Visitor{}, ErrToken
	}
	if c.Subject != "" {
		hash, known := g.users.get().hashes[c.Subject]
		if !known || g.mark(c.Subject, hash) != c.Mark {
			return Visitor{}, ErrToken
		}
	}
	return Visitor{rights: g.rights(), user: c.Subject, token: &c}, nil
}

// mark is a short code of a user's hash.
func (g *Gate) mark(user string, hash []byte) string {
	return encoding.EncodeToString(g.passwords.code("mark", user, string(hash))[:12])
}
