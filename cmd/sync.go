package cmd

import (
	"dist.example/client"
)

// syncCmd is `dist sync`.
type syncCmd struct {
	To        string   `required:"" placeholder:"REGISTRY[/PREFIX]" complete:"host" help:"Where to. Each repository keeps its path below it."`
	WithHost  bool     `help:"Put the source's host before the path, a port as _PORT."`
	Platform  platform `placeholder:"OS/ARCH" help:"Of each index, take only the image for this platform."`
	KeepGoing bool     `help:"When something fails, give the tags of all else, and exit 10."`
	Delete    bool     `help:"Delete the tags of the target's repositories that the selection does not have, after the plan was shown."`
	Yes       bool     `short:"y" help:"Delete without asking."`
	Lock      string   `type:"path" placeholder:"FILE" help:"Write the names with their digests to this file when all is done. It is a list again."`
	lookFlags
	planFlag
	jobsFlag
	quietFlag
	networkFlags
	Source []string `arg:"" complete:"file|locator" help:"Lists (files, or - for stdin), references, locators, and repositories with a glob or a range of versions in place of the tag."`
}

// Help is the longer text of `dist sync --help`.
func (syncCmd) Help() string {
	return `A word that is the path of a file is a list: one NAME[@DIGEST] a line, perhaps with a platform (OS/ARCH) after it; # begins a comment. Any other is a reference (redis:7), a locator (oci:DIR:TAG), or selects tags: by a glob (redis:7.*, with * ? and [a-z]) or by a range of versions (redis:^7.2, redis:~1.4, redis:>=1.2,<2). Lists may hold these, too. Quote them for the shell. A version's tag has one to three numbers; what follows a hyphen makes it a prerelease, which a range takes only if it names one (redis:>=7.2-0).

A list may also be YAML or JSON: objects of Kubernetes, the values of a chart, or a manifest of hauler. Every field called image is read, and hauler's images and charts of registries; what cannot be taken is told on stderr, and --plan says of each name where it was read.

docker.io/library/redis goes to REGISTRY/PREFIX/library/redis. Two sources that would fall on one name are refused (exit 2).

All content goes first, each blob once, and mounted where the registry has it; the tags come last, and only when everything has arrived: all or none, unless --keep-going. A second sync makes one request per tag at each registry; of names with a digest only the target is asked.

--delete prints its plan on stderr, and asks, or needs --yes. A registry that cannot delete tags may keep some, and they are told. Tags that are made of a digest hold signatures and stay.

Examples:

    $ dist sync images.txt --to localhost:5000/mirror
    $ dist sync 'redis:^7.2' 'nginx:1.27*' --to registry.example/hub --plan
    $ dist sync --lock images.lock images.txt --to localhost:5000 --keep-going
    $ helm template ./shop | dist sync - --to localhost:5000 --plan
    $ dist sync 'registry.example/team/app:v*' --to backup.example --delete --yes`
}

// Run syncs and prints each target with its digest.
func (c *syncCmd) Run(s *session) error {
	if err := c.writesNo(c.Lock); err != nil {
		return err
	}
	entries, err := s.listedOrNamed(c.Source)
	if err != nil {
		return err
	}
	dist, err := s.transfers(c.networkFlags, c.Jobs)
	if err != nil {
		return err
	}
	o := client.SyncOptions{
		To: c.To, WithHost: c.WithHost, Platform: c.Platform.Platform, KeepGoing: c.KeepGoing, Delete: c.Delete,
		Lock: c.Lock, Referrers: c.choice(), Revalidate: c.age(),
		Approve: func(p client.Plan) error { return c.approve(s, p) },
	}
	if c.Plan {
		plan, err := dist.PlanSync(s.ctx, entries, o)
		if len(plan.Names) == 0 {
			return s.planned(c.quietFlag, plan, err)
		}
		return firstOf(s.planned(c.quietFlag, plan, nil), err)
	}
	s.progress.start()
	sum, err := dist.Sync(s.ctx, entries, o)
	return s.synced(sum, err, c.quietFlag)
}

// firstOf is the first error that there is.
func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// approve shows the plan of a run that deletes and asks, unless that was answered
// before.
func (c *syncCmd) approve(s *session, p client.Plan) error {
	s.progress.stop()
	if err := newPlanJSON(p).print(s.stderr); err != nil {
		return err
	}
	if c.Yes {
		return nil
	}
	return s.confirm("Do all this?")
}

// syncedJSON is the result of sync: that of any verb that moves images, and what
// only sync does.
type syncedJSON struct {
	movedJSON
	Deleted  []string      `json:"deleted"`
	Kept     []string      `json:"kept"`
	Failures []failureJSON `json:"failures"`
}

type failureJSON struct {
	Name  string    `json:"name"`
	Error errorJSON `json:"error"`
}

// synced ends sync: what worked on stdout, what failed, a line each, and the
// account on stderr.
func (s *session) synced(sum client.SyncSummary, err error, q quietFlag) error {
	s.progress.stop()
	if err != nil && len(sum.Failures) == 0 {
		return err
	}
	j := syncedJSON{
		newMovedJSON(sum.Summary), append([]string{}, sum.Deleted...), append([]string{}, sum.Kept...), []failureJSON{},
	}
	for _, f := range sum.Failures {
		j.Failures = append(j.Failures, failureJSON{f.Name, describe("sync", f.Err)})
	}
	printErr := s.result(q, j.ids(), j, j.print)
	if printErr != nil {
		return printErr
	}
	for _, f := range j.Failures {
		s.warn(f.Error.Message)
	}
	if !q.Quiet {
		for _, name := range sum.Deleted {
			s.warn("deleted " + name)
		}
		s.progress.summary(account{sum.MovedBytes, sum.ReusedBytes, sum.Requests, int64(sum.Referrers)}, sum.Elapsed)
	}
	return err
}
