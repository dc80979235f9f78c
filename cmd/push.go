package cmd

import "dist.example/client"

// pushCmd is `dist push`.
type pushCmd struct {
	registryFlag
	Platform platform `placeholder:"OS/ARCH" help:"Push, of an index, only the image for this platform, under the same name."`
	referrersFlag
	jobsFlag
	quietFlag
	networkFlags
	Name string `arg:"" help:"Name of what to push. It goes to the registry that the name says, or -r."`
}

// Help is the longer text of `dist push --help`.
func (pushCmd) Help() string {
	return `Content goes first, the tag last: nobody sees half an image. What the registry has is not sent again. What the store has about the image, such as signatures, goes along.

Examples:

    $ dist push registry.example/team/app:v1
    $ dist push -r localhost:5000 demo/go:v1`
}

// Run pushes and prints the name with its digest.
func (c *pushCmd) Run(s *session) error {
	dist, err := s.client(c.networkFlags, c.Jobs)
	if err != nil {
		return err
	}
	s.progress.start()
	sum, err := dist.Push(s.ctx, c.Name, client.PushOptions{
		Registry: c.Registry, Platform: c.Platform.Platform, NoReferrers: c.NoReferrers,
	})
	return s.moved(sum, err, c.Quiet, c.Name)
}
