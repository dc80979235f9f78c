package cmd

import (
	"fmt"
	"io"
	"time"

	"dist.example/client"
	"dist.example/gc"
	"dist.example/oci"
)

// gcCmd is `dist gc`.
type gcCmd struct {
	planFlag
	Grace       *span `placeholder:"TIME" help:"Keep what was written less than this long ago, whoever holds it (the store's setting, 1h at first)."`
	KeepHistory *span `placeholder:"TIME" help:"Keep what names stood for this long, so that \"dist undo\" can bring it back (the store's setting, 14d at first)."`
	MaxTime     span  `placeholder:"TIME" help:"End after this long; the next run goes on."`
	Snapshots   bool  `help:"Also remove the layers that are kept unpacked (dist unpack --snapshots) and that no command or mounted folder uses."`
	Compact     bool  `help:"Also copy packs of which only a little is of no use any more, and those that are still being filled."`
}

// Help is the longer text of `dist gc --help`.
func (gcCmd) Help() string {
	return `Kept is what a name reaches, what a lease holds ("dist lease list"), what names stood for within the time that history is kept, and what was written within the grace ("dist store set" sets both times). What is about something goes with it: signatures, SBOMs. All else goes: content, and what commands that were killed have left behind. "dist why" tells what keeps something, "dist list --unreferenced" what would go.

Where the store takes more than its quota then ("dist store set quota=20G"), layers that are kept unpacked go, and then names, the one first that was not used for longest, until it does not: not pinned ones, and none whose content something else keeps, history too: --keep-history 0s gives up what names stood for before, in place of names. It cannot be undone. With --plan they are told.

Other commands may read and write meanwhile. It can be killed at any time: the next run goes on. Bytes of small content, which lies together in packs, come back when all of a pack, or more than half of one that is full, is of no use; --compact gives back nearly all of them.

Examples:

    $ dist gc
    $ dist gc --plan
    $ dist gc --grace 0s --keep-history 0s --compact
    $ dist gc --max-time 10m --format json | jq .freedBytes`
}

// Run collects, or tells what it would.
func (c *gcCmd) Run(s *session) error {
	dist, err := s.local()
	if err != nil {
		return err
	}
	o := client.CollectOptions{
		Grace: (*time.Duration)(c.Grace), KeepHistory: (*time.Duration)(c.KeepHistory), MaxTime: time.Duration(c.MaxTime), Compact: c.Compact, Snapshots: c.Snapshots,
	}
	if c.Plan {
		plan, err := dist.PlanCollection(s.ctx, o)
		if err != nil {
			return err
		}
		j := newGCPlanJSON(plan)
		j.Plan = true
		return s.object(j, j.print)
	}
	s.progress.start()
	report, err := dist.Collect(s.ctx, o)
	s.progress.stop()
	if report.Plan == nil {
		return err
	}
	s.keptPacks(report)
	j := newGCJSON(report)
	if err := s.object(j, j.print); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	text := fmt.Sprintf("freed %s in %s", oci.HumanSize(report.Freed), humanDuration(report.Took))
	if report.Unfinished {
		text += "; there was no time for all of it, the next run goes on"
	}
	s.progress.closing(text)
	return nil
}

// gcJSON is a collection, or a plan of one.
type gcJSON struct {
	Plan     bool                   `json:"plan"`
	Kept     map[string]gcCountJSON `json:"kept"`
	Garbage  gcCountJSON            `json:"garbage"`
	Given    gcCountJSON            `json:"deletedEarlier"`
	Packs    gcCountJSON            `json:"packs"`
	PackList []gcPackJSON           `json:"packList"`
	Files    []wasteJSON            `json:"files"`
	Changes  int64                  `json:"changesForgotten"`
	Copied   int64                  `json:"copiedBytes"`
	Freed    int64                  `json:"freedBytes"`
	// Evicted are the names that went, or would go, to keep to the quota.
	Evicted []gcEvictedJSON `json:"evicted"`
	// Unfinished says that --max-time ended it.
	Unfinished bool `json:"unfinished"`
}

type gcCountJSON struct {
	Objects int64 `json:"objects"`
	Bytes   int64 `json:"bytes"`
}

// gcEvictedJSON is a name that made room. Bytes came back with it.
type gcEvictedJSON struct {
	Name   string     `json:"name"`
	Digest oci.Digest `json:"digest"`
	Used   time.Time  `json:"used"`
	Bytes  int64      `json:"bytes"`
}

