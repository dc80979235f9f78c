package cmd

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"dist.example/client"
	"dist.example/fsys"
	"dist.example/oci"
)

// siteCmd is `dist site`.
type siteCmd struct {
	Add     siteAddCmd     `cmd:"" help:"Note a site that bundles are exported for."`
	List    siteListCmd    `cmd:"" help:"List the sites."`
	Show    siteShowCmd    `cmd:"" help:"Tell what a site has, and what was exported for it since it said so."`
	Update  siteUpdateCmd  `cmd:"" help:"Take a receipt of a site: what it has now."`
	Forget  siteForgetCmd  `cmd:"" help:"Forget a site."`
	Receipt siteReceiptCmd `cmd:"" help:"At the receiver: write what this store has, for the sender."`
}

// siteJSON is a site in JSON documents.
type siteJSON struct {
	Name    string     `json:"name"`
	Note    string     `json:"note"`
	Key     oci.Digest `json:"key"` // that has to sign its receipts, "" for none
	Added   time.Time  `json:"added"`
	Store   string     `json:"store"`
	Receipt oci.Digest `json:"receipt"`
	Serial  int64      `json:"serial"`
	Made    time.Time  `json:"created,omitzero"`
	Updated time.Time  `json:"updated,omitzero"`
	Known   bool       `json:"known"` // what follows is
	Objects int64      `json:"objects"`
	Names   int64      `json:"names"`
}

func newSiteJSON(site client.Site) (siteJSON, error) {
	j := siteJSON{
		Name: site.Name, Note: site.Note, Added: site.Added, Store: site.Store, Receipt: site.Receipt, Serial: site.Serial,
		Made: site.Made, Updated: site.Updated, Known: site.Inventory != 0,
	}
	if j.Known {
		j.Objects, j.Names = site.Objects, site.Names
	}
	k, err := client.SiteKey(site)
	if k != nil {
		j.Key = k.ID()
	}
	return j, err
}

// known is a count for people, where it is known.
func (j siteJSON) known(text string) string {
	if !j.Known {
		return "-"
	}
	return text
}

func (j siteJSON) fields() [][2]string {
	receipt, key := "none yet", "any"
	if j.Receipt != "" {
		receipt = fmt.Sprintf("%s, serial %d, made %s, here since %s", oci.ShortDigest(j.Receipt), j.Serial, j.Made.Format(time.DateTime), j.Updated.Format(time.DateTime))
	}
	if j.Key != "" {
		key = j.Key.String()
	}
	return [][2]string{
		{"site", j.Name},
		{"note", dash(j.Note)},
		{"receipts signed by", key},
		{"store", dash(j.Store)},
		{"last receipt", receipt},
		{"objects", j.known(strconv.FormatInt(j.Objects, 10))},
		{"names", j.known(strconv.FormatInt(j.Names, 10))},
	}
}

// sentJSON is a bundle that was exported for a site.
type sentJSON struct {
	Name    string     `json:"name"`
	Serial  int64      `json:"serial"`
	Digest  oci.Digest `json:"digest"` // of its index.json
	Base    oci.Digest `json:"base"`
	At      time.Time  `json:"at"`
	Images  int        `json:"images"`
	Blobs   int        `json:"blobs"`
	Size    int64      `json:"size"`
	Objects int64      `json:"objects"` // that its images reach, 0 where that is not remembered
}

func newSentJSON(b client.SentBundle) sentJSON {
	return sentJSON{b.Name, b.Serial, b.Digest, b.Base, b.At, b.Images, b.Blobs, b.Size, b.Objects}
}

// siteAddCmd is `dist site add`.
type siteAddCmd struct {
	Key  string `short:"k" placeholder:"KEY" complete:"key" help:"Public key that has to sign the site's receipts: a label, an id or its first 8 digits, or a file."`
	Note string `placeholder:"TEXT" complete:"none" help:"What it is; shown wherever the site is."`
	Name string `arg:"" name:"site" complete:"none" help:"What the site is called: letters, digits, dots, hyphens and underscores."`
}

