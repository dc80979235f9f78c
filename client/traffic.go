package client

import "dist.example/registryclient"

// Traffic is what this client's verbs have asked of registries so far; zeros when
// none has asked anything.
func (c *Client) Traffic() (sum registryclient.Stats) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.registries() {
		one := r.Stats()
		sum.Requests += one.Requests
		sum.TokenRequests += one.TokenRequests
		sum.BytesIn += one.BytesIn
		sum.BytesOut += one.BytesOut
	}
	return sum
}
