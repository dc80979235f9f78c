package cmd

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"dist.example/client"
	"dist.example/content"
	"dist.example/oci"
)

// checkCmd is `dist check`.
type checkCmd struct {
	quietFlag
	Quick   bool    `xor:"how" help:"Read no content: look whether files are there with their sizes, at the headers of packs, and at the catalog."`
	Sample  percent `xor:"how" placeholder:"P" help:"Read so many percent of the content, chosen at random, and look at the rest as --quick does."`
	Seed    *uint64 `placeholder:"N" help:"With --sample: choose what an earlier check chose, which told its seed."`
	Rebuild bool    `xor:"how" help:"Make the catalog anew from the content, once no other process uses the store."`
}

// Help is the longer text of `dist check --help`.
func (checkCmd) Help() string {
	return `Every byte of the store is read and hashed, and the catalog is compared with the content, both ways. Other commands may run meanwhile. Damaged content is listed (exit 4), and the next "dist pull" or "dist put" of it replaces it. What nothing points to any more is counted; it is no damage.

Of a damaged blob of more than 4 MiB the list says which of its MiB are bad, counted from 0, where the store has the sums of its blocks. "found damaged before" is what an earlier check or a reader has marked; what is marked and reads right counts again, with a line about it.

--quick takes seconds and finds what is gone or has another size, --sample 10 also reads a tenth of the content, other bytes each time: a check a day reads all of it in some weeks.

When the catalog itself is wrong or lost, --rebuild makes a new one from the content: objects, types, names and their history. It needs the store for itself: stop "dist serve" first. It says what cannot be restored: leases, sources, what sites have (until their next receipts), what was pushed to which repository, unfinished ingests, and deletions. What no name reaches is kept for 7 days. Where "dist serve" gives repositories to different people: until things are pushed again, an index that has a name brings all that it lists, and a signature goes with what it signs. The old catalog goes to the store's folder catalog.old, where it stays for 14 days: the first garbage collection after that removes it.

Examples:

    $ dist check
    $ dist check --quick
    $ dist check --sample 10
    $ dist check --format json | jq .waste
    $ dist check --rebuild`
}

// Run checks, or rebuilds.
func (c *checkCmd) Run(s *session) error {
	if c.Seed != nil && c.Sample == 0 {
		return usagef("--seed is for --sample")
	}
	dist, err := s.local()
	if err != nil {
		return err
	}
	s.progress.start()
	if c.Rebuild {
		return c.rebuild(s, dist)
	}
	return c.check(s, dist)
}

func (c *checkCmd) check(s *session, dist *client.Client) error {
	start := time.Now()
	o := c.options()
	report, err := dist.CheckStore(s.ctx, o)
	s.progress.stop()
	if err != nil {
		return err
	}
	for _, text := range report.Catalog {
		s.warn("the catalog: " + text)
	}
	for _, d := range report.Unmarked {
		s.warn(fmt.Sprintf("%s was found damaged before, and is right: it counts again", d))
	}
	for _, text := range slices.Concat(report.Mended, report.Snapshots, report.Newer) {
		s.warn(text)
	}
	if err := c.print(s, newCheckJSON(o, report), report.Damaged); err != nil {
		return err
	}
	if report.Clean() {
		if !c.Quiet {
			s.progress.closing(checkAccount(o, report, time.Since(start)))
		}
		return nil
	}
	if o.Sample > 0 && !c.Quiet {
		s.progress.closing(fmt.Sprintf("--seed %d chooses the same content again", o.Seed))
	}
	return checkError(report)
}

// options say how much is read.
func (c *checkCmd) options() client.CheckOptions {
	o := client.CheckOptions{Quick: c.Quick, Sample: float64(c.Sample) / 100}
	switch {
	case c.Seed != nil:
		o.Seed = *c.Seed
	case c.Sample > 0:
		o.Seed = rand.Uint64N(1 << 32) // short enough to be typed
	}
	return o
}

// percent is a share of a hundred; 0 is none.
type percent float64

