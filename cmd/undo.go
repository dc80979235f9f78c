package cmd

import (
	"fmt"
	"io"
	"time"

	"dist.example/client"
	"dist.example/oci"
)

// undoCmd is `dist undo`.
type undoCmd struct {
	planFlag
	Changes int `arg:"" optional:"" default:"1" help:"How many changes, counted from the newest (1 by default)."`
}

// Help is the longer text of "dist undo --help".
func (undoCmd) Help() string {
	return `One change is everything that one command moved in one transaction: all names of a "dist pull" of several images, with the signatures that are kept under a tag. All names go back to what they were, or none does; one that was removed and had been pinned is pinned again. Nothing else changes: content stays, and so does a signature that refers to its image.

An undo is logged, and is no change that can be undone: the next "dist undo" goes further back. "dist tag NAME@{1} NAME" takes one back.

What the names would stand for has to be here still, with all that it reaches; else that is exit 3, and the error names what is gone. That is so after "dist delete". When a name is not what the change has made of it, that is exit 8.

Whose signatures count is not asked: which of the images that were here a name stands for is the owner's to decide. What is remembered against older signatures stays as it is. So "dist verify" may refuse the older image by its name, with "older", and a registry cannot bring it back unasked; "dist pull --allow-rollback" lets it count again, and so does signing it anew.

Examples:

    $ dist undo
    $ dist undo --plan 3
    $ dist undo 3`
}

// undoneJSON is what an undo did, or would do.
type undoneJSON struct {
	Changes []undoneChangeJSON `json:"changes"`
	Names   []nameMoveJSON     `json:"names"`
}

// undoneChangeJSON is one change that was undone.
type undoneChangeJSON struct {
	First int64     `json:"first"` // seqs in the log
	Last  int64     `json:"last"`
	At    time.Time `json:"at"`
	Why   string    `json:"why"`
}

type nameMoveJSON struct {
	Name string     `json:"name"`
	Old  oci.Digest `json:"old"` // "" where it was not there
	New  oci.Digest `json:"new"` // "" where it goes
}

func newUndoneJSON(u client.Undone) undoneJSON {
	j := undoneJSON{Changes: []undoneChangeJSON{}, Names: []nameMoveJSON{}}
	for _, c := range u.Changes {
		j.Changes = append(j.Changes, undoneChangeJSON{c[len(c)-1].Seq, c[0].Seq, c[0].At, c[0].Why})
	}
	for _, m := range u.Moves {
		j.Names = append(j.Names, nameMoveJSON(m))
	}
	return j
}

// Run undoes changes, or tells what that would be.
func (c *undoCmd) Run(s *session) error {
	dist, err := s.local()
	if err != nil {
		return err
	}
	if c.Plan {
		u, err := dist.PlanUndo(s.ctx, c.Changes)
		if err != nil {
			return err
		}
		j := newUndoneJSON(u)
		return s.object(j, j.print)
	}
	u, err := dist.Undo(s.ctx, c.Changes)
	if err != nil {
		return err
	}
	j := newUndoneJSON(u)
	s.tellUndone(j)
	if !s.format().json() { // people are told on stderr, and no template is asked for
		return nil
	}
	return s.object(j, nil)
}

// print is the names as a table.
func (j undoneJSON) print(w io.Writer) error {
	t := newTable(w, columns("NAME", "OLD", "NEW"))
	for _, m := range j.Names {
		if err := t.add(m.Name, shortOrNone(m.Old), shortOrNone(m.New)); err != nil {
			return err
		}
	}
	return t.flush()
}

// tellUndone says what an undo did.
func (s *session) tellUndone(j undoneJSON) {
	for i, m := range j.Names {
		if i == maxLines {
			s.warn(fmt.Sprintf("and %s more", plural(int64(len(j.Names)-i), "name")))
			break
		}
		switch {
		case m.New == "":
			s.warn(fmt.Sprintf("%s is gone; it was %s", m.Name, oci.ShortDigest(m.Old)))
		case m.Old == "":
			s.warn(fmt.Sprintf("%s is %s again", m.Name, oci.ShortDigest(m.New)))
		default:
			s.warn(fmt.Sprintf("%s is %s again, and not %s", m.Name, oci.ShortDigest(m.New), oci.ShortDigest(m.Old)))
		}
	}
	n := len(j.Changes)
	if len(j.Names) == 0 {
		s.warn(fmt.Sprintf("the last %s cancel each other out: nothing moved; dist undo %d goes further back", plural(int64(n), "change"), n+1))
		return
	}
	s.warn(fmt.Sprintf("undone: %s, back to before %s (%s)",
		plural(int64(n), "change"), j.Changes[n-1].At.Local().Format(time.DateTime), j.Changes[n-1].Why))
}