// Help is the longer text of `dist site add --help`.
func (siteAddCmd) Help() string {
	return `A site is a store on the other side of an air gap. What it has is not known before its first receipt ("dist site receipt" there, "dist site update" here); "dist export --for" exports everything until then.

With --key only receipts that this key has signed count. Make the key there, and bring its public part over by a way that you trust.

Examples:

    $ dist site add --note 'hall 3, no network' hall3
    $ dist site add --key plant.pub plant`
}

// Run notes the site.
func (c *siteAddCmd) Run(s *session) error {
	dist, err := s.local()
	if err != nil {
		return err
	}
	site, err := dist.AddSite(s.ctx, c.Name, client.SiteOptions{Key: c.Key, Note: c.Note})
	if err != nil {
		return about(c.Name, err)
	}
	return s.printSite(site, nil)
}

// printSite prints a site, to people what human does.
func (s *session) printSite(site client.Site, human func(io.Writer) error) error {
	j, err := newSiteJSON(site)
	if err != nil {
		return err
	}
	if human == nil {
		human = func(io.Writer) error { return nil }
	}
	return s.object(j, human)
}

// siteListCmd is `dist site list`.
type siteListCmd struct {
	quietFlag `set:"ids=names"`
}

// Help is the longer text of `dist site list --help`.
func (siteListCmd) Help() string {
	return `OBJECTS and NAMES, tags of signatures included, are what the site said it has in its last receipt, which came here so long ago (AGE). "-" is for what is not known: before the first receipt, and after "dist check --rebuild" until the next one.

Examples:

    $ dist site list
    $ dist site list --format 'go-template={{.name}}{{if .known}} {{.updated}}{{end}}'`
}

// Run lists the sites.
func (c *siteListCmd) Run(s *session) error {
	dist, err := s.local()
	if err != nil {
		return err
	}
	// A key that cannot be read is told of by show.
	as := func(site client.Site) siteJSON { j, _ := newSiteJSON(site); return j }
	return printList(s.stdout, s.format(), c.Quiet, listing[client.Site]{
		key:     "sites",
		columns: columns("SITE", "OBJECTS|", "NAMES|", "AGE|", "SIGNED", "NOTE"),
		row: func(site client.Site) []string {
			j := as(site)
			return []string{
				j.Name, j.known(strconv.FormatInt(j.Objects, 10)), j.known(strconv.FormatInt(j.Names, 10)),
				s.age(j.Updated), yesNo(len(site.Key) > 0), j.Note,
			}
		},
		id:     func(site client.Site) string { return site.Name },
		object: func(site client.Site) any { return as(site) },
	}, dist.Sites(s.ctx))
}

// siteShowCmd is `dist site show`.
type siteShowCmd struct {
	Name string `arg:"" name:"site" complete:"site" help:"The site."`
}

// Help is the longer text of `dist site show --help`.
func (siteShowCmd) Help() string {
	return `Lists the names that the site has, by its last receipt. HERE says what this store has under the name: the same, something else, or nothing. Below are the bundles that were exported for it since; whether they have come is for its next receipt to tell.

Examples:

    $ dist site show plant`
}

type siteNameJSON struct {
	Name   string     `json:"name"`
	Digest oci.Digest `json:"digest"`
	Here   oci.Digest `json:"here"` // "" for nothing
}

func (n siteNameJSON) here() string {
	switch n.Here {
	case n.Digest:
		return "same"
	case "":
		return "nothing"
	}
	return "another"
}

type siteDetailJSON struct {
	siteJSON
	KnownObjects int64          `json:"knownObjects"` // of which the size is known here
	KnownBytes   int64          `json:"knownBytes"`
	List         []siteNameJSON `json:"nameList"`
	Sent         []sentJSON     `json:"sent"`
}

