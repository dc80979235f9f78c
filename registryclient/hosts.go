package registryclient

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/oci"
)

// capability is what an endpoint may be asked to do.
type capability uint8

const (
	canPull    capability = 1 << iota // content by digest
	canResolve                        // a tag's digest
	canPush
)

// endpoint is one host that may answer for repositories of a registry.
type endpoint struct {
	base   *url.URL // scheme://host[:port]/[prefix/]v2; see root
	caps   capability
	mirror bool
	ns     string // the registry it answers for, where that is another: sent as ?ns=
	rename rename
	header http.Header // what hosts.toml adds to every request
	rt     http.RoundTripper
	// foreign is for where the endpoint redirects to: without its client
	// certificates, and with TLS verified.
	foreign http.RoundTripper
	auth    authState
	tagOnly bool // of content by digest, it is asked only for what its tags lead to
	bare    bare // whether the other side turned out to speak plain HTTP

	// unlisted: it has no API for referrers, as an answer has shown.
	unlisted atomic.Bool
	lists    atomic.Bool // it has, as an answer has shown
	standing standing
}

func (e *endpoint) host() string { return e.base.Host }

// hostSpec is an endpoint before it has connections.
type hostSpec struct {
	url          *url.URL
	caps         capability
	mirror       bool
	registry     string // goes out as ?ns= where the host is another, "" for never
	rename       rename
	tagOnly      bool
	skipVerify   bool
	mayBePlain   bool // plain HTTP will do where TLS is not spoken
	ca           []string
	client       [][2]string // certificate and key, the same file twice when it holds both
	header       http.Header
	overridePath bool
	dialTimeout  time.Duration
	proxy        *url.URL // nil leaves it to the environment
}

// rename maps the names of repositories to those that they have elsewhere: what
// is below from lies below to. The zero value changes nothing.
type rename struct{ from, to string }

func (n rename) of(repository string) string {
	rest := strings.TrimPrefix(repository, n.from)
	return strings.Trim(n.to+"/"+strings.TrimPrefix(rest, "/"), "/")
}

// route is who answers for some repositories of a registry.
type route struct {
	file      string // the file that decided, "" for none
	key       string // repositories with the same one share what follows
	blocked   error  // why nobody may be asked
	specs     []hostSpec
	endpoints []*endpoint // in the order of asking, the registry itself last
}

// able lists the hosts with a capability, in the order to ask in.
func (rt *route) able(ref oci.Reference, what capability) ([]*endpoint, error) {
	var able []*endpoint
	for _, e := range rt.endpoints {
		if e.caps&what == what {
			able = append(able, e)
		}
	}
	if len(able) == 0 {
		return nil, fmt.Errorf("registry %s: %w: %s names no host with this capability", ref.Registry, content.ErrUnsupported, rt.file)
	}
	return able, nil
}

// endpoints lists who may answer for ref's repository and can do what, in the
// order of the files.
func (c *Client) endpoints(ref oci.Reference, what capability) ([]*endpoint, error) {
	if err := c.Online(); err != nil {
		return nil, fmt.Errorf("registry %s: %w", ref.Registry, err)
	}
	rt, err := c.route(ref)
	if err != nil {
		return nil, err
	}
	return rt.able(ref, what)
}

// route finds out, once, who answers for ref's repository. Errors: ErrDenied
// where a file blocks it, ErrInvalid for a file that cannot be read as what it
// is.
func (c *Client) route(ref oci.Reference) (*route, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	rt, err := c.routeOnce(ref)
	if err != nil {
		return nil, err
	}
	if rt.blocked != nil {
		return nil, rt.blocked
	}
	return rt, nil
}

func (c *Client) routeOnce(ref oci.Reference) (*route, error) {
	if rt := c.routes[ref.Name()]; rt != nil {
		return rt, nil
	}
	rt, err := c.plan(ref)
	if err != nil {
		return nil, err
	}
	if shared := c.shared[rt.key]; shared != nil {
		rt = shared
	} else if err := c.connect(ref, rt); err != nil {
		return nil, err
	}
	c.shared[rt.key] = rt
	if _, served := c.opts.Servers[ref.Registry]; !served { // whose repositories strangers make up
		c.routes[ref.Name()] = rt
	}
	return rt, nil
}

func (c *Client) connect(ref oci.Reference, rt *route) error {
	for i, s := range rt.specs {
		s.mirror = i < len(rt.specs)-1
		e, err := c.newEndpoint(s)
		if err != nil {
			return fmt.Errorf("registry %s: %w", ref.Registry, err)
		}
		rt.specs[i] = s
		rt.endpoints = append(rt.endpoints, e)
	}
	return nil
}

