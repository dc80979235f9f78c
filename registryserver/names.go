package registryserver

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// names maps repository paths to names of the store and back.
//
// A path whose first component has a dot or is localhost is the name itself;
// any other is below the default host. Hosts with a port or an upper case
// letter cannot stand in a path: they are written host_port, in lower case.
// Several names can come out at one path in this way (localhost:5000/a and
// docker.io/localhost_5000/a), and the path is refused then.
//
// A client that takes the server for a mirror leaves the host out of the path and
// says it in the query, as ns=quay.io. The path is that of the name then.
type names struct {
	store    content.NameReader
	prefix   string
	upstream Upstream // nil for none

	mu    sync.Mutex
	hosts map[string][]string // upper-case hosts of the store by their path form
	asOf  time.Time
	paths map[string][]oci.Reference // candidates with these hosts, of paths asked for lately
}

// maxPaths bounds the paths whose candidates are kept.
const maxPaths = 1000

// hostsAge is how long the list of upper-case hosts is trusted. Most requests need
// nothing else of the names but one.
const hostsAge = time.Second

// hostPath is how a host stands in a path.
func hostPath(host string) string {
	return strings.ToLower(strings.ReplaceAll(host, ":", "_"))
}

// hostLike says whether the first component of a path is a host.
func hostLike(first string) bool {
	return strings.Contains(first, ".") || first == "localhost"
}

// PathOf is the path that repo's contents are served at by a server with that
// Options.Prefix; "" when its host cannot be written in a path (IPv6).
func PathOf(repo oci.Reference, prefix string) string {
	if prefix == "" {
		prefix = oci.DockerHub
	}
	path := repo.Repository
	first, _, more := strings.Cut(path, "/")
	if repo.Registry != prefix || (more && hostLike(first)) {
		path = hostPath(repo.Registry) + "/" + path
	}
	if len(path) > maxName || !namePattern().MatchString(path) {
		return ""
	}
	return path
}

// below is the path of what a client calls path on the host ns.
func (n *names) below(ns, path string) (string, error) {
	repo, err := oci.ParseRepository(ns + "/" + path)
	if err != nil || repo.Registry != ns {
		return "", refuse(http.StatusBadRequest, codeNameInvalid, "%.200q is no host name", ns)
	}
	full := PathOf(repo, n.prefix)
	if full == "" {
		return "", nothingOf(ns)
	}
	return full, nil
}

func nothingOf(host string) error {
	return refuse(http.StatusNotFound, codeNameUnknown, "nothing of %.200s is served here", host)
}

// knows refuses a host that is neither mirrored nor has names in the store.
func (n *names) knows(ctx context.Context, host string) error {
	if host == n.prefix || n.mirrors(host) {
		return nil
	}
	found, err := anyName(ctx, n.store, host+"/")
	if err == nil && !found {
		err = nothingOf(host)
	}
	return err
}

func (n *names) mirrors(host string) bool { return n.upstream != nil && n.upstream.Mirrors(host) }

// candidates are the repositories that path may mean, the one that a push makes
// first. upper has the store's hosts with upper case letters, by path form.
func candidates(path, prefix string, upper map[string][]string) []oci.Reference {
	var all []oci.Reference
	add := func(host, repository string) {
		repo, err := oci.ParseRepository(host + "/" + repository)
		if err == nil && repo.Registry == host {
			all = append(all, repo)
		}
	}
	first, rest, more := strings.Cut(path, "/")
	if !more || !hostLike(first) {
		add(prefix, path)
	}
	if !more {
		return all
	}
	if hostLike(first) {
		add(first, rest)
	}
	if host, port, ok := cutPort(first); ok {
		add(host+":"+port, rest)
	}
	for _, host := range upper[first] {
		add(host, rest)
	}
	return all
}

// cutPort reads host_port.
func cutPort(first string) (host, port string, ok bool) {
	i := strings.LastIndexByte(first, '_')
	if i <= 0 || i == len(first)-1 || len(first)-i > len("_65535") {
		return "", "", false
	}
	host, port = first[:i], first[i+1:]
	return host, port, strings.Trim(port, "0123456789") == ""
}

