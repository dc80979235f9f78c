package cmd

// tagCmd is `dist tag`.
type tagCmd struct {
	ID   string `arg:"" name:"id" complete:"id" help:"What to name: ${id}."`
	Name string `arg:"" complete:"name" help:"Name to give. It moves if it is in use."`
}

// Help is the longer text of `dist tag --help`.
func (tagCmd) Help() string {
	return `Names are written as everywhere: redis is docker.io/library/redis:latest.

Examples:

    $ dist tag redis:7 registry.example/mirror/redis:7
    $ dist tag 9f86d081 demo:v1
    $ dist tag redis:7@{1} redis:7`
}

// Run gives the name.
func (c *tagCmd) Run(s *session) error {
	dist, err := s.local()
	if err != nil {
		return err
	}
	_, _, err = dist.Tag(s.ctx, c.ID, c.Name)
	return about(c.ID, err)
}
