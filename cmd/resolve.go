package cmd

import (
	"time"

	"dist.example/client"
	"dist.example/oci"
)

// resolveCmd is `dist resolve`.
type resolveCmd struct {
	registryFlag
	Platform platform `placeholder:"OS/ARCH" help:"Go on to the image for this platform when the name is of an index."`
	quietFlag
	networkFlags
	Name string `arg:"" help:"Name in a registry, for example redis:7 or quay.io/prometheus/prometheus."`
}

// Help is the longer text of `dist resolve --help`.
func (resolveCmd) Help() string {
	return `Asks the registry and prints the digest. Without --platform it is that of the name itself, which for most images is an index of several platforms. No store is needed.

Examples:

    $ dist resolve redis:7
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
	ref, desc, err := dist.Resolve(s.ctx, c.Name, client.ResolveOptions{Registry: c.Registry, Platform: c.Platform.Platform})
	if err != nil {
		return about(c.Name, err)
	}
	if err := s.object(resolveJSON{ref.String(), desc.Digest, desc.MediaType, desc.Size}, line(desc.Digest.String())); err != nil {
		return err
	}
	s.asked(dist, start, c.Quiet)
	return nil
}

// asked ends a verb that asks registries and stores nothing, with its account.
func (s *session) asked(dist *client.Client, start time.Time, quiet bool) {
	if t := dist.Traffic(); !quiet {
		s.progress.summary(account{moved: t.BytesIn, requests: t.Requests}, time.Since(start))
	}
}
