package cmd

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"strings"
	"time"

	"dist.example/client"
	"dist.example/layer"
	"dist.example/oci"
)

// diffCmd is `dist diff`.
type diffCmd struct {
	quietFlag `set:"ids=paths"`
	Old       string   `arg:"" name:"old" complete:"id" help:"What is compared: ${id}."`
	New       string   `arg:"" name:"new" complete:"id" help:"What it is compared with: ${id}; or a folder, with ./ or / before it."`
	Platform  platform `placeholder:"OS/ARCH" help:"Of an index, compare the image for this platform."`
	Files     bool     `help:"Compare the files alone."`
	Times     bool     `help:"Times of modification count, too."`
	Subids    bool     `help:"With a folder that was unpacked with --subids: work in a user namespace with your ranges."`
	ExitCode  bool     `help:"Exit 1 if there is a difference."`
}

// Help is the longer text of `dist diff --help`.
func (diffCmd) Help() string {
	return `Tells in what two images differ: layers, fields of the configuration and of the manifest, and files. Files are those that a container sees: whiteouts and what upper layers replace are accounted for, so that the same files in other layers are no difference. A layer is read when somebody first looks into it, and an index of what is in it kept; images with the same layers are not read at all.

Files are listed with A for added, D for removed and C for changed, and then what of them: type, content, size, target (of a link), device, mode, owner, xattrs, with --times also time. A folder that is added or removed is listed with all that is in it.

A folder that an image was unpacked to is compared with that image, or another, by its files alone: what repack would put into a layer, but for times, unless --times is given.

Artifacts are compared by the titles of their layers, indexes by platforms. Two of different kinds cannot be compared (exit 2).

The exit code is 0 also where there is a difference; with --exit-code it is 1 then. Which bytes write a document down, and how a layer's tar lists the same files, shows in the digests alone.

Examples:

    $ dist diff demo/app:v1 demo/app:v2
    $ dist diff -q demo/app:v1 demo/app:v2
    $ dist diff --platform linux/arm64 redis:7.2 redis:7.4
    $ dist diff demo/app:v1 ./rootfs
    $ dist diff --files --exit-code demo/app:v1 demo/app:small && echo the same files`
}

// Run compares and prints.
func (c *diffCmd) Run(s *session) error {
	dist, err := s.local()
	if err != nil {
		return err
	}
	if s.format().kind == "go-template" && !c.Quiet {
		return usagef("a difference is told as its files are compared, which no template takes: use --format json")
	}
	if c.Subids && !isFolder(c.New) {
		return usagef("--subids is for a folder that was unpacked: write it with ./ or / before it")
	}
	if c.Subids {
		if _, _, err := s.remap(); err != nil {
			return err
		}
	}
	diff := dist.Diff
	if isFolder(c.New) {
		diff = dist.DiffFolder
	}
	d, err := diff(s.ctx, c.Old, c.New, client.DiffOptions{
		Platform: c.Platform.Platform, FilesOnly: c.Files || c.Quiet, Times: c.Times,
	})
	if err != nil {
		return err
	}
	j := c.newJSON(d)
	switch {
	case c.Quiet:
		err = printPaths(s.stdout, d.Files())
	case s.format().json():
		err = j.printJSON(s.stdout, s.format(), d.Files())
	default:
		err = s.object(j, func(out io.Writer) error { return j.print(out, d.Files()) })
	}
	if err == nil && c.ExitCode && d.Differs() {
		err = exitStatus(exitDiffers)
	}
	return err
}

// isFolder says whether a word is written as a folder, and can be no id.
func isFolder(word string) bool {
	return word == "." || word == ".." || strings.HasPrefix(word, "./") || strings.HasPrefix(word, "../") || filepath.IsAbs(word)
}

func printPaths(out io.Writer, files iter.Seq[layer.Change]) error {
	w := bufio.NewWriterSize(out, 64<<10)
	for f := range files {
		_, _ = fmt.Fprintln(w, printable(f.Path)) // an error stays with w
	}
	return w.Flush()
}

// diffJSON is a comparison. With --files, manifest, config and parts are empty.
type diffJSON struct {
	Kind      string       `json:"kind"`
	Differs   bool         `json:"differs"`
	Old       diffSideJSON `json:"old"`
	New       diffSideJSON `json:"new"`
	Manifest  []fieldJSON  `json:"manifest"`
	Config    []fieldJSON  `json:"config"`
	Parts     []changeJSON `json:"parts"`
	Reordered bool         `json:"reordered"`
	Files     []fileJSON   `json:"files"` // the last field, and filled in by printJSON
}