// Run prints what is known of the site.
func (c *siteShowCmd) Run(s *session) error {
	dist, err := s.local()
	if err != nil {
		return err
	}
	d, err := dist.ShowSite(s.ctx, c.Name)
	if err != nil {
		return about(c.Name, err)
	}
	j := siteDetailJSON{KnownObjects: d.KnownObjects, KnownBytes: d.KnownBytes, List: []siteNameJSON{}, Sent: []sentJSON{}}
	if j.siteJSON, err = newSiteJSON(d.Site); err != nil {
		return about(c.Name, err)
	}
	for _, n := range d.Names {
		j.List = append(j.List, siteNameJSON(n))
	}
	for _, b := range d.Sent {
		j.Sent = append(j.Sent, newSentJSON(b))
	}
	return s.object(j, func(w io.Writer) error { return j.print(w, s.age) })
}

func (j siteDetailJSON) print(w io.Writer, age func(time.Time) string) error {
	fields := j.fields()
	var attachments int64
	for _, n := range j.List {
		if client.IsAttachment(n.Name) {
			attachments++
		}
	}
	if attachments > 0 {
		fields[len(fields)-1][1] = namesAnd(j.Names, attachments)
	}
	if err := printFields(w, append(fields, [2]string{"known here", j.known(fmt.Sprintf("%s of them (%s)", plural(j.KnownObjects, "object"), oci.HumanSize(j.KnownBytes)))})); err != nil {
		return err
	}
	var rows [][]string
	for _, n := range j.List {
		rows = append(rows, []string{n.Name, oci.ShortDigest(n.Digest), n.here()})
	}
	if err := printBelow(w, columns("NAME", "DIGEST", "HERE"), rows); err != nil {
		return err
	}
	rows = nil
	for _, b := range j.Sent {
		serial := "-"
		if b.Serial != 0 {
			serial = strconv.FormatInt(b.Serial, 10)
		}
		rows = append(rows, []string{dash(b.Name), serial, oci.ShortDigest(b.Digest), strconv.Itoa(b.Images), strconv.Itoa(b.Blobs), oci.HumanSize(b.Size), age(b.At)})
	}
	return printBelow(w, columns("SENT SINCE", "SERIAL|", "INDEX", "IMAGES|", "BLOBS|", "SIZE|", "AGE|"), rows)
}

// printBelow prints a table behind an empty line; nothing where there are no rows.
func printBelow(w io.Writer, cols []column, rows [][]string) error {
	if len(rows) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	t := newTable(w, cols)
	for _, row := range rows {
		if err := t.add(row...); err != nil {
			return err
		}
	}
	return t.flush()
}

// siteUpdateCmd is `dist site update`.
type siteUpdateCmd struct {
	AllowOlder bool   `help:"Take a receipt that is older than the last one: where the store there was put back to an earlier state."`
	Name       string `arg:"" name:"site" complete:"site" help:"The site."`
	Receipt    string `arg:"" complete:"file" help:"File that \"dist site receipt\" has written there; - for stdin."`
}

// Help is the longer text of `dist site update --help`.
func (siteUpdateCmd) Help() string {
	return `From now on the site has what the receipt says, and "dist export --for" leaves out just that. A receipt that is damaged or cut off changes nothing (exit 4), nor does one that the site's key has not signed (exit 5), one of another site or store, or an older one (exit 8).

A receipt need not be new. What the site has got since is exported once more; what it has lost since, its import names in a request (exit 11), which costs one more trip and never lets in anything wrong.

Examples:

    $ dist site update plant plant.receipt
    $ ssh relay cat plant.receipt | dist site update plant -`
}