// repository finds the one repository that path means in this store; without
// any name there, the one that a push would make.
func (n *names) repository(ctx context.Context, path string) (oci.Reference, error) {
	if p, ok := ctx.Value(pinKey{}).(pin); ok && p.path == path {
		return p.repo, nil
	}
	all, err := n.meant(ctx, path)
	if err != nil {
		return oci.Reference{}, err
	}
	if len(all) == 0 {
		return oci.Reference{}, refuse(http.StatusBadRequest, codeNameInvalid, "%q begins with what is no host name", path)
	}
	if len(all) == 1 {
		return all[0], nil
	}
	var used []oci.Reference
	for _, repo := range all {
		ok, err := n.any(ctx, repo)
		if err != nil {
			return oci.Reference{}, err
		}
		if ok {
			used = append(used, repo)
		}
	}
	switch len(used) {
	case 0:
		return n.likeliest(all), nil
	case 1:
		return used[0], nil
	}
	return oci.Reference{}, &ambiguous{used, refuse(http.StatusConflict, codeNameInvalid,
		"%q is ambiguous: it stands for %s and for %s", path, used[0].Name(), used[1].Name())}
}

// likeliest is the one of all that is meant where the store has names of none: one of
// a host that is mirrored, if that is not the default, else the one that a push makes.
func (n *names) likeliest(all []oci.Reference) oci.Reference {
	for _, repo := range all {
		if repo.Registry != n.prefix && n.mirrors(repo.Registry) {
			return repo
		}
	}
	return all[0]
}

// pin is what a path was found to mean. Whoever was let in for one repository must
// not get another because the store has changed since.
type pin struct {
	path string
	repo oci.Reference
}

type pinKey struct{}

// pinned is a context in which path goes on meaning repo.
func pinned(ctx context.Context, path string, repo oci.Reference) context.Context {
	return context.WithValue(ctx, pinKey{}, pin{path, repo})
}

// ambiguous refuses a path that stands for several repositories of the store.
type ambiguous struct {
	between []oci.Reference
	error
}

func (a *ambiguous) Unwrap() error { return a.error }

// any says whether the store has a name in repo.
func (n *names) any(ctx context.Context, repo oci.Reference) (bool, error) {
	found, err := anyName(ctx, n.store, repo.Name()+":")
	if err != nil || found {
		return found, err
	}
	return anyName(ctx, n.store, repo.Name()+"@")
}

// meant is candidates, which each request needs and which parsing makes dear.
func (n *names) meant(ctx context.Context, path string) ([]oci.Reference, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	upper, err := n.upperHosts(ctx)
	if err != nil {
		return nil, err
	}
	all, ok := n.paths[path]
	if !ok {
		if len(n.paths) >= maxPaths {
			clear(n.paths)
		}
		all = candidates(path, n.prefix, upper)
		n.paths[path] = all
	}
	return all, nil
}

// upperHosts lists the store's hosts that have upper case letters; mu is held.
func (n *names) upperHosts(ctx context.Context) (map[string][]string, error) {
	if n.hosts != nil && time.Since(n.asOf) < hostsAge {
		return n.hosts, nil
	}
	all, err := hostsOf(ctx, n.store)
	if err != nil {
		return nil, err
	}
	hosts := map[string][]string{}
	for _, host := range all {
		if strings.ToLower(host) != host {
			hosts[hostPath(host)] = append(hosts[hostPath(host)], host)
		}
	}
	n.hosts, n.asOf, n.paths = hosts, time.Now(), map[string][]oci.Reference{}
	return hosts, nil
}

// nameIndex is a store that knows of its names without listing them all.
type nameIndex interface {
	// Hosts lists the hosts that names begin with, in order.
	Hosts(ctx context.Context) ([]string, error)
	// AnyName says whether a name begins with prefix.
	AnyName(ctx context.Context, prefix string) (bool, error)
}

// anyName says whether a name of the store begins with prefix.
func anyName(ctx context.Context, store content.NameReader, prefix string) (bool, error) {
	if x, ok := store.(nameIndex); ok {
		return x.AnyName(ctx, prefix)
	}
	for _, err := range store.Names(ctx, prefix) {
		return err == nil, err
	}
	return false, nil
}

// hostsOf lists the hosts that the names of a store begin with, in order.
func hostsOf(ctx context.Context, store content.NameReader) ([]string, error) {
	if x, ok := store.(nameIndex); ok {
		return x.Hosts(ctx)
	}
	var hosts []string
	for name, err := range store.Names(ctx, "") {
		if err != nil {
			return nil, err
		}
		if host := name.Reference.Registry; len(hosts) == 0 || hosts[len(hosts)-1] != host {
			hosts = append(hosts, host)
		}
	}
	return hosts, nil
}
