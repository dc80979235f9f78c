package cmd

import (
	"fmt"
	"time"

	"dist.example/client"
	"dist.example/oci"
)

// imagesCmd is `dist images`.
type imagesCmd struct {
	quietFlag
	Prefix string `arg:"" optional:"" help:"Only names that begin with this, as they are listed: docker.io/library/."`
}

// Help is the longer text of `dist images --help`.
func (imagesCmd) Help() string {
	return `PLATFORMS is how many of an image's platforms are here, of how many it has: 2/9. SIZE is all content that is here of the image.

Examples:

    $ dist images
    $ dist images docker.io/library/
    $ dist images -q | xargs dist remove`
}

type imageJSON struct {
	Name      string         `json:"name"`
	Digest    oci.Digest     `json:"digest"`
	MediaType string         `json:"mediaType"`
	Platforms []platformJSON `json:"platforms"`
	Held      int64          `json:"heldBytes"`
	Known     int64          `json:"knownBytes"`
	Updated   time.Time      `json:"updated"`
}

type platformJSON struct {
	Platform string     `json:"platform"`
	Digest   oci.Digest `json:"digest"`
	Held     bool       `json:"held"`
}

func newImageJSON(i client.Image) imageJSON {
	j := imageJSON{
		Name: i.Name.String(), Digest: i.Target.Digest, MediaType: i.Target.MediaType,
		Platforms: []platformJSON{}, Held: i.Held, Known: i.Known, Updated: i.UpdatedAt,
	}
	for _, p := range i.Platforms {
		j.Platforms = append(j.Platforms, platformJSON(p))
	}
	return j
}

// Run lists the names.
func (c *imagesCmd) Run(s *session) error {
	dist, err := s.local()
	if err != nil {
		return err
	}
	images, err := dist.Images(s.ctx, c.Prefix)
	if err != nil {
		return err
	}
	return printList(s.stdout, s.format(), c.Quiet, listing[client.Image]{
		key:     "images",
		columns: columns("NAME", "DIGEST", "PLATFORMS|", "SIZE|", "UPDATED|"),
		row: func(i client.Image) []string {
			return []string{i.Name.String(), shortDigest(i.Target.Digest), presence(i.Platforms), humanSize(i.Held), s.age(i.UpdatedAt)}
		},
		id:     func(i client.Image) string { return i.Name.String() },
		object: func(i client.Image) any { return newImageJSON(i) },
	}, each(images))
}

// presence is how many platforms are here, of how many: 2/9.
func presence(platforms []client.PlatformState) string {
	if len(platforms) == 0 {
		return "-"
	}
	held := 0
	for _, p := range platforms {
		if p.Held {
			held++
		}
	}
	return fmt.Sprintf("%d/%d", held, len(platforms))
}
