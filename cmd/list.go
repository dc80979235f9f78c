package cmd

import (
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// listCmd is `dist list`.
type listCmd struct {
	quietFlag
	Unreferenced bool   `help:"List only what nothing keeps: what the next collection takes."`
	Place        string `arg:"" optional:"" name:"locator" complete:"bundle" help:"bundle:PATH lists what an archive, its volumes or a layout has, in place of the store."`
}

// Help is the longer text of `dist list --help`.
func (listCmd) Help() string {
	return `Content that no other content holds comes first, then what it holds, and so on. SIZE is the content's, STORED what it takes on disk; PLACE is "pack" for small content kept together, "loose" for a file of its own, "damaged" for bytes that were found not to match.

With --unreferenced it lists exactly what "dist gc" would take now: neither what leases or the history of names keep, nor what was written within the grace, which is the store's setting, an hour at first. "dist why" tells of one object what keeps it.

Examples:

    $ dist list
    $ dist list -q
    $ dist list --unreferenced
    $ dist list bundle:site.tar
    $ dist list --format 'go-template={{.digest}} {{.mediaType}}'`
}

// Run lists what the store holds.
func (c *listCmd) Run(s *session) error {
	if c.Place != "" && c.Unreferenced {
		return usagef("--unreferenced is about the store")
	}
	dist, err := s.local()
	if err != nil {
		return err
	}
	items := dist.List(s.ctx)
	switch {
	case c.Place != "":
		items = dist.ListPlace(s.ctx, c.Place)
	case c.Unreferenced:
		items = dist.Unreferenced(s.ctx)
	}
	return printList(s.stdout, s.format(), c.Quiet, infoListing(s), items)
}

func infoListing(s *session) listing[content.Info] {
	return listing[content.Info]{
		key:      "content",
		promptly: true,
		columns:  columns("DIGEST", "TYPE", "SIZE|", "STORED|", "PLACE", "AGE|"),
		row: func(i content.Info) []string {
			return []string{oci.ShortDigest(i.Digest), i.MediaType, oci.HumanSize(i.Size), oci.HumanSize(i.Stored), i.Place, s.age(i.Committed)}
		},
		id:     func(i content.Info) string { return i.Digest.String() },
		object: func(i content.Info) any { return newInfoJSON(i) },
	}
}

// infoJSON is a piece of content in JSON documents.
type infoJSON struct {
	Digest    oci.Digest `json:"digest"`
	Size      int64      `json:"size"`
	MediaType string     `json:"mediaType"`
	Stored    int64      `json:"storedBytes"`
	Place     string     `json:"place"`
	Committed time.Time  `json:"committed"`
}

func newInfoJSON(i content.Info) infoJSON {
	return infoJSON{i.Digest, i.Size, i.MediaType, i.Stored, i.Place, i.Committed}
}