func (c *Client) newEndpoint(s hostSpec) (*endpoint, error) {
	e := &endpoint{
		base: s.url, caps: s.caps, mirror: s.mirror, header: s.header,
		rename: s.rename, tagOnly: s.tagOnly,
	}
	e.bare.possible, e.bare.gate = s.mayBePlain, make(chan struct{}, 1)
	e.standing.gate = make(chan struct{}, 1)
	if s.registry != "" && canonicalHost(s.url) != canonicalHost(&url.URL{Scheme: s.url.Scheme, Host: dialHost(s.registry)}) {
		e.ns = s.registry
	}
	if !s.overridePath && !strings.HasSuffix(e.base.Path, "/v2") {
		e.base = e.base.JoinPath("v2")
	}
	rt, err := c.transportFor(s)
	if err != nil {
		return nil, err
	}
	e.rt, e.foreign = c.telling(rt), c.telling(c.foreignFor(rt))
	if e.mirror {
		e.rt = &firstAnswer{RoundTripper: e.rt, wait: min(c.opts.StallTimeout, firstAnswerWait*c.opts.MirrorTimeout), standing: &e.standing}
	}
	return e, nil
}

// afresh is the endpoint as if nobody had talked to it yet.
func (e *endpoint) afresh() *endpoint {
	n := &endpoint{base: e.base, caps: e.caps, rename: e.rename, header: e.header, rt: e.rt, foreign: e.foreign}
	n.bare.possible, n.bare.gate = e.bare.possible, make(chan struct{}, 1)
	return n
}

// plan reads who answers for ref's repository: Options.Servers, the hosts.toml of the first
// folder that has one for the registry, else registries.conf, else the registry
// itself.
func (c *Client) plan(ref oci.Reference) (*route, error) {
	own := hostSpec{
		url:  &url.URL{Scheme: c.scheme(ref.Registry), Host: dialHost(ref.Registry)},
		caps: canPull | canResolve | canPush,
	}
	if rt, err := c.planServer(ref, own); rt != nil || err != nil {
		return rt, err
	}
	if path, data, err := c.hostsFile(ref.Registry); err != nil {
		return nil, fmt.Errorf("registry %s: %w", ref.Registry, err)
	} else if path != "" {
		specs, err := parseHosts(data, filepath.Dir(path), own)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		for i := range specs {
			specs[i].registry = ref.Registry
		}
		return &route{file: path, key: ref.Registry, specs: specs}, nil
	}
	conf, err := c.registriesConf()
	if err != nil {
		return nil, err
	}
	if entry := conf.find(ref); entry != nil {
		return c.planEntry(entry, ref, own)
	}
	return &route{key: ref.Registry, specs: []hostSpec{own}}, nil
}

// hostsFile is the hosts.toml for registry; its path is "" when there is none.
func (c *Client) hostsFile(registry string) (path string, data []byte, err error) {
	for _, dir := range c.opts.HostsDirs {
		for _, name := range append(hostDirNames(registry), "_default") {
			path := filepath.Join(dir, name, "hosts.toml")
			data, err := fsys.ReadCapped(path, maxConfigBytes)
			if !errors.Is(err, fs.ErrNotExist) {
				return path, data, err
			}
		}
	}
	return "", nil, nil
}

// hostDirNames are the folder names that stand for a host. A colon cannot be
// part of a file name everywhere, so that host_port_ is taken for host:port, and
// first, as containerd does.
func hostDirNames(hostport string) []string {
	if _, _, err := net.SplitHostPort(hostport); err != nil {
		return []string{hostport}
	}
	i := strings.LastIndexByte(hostport, ':')
	return []string{hostport[:i] + "_" + hostport[i+1:] + "_", hostport}
}

// scheme is what a registry is spoken to in where no file says.
func (c *Client) scheme(registry string) string {
	if c.opts.PlainHTTP {
		return "http"
	}
	host := hostname(registry)
	if isLoopback(host) && !strings.HasSuffix(registry, ":443") && c.certDir(registry) == "" {
		return "http"
	}
	return "https"
}

// dialHost is the host that answers for a registry's name.
func dialHost(registry string) string {
	if registry == oci.DockerHub {
		return "registry-1.docker.io"
	}
	return registry
}

func hostname(hostport string) string {
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		return h
	}
	return strings.Trim(hostport, "[]")
}

// isLoopback says whether host is localhost, of 127.0.0.0/8 or ::1. No name is
// looked up: what a name resolves to must not decide whether TLS is used.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// maxConfigBytes caps every configuration file that is read.
const maxConfigBytes = 1 << 20
