package cmd

import (
	"errors"
	"strings"

	"dist.example/client"
	"dist.example/content"
	"dist.example/oci"
)

// importCmd is `dist import`.
type importCmd struct {
	policyFlag
	Map           []string `sep:"none" placeholder:"OLD=NEW" complete:"none" help:"Give names that begin with OLD, up to a slash, a colon or their end, NEW in place of it; the longest counts. ${repeat}"`
	Replace       bool     `help:"Move names that stand for something else. Without it that is exit 8, unless the policy vouches for what comes."`
	Lock          string   `type:"path" placeholder:"FILE" help:"Write the names with their digests to this file when all is done. It is a list again."`
	Reference     bool     `help:"Keep large blobs in the archive's own blocks, where the file system can share them between files (btrfs, xfs and the like)."`
	Verify        bool     `help:"Hash what is here already, too, and take it from the bundle where it is damaged."`
	Request       string   `type:"path" placeholder:"FILE" help:"Where to write what is missing of the base of a delta (BUNDLE.request.json by default)."`
	AllowRollback bool     `help:"Take a bundle, or an image, that is older than one that was accepted before, or a bundle that has expired. What comes after that one counts as new again."`
	planFlag
	evictFlag
	quietFlag
	Place []string `arg:"" name:"file" complete:"file" help:"A bundle: a file, a folder, or - for stdin. Several are the volumes of one bundle, in any order."`
}

// Help is the longer text of `dist import --help`.
func (importCmd) Help() string {
	return `What is taken: bundles of dist export, OCI archives and layouts, and what docker save writes, also compressed as a whole (gzip, zstd, xz, bzip2). A tar that is not compressed, and a folder, are read in place; everything else is read once, from front to back.

Each byte is checked, and the names appear together at the end: all or none. What a bundle says that it holds is what counts: anything more, less or different is exit 4. Where there is a policy (dist trust), the bundle needs what it asks of bundles before anything of it is taken, and each image what it asks for its name: else exit 5. After any failure the blobs that came stay for a day, and the next try takes no longer than it has to.

A name that stands for something else moves with --replace, or where the policy vouches for what comes; else exit 8.

Volumes may come by one call or by several, over days and in any order. While some are missing that is exit 10, and no name is given.

A delta is on top of what its receiver has. Where that is not here it is exit 11: no name is given, what came is kept for a week, and what is missing goes into a file that dist export --request answers at the sender's. Importing the answer finishes the delta; so does the delta again, once the answer has come.

An image without a name is kept for a week; --map gives it one, by its tag or its digest.

Examples:

    $ dist import site.tar
    $ dist import --plan site.tar
    $ dist import site.tar.001 site.tar.002 site.tar.003
    $ dist import --policy site.json --lock images.lock site.tar
    $ dist import --map quay.io=registry.site/quay --map docker.io/library=registry.site/hub site.tar
    $ docker save postgres:16 | dist import -
    $ dist import --map @"$DIGEST"=redis:8 untagged.tar.xz`
}

// importJSON is the result of an import.
type importJSON struct {
	Names    []nameJSON     `json:"names"`
	Nameless []namelessJSON `json:"nameless"`
	Bundle   string         `json:"bundle"`
	Serial   int64          `json:"serial"`
	Vouchers []oci.Digest   `json:"vouchers"`
	Absent   int            `json:"absent"`
	Moved    int64          `json:"movedBytes"`
	Reused   int64          `json:"reusedBytes"`
	Seconds  float64        `json:"seconds"`
	// How many manifests about the images are here now.
	Referrers int `json:"referrers"`
}

type namelessJSON struct {
	Digest    oci.Digest `json:"digest"`
	MediaType string     `json:"mediaType"`
	Size      int64      `json:"size"`
}

// Run imports and prints each name with its digest.
func (c *importCmd) Run(s *session) error {
	s.under(c.policyFlag)
	if c.Plan && c.Verify {
		return usagef("--verify reads all that is here, and --plan only looks: give one of them")
	}
	if err := c.writesNo(c.Lock); err != nil {
		return err
	}
	dist, err := s.local()
	if err != nil {
		return err
	}
	o := client.ImportOptions{
		Map: c.Map, Replace: c.Replace, Lock: c.Lock, Reference: c.Reference, Verify: c.Verify, Request: c.Request,
		AllowRollback: c.AllowRollback, Evict: c.Evict, Stdin: s.stdin,
	}
	if c.Plan {
		plan, err := dist.PlanImport(s.ctx, c.Place, o)
		return s.plannedImport(c.quietFlag, plan, err)
	}
	s.progress.start()
	sum, err := dist.Import(s.ctx, c.Place, o)
	s.progress.stop()
	if err != nil {
		return err
	}
	j := newImportJSON(sum)
	err = s.result(c.quietFlag, j.lines().ids(), j, j.lines().print)
	if err == nil && !c.Quiet {
		s.vouched(sum.Bundle, sum.Vouchers, sum.Names)
		s.progress.summary(account{sum.MovedBytes, sum.ReusedBytes, 0, int64(sum.Referrers)}, sum.Elapsed)
	}
	return err
}

// vouched says by whose word the bundle, and names, were taken.
func (s *session) vouched(bundle string, keys []oci.Digest, names []client.Moved) {
	if len(keys) > 0 {
		s.warn(strings.TrimSpace("bundle "+printable(bundle)) + ": vouched for by key " + shortDigests(keys, ", "))
	}
	for _, n := range names {
		if len(n.Vouchers) > 0 {
			s.warn(printable(n.Name) + ": vouched for by key " + shortDigests(n.Vouchers, ", "))
		}
	}
}

func newImportJSON(sum client.ImportSummary) importJSON {
	m := newMovedJSON(sum.Summary)
	j := importJSON{
		Names: m.Names, Nameless: []namelessJSON{}, Bundle: sum.Bundle, Serial: sum.Serial, Vouchers: []oci.Digest{},
		Absent: sum.Absent, Moved: m.Moved, Reused: m.Reused, Seconds: m.Seconds, Referrers: m.Referrers,
	}
	j.Vouchers = append(j.Vouchers, sum.Vouchers...)
	for _, d := range sum.Nameless {
		j.Nameless = append(j.Nameless, namelessJSON{d.Digest, d.MediaType, d.Size})
	}
	return j
}

// lines are what is printed for people: images without a name are shown, too.
func (j importJSON) lines() movedJSON {
	m := movedJSON{Names: j.Names}
	for _, d := range j.Nameless {
		m.Names = append(m.Names, nameJSON{Name: "-", Digest: d.Digest})
	}
	return m
}

// importPlanJSON is what an import would do.
type importPlanJSON struct {
	planJSON
	Bundle   string       `json:"bundle"`
	Serial   int64        `json:"serial"`
	Vouchers []oci.Digest `json:"vouchers"`
	Absent   int          `json:"absent"`
}

// plannedImport is planned for an import.
func (s *session) plannedImport(q quietFlag, p client.ImportPlan, err error) error {
	s.progress.stop()
	if err != nil && !isRoom(err) && !errors.Is(err, content.ErrConflict) || err != nil && p.Names == nil {
		return err
	}
	j := importPlanJSON{newPlanJSON(p.Plan), p.Bundle, p.Serial, []oci.Digest{}, p.Absent}
	j.Vouchers = append(j.Vouchers, p.Vouchers...)
	if !q.Quiet {
		s.vouched(p.Bundle, p.Vouchers, nil)
	}
	return firstOf(s.result(q, j.ids(), j, j.print), err)
}
