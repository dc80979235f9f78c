package registryclient

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// capability is what an endpoint may be asked to do.
type capability uint8

const (
	canPull    capability = 1 << iota // content by digest
	canResolve                        // a tag's digest
	canPush
)

// endpoint is one host that may answer for a registry.
type endpoint struct {
	base   *url.URL // scheme://host[:port]/[prefix/]v2
	caps   capability
	mirror bool
	ns     string      // the registry it answers for, where that is another: sent as ?ns=
	header http.Header // what hosts.toml adds to every request
	rt     http.RoundTripper
	// foreign is for where the endpoint redirects to: without its client
	// certificates, and with TLS verified.
	foreign http.RoundTripper
	auth    authState

	// unlisted: it has no API for referrers, as an answer has shown.
	unlisted  atomic.Bool
	downUntil atomic.Int64 // unix nanoseconds; a mirror that failed is passed over until then
}

// mirrorRest is how long a mirror that failed is left alone.
const mirrorRest = time.Minute

func (e *endpoint) host() string { return e.base.Host }

func (e *endpoint) down() bool { return time.Now().UnixNano() < e.downUntil.Load() }

func (e *endpoint) rest() { e.downUntil.Store(time.Now().Add(mirrorRest).UnixNano()) }

// hostSpec is an endpoint before it has connections.
type hostSpec struct {
	url          *url.URL
	caps         capability
	skipVerify   bool
	ca           []string
	client       [][2]string // certificate and key, the same file twice when it holds both
	header       http.Header
	overridePath bool
	dialTimeout  time.Duration
}

// endpoints lists who may answer for registry and can do what, in the order to
// ask in. Mirrors that failed lately come last.
func (c *Client) endpoints(registry string, what capability) ([]*endpoint, error) {
	if err := c.Online(); err != nil {
		return nil, fmt.Errorf("registry %s: %w", registry, err)
	}
	all, err := c.allEndpoints(registry)
	if err != nil {
		return nil, err
	}
	var able, resting []*endpoint
	for _, e := range all {
		switch {
		case e.caps&what != what:
		case e.mirror && e.down():
			resting = append(resting, e)
		default:
			able = append(able, e)
		}
	}
	able = append(able, resting...)
	if len(able) == 0 {
		return nil, fmt.Errorf("registry %s: %w: hosts.toml names no host with this capability", registry, content.ErrUnsupported)
	}
	return able, nil
}

func (c *Client) allEndpoints(registry string) ([]*endpoint, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if es, ok := c.registries[registry]; ok {
		return es, nil
	}
	specs, err := c.hostSpecs(registry)
	if err != nil {
		return nil, err
	}
	var es []*endpoint
	for i, s := range specs {
		e, err := c.newEndpoint(registry, s)
		if err != nil {
			return nil, err
		}
		e.mirror = i < len(specs)-1
		es = append(es, e)
	}
	c.registries[registry] = es
	return es, nil
}

func (c *Client) newEndpoint(registry string, s hostSpec) (*endpoint, error) {
	e := &endpoint{base: s.url, caps: s.caps, header: s.header}
	if canonicalHost(s.url) != canonicalHost(&url.URL{Scheme: s.url.Scheme, Host: dialHost(registry)}) {
		e.ns = registry
	}
	if !s.overridePath && !strings.HasSuffix(e.base.Path, "/v2") {
		e.base = e.base.JoinPath("v2")
	}
	rt, err := c.transportFor(s)
	if err != nil {
		return nil, fmt.Errorf("registry %s: %w", registry, err)
	}
	e.rt = rt
	e.foreign = c.foreignFor(rt)
	return e, nil
}

// hostSpecs reads who answers for registry: the hosts.toml of the first folder
// that has one, and the registry itself at the end.
func (c *Client) hostSpecs(registry string) ([]hostSpec, error) {
	own := hostSpec{
		url:  &url.URL{Scheme: c.scheme(registry), Host: dialHost(registry)},
		caps: canPull | canResolve | canPush,
	}
	for _, dir := range c.opts.HostsDirs {
		for _, name := range hostDirNames(registry) {
			path := filepath.Join(dir, name, "hosts.toml")
			data, err := readCapped(path, maxConfigBytes)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("registry %s: %w", registry, err)
			}
			specs, err := parseHosts(data, filepath.Dir(path), own)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", path, err)
			}
			return specs, nil
		}
	}
	return []hostSpec{own}, nil
}

// hostDirNames are the folder names that stand for registry. A colon cannot be
// part of a file name everywhere, so that host_port_ is taken for host:port.
func hostDirNames(registry string) []string {
	host, port, err := net.SplitHostPort(registry)
	if err != nil {
		return []string{registry, "_default"}
	}
	return []string{registry, host + "_" + port + "_", "_default"}
}

// scheme is what a registry is spoken to in where hosts.toml does not say.
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

func readCapped(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("read %s: %w: larger than %d bytes", path, content.ErrInvalid, limit)
	}
	return data, err
}
