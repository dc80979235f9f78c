package cmd

import (
	"time"

	"dist.example/client"
	"dist.example/oci"
)

// resolveCmd is `dist resolve`.
type resolveCmd struct {
	registryFlag
	Platform platform `placeholder:"OS/ARCH" help:"Of an index, resolve the image for this platform."`
	quietFlag
	networkFlags
	Name []string `arg:"" complete:"locator" help:"Names in registries, for example redis:7 or quay.io/prometheus/prometheus, or locators such as oci:DIR:TAG."`
}

// Help is the longer text of `dist resolve --help`.
func (resolveCmd) Help() string {
	return `Asks the registry and prints the digest. Without --platform it is that of the name itself, which for most images is an index of several platforms. Several names are printed with their digests, as a listing. No store is needed.

Examples:

    $ dist resolve redis:7
    $ dist resolve -q redis:7 postgres:16
    $ dist resolve --platform linux/arm64 --format json redis:7`
}

type resolveJSON struct {
	Name      string     `json:"name"`
	Digest    oci.Digest `json:"digest"`
	MediaType string     `json:"mediaType"`
	Size      int64      `json:"size"`
}

// Run prints the digest.
func (c *resolveCmd) Run(s *session) error {
	dist, err := s.client(c.networkFlags, 0)
	if err != nil {
		return err
	}
	start := time.Now()
	var all []client.Resolved
	for _, name := range c.Name {
		one, err := dist.Resolve(s.ctx, name, client.ResolveOptions{Registry: c.Registry, Platform: c.Platform.Platform})
		if err != nil {
			return about(name, otherTags(err, name, c.Registry))
		}
		all = append(all, one)
	}
	if err := c.print(s, all); err != nil {
		return err
	}
	s.asked(dist, start, c.Quiet)
	return nil
}

// print writes one result as a document, several as a listing.
func (c *resolveCmd) print(s *session, all []client.Resolved) error {
	object := func(r client.Resolved) any {
		return resolveJSON{r.Name, r.Target.Digest, r.Target.MediaType, r.Target.Size}
	}
	if len(all) == 1 {
		return s.identified(c.quietFlag, all[0].Target.Digest.String(), object(all[0]))
	}
	return printList(s.stdout, s.format(), c.Quiet, listing[client.Resolved]{
		key:     "names",
		columns: columns("NAME", "DIGEST"),
		row:     func(r client.Resolved) []string { return []string{r.Name, r.Target.Digest.String()} },
		id:      func(r client.Resolved) string { return r.Target.Digest.String() },
		object:  object,
	}, each(all))
}

// asked ends a verb that asks registries and stores nothing, with its account.
func (s *session) asked(dist *client.Client, start time.Time, quiet bool) {
	if t := dist.Traffic(); !quiet {
		s.progress.summary(account{moved: t.BytesIn, requests: t.Requests}, time.Since(start))
	}
}