type diffSideJSON struct {
	ID     string     `json:"id"`
	Digest oci.Digest `json:"digest"`
}

type fieldJSON struct {
	Path string          `json:"path"`
	Old  json.RawMessage `json:"old,omitempty"`
	New  json.RawMessage `json:"new,omitempty"`
}

type changeJSON struct {
	State string          `json:"state"`
	Key   string          `json:"key"`
	Old   *oci.Descriptor `json:"old,omitempty"`
	New   *oci.Descriptor `json:"new,omitempty"`
}

type fileJSON struct {
	Path    string         `json:"path"`
	State   string         `json:"state"`
	Changes []layer.Aspect `json:"changes"`
	Old     *entryJSON     `json:"old,omitempty"`
	New     *entryJSON     `json:"new,omitempty"`
}

type entryJSON struct {
	Type   string            `json:"type"`
	Mode   string            `json:"mode"`
	UID    int               `json:"uid"`
	GID    int               `json:"gid"`
	Size   int64             `json:"size"`
	Digest oci.Digest        `json:"digest,omitempty"`
	Time   time.Time         `json:"time"`
	Target string            `json:"target,omitempty"`
	Major  int64             `json:"major,omitempty"`
	Minor  int64             `json:"minor,omitempty"`
	Xattrs map[string][]byte `json:"xattrs,omitempty"`
}

// newJSON is all but the files.
func (c *diffCmd) newJSON(d client.Difference) diffJSON {
	j := diffJSON{
		Kind: string(d.Kind), Differs: d.Differs(), Old: diffSideJSON{c.Old, d.Old.Digest}, New: diffSideJSON{c.New, d.New.Digest},
		Manifest: newFieldsJSON(d.Manifest), Config: newFieldsJSON(d.Config), Parts: []changeJSON{}, Reordered: d.Reordered, Files: []fileJSON{},
	}
	for _, p := range d.Parts {
		j.Parts = append(j.Parts, changeJSON{string(p.State()), p.Key, p.Old, p.New})
	}
	return j
}

func newFieldsJSON(changes []client.FieldChange) []fieldJSON {
	out := []fieldJSON{}
	for _, f := range changes {
		out = append(out, fieldJSON(f))
	}
	return out
}

func newFileJSON(f layer.Change) fileJSON {
	return fileJSON{f.Path, string(fileState(f)), append([]layer.Aspect{}, f.Aspects...), newEntryJSON(f.Old), newEntryJSON(f.New)}
}

func fileState(f layer.Change) client.PartState {
	switch {
	case f.Old == nil:
		return client.PartAdded
	case f.New == nil:
		return client.PartRemoved
	}
	return client.PartChanged
}

func newEntryJSON(e *layer.Entry) *entryJSON {
	if e == nil {
		return nil
	}
	j := &entryJSON{
		Type: e.Type, Mode: fmt.Sprintf("%04o", e.Mode), UID: e.UID, GID: e.GID, Size: e.Size, Digest: e.Digest,
		Time: jsonTime(e.Time), Target: e.Target, Major: e.Major, Minor: e.Minor,
	}
	for k, v := range e.Xattrs {
		if j.Xattrs == nil {
			j.Xattrs = map[string][]byte{}
		}
		j.Xattrs[k] = []byte(v)
	}
	return j
}

// jsonTime is a time as JSON can write it: a tar may have others.
func jsonTime(t time.Time) time.Time {
	t = t.UTC()
	switch {
	case t.Year() < 1:
		return time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	case t.Year() > 9999:
		return time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	}
	return t
}

// printJSON prints the document, and the files as they come: as a list they could take
// many times what the comparison does.
func (j diffJSON) printJSON(out io.Writer, f outputFormat, files iter.Seq[layer.Change]) error {
	var doc bytes.Buffer
	if err := printObject(&doc, f, j, nil); err != nil {
		return err
	}
	end := bytes.LastIndexByte(doc.Bytes(), ']') // of the empty list of files
	w := bufio.NewWriterSize(out, 64<<10)
	_, _ = w.Write(doc.Bytes()[:end]) // an error stays with w
	separator, next, closing := "", ",", ""
	if f.kind == "json" {
		separator, next, closing = "\n    ", ",\n    ", "\n  "
	}
	for change := range files {
		row, err := rowJSON(newFileJSON(change), f)
		if err != nil {
			return err
		}
		_, _ = w.WriteString(separator)
		_, _ = w.Write(row)
		separator = next
	}
	if separator == next {
		_, _ = w.WriteString(closing)
	}
	_, _ = w.Write(doc.Bytes()[end:])
	return w.Flush()
}

