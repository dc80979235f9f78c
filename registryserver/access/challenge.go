package access

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"dist.example/content"
)

// TokenPath is where the token server is, below the server's URL.
const TokenPath = "/token"

// Challenge is the WWW-Authenticate header for r: where tokens are to be had, and
// for which scopes. why is the error of Identify, ErrScope, or nil for who has
// shown nothing. Errors: ErrHost.
func (g *Gate) Challenge(r *http.Request, scopes []string, why error) (string, error) {
	base, err := g.baseFor(r)
	if err != nil {
		return "", err
	}
	s := fmt.Sprintf(`Bearer realm="%s%s",service="%s"`, base, TokenPath, Service)
	if len(scopes) > 0 {
		s += `,scope="` + strings.Join(scopes, " ") + `"`
	}
	switch {
	case errors.Is(why, ErrToken):
		s += `,error="invalid_token"`
	case errors.Is(why, ErrScope):
		s += `,error="insufficient_scope"`
	}
	return s, nil
}

// baseFor is the URL that the client of r reaches the server by.
func (g *Gate) baseFor(r *http.Request) (string, error) {
	if g.base != "" {
		return g.base, nil
	}
	if !validHost(r.Host) {
		return "", ErrHost
	}
	if r.TLS != nil {
		return "https://" + r.Host, nil
	}
	return "http://" + r.Host, nil
}

// validHost says whether s is a name or an address, with or without a port.
func validHost(s string) bool {
	host := s
	if h, port, err := net.SplitHostPort(s); err == nil {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return false
		}
		host = h
		if strings.Contains(h, ":") {
			host = "[" + h + "]"
		}
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		addr, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		return err == nil && addr.Is6() && addr.Zone() == "" && strings.HasSuffix(inner, "]")
	}
	return host != "" && len(host) <= 253 && !strings.ContainsFunc(host, notInHost)
}

func notInHost(r rune) bool {
	switch {
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		return false
	}
	return r != '.' && r != '-' && r != '_'
}

// parseURL reads Options.URL.
func parseURL(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || !validHost(u.Host) ||
		u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(s, "\"\\?# ") {
		// It may have a password in it: it is not repeated.
		return "", fmt.Errorf("address of the server: %w: want http://HOST[:PORT] or https://HOST[:PORT], with a path below it if need be", content.ErrInvalid)
	}
	return strings.TrimRight(u.String(), "/"), nil
}
