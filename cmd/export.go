package cmd

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"dist.example/client"
	"dist.example/oci"
)

// exportCmd is `dist export`.
type exportCmd struct {
	Output       string   `short:"o" placeholder:"FILE|DIR|-" complete:"file" help:"Where to: a file, a folder (one that is there, or a name that ends with a slash), a device or named pipe, or - for stdout."`
	All          bool     `short:"a" help:"Export all names, but for those that are there for a tag of cosign's alone."`
	From         []string `sep:"none" placeholder:"LIST" complete:"file" help:"Take also what this file lists, - for stdin. ${repeat} A lock exports its digests under its names."`
	Platform     platform `placeholder:"OS/ARCH" help:"Of an index, export only the image for this platform, under the same name."`
	Docker       bool     `xor:"form" help:"Write no more than what docker load takes, and refuse the rest: indexes of several images, artifacts, layers of zstd."`
	OCI          bool     `name:"oci" xor:"form" help:"Write an OCI archive without the manifest.json of Docker's."`
	Layout       bool     `xor:"form" help:"Write an OCI layout, into the folder that -o names."`
	OCIReferrers bool     `name:"oci-referrers" help:"List signatures and the like in index.json, where oras, regctl and cosign look for them; containerd 1.6, and programs that are not told which image is meant, then stumble."`
	referrersFlag
	NoProvenance bool     `help:"Say nothing of where the content comes from, and of which keys vouch for it."`
	Split        fileSize `placeholder:"SIZE" help:"Write volumes FILE.001, FILE.002 and so on, each smaller than this: 4G, 700M. K, M, G and T are powers of 1024, with or without B or iB."`
	Compress     string   `enum:"gzip,zstd," default:"" placeholder:"HOW" help:"Compress the whole file: gzip or zstd. Layers are compressed already, as a rule, and fewer programs load it then."`
	Sign         bool     `help:"Sign what the bundle holds, by the key that -k or DIST_KEY names, else by the key called default."`
	Key          string   `short:"k" placeholder:"KEY" complete:"key" help:"Key to sign with: ${key}. It implies --sign."`
	passphraseFlags
	BundleName string `name:"name" placeholder:"NAME" complete:"none" help:"Name of the bundle, for which policies say whose signatures count. It gives the bundle a serial, by which receivers tell old from new."`
	Expires    expiry `placeholder:"WHEN" help:"When a signed bundle is too old to be imported: 30d, or a date such as 2027-12-31."`
	For        string `placeholder:"SITE" complete:"site" help:"Leave out what this site has, by its last receipt (dist site). With --since it says whose bundles are meant, and no receipt is asked."`
	Since      string `placeholder:"BUNDLE|DATE" complete:"none" help:"Leave out what earlier exports have brought, by the record here: up to one bundle (NAME, NAME@SERIAL, or the digest of its index.json), or up to a date (2027-12-31, 7d) all bundles of --name, or to the site of --for."`
	Request    string `type:"path" placeholder:"FILE" help:"Export what a receiver lacks, by the request that its import has written: its images, and nothing of them but that."`
	Lock       string `type:"path" placeholder:"FILE" help:"Write the names with their digests to this file when all is done. It is a list again."`
	planFlag
	jobsFlag
	quietFlag
	Name []string `arg:"" optional:"" complete:"name" help:"Names to export: NAME, NAME@DIGEST, or NAME@{WHEN} for what it was."`
}

// Help is the longer text of `dist export --help`.
func (exportCmd) Help() string {
	return `A bundle is an ordinary OCI archive: docker load, podman load, ctr import, skopeo, crane, regctl and oras take it, and dist import does so with all checks. Its index.json lists the images alone, under their full names; signatures, SBOMs and what else is about them lie beside, as blobs that dist finds. What is in it, and where that comes from, stands in dist-bundle.json and dist-provenance.json before the content.

The file is written in one go, without a copy elsewhere, and each blob is checked as it passes. It has its name when it is whole and on the disk: an export that fails leaves nothing. To stdout, a pipe or a device it is written as it comes, and who reads it there has to look at the exit code.

The same content gives the same bytes; times are 0, or SOURCE_DATE_EPOCH. Two stores that have the same content from elsewhere agree with --no-provenance. A bundle with --name has a serial, which differs from run to run, and a signature differs in any case.

Of an index, the images that are here go along, and a line says how many of how many; its digest stays. --platform takes one of them, under the name of the index.

Each volume of --split is an archive of its own, with all that says what the bundle holds, and can be checked alone. They may be imported in any order.

A delta leaves out what its receiver has: by the site's last receipt (--for), or by the record of what was exported here before (--since), which trusts that all of it came and is still there. Where something of it is not, the import says so and writes a request; --request makes a bundle of what that names.

A folder that is a layout already keeps what it lists. The two are no bundle together, so that a name, a signature and a delta want a folder of their own.

Examples:

    $ dist export registry.example/team/app:v1 -o app.tar
    $ dist export --all -o /media/stick/images.tar --split 4G
    $ dist export --from images.lock --sign -k courier --name site/north --expires 30d -o north.tar
    $ dist export redis:7 -o - | ssh host docker load
    $ dist export --docker --platform linux/amd64 redis:7 -o redis.tar
    $ dist export --layout --oci-referrers demo/go:v1 -o layout/
    $ dist export --all --for plant --name plant/weekly -o delta.tar
    $ dist export --all --since 2027-01-31 --for plant -o delta.tar
    $ dist export --request delta.tar.request.json -o answer.tar
    $ dist export --plan --from images.txt`
}