// rowJSON is a file as it stands in the document's list.
func rowJSON(v fileJSON, f outputFormat) ([]byte, error) {
	row, err := marshal(v)
	if err != nil || f.kind != "json" {
		return row, err
	}
	var b bytes.Buffer
	err = json.Indent(&b, row, "    ", "  ")
	return b.Bytes(), err
}

// print tells of it in sections, each after a line that sums it up. What does not
// differ has none.
func (j diffJSON) print(out io.Writer, files iter.Seq[layer.Change]) error {
	w := bufio.NewWriterSize(out, 64<<10)
	row := func(format string, args ...any) { // an error stays with w
		_, _ = fmt.Fprintln(w, printable(fmt.Sprintf(format, args...)))
	}
	if !j.Differs {
		row("no difference")
		if j.New.Digest != "" && j.Old.Digest != j.New.Digest {
			row("the digests are %s and %s", oci.ShortDigest(j.Old.Digest), oci.ShortDigest(j.New.Digest))
		}
	}
	j.printFields(row, "manifest", j.Manifest)
	j.printFields(row, "config", j.Config)
	j.printParts(row)
	j.printFiles(row, files)
	return w.Flush()
}

func (diffJSON) printFields(row func(string, ...any), title string, fields []fieldJSON) {
	if len(fields) == 0 {
		return
	}
	row("%s: %s", title, plural(int64(len(fields)), "difference"))
	for _, f := range fields {
		path := f.Path
		if path == "" {
			path = "all of it"
		}
		switch {
		case f.Old == nil:
			row("  A %s: %s", path, f.New)
		case f.New == nil:
			row("  D %s: %s", path, f.Old)
		default:
			row("  C %s: %s, was %s", path, f.New, f.Old)
		}
	}
}

func (j diffJSON) printParts(row func(string, ...any)) {
	count := map[client.PartState]int{}
	for _, p := range j.Parts {
		count[client.PartState(p.State)]++
	}
	if !j.Reordered && count[client.PartCommon] == len(j.Parts) {
		return
	}
	title := "layers"
	if j.Kind == string(client.PackIndex) {
		title = "manifests"
	}
	row("%s: %s", title, tally(count, j.Reordered))
	for _, p := range j.Parts {
		switch client.PartState(p.State) {
		case client.PartAdded:
			row("  A %s", j.part(p.Key, p.New))
		case client.PartRemoved:
			row("  D %s", j.part(p.Key, p.Old))
		case client.PartChanged:
			row("  C %s, was %s", j.part(p.Key, p.New), j.part("", p.Old))
		}
	}
}

// tally counts states, those that occur, and says whether parts changed places.
func tally(count map[client.PartState]int, reordered bool) string {
	var words []string
	for _, state := range []client.PartState{client.PartCommon, client.PartChanged, client.PartRemoved, client.PartAdded} {
		if n := count[state]; n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, state))
		}
	}
	if reordered {
		words = append(words, "in another order")
	}
	return strings.Join(words, ", ")
}

// part is a layer or manifest in a line; what only machines match it by is left out.
func (diffJSON) part(key string, d *oci.Descriptor) string {
	text := oci.ShortDigest(d.Digest) + "  " + oci.HumanSize(d.Size)
	if _, err := oci.ParseDigest(key); err != nil && key != "" {
		text = key + "  " + text
	}
	return text
}

func (diffJSON) printFiles(row func(string, ...any), files iter.Seq[layer.Change]) {
	count := map[client.PartState]int{}
	for f := range files {
		count[fileState(f)]++
	}
	if len(count) == 0 {
		return
	}
	row("files: %s", tally(count, false))
	letters := map[client.PartState]string{client.PartAdded: "A", client.PartRemoved: "D", client.PartChanged: "C"}
	for f := range files {
		what := ""
		for _, a := range f.Aspects {
			what += " " + string(a)
		}
		if what != "" {
			what = " " + what
		}
		row("  %s %s%s", letters[fileState(f)], f.Path, what)
	}
}