// Run takes the receipt.
func (c *siteUpdateCmd) Run(s *session) error {
	dist, err := s.local()
	if err != nil {
		return err
	}
	in := io.Reader(s.stdin)
	if c.Receipt != "-" {
		f, err := os.Open(c.Receipt)
		if err != nil {
			return about(c.Receipt, fsys.Classify(err))
		}
		defer f.Close()
		in = f
	}
	site, receipt, err := dist.TakeReceipt(s.ctx, c.Name, in, c.AllowOlder)
	if err != nil {
		return about(c.Name, err)
	}
	return s.printSite(site, func(w io.Writer) error {
		return line(fmt.Sprintf("%s has %s (%s) under %s, as of %s", site.Name, plural(receipt.Objects(), "object"),
			oci.HumanSize(receipt.Size), namesAnd(receipt.Names, receipt.Attachments), receipt.Created.Format(time.DateTime)))(w)
	})
}

// siteForgetCmd is `dist site forget`.
type siteForgetCmd struct {
	Name string `arg:"" name:"site" complete:"site" help:"The site."`
}

// Help is the longer text of `dist site forget --help`.
func (siteForgetCmd) Help() string {
	return `What it has is forgotten, and which key signs its receipts. Bundles that were exported for it stay in the record, and "dist export --since" goes by them.

Examples:

    $ dist site forget plant`
}

// Run forgets the site.
func (c *siteForgetCmd) Run(s *session) error {
	dist, err := s.local()
	if err != nil {
		return err
	}
	site, err := dist.ForgetSite(s.ctx, c.Name)
	if err != nil {
		return about(c.Name, err)
	}
	return s.printSite(site, nil)
}

// siteReceiptCmd is `dist site receipt`.
type siteReceiptCmd struct {
	Output string `short:"o" required:"" placeholder:"FILE|-" complete:"file" help:"Where to: a file, which has its name when it is whole, or - for stdout."`
	Site   string `name:"name" placeholder:"SITE" complete:"none" help:"What the sender calls this site: it then refuses the receipt for any other."`
	Key    string `short:"k" placeholder:"KEY" env:"DIST_KEY" complete:"key" help:"Key to sign with: ${key}. Without it nobody signs."`
	passphraseFlags
}

// Help is the longer text of `dist site receipt --help`.
func (siteReceiptCmd) Help() string {
	return `A receipt lists the names of this store, and the digests of what names and leases reach, as far as that is here and sound: 30 bytes for each. What only the history or the grace of a collection keeps is not in it, since a collection may take that any time. It says nothing else of the content, and where it comes from.

Carry it to the sender, where "dist site update" takes it. Nothing changes here.

Examples:

    $ dist site receipt -o plant.receipt
    $ dist site receipt --name plant -k plant -o /media/stick/plant.receipt
    $ dist site receipt -o - | ssh relay 'cat >plant.receipt'`
}

type receiptJSON struct {
	Digest  oci.Digest `json:"digest"`
	Store   string     `json:"store"`
	Site    string     `json:"site"`
	Serial  int64      `json:"serial"`
	Created time.Time  `json:"created"`
	Objects int64      `json:"objects"`
	Size    int64      `json:"size"`
	Names   int64      `json:"names"`
	Signed  bool       `json:"signed"`
}

// Run writes the receipt, and tells of it unless stdout has it.
func (c *siteReceiptCmd) Run(s *session) error {
	dist, err := s.local()
	if err != nil {
		return err
	}
	r, err := dist.WriteReceipt(s.ctx, client.ReceiptOptions{
		Site: c.Site, Key: c.Key, Passphrase: c.opening(s), Output: c.Output, Stdout: s.stdout,
	})
	if err != nil || c.Output == "-" {
		return err
	}
	j := receiptJSON{r.Digest, r.Store, r.Site, r.Serial, r.Created, r.Objects(), r.Size, r.Names, r.Signed}
	return s.object(j, line(fmt.Sprintf("%s: %s (%s) under %s", r.Digest, plural(j.Objects, "object"), oci.HumanSize(j.Size), namesAnd(j.Names, r.Attachments))))
}

// namesAnd tells, of so many names, those of images from those of signatures.
func namesAnd(names, attachments int64) string {
	text := plural(names-attachments, "name")
	if attachments > 0 {
		text += " and " + plural(attachments, "tag") + " of signatures and the like"
	}
	return text
}