// fileSize is the size of a file in bytes, more than 0; the zero value is none.
type fileSize int64

// UnmarshalText takes 4G, 4GB, 700M and the like.
func (f *fileSize) UnmarshalText(text []byte) error {
	*f = 0
	if len(text) == 0 {
		return nil
	}
	n, err := quotaOf(string(text))
	if err != nil || n == 0 {
		return noSize(text)
	}
	*f = fileSize(n)
	return nil
}

// expiry is an instant that is given as a date, or as a time from now; zero is none.
type expiry struct{ time.Time }

// UnmarshalText takes 30d, 12h, 2027-12-31 and RFC 3339.
func (e *expiry) UnmarshalText(text []byte) error {
	if e.Time = (time.Time{}); len(text) == 0 {
		return nil
	}
	if d, ok := client.ParseSpan(string(text)); ok {
		e.Time = time.Now().Add(d)
		return nil
	}
	var at day
	if err := at.UnmarshalText(text); err != nil {
		return usagef("%q is neither a time from now such as 30d nor a date such as 2027-12-31", text)
	}
	e.Time = at.Time
	return nil
}

// Run exports, and prints each name with its digest unless stdout has the bundle.
func (c *exportCmd) Run(s *session) error {
	o, err := c.options(s)
	if err != nil {
		return err
	}
	dist, err := s.transfers(s.ambient(), c.Jobs)
	if err != nil {
		return err
	}
	if c.Plan {
		plan, err := dist.PlanExport(s.ctx, c.Name, o)
		s.progress.stop()
		if err != nil {
			return aboutOne(c.Name, err)
		}
		j := newExportPlanJSON(plan)
		return s.result(c.quietFlag, j.ids(), j, j.print)
	}
	s.progress.start()
	sum, err := dist.Export(s.ctx, c.Name, o)
	s.progress.stop()
	if err != nil {
		return aboutOne(c.Name, err)
	}
	if c.Output != "-" {
		j := newExportedJSON(sum)
		if err := s.result(c.quietFlag, j.ids(), j, j.print); err != nil {
			return err
		}
	}
	if !c.Quiet {
		s.exported(sum, c.Output)
	}
	return nil
}

// options are what was asked for.
func (c *exportCmd) options(s *session) (o client.ExportOptions, err error) {
	switch given := len(c.Name)+len(c.From) > 0 || c.All; {
	case c.Request != "" && (given || c.Platform.Platform != nil):
		return o, usagef("--request says itself which images are meant: give neither names nor --from, --all or --platform")
	case c.Request == "" && !given:
		return o, usagef("neither a name nor a list (--from) nor --all nor --request is given")
	}
	if isStdout(s.stdout, c.Output) {
		c.Output = "-"
	}
	output := c.Output
	switch {
	case output == "" && !c.Plan:
		return o, usagef("-o says where to: a file, a folder, or - for stdout")
	case output == "":
		output = "bundle.tar" // as good as any other
	case output == "-" && !c.Plan && isTerminal(s.stdout):
		return o, usagef("-o - is for a pipe or a file, and stdout is a terminal")
	}
	signs := c.Sign || c.Key != ""
	if err := c.writesNo(c.Lock); err != nil {
		return o, err
	}
	o = client.ExportOptions{
		All: c.All, Platform: c.Platform.Platform, Output: output, Stdout: s.stdout, Form: c.form(),
		OCIReferrers: c.OCIReferrers, NoReferrers: c.NoReferrers, NoProvenance: c.NoProvenance,
		Split: int64(c.Split), Compress: c.Compress,
		Sign: signs, Key: client.SignOptions{Key: cmp.Or(c.Key, s.getenv("DIST_KEY")), Passphrase: c.opening(s)},
		Name: c.BundleName, Expires: c.Expires.Time,
		For: c.For, Since: c.Since, Request: c.Request, Lock: c.Lock,
	}
	o.List, err = s.readLists(c.From)
	return o, err
}

// isStdout says whether path is a name of stdout, such as /dev/stdout or /dev/fd/1.
func isStdout(stdout any, path string) bool {
	f, ok := stdout.(*os.File)
	if !ok || !strings.HasPrefix(path, "/dev/") && !strings.HasPrefix(path, "/proc/") {
		return false
	}
	named, err := os.Stat(path)
	open, oerr := f.Stat()
	return err == nil && oerr == nil && os.SameFile(named, open)
}

func (c *exportCmd) form() client.ExportForm {
	switch {
	case c.Docker:
		return client.ExportDocker
	case c.OCI:
		return client.ExportOCI
	case c.Layout:
		return client.ExportLayout
	}
	return client.ExportMixed
}

