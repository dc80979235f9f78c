package cmd

// removeCmd is `dist remove`.
type removeCmd struct {
	Name []string `arg:"" optional:"" complete:"name" help:"Names to remove."`
}

// Help is the longer text of `dist remove --help`.
func (removeCmd) Help() string {
	return `Only names go, all of them or none. The content stays until it is collected. Without names there is nothing to do, which is no error.

Examples:

    $ dist remove redis:7
    $ dist images -q docker.io/library/ | xargs dist remove`
}

// Run removes the names. Without any there is nothing to do: so xargs calls it when
// the list is empty.
func (c *removeCmd) Run(s *session) error {
	if len(c.Name) == 0 {
		s.warn("remove: no name given, nothing to do")
		return nil
	}
	dist, err := s.local()
	if err != nil {
		return err
	}
	_, err = dist.Remove(s.ctx, c.Name...)
	err = notADigest(err, c.Name)
	if len(c.Name) == 1 {
		return about(c.Name[0], err)
	}
	return err
}
