package cmd

import (
	"time"

	"dist.example/client"
)

// tagsCmd is `dist tags`.
type tagsCmd struct {
	registryFlag
	Match     string `placeholder:"GLOB" complete:"none" help:"Only tags that fit this, as a whole: * ? and [a-z]."`
	Semver    string `placeholder:"RANGE" complete:"none" help:"Only tags that are versions in this range: '^7.2', '~1.4', '>=1.2,<2'."`
	quietFlag `set:"ids=tags"`
	networkFlags
	Repository string `arg:"" complete:"repository" help:"Repository, without a tag: redis, quay.io/prometheus/prometheus."`
}

// Help is the longer text of `dist tags --help`.
func (tagsCmd) Help() string {
	return `The tags are printed as the registry gives them, page by page, and in its order. No store is needed.

A version's tag has one to three numbers, perhaps with a leading v. What follows a hyphen, as in 7.2-rc1 and in 7.2-alpine, makes it a prerelease, and a range takes those only if it names one: '>=7.2-0'.

Examples:

    $ dist tags redis
    $ dist tags --match '7.*-alpine' redis
    $ dist tags -q --semver '>=7.2,<8' redis | sort -V | tail -n1
    $ dist tags -q localhost:5000/demo | sort -V | tail -n1`
}

type tagJSON struct {
	Tag string `json:"tag"`
}

// Run lists the tags.
func (c *tagsCmd) Run(s *session) error {
	fit, err := client.NewTagFilter(c.Match, c.Semver)
	if err != nil {
		return err
	}
	dist, err := s.client(c.networkFlags, 0)
	if err != nil {
		return err
	}
	start := time.Now()
	tags, err := dist.Tags(s.ctx, c.Repository, c.Registry, fit)
	if err != nil {
		return about(c.Repository, err)
	}
	err = printList(s.stdout, s.format(), c.Quiet, listing[string]{
		key:     "tags",
		columns: columns("TAG"),
		row:     func(tag string) []string { return []string{tag} },
		id:      func(tag string) string { return tag },
		object:  func(tag string) any { return tagJSON{tag} },
	}, tags)
	if err != nil {
		return about(c.Repository, err)
	}
	s.asked(dist, start, c.Quiet)
	return nil
}
