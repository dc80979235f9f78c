package registryclient

import (
	"context"
	"net/url"
	"slices"
	"time"

	"dist.example/oci"
)

// Route says who answers for a repository, and why.
type Route struct {
	Registry   string
	Repository string // "" for the registry as a whole
	File       string // that decided, "" when no file says anything
	// Blocked is why nobody is asked, an ErrDenied; nil for no reason.
	Blocked error
	// Parts are prefixes below the registry for which registries.conf has tables of
	// their own. They are listed where no repository was given.
	Parts []string
	// Endpoints are in the order of asking, the registry itself last. They are there
	// also when it is blocked.
	Endpoints []Endpoint
}

// Endpoint is one host that may be asked.
type Endpoint struct {
	URL          string   // of its API
	Repository   string   // the name that the repository has there
	Namespace    string   // the registry that requests name as ?ns=, "" for none
	Mirror       bool     // another one is asked when it fails
	Capabilities []string // of pull, resolve and push
	// TagOnly: content is asked for by digest only where a tag from here led to it.
	TagOnly bool

	PlainHTTP   bool // without TLS
	MayBePlain  bool // without TLS where it does not speak that
	SkipVerify  bool // with any certificate
	Authorities []string
	// ClientCertificates are files; keys are not named.
	ClientCertificates []string

	DialTimeout time.Duration
	// Headers are the names of those that hosts.toml adds. Values may be secrets.
	Headers []string
	// Proxy is the address of the proxy without user and password, "" for none, and
	// ProxyFrom who named it: an environment variable or the file.
	Proxy, ProxyFrom string
	// Credentials is the file that has some, "" for none. A helper that a file names
	// is asked, but not offline, and its answer forgotten.
	Credentials string
}

// Explain says who would be asked for ref's repository, without asking anybody
// but credential helpers. Tag and digest do not matter, and without a
// repository what is said of the whole registry holds. Errors: ErrInvalid for
// files that cannot be read as what they are; a registry that is blocked is no
// error.
func (c *Client) Explain(ctx context.Context, ref oci.Reference) (Route, error) {
	out := Route{Registry: ref.Registry, Repository: ref.Repository}
	rt, err := c.explainRoute(ref, &out)
	if err != nil {
		return out, err
	}
	for i, s := range rt.specs {
		e, err := c.explain(ctx, ref, rt, s, rt.endpoints[i])
		if err != nil {
			return out, err
		}
		out.Endpoints = append(out.Endpoints, e)
	}
	return out, nil
}

func (c *Client) explainRoute(ref oci.Reference, out *Route) (*route, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	rt, err := c.routeOnce(ref)
	if err != nil {
		return nil, err
	}
	out.File, out.Blocked = rt.file, rt.blocked
	if ref.Repository == "" && c.conf != nil {
		out.Parts = c.conf.below(ref.Registry)
	}
	return rt, nil
}

func (c *Client) explain(ctx context.Context, ref oci.Reference, rt *route, s hostSpec, e *endpoint) (Endpoint, error) {
	dial, _ := c.connecting(s)
	out := Endpoint{
		URL: e.base.String(), Repository: e.rename.of(ref.Repository), Namespace: e.ns,
		Mirror: e.mirror, Capabilities: e.caps.names(), TagOnly: e.tagOnly,
		PlainHTTP: e.base.Scheme == "http", MayBePlain: e.bare.possible,
		DialTimeout: dial,
	}
	for name := range e.header {
		out.Headers = append(out.Headers, name)
	}
	slices.Sort(out.Headers)
	if err := c.explainTLS(&out, s); err != nil {
		return out, err
	}
	if err := c.explainProxy(&out, rt, s, e.base); err != nil {
		return out, err
	}
	cred, err := c.creds.lookup(ctx, e.base, out.Repository)
	if !cred.empty() {
		out.Credentials = cred.from
	}
	return out, err
}

func (c *Client) explainTLS(out *Endpoint, s hostSpec) error {
	if out.PlainHTTP {
		return nil
	}
	out.SkipVerify = c.opts.Insecure || s.skipVerify
	cas, pairs, err := c.certFiles(s)
	for _, p := range pairs {
		out.ClientCertificates = append(out.ClientCertificates, p[0])
	}
	out.Authorities = cas
	return err
}

func (c *Client) explainProxy(out *Endpoint, rt *route, s hostSpec, base *url.URL) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	env, err := c.environment()
	if err != nil {
		return err
	}
	u, from := env.of(base)
	if s.proxy != nil {
		u, from = s.proxy, rt.file
	}
	if u != nil {
		bare := url.URL{Scheme: u.Scheme, Host: u.Host}
		out.Proxy, out.ProxyFrom = bare.String(), from
	}
	return nil
}

// names lists capabilities in the words of hosts.toml.
func (c capability) names() []string {
	names := []string{}
	for _, n := range []struct {
		bit  capability
		name string
	}{{canPull, "pull"}, {canResolve, "resolve"}, {canPush, "push"}} {
		if c&n.bit != 0 {
			names = append(names, n.name)
		}
	}
	return names
}
