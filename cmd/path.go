package cmd

import (
	"dist.example/oci"
)

// pathCmd is `dist path`.
type pathCmd struct {
	quietFlag `set:"ids=paths"`
	ID        []string `arg:"" name:"id" complete:"id" help:"Content whose path is printed: ${id}."`
}

// Help is the longer text of `dist path --help`.
func (pathCmd) Help() string {
	return `The file holds exactly the content's bytes. It is the store's own: read it, do not write to it. For small content it is a copy that stays for 24 hours.

Examples:

    $ dist path 9f86d081
    $ tar -tf "$(dist path -q "$(dist put -t layer content1.tar)")"`
}

type pathJSON struct {
	Digest oci.Digest `json:"digest"`
	Path   string     `json:"path"`
}

// Run prints one line for each id.
func (c *pathCmd) Run(s *session) error {
	dist, err := s.local()
	if err != nil {
		return err
	}
	paths := func(yield func(pathJSON, error) bool) {
		for _, id := range c.ID {
			digest, file, err := dist.Path(s.ctx, id)
			if !yield(pathJSON{digest, file}, about(id, err)) || err != nil {
				return
			}
		}
	}
	id := func(p pathJSON) string { return p.Path }
	if !c.Quiet { // what people are shown are lines without a heading, too
		id = func(p pathJSON) string { return p.Digest.String() + " " + p.Path }
	}
	return printList(s.stdout, s.format(), c.Quiet || !s.format().structured(), listing[pathJSON]{
		key:    "paths",
		id:     id,
		object: func(p pathJSON) any { return p },
	}, paths)
}
