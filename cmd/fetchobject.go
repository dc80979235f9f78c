package cmd

import (
	"io"
	"net/url"
	"strings"
	"time"

	"dist.example/client"
)

// fetchObjectCmd is `dist fetch-object`.
type fetchObjectCmd struct {
	policyFlag
	Quiet bool `short:"q" help:"Leave out the closing line."`
	networkFlags
	Locator string   `arg:"" complete:"repository" help:"Where the object is: a host and path without a scheme, for example docker.io/library/redis; or the address of one blob, with https://."`
	Object  string   `arg:"" complete:"digest" help:"Digest of a blob or manifest, or a tag."`
	Hint    []string `arg:"" optional:"" complete:"words:mediatype:" help:"mediatype:TYPE chooses the kind of object that is asked for. A - that a pipeline left behind is ignored."`
}

// Help is the longer text of `dist fetch-object --help`.
func (fetchObjectCmd) Help() string {
	return `The object goes to stdout, checked while it comes: if it does not match its digest, that is exit 4. No store is needed.

An address that begins with https:// is that of a single blob, wherever it is; it wants the blob's digest beside it. Nothing is sent there to say who asks. With http:// it has to be on this machine, unless --plain-http is given.

Examples:

    $ dist fetch-object docker.io/library/redis latest mediatype:application/vnd.docker.distribution.manifest.v2+json
    $ dist fetch-object docker.io/library/redis sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    $ dist fetch-object https://example.com/layer.tar.gz sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08`
}

// Run prints the object.
func (c *fetchObjectCmd) Run(s *session) error {
	s.under(c.policyFlag)
	dist, err := s.client(c.networkFlags, 0)
	if err != nil {
		return err
	}
	start := time.Now()
	if err := c.stream(s, dist); err != nil {
		return about(c.shown()+" "+c.Object, err)
	}
	s.asked(dist, start, c.Quiet)
	return nil
}

// shown is the locator for messages: an address without what may be secret in it.
func (c *fetchObjectCmd) shown() string {
	if !strings.Contains(c.Locator, "://") {
		return c.Locator
	}
	u, err := url.Parse(c.Locator)
	if err != nil {
		return "address"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

func (c *fetchObjectCmd) stream(s *session, dist *client.Client) error {
	_, r, err := dist.FetchObject(s.ctx, c.Locator, c.Object, c.Hint...)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(s.stdout, r)
	return err
}
