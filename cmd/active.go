package cmd

import (
	"iter"
	"strconv"
	"time"

	"dist.example/client"
	"dist.example/content"
	"dist.example/oci"
)

// activeCmd is `dist active`.
type activeCmd struct {
	quietFlag `set:"ids=keys"`
	Stale     bool     `help:"List those that nobody writes any more: their process was killed, or its input ended early."`
	Abort     []string `sep:"none" placeholder:"KEY" complete:"ingest" help:"Drop what was left behind under this key, with its bytes. ${repeat}"`
}

// Help is the longer text of `dist active --help`.
func (activeCmd) Help() string {
	return `An ingest is content on its way into the store: from "dist ingest", "put", "pull" and the like. OFFSET is how far it is, TOTAL its size ("?" where that is not known), RATE bytes a second since it was opened or its last checkpoint, 0 when nothing has come for 3 seconds; AGE is since it was begun.

What was left behind ("--stale") is gone on with by whoever ingests or pulls the same again. It is kept until the lease of the command that began it ends, or where that has none, for a day after the last byte (EXPIRES); then it is abandoned, and a collection drops it. "--abort" gives it up at once: exit 3 for a key that is not there, 8 for one that a process writes. -q prints keys.

Examples:

    $ watch -n0.2 dist active
    $ dist active --stale
    $ dist active --abort redis-layer
    $ dist active --stale -q | xargs -r -d '\n' -n1 dist active --abort`
}

// Run lists ingests, or drops some.
func (c *activeCmd) Run(s *session) error {
	if len(c.Abort) > 0 && (c.Quiet || c.Stale) {
		return usagef("--abort lists nothing; leave out -q and --stale")
	}
	dist, err := s.local()
	if err != nil {
		return err
	}
	for _, key := range c.Abort {
		if err := dist.Abort(s.ctx, key); err != nil {
			return about(key, err)
		}
	}
	if len(c.Abort) > 0 {
		return nil
	}
	if c.Stale {
		return printList(s.stdout, s.format(), c.Quiet, leftoverListing(), dist.Leftovers(s.ctx))
	}
	var others int64
	chosen := choose(dist.Active(s.ctx), func(st content.Status) bool { return st.Live }, &others)
	if err := printList(s.stdout, s.format(), c.Quiet, ingestListing(), chosen); err != nil {
		return err
	}
	if others > 0 && !c.Quiet && !s.format().structured() {
		s.warn(plural(others, "ingest") + ` left behind; "dist active --stale" lists what nobody writes any more`)
	}
	return nil
}

// choose passes on what is wanted, and counts the others.
func choose[T any](items iter.Seq2[T, error], wanted func(T) bool, others *int64) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for item, err := range items {
			if err == nil && !wanted(item) {
				*others++
			} else if !yield(item, err) {
				return
			}
		}
	}
}

func ingestListing() listing[content.Status] {
	now := time.Now()
	cols := columns("KEY", "OFFSET|", "TOTAL|", "RATE|", "AGE|", "PID|")
	// As wide as numbers get, so that nothing jumps about from one look to the next.
	for i, width := range []int{0, len("1023.9 KiB"), len("1023.9 KiB"), len("1023.9 KiB/s"), len("119 min"), len("4194304")} {
		cols[i].least = width
	}
	return listing[content.Status]{
		key:     "ingests",
		columns: cols,
		row: func(st content.Status) []string {
			pid := "-"
			if st.PID > 0 {
				pid = strconv.Itoa(st.PID)
			}
			return []string{st.Key, oci.HumanSize(st.Offset), oci.HumanSize(st.Total), oci.HumanSize(st.Rate(now)) + "/s", humanAge(st.StartedAt, now), pid}
		},
		id:     func(st content.Status) string { return st.Key },
		object: func(st content.Status) any { return newIngestJSON(st, now) },
	}
}

func leftoverListing() listing[client.Leftover] {
	now := time.Now()
	return listing[client.Leftover]{
		key:     "ingests",
		columns: columns("KEY", "OFFSET|", "TOTAL|", "AGE|", "EXPIRES", "ABANDONED"),
		row: func(l client.Leftover) []string {
			return []string{
				l.Key, oci.HumanSize(l.Offset), oci.HumanSize(l.Total), humanAge(l.StartedAt, now), humanUntil(l.Expires, now), yesNo(l.Abandoned),
			}
		},
		id: func(l client.Leftover) string { return l.Key },
		object: func(l client.Leftover) any {
			return leftoverJSON{newIngestJSON(l.Status, now), l.Expires.UTC().Truncate(time.Millisecond), l.Abandoned}
		},
	}
}

// leftoverJSON is an ingest that nobody writes.
type leftoverJSON struct {
	ingestJSON
	Expires   time.Time `json:"expires"`
	Abandoned bool      `json:"abandoned"`
}

// ingestJSON is an ingest in JSON documents.
type ingestJSON struct {
	Key      string     `json:"key"`
	Offset   int64      `json:"offset"`
	Total    int64      `json:"total"`
	Expected oci.Digest `json:"expected"`
	Live     bool       `json:"live"`
	PID      int        `json:"pid"`
	Rate     int64      `json:"bytesPerSecond"`
	Started  time.Time  `json:"started"`
	Updated  time.Time  `json:"updated"`
}

func newIngestJSON(st content.Status, now time.Time) ingestJSON {
	return ingestJSON{
		Key: st.Key, Offset: st.Offset, Total: st.Total, Expected: st.Expected, Live: st.Live, PID: st.PID,
		Rate: st.Rate(now), Started: st.StartedAt.UTC(), Updated: st.UpdatedAt.UTC().Truncate(time.Millisecond),
	}
}
