package cmd

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"dist.example/client"
	"dist.example/content"
	"dist.example/oci"
)

// repairCmd is `dist repair`.
type repairCmd struct {
	From  []string `sep:"none" placeholder:"LOCATOR" complete:"locator|dir" help:"Where to ask first: a locator, or the folder of another store. ${repeat}"`
	Check bool     `help:"Read all content of the store first, as dist check does."`
	planFlag
	jobsFlag
	quietFlag
	networkFlags
	ID []string `arg:"" optional:"" name:"id" complete:"id" help:"What to repair, with all that it reaches: ${id}. Without it: all that is damaged or missing."`
}

// Help is the longer text of `dist repair --help`.
func (repairCmd) Help() string {
	return `What is damaged, and what is missing where a name reaches it, is fetched again: from the places given with --from, then from those that the store remembers. Of a blob of more than 4 MiB only the damaged MiB are fetched, where the store has their sums and the place gives parts; everything else comes whole. The digest decides: until it is right, what is here stays as it is. What is marked as damaged and reads right is not fetched.

Without arguments the store is looked over as by dist check --quick: what is gone or has another size is found, and what a check or a reader has marked. --check reads everything. What is named as an argument is read with all that it reaches, and is all that is repaired then. --plan looks in the same way and changes nothing: it marks nothing and mends nothing.

--auth-file, --plain-http and --insecure are for the places that --from gives. A registry that the store remembers is asked as any registry is: one that needs these flags is named with --from HOST/REPOSITORY.

What no place could give is listed with the reasons: exit 4, or 12 where only the network that is not to be used could have.

Examples:

    $ dist repair
    $ dist repair --plan
    $ dist repair --check
    $ dist repair redis:7
    $ dist repair --from oci-archive:backup.tar --from /mnt/other/store`
}

// Run repairs, and prints what was done.
func (c *repairCmd) Run(s *session) error {
	if c.Check && len(c.ID) > 0 {
		return usagef("--check reads all of the store: what is named is read in any case")
	}
	dist, err := s.transfers(c.networkFlags, c.Jobs)
	if err != nil {
		return err
	}
	o := client.RepairOptions{From: c.From, Check: c.Check}
	s.progress.start()
	if c.Plan {
		return c.plan(s, dist, o)
	}
	r, err := dist.Repair(s.ctx, c.ID, o)
	s.progress.stop()
	if err != nil && len(r.Repaired)+len(r.Left) == 0 {
		return err
	}
	tellFindings(s, r.CheckFindings)
	if perr := c.print(s, r); perr != nil || err != nil { // what was repaired by then is told all the same
		return cmp.Or(err, perr)
	}
	if !c.Quiet {
		s.progress.closing(fmt.Sprintf("repaired %s, fetched %s, %s, %s", plural(int64(len(r.Repaired)), "object"),
			oci.HumanSize(r.Fetched), plural(r.Requests, "request"), humanDuration(r.Elapsed)))
	}
	return repairError(r)
}

// tellFindings warns of what the check before has found beside damage.
func tellFindings(s *session, f client.CheckFindings) {
	for _, text := range f.Catalog {
		s.warn("the catalog: " + text)
	}
	for _, text := range slices.Concat(f.Mended, f.Newer) {
		s.warn(text)
	}
}

// repairError sums up what could not be repaired.
func repairError(r client.RepairReport) error {
	if len(r.Left) == 0 && len(r.Catalog) == 0 {
		return nil
	}
	if len(r.Left) == 0 {
		return content.WithHint(fmt.Errorf("%w: the catalog is wrong", content.ErrCorrupt), client.HintRebuild)
	}
	text := "no place gave " + plural(int64(len(r.Left)), "object")
	known, offline := false, len(r.Catalog) == 0
	for _, l := range r.Left {
		known = known || len(l.Reasons) > 0
		offline = offline && slices.ContainsFunc(l.Reasons, func(why client.RepairReason) bool { return errors.Is(why.Err, content.ErrOffline) })
	}
	if offline { // the network alone could have given all of it
		return content.WithHint(fmt.Errorf("%w: %s", content.ErrOffline, text), "unset DIST_OFFLINE or leave out --offline, or name a place on this machine with --from")
	}
	err := fmt.Errorf("%w: %s", content.ErrCorrupt, text)
	if !known {
		return content.WithHint(err, "no place is known to have it: name one with --from, or put it again")
	}
	return content.WithHint(err, "name another place with --from")
}

// repairLine is a row of what repair prints: an object that is right again, or not.
type repairLine struct {
	fixed *client.Repaired
	left  *client.Unrepaired
}

func (c *repairCmd) print(s *session, r client.RepairReport) error {
	if s.format().json() && !c.Quiet {
		return printObject(s.stdout, s.format(), newRepairJSON(r), nil)
	}
	var lines []repairLine
	for i := range r.Repaired {
		lines = append(lines, repairLine{fixed: &r.Repaired[i]})
	}
	for i := range r.Left {
		lines = append(lines, repairLine{left: &r.Left[i]})
	}
	if len(lines) == 0 && !s.format().structured() {
		return nil
	}
	return printList(s.stdout, s.format(), c.Quiet, listing[repairLine]{
		key:     "objects",
		columns: columns("DIGEST", "SIZE|", "RESULT", "FETCHED|", "FROM"),
		row:     repairLine.row,
		id:      repairLine.id,
		object:  repairLine.object,
	}, each(lines))
}

