package client

import (
	"fmt"
	"strings"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryclient"
	"dist.example/registryserver"
	"dist.example/registryserver/mirror"
)

// mirrorRetries is how often a registry that is stood for is tried again.
const mirrorRetries = 2

// parseMirrors reads HOST or HOST=URL: the address that each host is asked at, "" for
// its own. Errors: ErrInvalid.
func parseMirrors(all []string) (map[string]string, error) {
	servers := map[string]string{}
	for _, s := range all {
		host, address, given := strings.Cut(s, "=")
		ref, err := parseRegistry(host)
		switch {
		case err != nil:
			return nil, fmt.Errorf("mirror %w", err)
		case strings.Contains(host, "/") || given && address == "":
			err = fmt.Errorf("mirror %q: %w: want HOST or HOST=URL", s, content.ErrInvalid)
			return nil, content.WithHint(err, "such as docker.io, or docker.io=https://mirror.example.com")
		}
		if other, twice := servers[ref.Registry]; twice && other != address {
			return nil, fmt.Errorf("mirror %s: %w: two addresses for one registry", ref.Registry, content.ErrInvalid)
		}
		servers[ref.Registry] = address
	}
	return servers, nil
}

// upstream asks the registries of servers for what lib, a store, does not have, nil when
// there are none. The caller calls done.
func (c *Client) upstream(lib content.Library, servers map[string]string, o ServeOptions) (up registryserver.Upstream, done func(), err error) {
	store, ok := lib.(content.Store)
	if len(servers) == 0 || !ok {
		return nil, func() {}, nil
	}
	remote, err := c.asking(servers)
	if err != nil {
		return nil, nil, err
	}
	hosts := make([]string, 0, len(servers))
	for host := range servers {
		hosts = append(hosts, host)
	}
	opts := mirror.Options{
		Registries: hosts, Revalidate: o.Revalidate, Log: o.Log,
		Open: func(repo oci.Reference) mirror.Repository { return remote.Repository(repo) },
	}
	if s, ok := store.(*blobstore.Store); ok {
		opts.MakeRoom = (&mirrorRoom{c: c, store: s, hosts: hosts}).make
	}
	m := mirror.New(store, opts)
	return m, func() {
		m.Close()
		remote.CloseIdle()
	}, nil
}

// asking is a registry client that asks servers, within the limits of all others.
func (c *Client) asking(servers map[string]string) (*registryclient.Client, error) {
	if _, err := c.registry(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	o := c.registryOptions()
	if o.Retries == 0 { // who asks tries again, too, and what is here need not wait
		o.Retries = mirrorRetries
	}
	o.Budgets, o.Servers = c.limits, servers
	return registryclient.New(o)
}
