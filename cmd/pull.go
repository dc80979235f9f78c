package cmd

import (
	"fmt"
	"io"

	"dist.example/client"
	"dist.example/oci"
)

// pullCmd is `dist pull`.
type pullCmd struct {
	registryFlag
	platformFlags
	lookFlags
	jobsFlag
	quietFlag
	networkFlags
	Verify bool     `help:"Hash what is here already, too, and fetch again what does not match."`
	Name   []string `arg:"" help:"Images to pull: redis, redis:7, quay.io/prometheus/prometheus@sha256:..."`
}

// Help is the longer text of `dist pull --help`.
func (pullCmd) Help() string {
	return `Only what is missing is fetched, each byte is checked, and the names appear together at the end: all or none. A pull that was interrupted goes on where it stopped. What a registry cannot give comes from another one that is known to have it.

What is about the images comes along: signatures, lists of contents, and what is about those. For an image that is here already, the registry is asked for that once a day.

Examples:

    $ dist pull redis:7
    $ dist pull --platform linux/arm64 redis:7 postgres:16
    $ dist pull -r localhost:5000 demo/go:v1`
}

// Run pulls and prints each name with its digest.
func (c *pullCmd) Run(s *session) error {
	dist, err := s.client(c.networkFlags, c.Jobs)
	if err != nil {
		return err
	}
	s.progress.start()
	sum, err := dist.Pull(s.ctx, c.Name, client.PullOptions{
		Platforms: c.platformFlags.choice(), Registry: c.Registry, Verify: c.Verify,
		Referrers: c.lookFlags.choice(), Revalidate: c.age(),
	})
	return s.moved(sum, err, c.Quiet, c.Name...)
}

// movedJSON is the result of a verb that moves images.
type movedJSON struct {
	Names    []nameJSON `json:"names"`
	Moved    int64      `json:"movedBytes"`
	Reused   int64      `json:"reusedBytes"`
	Requests int64      `json:"requests"`
	Seconds  float64    `json:"seconds"`
	// How many manifests about the images are there now, and whether that was
	// looked at: 0 says something only then.
	Referrers int  `json:"referrers"`
	Looked    bool `json:"referrersLooked"`
}

type nameJSON struct {
	Name      string     `json:"name"`
	Digest    oci.Digest `json:"digest"`
	MediaType string     `json:"mediaType"`
	Size      int64      `json:"size"`
	Changed   bool       `json:"changed"`
}

// moved ends a verb that moves images: names with their digests on stdout, the
// account on stderr. After an error there is only the error. names are what was
// asked for.
func (s *session) moved(sum client.Summary, err error, quiet bool, names ...string) error {
	s.progress.stop()
	if err != nil {
		if len(names) == 1 {
			err = about(names[0], err)
		}
		return err
	}
	j := movedJSON{
		Names: []nameJSON{}, Moved: sum.MovedBytes, Reused: sum.ReusedBytes,
		Requests: sum.Requests, Seconds: sum.Elapsed.Seconds(), Referrers: sum.Referrers, Looked: sum.Looked,
	}
	for _, n := range sum.Names {
		j.Names = append(j.Names, nameJSON{n.Reference.String(), n.Target.Digest, n.Target.MediaType, n.Target.Size, n.Changed})
	}
	err = s.object(j, func(w io.Writer) error { return j.print(w, quiet) })
	if err == nil && !quiet {
		s.progress.summary(account{sum.MovedBytes, sum.ReusedBytes, sum.Requests, int64(sum.Referrers)}, sum.Elapsed)
	}
	return err
}

func (j movedJSON) print(w io.Writer, quiet bool) error {
	for _, n := range j.Names {
		text := n.Digest.String()
		if !quiet {
			text = n.Name + " " + text
		}
		if _, err := fmt.Fprintln(w, text); err != nil {
			return err
		}
	}
	return nil
}