// UnmarshalText takes 10, 0.5 or 10%.
func (p *percent) UnmarshalText(text []byte) error {
	f, err := strconv.ParseFloat(strings.TrimSuffix(string(text), "%"), 64)
	if err != nil || !(f > 0 && f <= 100) {
		return usagef("%q is no percentage above 0 and up to 100", text)
	}
	*p = percent(f)
	return nil
}

// print prints the report: as a document, or else the damaged objects as a table.
func (c *checkCmd) print(s *session, document any, damaged []client.Damage) error {
	if s.format().json() && !c.Quiet {
		return printObject(s.stdout, s.format(), document, nil)
	}
	if len(damaged) == 0 && !s.format().structured() {
		return nil // a heading alone would say that there is something
	}
	return printList(s.stdout, s.format(), c.Quiet, damageListing(), each(damaged))
}

func damageListing() listing[client.Damage] {
	return listing[client.Damage]{
		key:     "damaged",
		columns: columns("DIGEST", "SIZE|", "PLACE", "PROBLEM", "NAMES"),
		row: func(d client.Damage) []string {
			names := strings.Join(d.Names, " ")
			if names == "" {
				names = "-"
			}
			return []string{d.Digest.String(), oci.HumanSize(d.Size), d.Place, d.Problem, names}
		},
		id:     func(d client.Damage) string { return d.Digest.String() },
		object: func(d client.Damage) any { return newDamageJSON(d) },
	}
}

// checkAccount is the closing line of a check that found nothing.
func checkAccount(o client.CheckOptions, r client.CheckReport, took time.Duration) string {
	text := fmt.Sprintf("checked %s, %s in %s, %s: no damage", plural(r.Objects, "object"), oci.HumanSize(r.Bytes),
		humanDuration(took), plural(r.Names, "name"))
	switch {
	case o.Quick:
		text = fmt.Sprintf("looked at %s in %s, %s, and read none: nothing is missing", plural(r.Held, "object"),
			humanDuration(took), plural(r.Names, "name"))
	case o.Sample > 0:
		text = fmt.Sprintf("looked at %s in %s, %s, and read %s, %s of them (--seed %d): no damage", plural(r.Held, "object"),
			humanDuration(took), plural(r.Names, "name"), oci.HumanSize(r.Bytes), plural(r.Objects, "whole object"), o.Seed)
	}
	var bytes int64
	for _, w := range r.Waste {
		bytes += w.Bytes
	}
	if bytes > 0 {
		text += fmt.Sprintf("; %s are of no use any more", oci.HumanSize(bytes))
	}
	return text
}

// checkError sums up what a check has found.
func checkError(r client.CheckReport) error {
	var found []string
	if n := len(r.Damaged); n > 0 {
		known := 0
		for _, d := range r.Damaged {
			if d.Known {
				known++
			}
		}
		text := plural(int64(n), "damaged object")
		switch {
		case known == n:
			text += ", found before"
		case known > 0:
			text += fmt.Sprintf(", %d of them found before", known)
		}
		found = append(found, text)
	}
	if r.Faults > 0 {
		found = append(found, plural(int64(r.Faults), "fault")+" of the catalog")
	}
	if n := len(r.Mended); n > 0 {
		found = append(found, plural(int64(n), "lost record"))
	}
	if n := len(r.Snapshots); n > 0 {
		found = append(found, plural(int64(n), "unpacked layer"))
	}
	if len(found) == 0 { // all that could be judged is good
		return content.WithHint(fmt.Errorf("%w: %s of a newer version", content.ErrUnsupported, plural(int64(len(r.Newer)), "thing")),
			"check with the version of dist that wrote it")
	}
	err := fmt.Errorf("%w: %s", content.ErrCorrupt, strings.Join(found, ", "))
	switch {
	case len(r.Catalog) > 0:
		return content.WithHint(err, client.HintRebuild)
	case len(r.Damaged) > 0:
		return content.WithHint(err, client.HintDamaged)
	}
	return content.WithHint(err, "the disk may be failing: check again")
}

