package cmd

import "dist.example/client"

// copyCmd is `dist copy`.
type copyCmd struct {
	policyFlag
	Platform platform `placeholder:"OS/ARCH" help:"Of an index, copy only the image for this platform."`
	IfDigest ifDigest `placeholder:"DIGEST" help:"Move the tag only if it stands for this digest, or for nothing with absent; else exit 8."`
	referrersFlag
	planFlag
	evictFlag
	jobsFlag
	quietFlag
	networkFlags
	Source string `arg:"" complete:"locator" help:"Where the image is: a reference or a locator."`
	Target string `arg:"" complete:"locator" help:"Where it goes: a reference or a locator. Without a tag it takes the source's."`
}

// Help is the longer text of `dist copy --help`.
func (copyCmd) Help() string {
	return `What comes in goes out at once: between registries nothing is written on this machine. Within one registry content is mounted and does not move at all. The tag comes last, and if it stands for the image already, two requests say so. A copy that was interrupted leaves out what the target registry or store has by then; one to a layout or an archive begins anew. "dist pull" goes on in the middle of a blob.

An index is copied with all its images, since with less its digest would be another; --platform copies one image by itself.

Places are references (redis:7, docker://redis:7) and locators: store:NAME, ` + transportPlaces + `.

Several images at once, or all tags of a repository: dist sync.

Examples:

    $ dist copy quay.io/prometheus/prometheus:v3.1.0 registry.example/mirror/prometheus
    $ dist copy --plan redis:7 localhost:5000/library/redis:7
    $ dist copy redis:7 oci:layout:redis
    $ dist copy --platform linux/arm64 oci-archive:redis.tar store:redis:7`
}

// transportPlaces are the locators of other transports, for help texts.
const transportPlaces = "oci:DIR[:TAG], oci-archive:FILE, docker-archive:FILE, and NAME:PLACE where a program dist-transport-NAME is on PATH"

// Run copies and prints the target's name with its digest.
func (c *copyCmd) Run(s *session) error {
	s.under(c.policyFlag)
	dist, err := s.transfers(c.networkFlags, c.Jobs)
	if err != nil {
		return err
	}
	o := client.CopyOptions{Platform: c.Platform.Platform, IfDigest: c.IfDigest.want, NoReferrers: c.NoReferrers, Evict: c.Evict}
	if c.Plan {
		plan, err := dist.PlanCopy(s.ctx, c.Source, c.Target, o)
		return s.planned(c.quietFlag, plan, c.told(s, err), c.Source)
	}
	s.progress.start()
	sum, err := dist.Copy(s.ctx, c.Source, c.Target, o)
	return s.moved(sum, c.told(s, err), c.quietFlag, c.Source)
}

// told is err with what the source may have been meant for.
func (c *copyCmd) told(s *session, err error) error { return s.hereInstead(err, c.Source, c.Target) }
