package cmd

// pinCmd is `dist pin`.
type pinCmd struct {
	Name []string `arg:"" complete:"name" help:"Names to pin."`
}

// Help is the longer text of `dist pin --help`.
func (pinCmd) Help() string {
	return `A pinned name never goes to make room under a quota (dist store set quota=20G), however long nobody has used it. Without pins the names go first that no command used for longest: by their names; what is read by its digest does not count, nor what only asks, as images and inspect do. The pin stays when the name comes to stand for something else, and goes with the name; "dist undo" brings back both. All names are pinned, or none: exit 3 if one is not there.

Examples:

    $ dist pin redis:7 registry.example/base:v1
    $ dist images --pinned`
}

// Run pins the names.
func (c *pinCmd) Run(s *session) error {
	dist, err := s.local()
	if err == nil {
		err = dist.Pin(s.ctx, c.Name...)
	}
	return aboutOne(c.Name, err)
}

// unpinCmd is `dist unpin`.
type unpinCmd struct {
	Name []string `arg:"" optional:"" complete:"name" help:"Names to let go of."`
}

// Help is the longer text of `dist unpin --help`.
func (unpinCmd) Help() string {
	return `A quota may make them go again, the one first that was not used for longest. All names or none. Without names there is nothing to do, which is no error.

Examples:

    $ dist unpin redis:7
    $ dist images --pinned -q | xargs dist unpin`
}

// Run takes the pins back.
func (c *unpinCmd) Run(s *session) error {
	if len(c.Name) == 0 {
		s.warn("unpin: no name given, nothing to do")
		return nil
	}
	dist, err := s.local()
	if err == nil {
		err = dist.Unpin(s.ctx, c.Name...)
	}
	return aboutOne(c.Name, err)
}
