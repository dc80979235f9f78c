package cmd

import (
	"iter"
	"strconv"
	"time"

	"dist.example/client"
	"dist.example/oci"
)

// logCmd is `dist log`.
type logCmd struct {
	Limit int `short:"n" placeholder:"N" help:"At most so many changes, the newest; 0 for all (0 by default)."`
	quietFlag
	Name string `arg:"" optional:"" complete:"name" help:"Name whose changes are listed, also one that is gone. Without it, those of all names."`
}

// Help is the longer text of "dist log --help".
func (logCmd) Help() string {
	return `OLD is what the name stood for before, NEW what it has stood for since; "-" is nothing. WHY is the command that moved it. Names that moved in one transaction have one time. -q prints the digests that names came to stand for.

NAME@{1} is what a name was before its last change, NAME@{2} before the last two. NAME@{2h} and NAME@{3d} are what it was so long ago; NAME@{2026-01-31}, NAME@{2026-01-31 15:04} and NAME@{2026-01-31T15:04:00Z} what it was then, by the clock of this machine where no zone is given. That can be used wherever an image or content of the store is read, not as the name of a target, and not for a registry.

What names stood for is kept as long as the store is told, 14 days at first ("dist store set keep-history=30d"). The history is not cut by that: it may name content that is not here any more.

Examples:

    $ dist log
    $ dist log -n 5 redis:7
    $ dist diff redis:7@{1} redis:7
    $ dist tag redis:7@{3d} redis:before
    $ dist log --format 'go-template={{.seq}} {{.name}} {{.why}}'`
}

// nameChangeJSON is one change of a name in JSON documents.
type nameChangeJSON struct {
	Seq  int64      `json:"seq"`
	At   time.Time  `json:"at"`
	Name string     `json:"name"`
	Old  oci.Digest `json:"old"` // "" when it was new
	New  oci.Digest `json:"new"` // "" when it was removed
	Why  string     `json:"why"`
}

func newNameChangeJSON(c client.Change) nameChangeJSON {
	return nameChangeJSON{c.Seq, c.At, c.Name, c.Old, c.New, c.Why}
}

// Run lists the changes.
func (c *logCmd) Run(s *session) error {
	if c.Limit < 0 {
		return usagef("--limit %d: want 0 or more", c.Limit)
	}
	dist, err := s.local()
	if err != nil {
		return err
	}
	limit := c.Limit
	if c.Quiet { // of those that are printed
		limit = 0
	}
	changes := dist.Log(s.ctx, c.Name, limit)
	if c.Quiet {
		changes = withTarget(changes, c.Limit)
	}
	err = printList(s.stdout, s.format(), c.Quiet, listing[client.Change]{
		key:     "changes",
		columns: columns("SEQ|", "WHEN", "NAME", "OLD", "NEW", "WHY"),
		row: func(c client.Change) []string {
			return []string{strconv.FormatInt(c.Seq, 10), c.At.Local().Format(time.DateTime), c.Name, shortOrNone(c.Old), shortOrNone(c.New), c.Why}
		},
		id:     func(c client.Change) string { return c.New.String() },
		object: func(c client.Change) any { return newNameChangeJSON(c) },
	}, changes)
	if c.Name == "" {
		return err
	}
	return about(c.Name, err)
}

// withTarget leaves out the changes that removed a name. limit is of the others, 0 for none.
func withTarget(changes iter.Seq2[client.Change, error], limit int) iter.Seq2[client.Change, error] {
	return func(yield func(client.Change, error) bool) {
		n := 0
		for c, err := range changes {
			if err == nil && c.New == "" {
				continue
			}
			if n++; !yield(c, err) || n == limit {
				return
			}
		}
	}
}

// shortOrNone is a digest for people, "-" for none.
func shortOrNone(d oci.Digest) string {
	if d == "" {
		return "-"
	}
	return oci.ShortDigest(d)
}