func (c *checkCmd) rebuild(s *session, dist *client.Client) error {
	report, err := dist.Rebuild(s.ctx)
	s.progress.stop()
	if err != nil {
		return err
	}
	for _, text := range notRestored(report) {
		s.warn(text)
	}
	if dir, kept := oldCatalog(s); kept {
		s.warn("the old catalog is kept for 14 days in " + dir)
	}
	j := newRebuildJSON(report)
	if s.format().json() && !c.Quiet {
		err = printObject(s.stdout, s.format(), j, nil)
	} else if !c.Quiet {
		err = j.print(s.stdout)
	}
	if err == nil && len(report.Damaged) > 0 && (c.Quiet || !s.format().json()) {
		err = printList(s.stdout, s.format(), c.Quiet, damageListing(), each(report.Damaged))
	}
	if err != nil || report.Whole() {
		return err
	}
	hint := "pull or put again what is missing"
	if len(report.Damaged)+len(report.LostNames) == 0 {
		hint = "what could not be used is told above: compare \"dist images\" with what should be there"
	}
	return content.WithHint(fmt.Errorf("%w: not all of the content is good: %s", content.ErrCorrupt, rebuildFaults(report)), "%s", hint)
}

// oldCatalog is the folder of the store that a rebuild moves the old catalog to, and
// whether there is one.
func oldCatalog(s *session) (dir string, kept bool) {
	store, err := storeFolder(s.globals.Store, s.getenv)
	if err != nil {
		return "", false
	}
	dir = filepath.Join(store, "catalog.old")
	_, err = os.Stat(filepath.Join(dir, "catalog.db"))
	return dir, err == nil
}

// notRestored are the lines about what a rebuilt catalog lacks.
func notRestored(r client.RebuildReport) []string {
	var lines []string
	for _, n := range r.LostNames {
		lines = append(lines, fmt.Sprintf("the name %s could not be restored: %s is not here", n.Name, n.Digest))
	}
	lines = append(append(lines, r.Mended...), r.Left...)
	if r.Ingests > 0 {
		lines = append(lines, fmt.Sprintf("%s could not be restored: %s begin again from nothing", plural(r.Ingests, "unfinished ingest"), oci.HumanSize(r.Partial)))
	}
	if r.Kept > 0 {
		lines = append(lines, fmt.Sprintf("%s without a name kept for 7 days, deleted ones among them if their bytes were still here", plural(r.Kept, "object")))
	}
	return append(lines, "leases, sources, what sites have, what was pushed to which repository and what signatures were verified could not be restored: only the catalog had them")
}

func rebuildFaults(r client.RebuildReport) string {
	var parts []string
	add := func(n int, text string) {
		if n > 0 {
			parts = append(parts, text)
		}
	}
	add(len(r.Damaged), plural(int64(len(r.Damaged)), "damaged object"))
	add(len(r.LostNames), plural(int64(len(r.LostNames)), "lost name"))
	add(len(r.Left), fmt.Sprintf("%d told above", len(r.Left)))
	return strings.Join(parts, ", ")
}

// checkJSON is the report of a check in JSON.
type checkJSON struct {
	Clean   bool         `json:"clean"`
	Mode    string       `json:"mode"`              // "full", "quick" or "sample"
	Percent float64      `json:"percent,omitempty"` // of a sample
	Seed    *uint64      `json:"seed,omitempty"`    // of a sample
	Held    int64        `json:"heldObjects"`
	Objects int64        `json:"objects"`
	Bytes   int64        `json:"bytes"`
	Packs   int64        `json:"packs"`
	Names   int64        `json:"names"`
	Damaged []damageJSON `json:"damaged"`
	// Unmarked were damaged before and are right.
	Unmarked  []oci.Digest `json:"unmarked"`
	Catalog   []string     `json:"catalog"`
	Mended    []string     `json:"mended"`
	Snapshots []string     `json:"snapshots"`
	Newer     []string     `json:"newer"`
	Waste     []wasteJSON  `json:"waste"`
}

