package cmd

import (
	"fmt"
	"time"

	"dist.example/client"
	"dist.example/db"
	"dist.example/oci"
)

// leaseCmd is `dist lease`.
type leaseCmd struct {
	List    leaseListCmd    `cmd:"" help:"List leases and what they keep."`
	Add     leaseAddCmd     `cmd:"" help:"Keep content for a time, whatever becomes of its names."`
	Renew   leaseRenewCmd   `cmd:"" help:"Let leases last for longer."`
	Release leaseReleaseCmd `cmd:"" help:"End leases."`
}

// leaseJSON is a lease in JSON documents.
type leaseJSON struct {
	ID         string    `json:"id"`
	Kind       string    `json:"kind"`
	Note       string    `json:"note"`
	Created    time.Time `json:"created"`
	Expires    time.Time `json:"expires"`
	OwnerAlive bool      `json:"ownerAlive"`
	Counts     bool      `json:"counts"`
	Objects    int64     `json:"objects"`
	Stored     int64     `json:"storedBytes"`
}

func newLeaseJSON(l client.Lease) leaseJSON {
	return leaseJSON{l.ID, leaseKind(l.Kind), l.Note, l.Created, l.Expires, l.OwnerAlive, l.Counts, l.Objects, l.Stored}
}

// leaseKind is the word for who made a lease.
func leaseKind(k db.LeaseKind) string {
	switch k {
	case db.LeaseCommand:
		return "command"
	case db.LeasePut:
		return "put"
	case db.LeaseUser:
		return "user"
	}
	return fmt.Sprintf("kind(%d)", k)
}

func leaseListing(s *session) listing[client.Lease] {
	now := time.Now()
	return listing[client.Lease]{
		key:     "leases",
		columns: columns("LEASE", "KIND", "OBJECTS|", "STORED|", "AGE|", "EXPIRES", "OWNER", "KEEPS", "NOTE"),
		row: func(l client.Lease) []string {
			owner := "-"
			if l.OwnerAlive {
				owner = "alive"
			}
			return []string{
				l.ID, leaseKind(l.Kind), fmt.Sprint(l.Objects), oci.HumanSize(l.Stored), s.age(l.Created),
				humanUntil(l.Expires, now), owner, yesNo(l.Counts), l.Note,
			}
		},
		id:     func(l client.Lease) string { return l.ID },
		object: func(l client.Lease) any { return newLeaseJSON(l) },
	}
}

// leaseListCmd is `dist lease list`.
type leaseListCmd struct{ quietFlag }

// Help is the longer text of `dist lease list --help`.
func (leaseListCmd) Help() string {
	return `A lease keeps content that no name keeps: what is under it, all that this refers to, and what is about it (OBJECTS and STORED count what of that is here). KIND says who made it: "command" for one at work, "put" for what put and ingest left for a name to reach, "user" for "lease add". A lease keeps (KEEPS) until it expires, and as long as the command that made it lives (OWNER).

Examples:

    $ dist lease list
    $ dist lease list --format 'go-template={{.id}} {{.kind}} {{.note}}'`
}

// Run lists all leases.
func (c *leaseListCmd) Run(s *session) error {
	dist, err := s.local()
	if err != nil {
		return err
	}
	return printList(s.stdout, s.format(), c.Quiet, leaseListing(s), dist.Leases(s.ctx))
}

// expiresFlag says how long a lease lasts.
type expiresFlag struct {
	Expires span `default:"7d" placeholder:"TIME" help:"How long it lasts from now: 12h, 30d (${default} by default)."`
}

func (f expiresFlag) lasts() (time.Duration, error) {
	if f.Expires == 0 {
		return 0, usagef("--expires: a lease has to last for a time, for example 12h or 7d")
	}
	return time.Duration(f.Expires), nil
}

// leaseAddCmd is `dist lease add`.
type leaseAddCmd struct {
	quietFlag
	expiresFlag
	Note string   `placeholder:"TEXT" complete:"none" help:"What it is for; shown wherever the lease is."`
	ID   []string `arg:"" name:"id" complete:"id" help:"What to keep: ${id}."`
}

// Help is the longer text of `dist lease add --help`.
func (leaseAddCmd) Help() string {
	return `Makes one lease on all that is given and prints its id. A manifest or index under a lease keeps all that it refers to, and what is about it. A name stands for its content of now: when it moves or goes, the lease keeps what it had.

While it lasts, nothing under it is collected or evicted, and delete refuses it (exit 8).

Examples:

    $ dist lease add --expires 30d --note 'audit of March' registry.example/team/app:v1
    $ LEASE=$(dist lease add --expires 1h redis:7)`
}

// Run makes the lease.
func (c *leaseAddCmd) Run(s *session) error {
	lasts, err := c.lasts()
	if err != nil {
		return err
	}
	dist, err := s.local()
	if err != nil {
		return err
	}
	l, err := dist.AddLease(s.ctx, client.LeaseOptions{Note: c.Note, Lasts: lasts}, c.ID...)
	if err != nil {
		return aboutOne(c.ID, err)
	}
	return s.identified(c.quietFlag, l.ID, newLeaseJSON(l))
}

// leaseRenewCmd is `dist lease renew`.
type leaseRenewCmd struct {
	expiresFlag
	Lease []string `arg:"" complete:"lease" help:"Ids, or the first 4 or more digits of one."`
}

// Help is the longer text of `dist lease renew --help`.
func (leaseRenewCmd) Help() string {
	return `The time counts from now, and may end before the old one did. Of several leases all are renewed or none.

Examples:

    $ dist lease renew --expires 30d 5f2a90c1`
}

// Run moves the end of leases.
func (c *leaseRenewCmd) Run(s *session) error {
	lasts, err := c.lasts()
	if err != nil {
		return err
	}
	dist, err := s.local()
	if err != nil {
		return err
	}
	leases, err := dist.RenewLeases(s.ctx, lasts, c.Lease...)
	if err != nil {
		return aboutOne(c.Lease, err)
	}
	return s.printLeases(leases)
}

// leaseReleaseCmd is `dist lease release`.
type leaseReleaseCmd struct {
	Force bool     `short:"f" help:"Also one whose command is at work. What that command has stored so far is not protected any more."`
	Lease []string `arg:"" optional:"" complete:"lease" help:"Ids, or the first 4 or more digits of one."`
}

// Help is the longer text of `dist lease release --help`.
func (leaseReleaseCmd) Help() string {
	return `What was under the leases stays until it is collected, unless something else keeps it ("dist why" tells). Of several leases all end or none. One whose command is at work is exit 8. Without leases there is nothing to do, which is no error.

Examples:

    $ dist lease release 5f2a90c1
    $ dist lease list --format 'go-template={{if eq .kind "put"}}{{.id}}{{end}}' | xargs dist lease release`
}

// Run ends leases. Without any there is nothing to do: so xargs calls it when the list
// is empty.
func (c *leaseReleaseCmd) Run(s *session) error {
	if len(c.Lease) == 0 {
		s.warn("lease release: no lease given, nothing to do")
		return s.printLeases(nil)
	}
	dist, err := s.local()
	if err != nil {
		return err
	}
	leases, err := dist.ReleaseLeases(s.ctx, c.Force, c.Lease...)
	if err != nil {
		return aboutOne(c.Lease, err)
	}
	return s.printLeases(leases)
}

// printLeases is for programs alone: people see by the exit code that it is done.
func (s *session) printLeases(leases []client.Lease) error {
	if !s.format().structured() {
		return nil
	}
	return printList(s.stdout, s.format(), false, leaseListing(s), each(leases))
}
