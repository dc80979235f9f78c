package cmd

import "dist.example/client"

// fetchCmd is `dist fetch`: an image, or one object of a repository, told apart
// by the number of arguments.
type fetchCmd struct {
	policyFlag
	registryFlag
	platformFlags
	listFlags
	lookFlags
	planFlag
	evictFlag
	jobsFlag
	quietFlag
	networkFlags
	Args []string `arg:"" optional:"" name:"name" complete:"name" help:"One argument is an image to fetch whole. Two or more are LOCATOR OBJECT [HINT...], as fetch-object takes them."`
}

// Help is the longer text of `dist fetch --help`.
func (fetchCmd) Help() string {
	return `Brings the content of an image into the store and lets its name stand for it. With two or more arguments it prints one object of a repository, so that pipelines can say fetch for both. (A pipeline whose first part fails may leave one argument: xargs runs its command once, also for an empty list; -r keeps it from that.)

Examples:

    $ dist fetch redis:7
    $ dist fetch --from images.txt
    $ dist fetch docker.io/library/redis latest mediatype:application/vnd.oci.image.index.v1+json`
}

// Run fetches the image or prints the object.
func (c *fetchCmd) Run(s *session) error {
	if len(c.Args) > 1 {
		return c.object(s)
	}
	s.under(c.policyFlag)
	o := client.PullOptions{
		Platforms: c.platformFlags.choice(), Registry: c.Registry, Lock: c.Lock,
		Referrers: c.lookFlags.choice(), Revalidate: c.age(), Evict: c.Evict,
	}
	return s.pull(pullCall{c.networkFlags, c.Jobs, c.From, c.Plan, c.quietFlag, c.Args}, o)
}

func (c *fetchCmd) object(s *session) error {
	if c.Registry != "" || c.AllPlatforms || len(c.From) > 0 || c.Lock != "" || c.Plan || c.Evict || c.NoReferrers || c.Referrers == "refresh" {
		return usagef("-r, --all-platforms, --from, --lock, --plan, --evict, --no-referrers and --referrers are for an image; with two or more arguments fetch prints one object")
	}
	one := fetchObjectCmd{c.policyFlag, c.Quiet, c.networkFlags, c.Args[0], c.Args[1], c.Args[2:]}
	return one.Run(s)
}
