package cmd

import (
	"errors"
	"fmt"

	"dist.example/client"
	"dist.example/content"
	"dist.example/db"
	"dist.example/oci"
)

// deletionJSON is what a deletion did.
type deletionJSON struct {
	Objects int      `json:"objects"`
	Bytes   int64    `json:"bytes"`
	Names   []string `json:"names"`
}

// deleteCmd is `dist delete`.
type deleteCmd struct {
	Digest []string `arg:"" optional:"" complete:"digest" help:"What to delete: a digest, or the first 6 or more hex digits of one. A full digest that is not here is no error."`
}

// Help is the longer text of `dist delete --help`.
func (deleteCmd) Help() string {
	return `All that is given is judged as one set. It goes if nothing outside of it holds any of it: no manifest or index (a subject holds what refers to it), no name on one of those, no command at work. Names on what is given go with it. Otherwise nothing is deleted, the holders are printed: exit 8.

A full digest that is not here is no error: there is nothing to delete. The first digits of a digest have to fit one that is here; fitting none is exit 3, and nothing is deleted.

What was deleted reads as absent at once; its bytes stay on disk until they are collected. Putting or pulling the same content again brings it back.

Examples:

    $ dist delete sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    $ dist list -q | xargs dist delete`
}

// Run deletes the set. Without any digest there is nothing to do: so xargs calls
// it when the list is empty.
func (c *deleteCmd) Run(s *session) error {
	if len(c.Digest) == 0 {
		s.warn("delete: no digest given, nothing to do")
		return printDeletion(s, client.Deletion{})
	}
	dist, err := s.local()
	if err != nil {
		return err
	}
	gone, err := dist.Delete(s.ctx, c.Digest...)
	if err != nil {
		if err = withHolders(err); len(c.Digest) == 1 {
			err = about(c.Digest[0], err)
		}
		return err
	}
	s.tellDeletion(gone)
	return printDeletion(s, gone)
}

// printDeletion is for programs alone: people are told on stderr. A template is none of its
// business: it may be there for all commands, in DIST_FORMAT, and nothing is listed here.
func printDeletion(s *session, gone client.Deletion) error {
	if !s.format().json() {
		return nil
	}
	return s.object(deletionJSON{gone.Objects, gone.Bytes, append([]string{}, gone.Names...)}, nil)
}

// maxLines is how many holders, or names that went, are told of one by one.
const maxLines = 20

// tellDeletion ends a deletion with what it did.
func (s *session) tellDeletion(gone client.Deletion) {
	for i, name := range gone.Names {
		if i == maxLines {
			s.warn(fmt.Sprintf("and %s more", plural(int64(len(gone.Names)-i), "name")))
			break
		}
		s.warn("the name " + name + " went with what it stood for")
	}
	if gone.Objects == 0 {
		s.warn("nothing of that is here")
		return
	}
	s.warn(fmt.Sprintf("deleted %s; %s on disk come back with a collection",
		plural(int64(gone.Objects), "object"), oci.HumanSize(gone.Bytes)))
}

// heldError is a client.HeldError for people: its text is short, and the
// holders are listed beside it.
type heldError struct{ *client.HeldError }

func (e *heldError) Error() string {
	return fmt.Sprintf("%v: what is held cannot go, and nothing was deleted", content.ErrConflict)
}

// Unwrap returns what the store said.
func (e *heldError) Unwrap() error { return e.HeldError }

// holderJSON is one holder in the JSON of an error. Without a name and a lease it
// is the content via that holds the object.
type holderJSON struct {
	Object oci.Digest `json:"object"`
	Via    oci.Digest `json:"via"`
	Name   string     `json:"name,omitempty"`
	Lease  string     `json:"lease,omitempty"`
	Note   string     `json:"note,omitempty"`
}

func (e *heldError) holders() []holderJSON {
	all := make([]holderJSON, len(e.Holders))
	for i, h := range e.Holders {
		all[i] = holderJSON{h.Object.Digest, h.Via.Digest, h.Name, h.Lease.ID, h.Lease.Note}
	}
	return all
}

func withHolders(err error) error {
	var held *client.HeldError
	if !errors.As(err, &held) {
		return err
	}
	advice := "delete what holds it in the same command"
	switch h := held.Holders[0]; {
	case h.Name != "":
		advice = "`dist remove` drops names; or delete what they stand for in the same command"
	case h.Lease.Kind == db.LeaseUser:
		advice = "it is kept by hand: `dist lease release` ends that"
	case h.Lease.ID != "":
		advice = "it is being worked with: delete it when that has ended"
	}
	return content.WithHint(&heldError{held}, "%s", advice)
}