func (l repairLine) row() []string {
	if l.fixed != nil {
		return []string{l.id(), oci.HumanSize(l.fixed.Size), "repaired", oci.HumanSize(l.fixed.Fetched), printable(l.fixed.From)}
	}
	var why []string
	for _, r := range l.left.Reasons {
		why = append(why, printable(fmt.Sprintf("%s: %v", r.From, r.Err)))
	}
	if len(why) == 0 {
		why = []string{"no place is known to have it"}
	}
	return []string{l.id(), oci.HumanSize(l.left.Size), "not repaired", "-", strings.Join(why, "; ")}
}

func (l repairLine) id() string {
	if l.fixed != nil {
		return l.fixed.Digest.String()
	}
	return l.left.Digest.String()
}

func (l repairLine) object() any {
	if l.fixed != nil {
		return newRepairedJSON(*l.fixed)
	}
	return newUnrepairedJSON(*l.left)
}

// repairJSON is the report of a repair in JSON.
type repairJSON struct {
	Repaired []repairedJSON   `json:"repaired"`
	Left     []unrepairedJSON `json:"notRepaired"`
	Catalog  []string         `json:"catalog"`
	Mended   []string         `json:"mended"`
	Newer    []string         `json:"newer"`
	Fetched  int64            `json:"fetchedBytes"`
	Requests int64            `json:"requests"`
	Seconds  float64          `json:"seconds"`
}

// lackJSON is what was damaged or missing.
type lackJSON struct {
	Digest oci.Digest `json:"digest"`
	Size   int64      `json:"size"`
	Place  string     `json:"place"`
	Names  []string   `json:"names"`
}

type repairedJSON struct {
	lackJSON
	From    string      `json:"from"`
	Fetched int64       `json:"fetchedBytes"`
	Ranges  []rangeJSON `json:"ranges"`
}

type unrepairedJSON struct {
	lackJSON
	Reasons []reasonJSON `json:"reasons"`
}

type reasonJSON struct {
	From  string `json:"from"`
	Error string `json:"error"`
}

func newRepairedJSON(r client.Repaired) repairedJSON {
	return repairedJSON{newLackJSON(r.Lack), r.From, r.Fetched, newRangesJSON(r.Ranges)}
}

func newUnrepairedJSON(l client.Unrepaired) unrepairedJSON {
	j := unrepairedJSON{newLackJSON(l.Lack), []reasonJSON{}}
	for _, r := range l.Reasons {
		j.Reasons = append(j.Reasons, reasonJSON{r.From, r.Err.Error()})
	}
	return j
}

func newLackJSON(l client.Lack) lackJSON {
	return lackJSON{l.Digest, l.Size, l.Place, append([]string{}, l.Names...)}
}

func newRepairJSON(r client.RepairReport) repairJSON {
	j := repairJSON{
		Repaired: []repairedJSON{}, Left: []unrepairedJSON{}, Catalog: append([]string{}, r.Catalog...),
		Mended: append([]string{}, r.Mended...), Newer: append([]string{}, r.Newer...),
		Fetched: r.Fetched, Requests: r.Requests, Seconds: r.Elapsed.Seconds(),
	}
	for _, f := range r.Repaired {
		j.Repaired = append(j.Repaired, newRepairedJSON(f))
	}
	for _, l := range r.Left {
		j.Left = append(j.Left, newUnrepairedJSON(l))
	}
	return j
}

// plannedRepairJSON is one object of a plan.
type plannedRepairJSON struct {
	lackJSON
	Bytes  int64       `json:"bytes"`
	From   []string    `json:"from"`
	Ranges []rangeJSON `json:"ranges"`
}

// plan prints what would be fetched from where.
func (c *repairCmd) plan(s *session, dist *client.Client, o client.RepairOptions) error {
	plan, err := dist.PlanRepair(s.ctx, c.ID, o)
	s.progress.stop()
	if err != nil {
		return err
	}
	tellFindings(s, plan.CheckFindings)
	var bytes int64
	for _, p := range plan.Objects {
		bytes += p.Bytes
	}
	err = printList(s.stdout, s.format(), c.Quiet, listing[client.PlannedRepair]{
		key:     "objects",
		columns: columns("DIGEST", "SIZE|", "PLACE", "TO FETCH|", "FROM"),
		row: func(p client.PlannedRepair) []string {
			from := printable(strings.Join(p.From, " "))
			if from == "" {
				from = "-"
			}
			return []string{p.Digest.String(), oci.HumanSize(p.Size), p.Lack.Place, oci.HumanSize(p.Bytes), from}
		},
		id: func(p client.PlannedRepair) string { return p.Digest.String() },
		object: func(p client.PlannedRepair) any {
			return plannedRepairJSON{newLackJSON(p.Lack), p.Bytes, append([]string{}, p.From...), newRangesJSON(p.Ranges)}
		},
	}, each(plan.Objects))
	if err == nil && !c.Quiet {
		s.progress.closing(fmt.Sprintf("%s to repair, %s to fetch", plural(int64(len(plan.Objects)), "object"), oci.HumanSize(bytes)))
	}
	return err
}