func newEvictedJSON(names []gc.EvictedName) []gcEvictedJSON {
	list := []gcEvictedJSON{}
	for _, n := range names {
		list = append(list, gcEvictedJSON{n.Reference.String(), n.Target.Digest, n.LastUsed, n.Frees})
	}
	return list
}

// gcPackJSON is a pack that was to go. Kept says why it stays.
type gcPackJSON struct {
	ID     int64  `json:"id"`
	Action string `json:"action"`
	Bytes  int64  `json:"bytes"`
	Live   int64  `json:"liveBytes"`
	Kept   string `json:"kept,omitempty"`
}

func newGCPlanJSON(p *client.CollectionPlan) gcJSON {
	j := gcJSON{
		Kept: map[string]gcCountJSON{}, Garbage: gcCountJSON(p.Garbage), Given: gcCountJSON(p.Given), PackList: []gcPackJSON{},
		Files: []wasteJSON{}, Changes: p.Changes, Freed: p.Frees, Evicted: newEvictedJSON(p.Evicts),
	}
	for reason, n := range p.Kept {
		j.Kept[gc.Reason(reason).String()] = gcCountJSON(n)
	}
	for _, pack := range p.Packs {
		j.Packs.Objects++
		j.Packs.Bytes += pack.Bytes
		if pack.Action == gc.Copy {
			j.Copied += pack.Live
		}
		j.PackList = append(j.PackList, gcPackJSON{ID: pack.ID, Action: string(pack.Action), Bytes: pack.Bytes, Live: pack.Live})
	}
	for _, w := range p.Files {
		j.Files = append(j.Files, wasteJSON(w))
	}
	return j
}

func newGCJSON(r client.Collection) gcJSON {
	j := newGCPlanJSON(r.Plan)
	j.Garbage, j.Packs, j.Copied, j.Changes = gcCountJSON(r.Doomed), gcCountJSON(r.Packs), r.Copied, r.Changes
	j.Freed, j.Unfinished, j.Files = r.Freed, r.Unfinished, []wasteJSON{}
	if r.Unfinished {
		j.Given = gcCountJSON{} // how much of it is not known
	}
	j.Evicted = newEvictedJSON(r.Evicted)
	for _, w := range r.Files {
		j.Files = append(j.Files, wasteJSON(w))
	}
	for i := range j.PackList {
		for _, k := range r.KeptPack {
			if k.ID == j.PackList[i].ID {
				j.PackList[i].Kept = k.Why
			}
		}
	}
	return j
}

// keptPacks tells which packs a collection could not give up.
func (s *session) keptPacks(r client.Collection) {
	for _, p := range r.KeptPack {
		s.warn(fmt.Sprintf("pack %d stays: %s", p.ID, p.Why))
	}
}

func (j gcJSON) print(w io.Writer) error {
	goes := "gone"
	if j.Plan {
		goes = "to go"
	}
	t := newTable(w, columns("WHAT", "COUNT|", "SIZE|"))
	line := func(what string, n, bytes int64) error {
		count := fmt.Sprint(n)
		if n == 0 && bytes > 0 {
			count = "-"
		}
		return t.add(what, count, oci.HumanSize(bytes))
	}
	for reason := range gc.ByGrace + 1 {
		n := j.Kept[reason.String()]
		if err := line("kept by "+reason.String(), n.Objects, n.Bytes); err != nil {
			return err
		}
	}
	rows := []wasteJSON{
		{Kind: "objects that nothing holds", Count: j.Garbage.Objects, Bytes: j.Garbage.Bytes},
		{Kind: "objects that were deleted", Count: j.Given.Objects, Bytes: j.Given.Bytes},
		{Kind: "packs", Count: j.Packs.Objects, Bytes: j.Packs.Bytes},
		{Kind: "changes of names", Count: j.Changes},
	}
	for _, r := range append(rows, j.Files...) {
		if r.Count == 0 {
			continue
		}
		if err := line(goes+": "+r.Kind, r.Count, r.Bytes); err != nil {
			return err
		}
	}
	for _, n := range j.Evicted {
		if err := line(goes+": "+n.Name+", last used "+n.Used.Format(time.DateOnly), 1, n.Bytes); err != nil {
			return err
		}
	}
	if j.Copied > 0 {
		if err := line("copied to other packs", 0, j.Copied); err != nil {
			return err
		}
	}
	if j.Plan {
		if err := line("would be freed", 0, j.Freed); err != nil {
			return err
		}
	}
	return t.flush()
}
