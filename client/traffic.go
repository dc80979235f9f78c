package client

import "dist.example/registryclient"

// Traffic is what this client's verbs have asked of registries so far; zeros when
// none has asked anything.
func (c *Client) Traffic() registryclient.Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.remote == nil {
		return registryclient.Stats{}
	}
	return c.remote.Stats()
}
