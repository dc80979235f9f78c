package cmd

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"dist.example/client"
	"dist.example/gc"
	"dist.example/oci"
)

// whyCmd is `dist why`.
type whyCmd struct {
	quietFlag `set:"ids=roots"`
	Limit     int      `short:"n" placeholder:"N" default:"1000" help:"At most so many chains of each object (${default} by default)."`
	ID        []string `arg:"" name:"id" complete:"id" help:"What is asked about: ${id}."`
}

// Help is the longer text of `dist why --help`.
func (whyCmd) Help() string {
	return `Tells what keeps content from being collected: every chain that leads to it from a name, from a lease, from what a name stood for until a short while ago (history, which undo needs), or from something that was written just now (grace). A manifest or index keeps what it refers to, and a manifest keeps what is about it: signatures and other referrers.

Layers that are kept unpacked ("dist unpack --snapshots") go with their layer: their chain id, which "dist query" lists (SELECT * FROM snapshots), asks for that.

What nothing keeps goes at the next collection; that is no error. -q prints no ids here, but what the chains begin with, each once: "name" and a name, "lease" and an id, and so on; nothing where nothing keeps it. What is not here is exit 3.

Examples:

    $ dist why redis:7
    $ dist why -q sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    $ dist why --format json 9f86d081 | jq '.objects[].chains[].root'`
}

// whyJSON is what keeps some objects.
type whyJSON struct {
	Objects []explanationJSON `json:"objects"`
}

type explanationJSON struct {
	Digest    oci.Digest  `json:"digest"`
	MediaType string      `json:"mediaType"`
	Size      int64       `json:"size"`
	Chains    []chainJSON `json:"chains"`
	More      int64       `json:"more"`
	// Snapshots are those made of a layer, which go with it.
	Snapshots []snapshotJSON `json:"snapshots,omitempty"`
}

// snapshotJSON is a layer that is kept unpacked.
type snapshotJSON struct {
	Chain oci.Digest `json:"chain"`
	Dir   string     `json:"folder"`
	Files int64      `json:"files"`
	Bytes int64      `json:"bytes"`
	Used  time.Time  `json:"used"`
}

type chainJSON struct {
	Root  rootJSON   `json:"root"`
	Links []linkJSON `json:"links"`
}

// rootJSON is what a chain begins with; what does not belong to its kind is left out.
type rootJSON struct {
	Kind  string     `json:"kind"`
	Name  string     `json:"name,omitempty"`
	Lease string     `json:"lease,omitempty"`
	Note  string     `json:"note,omitempty"`
	Alive bool       `json:"ownerAlive,omitempty"`
	Seq   int64      `json:"seq,omitempty"`
	Why   string     `json:"why,omitempty"`
	At    *time.Time `json:"at,omitempty"`
	Until *time.Time `json:"until,omitempty"`
}

type linkJSON struct {
	Role      string     `json:"role,omitempty"`
	Digest    oci.Digest `json:"digest"`
	MediaType string     `json:"mediaType"`
	Size      int64      `json:"size"`
}

func newWhyJSON(found []client.Explanation) whyJSON {
	j := whyJSON{Objects: []explanationJSON{}}
	for _, e := range found {
		one := explanationJSON{Digest: e.Object.Digest, MediaType: mediaTypeOf(e.Object.Media), Size: e.Object.Size, Chains: []chainJSON{}, More: e.More}
		for _, c := range e.Chains {
			one.Chains = append(one.Chains, newChainJSON(c))
		}
		for _, snap := range e.Snapshots {
			one.Snapshots = append(one.Snapshots, snapshotJSON{snap.Chain, "snapshots/" + snap.Dir, snap.Files, snap.Bytes, snap.Used})
		}
		j.Objects = append(j.Objects, one)
	}
	return j
}

func newChainJSON(c client.Chain) chainJSON {
	r := c.Root
	j := chainJSON{Root: rootJSON{
		Kind: rootKind(r.Reason), Name: r.Name, Lease: r.Lease.ID, Note: r.Lease.Note, Alive: r.Alive, Seq: r.Seq, Why: r.Why,
		At: timeOrNil(r.At), Until: timeOrNil(r.Until),
	}}
	for _, l := range c.Links {
		j.Links = append(j.Links, linkJSON{linkRole(l.Role), l.Digest, mediaTypeOf(l.Media), l.Size})
	}
	return j
}

func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func mediaTypeOf(media string) string {
	if media == "" {
		return oci.MediaTypeOctets
	}
	return media
}

