package registryclient

import (
	"fmt"

	"dist.example/content"
)

// Online returns ErrOffline, with a hint, when Options.Offline is set, else nil.
// Every method that needs the network begins with it; it is for callers that
// would do other things first, such as making a store. What stands between the
// methods and the network, each request and each connection, asks again.
func (c *Client) Online() error {
	if !c.opts.Offline {
		return nil
	}
	return content.WithHint(fmt.Errorf("%w: the network is not to be used", content.ErrOffline),
		"unset DIST_OFFLINE or leave out --offline")
}
