package cmd

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"dist.example/client"
	"dist.example/oci"
)

// planFlag is for verbs that can say what they would do.
type planFlag struct {
	Plan bool `help:"Say exactly what would be done, and do none of it."`
}

// writesNo refuses a lock beside a plan, which would not be written.
func (f planFlag) writesNo(lock string) error {
	if f.Plan && lock != "" {
		return usagef("--lock is written when all is done, and --plan does nothing: give one of them")
	}
	return nil
}

// planJSON is what a verb would do.
type planJSON struct {
	Names     []plannedJSON `json:"names"`
	Move      int64         `json:"moveBytes"`
	Reuse     int64         `json:"reuseBytes"`
	Requests  int64         `json:"requests"`
	Referrers int           `json:"referrers"`
}

type plannedJSON struct {
	Name      string     `json:"name"`
	Action    string     `json:"action"`
	Digest    oci.Digest `json:"digest"`
	Old       oci.Digest `json:"oldDigest"`
	MediaType string     `json:"mediaType"`
	Move      int64      `json:"moveBytes"`
	Reuse     int64      `json:"reuseBytes"`
	Referrers int        `json:"referrers"`
	Where     string     `json:"where,omitempty"`
}

func newPlanJSON(p client.Plan) planJSON {
	j := planJSON{Names: []plannedJSON{}, Move: p.MoveBytes, Reuse: p.HeldBytes, Requests: p.Requests, Referrers: p.Referrers}
	for _, n := range p.Names {
		j.Names = append(j.Names, plannedJSON{
			n.Name, string(n.Action), n.Target.Digest, n.Old, n.Target.MediaType, n.Move, n.Held, n.Referrers, n.Where,
		})
	}
	return j
}

// planned ends a verb that was asked for its plan, which is printed also where what it
// brings does not fit. names are what was asked for.
func (s *session) planned(q quietFlag, p client.Plan, err error, names ...string) error {
	s.progress.stop()
	if err != nil && len(names) == 1 {
		err = about(names[0], err)
	}
	if err != nil && !isRoom(err) {
		return err
	}
	j := newPlanJSON(p)
	return firstOf(s.result(q, j.ids(), j, j.print), err)
}

// isRoom says that something would not fit, which a plan tells beside all else.
func isRoom(err error) bool {
	var room *client.RoomError
	return errors.As(err, &room)
}

// ids are the digests that -q prints; a tag that goes has none.
func (j planJSON) ids() (ids []string) {
	for _, n := range j.Names {
		if n.Digest != "" {
			ids = append(ids, n.Digest.String())
		}
	}
	return ids
}

// print is the plan as a table, with a line of totals.
func (j planJSON) print(w io.Writer) error {
	titles := []string{"NAME", "ACTION", "DIGEST", "MOVE|", "REUSE|"}
	listed := slices.ContainsFunc(j.Names, func(n plannedJSON) bool { return n.Where != "" })
	if listed {
		titles = append(titles, "LISTED")
	}
	t := newTable(w, columns(titles...))
	for _, n := range j.Names {
		cells := []string{n.Name, n.Action, oci.ShortDigest(n.Digest), oci.HumanSize(n.Move), oci.HumanSize(n.Reuse)}
		if listed {
			cells = append(cells, cmp.Or(n.Where, "-"))
		}
		if err := t.add(cells...); err != nil {
			return err
		}
	}
	if err := t.flush(); err != nil {
		return err
	}
	about := ""
	if j.Referrers > 0 {
		about = plural(int64(j.Referrers), "referrer") + ", "
	}
	_, err := fmt.Fprintf(w, "to move %s, to reuse %s, %s%s\n", oci.HumanSize(j.Move), oci.HumanSize(j.Reuse), about, plural(j.Requests, "request"))
	return err
}
