package cmd

import (
	"fmt"
	"io"
	"slices"

	"dist.example/client"
	"dist.example/oci"
)

// lockCmd is `dist lock`.
type lockCmd struct {
	Output   string   `short:"o" type:"path" placeholder:"FILE" help:"Write the lock to this file; what it was before is replaced in one step."`
	Check    bool     `help:"Say what of the locks that are given has moved at the registries since, and write nothing."`
	From     []string `sep:"none" placeholder:"LIST" complete:"file" help:"Take also what this file lists, - for stdin. ${repeat}"`
	Platform platform `placeholder:"OS/ARCH" help:"Write this platform behind names that no list says another of."`
	Jobs     jobs     `short:"j" placeholder:"N" env:"DIST_JOBS" help:"Names asked about at once (8 by default)."`
	quietFlag
	networkFlags
	Name []string `arg:"" optional:"" complete:"file|name" help:"Lists (files, or - for stdin), references, and repositories with a glob or a range of versions in place of the tag. With --check locks."`
}

// Help is the longer text of `dist lock --help`.
func (lockCmd) Help() string {
	return `Tags move; digests do not. A lock is a list in which every name has its digest, so that whoever works by it today, tomorrow or behind an air gap gets the very same content: pull, fetch, sync and export take it with --from, or as their list, and the images keep their names.

Each name costs one request to its registry, several at once, and nothing is fetched. Of an image for several platforms the lock has the digest of all of it; a platform in the list stays behind the name. Names that have a digest already are not asked about. Tags are chosen by a glob (redis:7.*) or a range of versions (redis:^7.2) as in sync; the lock has those that there are now. When one name fails, no lock is written.

Lists may also be what others have: objects of Kubernetes, values of charts, manifests of hauler (see dist pull).

--check LOCK asks about all names of a lock and prints those that stand for something else now, and those that are gone (now: gone). The exit code is 0 when nothing has moved, 1 when something has, and another one when a registry could not be asked. To follow, make the lock anew and compare: it is text, sorted, one image a line.

Examples:

    $ dist lock images.txt -o images.lock
    $ dist lock redis:7 'nginx:^1.27' --from images.txt -o images.lock
    $ dist lock --check images.lock && echo nothing has moved
    $ dist export --from images.lock -o images.tar`
}

// Run makes or checks a lock.
func (c *lockCmd) Run(s *session) error {
	switch {
	case len(c.From)+len(c.Name) == 0:
		return usagef("neither a name nor a list is given")
	case c.Check && (c.Output != "" || c.Platform.Platform != nil):
		return usagef("--check writes no lock: give it without -o and --platform")
	case c.Check:
		return c.check(s)
	case c.Output == "":
		return usagef("-o FILE says which file to write")
	}
	entries, err := s.listedOrNamed(c.Name)
	if err != nil {
		return err
	}
	listed, err := s.readLists(c.From)
	if err != nil {
		return err
	}
	dist, err := s.client(c.networkFlags, c.Jobs)
	if err != nil {
		return err
	}
	sum, err := dist.Lock(s.ctx, append(entries, listed...), client.LockOptions{Output: c.Output, Platform: c.Platform.Platform})
	if err != nil {
		return err
	}
	j := lockedJSON{c.Output, []lockedNameJSON{}, sum.Requests, sum.Elapsed.Seconds()}
	for _, n := range sum.Names {
		j.Names = append(j.Names, newLockedNameJSON(n))
	}
	err = s.result(c.quietFlag, j.ids(), j, j.print)
	if err == nil && !c.Quiet {
		s.progress.summary(account{requests: sum.Requests}, sum.Elapsed)
	}
	return err
}

// lockedJSON is a lock that was written.
type lockedJSON struct {
	Lock     string           `json:"lock"`
	Names    []lockedNameJSON `json:"names"`
	Requests int64            `json:"requests"`
	Seconds  float64          `json:"seconds"`
}

type lockedNameJSON struct {
	Name     string     `json:"name"`
	Digest   oci.Digest `json:"digest"`
	Platform string     `json:"platform,omitempty"`
	Where    string     `json:"where,omitempty"`
}

func newLockedNameJSON(n client.LockedName) lockedNameJSON {
	return lockedNameJSON{n.Name.String(), n.Digest, oci.FormatPlatform(n.Platform), n.Where}
}

func (j lockedJSON) print(w io.Writer) error {
	for _, n := range j.Names {
		if _, err := fmt.Fprintln(w, n.Name, n.Digest); err != nil {
			return err
		}
	}
	return nil
}

// ids are the digests, which -q prints.
func (j lockedJSON) ids() (ids []string) {
	for _, n := range j.Names {
		ids = append(ids, n.Digest.String())
	}
	return ids
}

// lockCheckJSON is what of a lock has moved.
type lockCheckJSON struct {
	Checked  int              `json:"checked"`
	Changes  []lockChangeJSON `json:"changes"`
	Requests int64            `json:"requests"`
	Seconds  float64          `json:"seconds"`
}

type lockChangeJSON struct {
	Name   string     `json:"name"`
	Change string     `json:"change"` // moved or gone
	Locked oci.Digest `json:"locked"`
	Now    oci.Digest `json:"now"`
	Where  string     `json:"where,omitempty"`
}

// check says what has moved. Its words are paths of locks.
func (c *lockCmd) check(s *session) error {
	lock, err := s.readLists(slices.Concat(c.Name, c.From))
	if err != nil {
		return err
	}
	dist, err := s.client(c.networkFlags, c.Jobs)
	if err != nil {
		return err
	}
	check, err := dist.CheckLock(s.ctx, lock)
	if err != nil {
		return err
	}
	j := newLockCheckJSON(check)
	if err := s.result(c.quietFlag, j.ids(), j, j.print); err != nil {
		return err
	}
	if !c.Quiet {
		s.warn(fmt.Sprintf("%d of %s moved or gone", len(j.Changes), plural(int64(j.Checked), "name")))
		s.progress.summary(account{requests: check.Requests}, check.Elapsed)
	}
	if len(j.Changes) > 0 {
		return exitStatus(exitDiffers)
	}
	return nil
}

func newLockCheckJSON(check client.LockCheck) lockCheckJSON {
	j := lockCheckJSON{check.Checked, []lockChangeJSON{}, check.Requests, check.Elapsed.Seconds()}
	for _, n := range check.Changes {
		change := "moved"
		if n.Now == "" {
			change = "gone"
		}
		j.Changes = append(j.Changes, lockChangeJSON{n.Name.String(), change, n.Digest, n.Now, n.Where})
	}
	return j
}

// ids are the names of what has moved, which -q prints.
func (j lockCheckJSON) ids() (ids []string) {
	for _, n := range j.Changes {
		ids = append(ids, n.Name)
	}
	return ids
}

// print is a table of what has moved; without any there is none.
func (j lockCheckJSON) print(w io.Writer) error {
	if len(j.Changes) == 0 {
		return nil
	}
	t := newTable(w, columns("NAME", "LOCKED", "NOW"))
	for _, n := range j.Changes {
		now := oci.ShortDigest(n.Now)
		if n.Now == "" {
			now = n.Change
		}
		if err := t.add(n.Name, oci.ShortDigest(n.Locked), now); err != nil {
			return err
		}
	}
	return t.flush()
}