// exported prints the account of an export.
func (s *session) exported(sum client.ExportSummary, to string) {
	if s.progress.kind == "json" {
		s.progress.summary(account{moved: sum.Bytes, reused: sum.LeftBytes, referrers: int64(sum.Referrers)}, sum.Elapsed)
		return
	}
	text := fmt.Sprintf("exported %s, %s, %s", plural(int64(len(sum.Images)), "image"), plural(int64(sum.Blobs), "blob"), oci.HumanSize(sum.Bytes))
	if sum.Referrers > 0 {
		text += ", " + plural(int64(sum.Referrers), "referrer")
	}
	if sum.LeftBlobs > 0 {
		text += fmt.Sprintf(", left out %s, %s", plural(int64(sum.LeftBlobs), "blob"), oci.HumanSize(sum.LeftBytes))
	}
	if len(sum.Files) > 1 {
		text += ", in " + plural(int64(len(sum.Files)), "volume")
	}
	if to != "-" {
		text += " to " + to
	}
	s.progress.closing(printable(text) + ", " + humanDuration(sum.Elapsed))
}

// exportPlanJSON is what an export carries.
type exportPlanJSON struct {
	Images    []exportImageJSON `json:"images"`
	Blobs     int               `json:"blobs"`
	Bytes     int64             `json:"bytes"`
	LeftBlobs int               `json:"leftBlobs"`
	LeftBytes int64             `json:"leftBytes"`
	Referrers int               `json:"referrers"`
	Serial    int64             `json:"serial,omitempty"`
	Size      int64             `json:"size"`
	Files     []exportFileJSON  `json:"files"`
}

// exportImageJSON is one name of it; held and known count the images of an index.
type exportImageJSON struct {
	Name      string     `json:"name"`
	Digest    oci.Digest `json:"digest"`
	MediaType string     `json:"mediaType"`
	Held      int        `json:"held"`
	Known     int        `json:"known"`
	Where     string     `json:"where,omitempty"`
}

type exportFileJSON struct {
	Path string `json:"path"`
	Size int64  `json:"size"`
}

func newExportPlanJSON(p client.ExportPlan) exportPlanJSON {
	j := exportPlanJSON{
		Images: []exportImageJSON{}, Blobs: p.Blobs, Bytes: p.Bytes, LeftBlobs: p.LeftBlobs, LeftBytes: p.LeftBytes,
		Referrers: p.Referrers, Serial: p.Serial, Size: p.Size, Files: []exportFileJSON{},
	}
	for _, i := range p.Images {
		j.Images = append(j.Images, exportImageJSON{i.Name, i.Target.Digest, i.Target.MediaType, i.Held, i.Known, i.Where})
	}
	for _, f := range p.Files {
		j.Files = append(j.Files, exportFileJSON(f))
	}
	return j
}

// print is the plan as a table, with lines of totals.
func (j exportPlanJSON) print(w io.Writer) error {
	titles := []string{"NAME", "DIGEST", "IMAGES|"}
	listed := slices.ContainsFunc(j.Images, func(i exportImageJSON) bool { return i.Where != "" })
	if listed {
		titles = append(titles, "LISTED")
	}
	t := newTable(w, columns(titles...))
	for _, i := range j.Images {
		cells := []string{dash(i.Name), oci.ShortDigest(i.Digest), fmt.Sprintf("%d/%d", i.Held, i.Known)}
		if listed {
			cells = append(cells, dash(i.Where))
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
		about = ", " + plural(int64(j.Referrers), "referrer")
	}
	if j.LeftBlobs > 0 {
		about += fmt.Sprintf(", left out %s, %s", plural(int64(j.LeftBlobs), "blob"), oci.HumanSize(j.LeftBytes))
	}
	if _, err := fmt.Fprintf(w, "to carry %s, %s%s\n", plural(int64(j.Blobs), "blob"), oci.HumanSize(j.Bytes), about); err != nil {
		return err
	}
	switch len(j.Files) {
	case 0:
		return nil
	case 1:
		_, err := fmt.Fprintf(w, "the file has %s\n", oci.HumanSize(j.Size))
		return err
	}
	_, err := fmt.Fprintf(w, "%s have %s\n", plural(int64(len(j.Files)), "volume"), oci.HumanSize(j.Size))
	return err
}

// exportedJSON is the account of an export.
type exportedJSON struct {
	exportPlanJSON
	Index   oci.Digest `json:"index"`
	Signed  bool       `json:"signed"`
	Seconds float64    `json:"seconds"`
}

func newExportedJSON(sum client.ExportSummary) exportedJSON {
	return exportedJSON{newExportPlanJSON(sum.ExportPlan), sum.Index, sum.Signed, sum.Elapsed.Seconds()}
}

func (j exportedJSON) print(w io.Writer) error {
	for _, i := range j.Images {
		if _, err := fmt.Fprintln(w, dash(i.Name), i.Digest); err != nil {
			return err
		}
	}
	return nil
}

// ids are the digests, which -q prints.
func (j exportPlanJSON) ids() (ids []string) {
	for _, i := range j.Images {
		ids = append(ids, i.Digest.String())
	}
	return ids
}
