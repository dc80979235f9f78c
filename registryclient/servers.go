package registryclient

import (
	"fmt"

	"dist.example/oci"
)

// checkServers refuses addresses that nobody could be asked at. Errors: ErrInvalid.
func (o *Options) checkServers() error {
	for registry, address := range o.Servers {
		if _, err := serverSpec(address); address != "" && err != nil {
			return fmt.Errorf("registry %s: %w", registry, err)
		}
	}
	return nil
}

func serverSpec(address string) (hostSpec, error) {
	return hostEntry{}.spec(address, "", canPull|canResolve)
}

// planServer is the route of a registry in Options.Servers, the same for all its
// repositories.
func (c *Client) planServer(ref oci.Reference, own hostSpec) (*route, error) {
	address, ok := c.opts.Servers[ref.Registry]
	if !ok {
		return nil, nil
	}
	if address != "" {
		var err error
		if own, err = serverSpec(address); err != nil {
			return nil, err
		}
	}
	own.registry = ref.Registry
	return &route{key: ref.Registry, specs: []hostSpec{own}}, nil
}
