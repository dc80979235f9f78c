package registryclient

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"dist.example/content"
)

// allowRealm checks the address of a token server. TLS is demanded, but of a
// loopback server of a registry that is itself spoken to in plain HTTP, or where
// the user asked for plain HTTP; and a registry elsewhere cannot point back at
// this machine.
func (c *Client) allowRealm(base *url.URL, realm string) (*url.URL, error) {
	u, err := url.Parse(realm)
	if err != nil || u.Host == "" || u.User != nil || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("token server %q: %w: not an address", withoutSecrets(realm), content.ErrUnsupported)
	}
	local := isLoopback(u.Hostname())
	if local && !isLoopback(base.Hostname()) {
		return nil, fmt.Errorf("token server %q: %w: it is on this machine, the registry is not", withoutSecrets(realm), content.ErrDenied)
	}
	sameHost := strings.EqualFold(u.Hostname(), base.Hostname())
	if u.Scheme == "http" && (base.Scheme != "http" || (!local && !sameHost && !c.opts.PlainHTTP)) {
		return nil, fmt.Errorf("token server %q: %w: it has to be https", withoutSecrets(realm), content.ErrDenied)
	}
	return u, nil
}

// trustsRealm says whether credentials for base may go to realm: the same host,
// one below the same domain, or one that the user named.
func (c *Client) trustsRealm(base, realm *url.URL) bool {
	host, token := strings.ToLower(base.Hostname()), strings.ToLower(realm.Hostname())
	if host == token || (isLoopback(host) && isLoopback(token)) {
		return true
	}
	if slices.Contains(c.opts.TokenHosts, token) || slices.Contains(c.opts.TokenHosts, realm.Host) {
		return true
	}
	_, domain, _ := strings.Cut(host, ".")
	if !strings.Contains(domain, ".") || hostIsIP(host) || anybodys(domain) {
		return false
	}
	return token == domain || strings.HasSuffix(token, "."+domain)
}

func hostIsIP(host string) bool {
	last := host[strings.LastIndexByte(host, '.')+1:]
	return strings.Trim(last, "0123456789") == "" || strings.Contains(host, ":")
}

// anybodys says whether strangers have their domains below domain, as below co.uk.
// It knows what countries commonly have, not every list that there is: a registry
// that names a stranger could ask for the password itself.
func anybodys(domain string) bool {
	kind, country, _ := strings.Cut(domain, ".")
	return len(country) == 2 && slices.Contains([]string{"ac", "co", "com", "edu", "go", "gov", "ne", "net", "or", "org"}, kind)
}
