package registryclient

import "time"

// Think sets how long a registry may take to answer a body that it has received
// whole, before anything is sent.
func (c *Client) Think(d time.Duration) { c.thinking = d }
