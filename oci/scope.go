package oci

import (
	"fmt"
	"strings"
)

// ParseScope reads what credentials are for: a registry, or a part of it, as
// HOST[:PORT][/PATH]. The Repository of the result is the path, "" for all of the
// registry. Unlike in references there is always a host, and library/ is not
// added on Docker Hub.
func ParseScope(s string) (Reference, error) {
	host, path, part := strings.Cut(s, "/")
	// What can be parsed is a repository below it.
	below := "x/x"
	if part {
		below = path + "/x/x"
	}
	r, err := parse(host + "/" + below)
	if err != nil || r.Tag != "" || r.Digest != "" || r.Repository != below || (r.Registry != host && host != "index."+DockerHub) {
		return Reference{}, fmt.Errorf("registry %q: %w: want HOST, HOST:PORT or HOST/PATH, the host with a dot or localhost", s, ErrInvalid)
	}
	r.Repository = path
	return r, nil
}