type damageJSON struct {
	Digest  oci.Digest `json:"digest"`
	Size    int64      `json:"size"`
	Place   string     `json:"place"`
	Problem string     `json:"problem"`
	Names   []string   `json:"names"`
	// Known says that it was marked before.
	Known bool `json:"known"`
	// Ranges are its damaged stretches, none where all of it may be damaged.
	Ranges []rangeJSON `json:"ranges"`
}

type rangeJSON struct {
	Offset int64 `json:"offset"`
	Length int64 `json:"length"`
}

func newRangesJSON(rs []client.Range) []rangeJSON {
	out := make([]rangeJSON, 0, len(rs))
	for _, r := range rs {
		out = append(out, rangeJSON(r))
	}
	return out
}

type wasteJSON struct {
	Kind  string `json:"kind"`
	Count int64  `json:"count"`
	Bytes int64  `json:"bytes"`
}

func newDamageJSON(d client.Damage) damageJSON {
	return damageJSON{d.Digest, d.Size, d.Place, d.Problem, append([]string{}, d.Names...), d.Known, newRangesJSON(d.Ranges)}
}

func newDamagesJSON(ds []client.Damage) []damageJSON {
	out := make([]damageJSON, 0, len(ds))
	for _, d := range ds {
		out = append(out, newDamageJSON(d))
	}
	return out
}

func newCheckJSON(o client.CheckOptions, r client.CheckReport) checkJSON {
	j := checkJSON{
		Clean: r.Clean(), Mode: "full", Held: r.Held, Objects: r.Objects, Bytes: r.Bytes, Packs: r.Packs, Names: r.Names, Damaged: newDamagesJSON(r.Damaged),
		Unmarked: append([]oci.Digest{}, r.Unmarked...),
		Catalog:  append([]string{}, r.Catalog...), Mended: append([]string{}, r.Mended...), Snapshots: append([]string{}, r.Snapshots...),
		Newer: append([]string{}, r.Newer...), Waste: []wasteJSON{},
	}
	switch {
	case o.Quick:
		j.Mode = "quick"
	case o.Sample > 0:
		j.Mode, j.Percent, j.Seed = "sample", o.Sample*100, &o.Seed
	}
	for _, w := range r.Waste {
		j.Waste = append(j.Waste, wasteJSON(w))
	}
	return j
}

// rebuildJSON is the report of a rebuild in JSON.
type rebuildJSON struct {
	Objects   int64          `json:"objects"`
	Bytes     int64          `json:"bytes"`
	Packs     int64          `json:"packs"`
	Names     int64          `json:"names"`
	Changes   int64          `json:"changes"`
	Kept      int64          `json:"keptObjects"`
	Damaged   []damageJSON   `json:"damaged"`
	LostNames []lostNameJSON `json:"lostNames"`
	Mended    []string       `json:"mended"`
	Left      []string       `json:"left"`
	Ingests   int64          `json:"ingests"`
	Partial   int64          `json:"partialBytes"`
}

type lostNameJSON struct {
	Name   string     `json:"name"`
	Digest oci.Digest `json:"digest"`
}

func newRebuildJSON(r client.RebuildReport) rebuildJSON {
	j := rebuildJSON{
		Objects: r.Objects, Bytes: r.Bytes, Packs: r.Packs, Names: r.Names, Changes: r.Changes, Kept: r.Kept,
		Damaged: newDamagesJSON(r.Damaged), LostNames: []lostNameJSON{}, Mended: append([]string{}, r.Mended...), Left: append([]string{}, r.Left...),
		Ingests: r.Ingests, Partial: r.Partial,
	}
	for _, n := range r.LostNames {
		j.LostNames = append(j.LostNames, lostNameJSON(n))
	}
	return j
}

func (j rebuildJSON) print(w io.Writer) error {
	return printFields(w, [][2]string{
		{"objects", fmt.Sprintf("%d, %s on disk", j.Objects, oci.HumanSize(j.Bytes))},
		{"packs", fmt.Sprint(j.Packs)},
		{"names", fmt.Sprint(j.Names)},
		{"changes of names", fmt.Sprint(j.Changes)},
		{"kept without a name", plural(j.Kept, "object")},
	})
}
