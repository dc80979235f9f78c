package client

import (
	"fmt"

	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryserver"
	"dist.example/registryserver/access"
)

// AccessOptions say who may do what at a served store. The zero value lets everybody
// do everything.
type AccessOptions struct {
	// Htpasswd is the file of users, with bcrypt's hashes.
	Htpasswd string
	// Rules is the access file, "" to let users do everything.
	Rules string
	// Anonymous is what those may do who have shown no credentials: "pull", "none", or
	// "", which is none where there are users.
	Anonymous string
	// URL is where clients reach the server, if it is not where their requests say.
	URL string
}

// gate is who lets visitors in, nil for nobody. writable says that the server takes
// pushes.
func (c *Client) gate(o AccessOptions, prefix string, writable bool) (*access.Gate, error) {
	if o.Htpasswd == "" {
		return nil, o.checkOpen(writable)
	}
	if o.Anonymous != "" && o.Anonymous != "pull" && o.Anonymous != "none" {
		return nil, fmt.Errorf("anonymous %.20q: %w: want pull or none", o.Anonymous, content.ErrInvalid)
	}
	return access.New(access.Options{
		Htpasswd: o.Htpasswd, Rules: o.Rules, Anonymous: o.Anonymous == "pull", URL: o.URL, Warn: c.opts.Warn,
		PathOf: func(repo oci.Reference) string { return registryserver.PathOf(repo, prefix) },
	})
}

// checkOpen refuses what would have no effect on a server without users, which lets
// everybody in.
func (o AccessOptions) checkOpen(writable bool) error {
	var what string
	switch {
	case o.Rules != "":
		what = "rules"
	case o.URL != "":
		what = "an address for logins"
	case o.Anonymous != "" && (o.Anonymous != "pull" || writable):
		what = "anonymous " + o.Anonymous
	default:
		return nil
	}
	return content.WithHint(fmt.Errorf("serve: %w: %s without users: everybody would be let in", content.ErrInvalid, what),
		"--htpasswd FILE says who the users are")
}
