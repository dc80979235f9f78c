package cmd

import (
	"fmt"
	"slices"
	"time"

	"dist.example/client"
	"dist.example/content"
	"dist.example/oci"
)

// imagesCmd is `dist images`.
type imagesCmd struct {
	quietFlag `set:"ids=names"`
	policyFlag
	All    bool   `short:"a" help:"Also the names under which signatures and the like are kept by their tag (sha256-….sig, .att, .sbom)."`
	Pinned bool   `help:"Only pinned names."`
	Prefix string `arg:"" optional:"" complete:"full" help:"Only names that begin with this, as they are listed: docker.io/library/."`
}

// Help is the longer text of `dist images --help`.
func (imagesCmd) Help() string {
	return `PLATFORMS is how many of an image's platforms are here, of how many it has: 2/9. SIZE is all content that is here of the image. TRUST is verified where the policy wants a signature for the name and one counts, else unverified.

Where a manifest cannot be read PLATFORMS is "damaged": exit 4, once all names are printed. -q reads no manifests.

What cosign keeps about an image under a tag of its own (docker.io/library/redis:sha256-….sig) is listed with --all alone, or when the prefix goes into that tag; "dist tree" shows it with its image.

PIN says which names are pinned ("dist pin"), where any is; --pinned lists those alone.

Examples:

    $ dist images
    $ dist images docker.io/library/
    $ dist images --all -q | xargs dist remove`
}

type imageJSON struct {
	Name      string         `json:"name"`
	Digest    oci.Digest     `json:"digest"`
	MediaType string         `json:"mediaType"`
	Platforms []platformJSON `json:"platforms"`
	Damaged   bool           `json:"damaged"`
	Held      int64          `json:"heldBytes"`
	Known     int64          `json:"knownBytes"`
	Updated   time.Time      `json:"updated"`
	Verified  bool           `json:"verified"`
	Pinned    bool           `json:"pinned"`
	Used      *time.Time     `json:"used,omitempty"` // to the hour; none since it was updated
}

type platformJSON struct {
	Platform string     `json:"platform"`
	Digest   oci.Digest `json:"digest"`
	Held     bool       `json:"held"`
}

func newImageJSON(i client.Image) imageJSON {
	j := imageJSON{
		Name: i.Name.String(), Digest: i.Target.Digest, MediaType: i.Target.MediaType,
		Platforms: []platformJSON{}, Damaged: i.Damage != nil, Held: i.Held, Known: i.Known, Updated: i.UpdatedAt, Verified: i.Verified,
	}
	j.Pinned = i.Pinned
	if !i.UsedAt.IsZero() {
		j.Used = &i.UsedAt
	}
	for _, p := range i.Platforms {
		j.Platforms = append(j.Platforms, platformJSON(p))
	}
	return j
}

// Run lists the names.
func (c *imagesCmd) Run(s *session) error {
	s.under(c.policyFlag)
	dist, err := s.local()
	if err != nil {
		return err
	}
	filter := client.NameFilter{Prefix: c.Prefix, All: c.All, Pinned: c.Pinned}
	if c.Quiet {
		return printList(s.stdout, s.format(), true, listing[content.Name]{
			id: func(n content.Name) string { return n.Reference.String() },
		}, dist.Names(s.ctx, filter))
	}
	images, err := dist.Images(s.ctx, filter)
	if err != nil {
		return err
	}
	if err := printList(s.stdout, s.format(), false, imageListing(s, anyPinned(images)), each(images)); err != nil {
		return err
	}
	return imageDamage(images)
}

func anyPinned(images []client.Image) bool {
	return slices.ContainsFunc(images, func(i client.Image) bool { return i.Pinned })
}

// imageListing has a column for pins where there are any.
func imageListing(s *session, pins bool) listing[client.Image] {
	l := listing[client.Image]{
		key:     "images",
		columns: columns("NAME", "DIGEST", "PLATFORMS|", "SIZE|", "TRUST", "UPDATED|"),
		row: func(i client.Image) []string {
			return []string{i.Name.String(), oci.ShortDigest(i.Target.Digest), presence(i), oci.HumanSize(i.Held), trustWord(i.Verified), s.age(i.UpdatedAt)}
		},
		id:     func(i client.Image) string { return i.Name.String() },
		object: func(i client.Image) any { return newImageJSON(i) },
	}
	if row := l.row; pins {
		l.columns = append(l.columns, columns("PIN")...)
		l.row = func(i client.Image) []string {
			return append(row(i), map[bool]string{true: "pinned", false: "-"}[i.Pinned])
		}
	}
	return l
}

// trustWord is how a name stands under the policy, for people.
func trustWord(verified bool) string {
	if verified {
		return "verified"
	}
	return "unverified"
}

// imageDamage is about the first name whose manifest cannot be read, and how many
// more there are.
func imageDamage(images []client.Image) error {
	var (
		first client.Image
		more  int64
	)
	for _, i := range images {
		switch {
		case i.Damage == nil:
		case first.Damage == nil:
			first = i
		default:
			more++
		}
	}
	if more > 0 {
		first.Damage = fmt.Errorf("%w; %s more cannot be read", first.Damage, plural(more, "name"))
	}
	return about(first.Name.String(), first.Damage)
}

// presence is how many platforms are here, of how many: 2/9.
func presence(i client.Image) string {
	switch {
	case i.Damage != nil:
		return "damaged"
	case len(i.Platforms) == 0:
		return "-"
	}
	held := 0
	for _, p := range i.Platforms {
		if p.Held {
			held++
		}
	}
	return fmt.Sprintf("%d/%d", held, len(i.Platforms))
}
