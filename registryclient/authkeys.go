package registryclient

import (
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"dist.example/oci"
)

// hubKey is the name that Docker Hub's credentials are kept under.
const hubKey = "https://index.docker.io/v1/"

// credentialKeys lists the keys for a repository, longest prefix first:
// host/a/b, host/a, host.
func credentialKeys(u *url.URL, repository string) []string {
	host := credentialHost(u.Scheme, u.Host)
	var keys []string
	for path := repository; path != ""; {
		keys = append(keys, host+"/"+path)
		i := strings.LastIndexByte(path, '/')
		path = path[:max(i, 0)]
	}
	return append(keys, host)
}

// credentialHost is the name a host's credentials go by: all names of Docker Hub
// are one, and the scheme's own port goes unsaid.
func credentialHost(scheme, host string) string {
	host = strings.ToLower(host)
	switch scheme {
	case "http":
		host = strings.TrimSuffix(host, ":80")
	default:
		host = strings.TrimSuffix(host, ":443")
	}
	switch host {
	case "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com":
		return oci.DockerHub
	}
	return host
}

// normalKey is a file's key in the form of credentialKeys, and the scheme it
// insists on ("" for any). One without a scheme is read as if it had the one that
// is spoken: its port is a port in either.
func normalKey(key, spoken string) (normal, insists string) {
	insists, rest, ok := strings.Cut(key, "://")
	if !ok {
		insists, rest = "", key
	}
	rest = strings.TrimRight(rest, "/")
	if ok {
		rest = strings.TrimSuffix(strings.TrimSuffix(rest, "/v1"), "/v2")
		spoken = insists
	}
	host, path, _ := strings.Cut(rest, "/")
	host = credentialHost(spoken, host)
	if path != "" {
		host += "/" + path
	}
	return host, insists
}

// aliases are the keys of m that stand for key, the exact one first.
func aliases[V any](m map[string]V, key, scheme string) []string {
	var found []string
	for k := range m {
		n, s := normalKey(k, scheme)
		if n == key && (s == "" || s == scheme) && k != key {
			found = append(found, k)
		}
	}
	slices.Sort(found)
	if _, ok := m[key]; ok {
		found = slices.Insert(found, 0, key)
	}
	return found
}

// find returns the key of m that stands for key, preferring the exact one.
func find[V any](m map[string]V, key, scheme string) (string, bool) {
	if found := aliases(m, key, scheme); found != nil {
		return found[0], true
	}
	return "", false
}

// storeKey is what a credential store is asked for: the key as the file spells
// it, else the conventional one.
func storeKey(key, entry string) string {
	switch {
	case entry != "":
		return entry
	case key == oci.DockerHub:
		return hubKey
	}
	return key
}

// newKey is what an entry is called that a file did not have before: Docker looks
// for its own registry under a name of old.
func newKey(path, key string) string {
	if key == oci.DockerHub && filepath.Base(path) == "config.json" {
		return hubKey
	}
	return key
}
