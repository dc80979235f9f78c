package cmd

import "dist.example/client"

// pushCmd is `dist push`.
type pushCmd struct {
	registryFlag
	Platform platform `placeholder:"OS/ARCH" help:"Of an index, push only the image for this platform, under the same name."`
	IfDigest ifDigest `placeholder:"DIGEST" help:"Move the tag only if it stands for this digest, or for nothing with absent; else exit 8."`
	referrersFlag
	planFlag
	jobsFlag
	quietFlag
	networkFlags
	Name   string `arg:"" complete:"name" help:"Name of what to push."`
	Target string `arg:"" optional:"" complete:"locator" help:"Where to: a reference, or a locator such as oci:DIR:TAG. Without it, the registry that the name says, or -r."`
}

// Help is the longer text of `dist push --help`.
func (pushCmd) Help() string {
	return `Content goes first, the tag last: nobody sees half an image. What the registry has is not sent again. What the store has about the image, such as signatures, goes along.

--if-digest compares and sets: the tag is looked at before anything is sent and again at the end, and is moved on the condition that it is what was seen. dist serve and other registries that know conditions (If-Match) keep to it. With a registry that ignores them, somebody who moves the tag within the last request is overwritten all the same.

Other places than registries: ` + transportPlaces + `.

Examples:

    $ dist push registry.example/team/app:v1
    $ dist push -r localhost:5000 demo/go:v1
    $ dist push demo/go:v1 registry.example/team/go:stable
    $ dist push --if-digest absent registry.example/team/app:v2
    $ dist push demo/go:v1 docker-archive:go.tar`
}

// Run pushes and prints the name with its digest.
func (c *pushCmd) Run(s *session) error {
	if c.Registry != "" && c.Target != "" {
		return usagef("-r is for the name's own place; the target says where to")
	}
	dist, err := s.transfers(c.networkFlags, c.Jobs)
	if err != nil {
		return err
	}
	o := client.PushOptions{
		Target: c.Target, Registry: c.Registry, Platform: c.Platform.Platform,
		IfDigest: c.IfDigest.want, NoReferrers: c.NoReferrers,
	}
	if c.Plan {
		plan, err := dist.PlanPush(s.ctx, c.Name, o)
		return s.planned(c.quietFlag, plan, err, c.Name)
	}
	s.progress.start()
	sum, err := dist.Push(s.ctx, c.Name, o)
	return s.moved(sum, err, c.quietFlag, c.Name)
}