func rootKind(r gc.Reason) string {
	switch r {
	case gc.ByName:
		return "name"
	case gc.ByLease:
		return "lease"
	case gc.ByHistory:
		return "history"
	}
	return "grace"
}

// linkRole is what an object of a chain is to the one before it.
func linkRole(r oci.Role) string {
	switch r {
	case 0:
		return ""
	case oci.RoleSubject:
		return "referrer"
	}
	return r.String()
}

// Run tells what keeps the objects.
func (c *whyCmd) Run(s *session) error {
	if c.Limit < 1 {
		return usagef("--limit %d: want 1 or more", c.Limit)
	}
	dist, err := s.local()
	if err != nil {
		return err
	}
	found, err := dist.Why(s.ctx, client.WhyOptions{Chains: c.Limit}, c.ID...)
	if err != nil {
		return aboutOne(c.ID, err)
	}
	j := newWhyJSON(found)
	if c.Quiet {
		return j.printRoots(s.stdout)
	}
	return s.object(j, func(w io.Writer) error { return j.print(w, time.Now()) })
}

// printRoots prints each root once.
func (j whyJSON) printRoots(out io.Writer) error {
	w, seen := bufio.NewWriter(out), map[string]bool{}
	for _, o := range j.Objects {
		for _, c := range o.Chains {
			if text := c.id(); !seen[text] {
				seen[text] = true
				fmt.Fprintln(w, printable(text))
			}
		}
	}
	return w.Flush()
}

// id names what a chain begins with: by its name, its lease, or the object that was
// written just now.
func (c chainJSON) id() string {
	r := c.Root
	switch {
	case r.Lease != "":
		return r.Kind + " " + r.Lease
	case r.Name != "":
		return r.Kind + " " + r.Name
	}
	return r.Kind + " " + c.Links[0].Digest.String()
}

func (j whyJSON) print(out io.Writer, now time.Time) error {
	w := bufio.NewWriter(out)
	for i, o := range j.Objects {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "%s  %s  %s\n", o.Digest, printable(o.MediaType), oci.HumanSize(o.Size))
		for _, snap := range o.Snapshots {
			fmt.Fprintf(w, "kept unpacked in %s: %s, %s, used %s; chain id %s\n", snap.Dir, plural(snap.Files, "file"), oci.HumanSize(snap.Bytes), ago(snap.Used, now), snap.Chain)
		}
		if len(o.Chains) == 0 {
			fmt.Fprintln(w, "nothing keeps it: it goes at the next collection")
		}
		for _, c := range o.Chains {
			c.print(w, now)
		}
		if o.More > 0 {
			fmt.Fprintf(w, "and %s more; --limit tells more of them\n", plural(o.More, "chain"))
		}
	}
	return w.Flush()
}

// print prints a chain as a tree of one branch, down to the object.
func (c chainJSON) print(w io.Writer, now time.Time) {
	fmt.Fprintln(w, printable(c.Root.text(now)))
	for i, l := range c.Links {
		role := l.Role
		if role != "" {
			role += " "
		}
		fmt.Fprintf(w, "%s└─ %s\n", strings.Repeat("   ", i), printable(role+oci.ShortDigest(l.Digest)+"  "+l.MediaType))
	}
}

// text is a root in a line.
func (r rootJSON) text(now time.Time) string {
	switch {
	case r.Kind == "name":
		return "name " + r.Name
	case r.Kind == "history":
		return fmt.Sprintf("history: the name %s stood for it until change %d (%s, %s); kept until %s (%s)", r.Name, r.Seq, r.Why, ago(*r.At, now), stamp(*r.Until), humanUntil(*r.Until, now))
	case r.Kind == "grace":
		return fmt.Sprintf("grace: written %s; kept until %s (%s)", ago(*r.At, now), stamp(*r.Until), humanUntil(*r.Until, now))
	}
	text := "lease " + r.Lease
	if r.Note != "" {
		text += " (" + r.Note + ")"
	}
	if r.Alive {
		return text + "; its command is at work"
	}
	return fmt.Sprintf("%s; until %s (%s)", text, stamp(*r.Until), humanUntil(*r.Until, now))
}

func ago(t, now time.Time) string {
	if age := humanAge(t, now); age != "now" {
		return age + " ago"
	}
	return "just now"
}

func stamp(t time.Time) string { return t.Local().Format("2006-01-02 15:04") }
