package cmd

import "time"

// tagsCmd is `dist tags`.
type tagsCmd struct {
	registryFlag
	quietFlag
	networkFlags
	Repository string `arg:"" help:"Repository, without a tag: redis, quay.io/prometheus/prometheus."`
}

// Help is the longer text of `dist tags --help`.
func (tagsCmd) Help() string {
	return `The tags are printed as the registry gives them, page by page. No store is needed.

Examples:

    $ dist tags redis
    $ dist tags -q localhost:5000/demo | sort -V | tail -n1`
}

type tagJSON struct {
	Tag string `json:"tag"`
}

// Run lists the tags.
func (c *tagsCmd) Run(s *session) error {
	dist, err := s.client(c.networkFlags, 0)
	if err != nil {
		return err
	}
	start := time.Now()
	tags, err := dist.Tags(s.ctx, c.Repository, c.Registry)
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
