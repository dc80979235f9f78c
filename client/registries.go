package client

import (
	"context"
	"fmt"
	"strings"

	"dist.example/oci"
	"dist.example/registryclient"
)

// Registry says who is asked for a registry, HOST[:PORT], or for a repository of
// one: which file decided, and the hosts in the order of asking. No registry is
// asked and no store is needed; a credential helper may be. Errors: ErrInvalid
// for a name or a file that is malformed.
func (c *Client) Registry(ctx context.Context, name string) (registryclient.Route, error) {
	ref, err := parseRegistry(name)
	if err != nil {
		return registryclient.Route{}, err
	}
	remote, err := c.registry()
	if err != nil {
		return registryclient.Route{}, err
	}
	route, err := remote.Explain(ctx, ref)
	if err != nil {
		return route, fmt.Errorf("explain %s: %w", name, err)
	}
	return route, nil
}

// parseRegistry reads HOST[:PORT], or the name of a repository.
func parseRegistry(name string) (oci.Reference, error) {
	if strings.Contains(name, "/") {
		ref, err := oci.ParseReference(name)
		return repository(ref), withoutScheme(name, "HOST or HOST/REPOSITORY", err)
	}
	ref, err := oci.Reference{Repository: "any/repository"}.WithRegistry(name)
	return oci.Reference{Registry: ref.Registry}, err
}
