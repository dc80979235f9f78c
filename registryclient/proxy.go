package registryclient

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"dist.example/content"
)

// proxies are those of the environment: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY where
// one of these is not set, and NO_PROXY, each also in lower case.
type proxies struct {
	http, https     *url.URL // nil for none
	httpVar, tlsVar string   // the variables they came from
	exempt          []exemption
	all             bool // nobody is reached through a proxy
}

// environmentProxies reads the variables. Its errors name a variable, never its
// value, which may hold a password.
func environmentProxies() (*proxies, error) {
	p := &proxies{}
	var err error
	names := []string{"HTTP_PROXY", "http_proxy"}
	if os.Getenv("REQUEST_METHOD") != "" {
		names = names[1:] // a CGI program's HTTP_PROXY is a header of its client
	}
	if p.http, p.httpVar, err = proxyVariable(append(names, "ALL_PROXY", "all_proxy")...); err != nil {
		return nil, err
	}
	if p.https, p.tlsVar, err = proxyVariable("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"); err != nil {
		return nil, err
	}
	_, list := firstVariable("NO_PROXY", "no_proxy")
	for entry := range strings.SplitSeq(list, ",") {
		switch entry = strings.ToLower(strings.TrimSpace(entry)); entry {
		case "":
		case "*":
			p.all = true
		default:
			p.exempt = append(p.exempt, parseExemption(entry))
		}
	}
	return p, nil
}

func firstVariable(names ...string) (name, value string) {
	for _, name := range names {
		if v := os.Getenv(name); v != "" {
			return name, v
		}
	}
	return "", ""
}

// proxyVariable reads the first of the variables that is set. A value without a
// scheme is an HTTP proxy.
func proxyVariable(names ...string) (*url.URL, string, error) {
	name, value := firstVariable(names...)
	if name == "" {
		return nil, "", nil
	}
	u, err := parseProxy(value)
	if err != nil {
		u, err = parseProxy("http://" + value)
	}
	if err != nil {
		return nil, "", fmt.Errorf("proxy in %s: %w", name, err)
	}
	return u, name, nil
}

// parseProxy reads the address of a proxy. Its errors do not quote it.
func parseProxy(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%w: want http://, https:// or socks5:// and a host", content.ErrInvalid)
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
		return u, nil
	}
	return nil, fmt.Errorf("%w: want http://, https:// or socks5:// and a host", content.ErrInvalid)
}

// exemption is an entry of NO_PROXY: addresses, or a name with what lies below.
type exemption struct {
	net    netip.Prefix // of the addresses, invalid for a name
	name   string
	exact  bool   // the name itself counts
	nested bool   // so does what lies below
	port   string // "" for any
}

func parseExemption(entry string) exemption {
	if n, err := netip.ParsePrefix(entry); err == nil {
		return exemption{net: n.Masked()}
	}
	var x exemption
	if host, port, err := net.SplitHostPort(entry); err == nil {
		entry, x.port = host, port
	}
	if ip, err := netip.ParseAddr(strings.Trim(entry, "[]")); err == nil {
		x.net = netip.PrefixFrom(ip.Unmap(), ip.Unmap().BitLen())
		return x
	}
	below := strings.HasPrefix(entry, "*.") || strings.HasPrefix(entry, ".")
	x.name = strings.TrimPrefix(strings.TrimPrefix(entry, "*"), ".")
	x.exact, x.nested = !below, true
	return x
}

func (x exemption) covers(host, port string) bool {
	if x.port != "" && x.port != port {
		return false
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		return x.net.IsValid() && x.net.Contains(ip.Unmap())
	}
	return x.name != "" && ((x.exact && host == x.name) || (x.nested && strings.HasSuffix(host, "."+x.name)))
}

// of is the proxy for an address, and the variable that named it; nil for none.
// This machine is never reached through one.
func (p *proxies) of(u *url.URL) (*url.URL, string) {
	proxy, name := p.https, p.tlsVar
	if u.Scheme == "http" {
		proxy, name = p.http, p.httpVar
	}
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if port == "" {
		port = defaultPorts[u.Scheme]
	}
	if proxy == nil || p.all || isLoopback(host) {
		return nil, ""
	}
	for _, x := range p.exempt {
		if x.covers(host, port) {
			return nil, ""
		}
	}
	return proxy, name
}

// proxyFor is how connections for s find their proxy: what hosts.toml says is
// for the host alone, not for where it redirects to. Callers hold c.mu.
func (c *Client) proxyFor(s hostSpec) (func(*http.Request) (*url.URL, error), error) {
	env, err := c.environment()
	if err != nil {
		return nil, err
	}
	return func(req *http.Request) (*url.URL, error) {
		if s.proxy != nil && canonicalHost(req.URL) == canonicalHost(s.url) {
			return s.proxy, nil
		}
		u, _ := env.of(req.URL)
		return u, nil
	}, nil
}

// environment reads the proxies of the environment, once. Callers hold c.mu.
func (c *Client) environment() (*proxies, error) {
	if c.proxies == nil {
		p, err := environmentProxies()
		if err != nil {
			return nil, err
		}
		c.proxies = p
	}
	return c.proxies, nil
}
