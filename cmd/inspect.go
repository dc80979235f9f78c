package cmd

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"dist.example/client"
	"dist.example/oci"
)

// inspectCmd is `dist inspect`.
type inspectCmd struct {
	policyFlag
	ID       string   `arg:"" name:"id" complete:"id|bundle" help:"What to show: ${id}; or bundle:PATH[:NAME], a bundle or an image in it."`
	Platform platform `placeholder:"OS/ARCH" help:"Of an index, show the image for this platform."`
}

// Help is the longer text of `dist inspect --help`.
func (inspectCmd) Help() string {
	return `Shows what a manifest, an index or an image's configuration says, and how much of it is here. The document itself, byte for byte, is what get prints.

bundle:PATH tells of a bundle (dist export), or of an archive or a layout of another program, where it stands: what it says of itself, whose signature it has, which images are in it and what the policy says of them. bundle:PATH:NAME shows one image in it. Of a bundle in volumes PATH is any of them.

Examples:

    $ dist inspect redis:7
    $ dist inspect --platform linux/arm64 redis:7
    $ dist inspect --format json redis:7
    $ dist inspect bundle:site.tar`
}

// inspectJSON is an object as inspect shows it: what the store knows, then the
// document itself under manifest, index or config.
type inspectJSON struct {
	Digest    oci.Digest `json:"digest"`
	MediaType string     `json:"mediaType"`
	Artifact  string     `json:"artifactType,omitempty"`
	Size      int64      `json:"size"`
	Place     string     `json:"place"`
	Names     []string   `json:"names"`
	Sources   []string   `json:"sources"`
	Held      int64      `json:"heldBytes"`
	Known     int64      `json:"knownBytes"`
	// Verified: the policy wants a signature for the name that was asked for, and one
	// counts.
	Verified   bool            `json:"verified"`
	Signatures []signatureJSON `json:"signatures"`
	Parts      []partJSON      `json:"parts"`
	Index      *oci.Index      `json:"index,omitempty"`
	Manifest   *oci.Manifest   `json:"manifest,omitempty"`
	Config     *oci.Image      `json:"config,omitempty"`
}

type partJSON struct {
	Role      string     `json:"role"`
	Digest    oci.Digest `json:"digest"`
	MediaType string     `json:"mediaType"`
	Artifact  string     `json:"artifactType,omitempty"`
	Size      int64      `json:"size"`
	Platform  string     `json:"platform,omitempty"`
	Title     string     `json:"title,omitempty"`
	Held      bool       `json:"held"`
}

func newPartJSON(p client.Part) partJSON {
	return partJSON{
		Role: p.Role.String(), Digest: p.Digest, MediaType: p.MediaType, Artifact: p.ArtifactType, Size: p.Size,
		Platform: oci.FormatPlatform(p.Platform), Title: p.Annotations[oci.AnnotationTitle], Held: p.Held,
	}
}

func newInspectJSON(in client.Inspection) inspectJSON {
	j := inspectJSON{
		Digest: in.Digest, MediaType: in.MediaType, Artifact: in.ArtifactType(), Size: in.Size, Place: in.Place,
		Names: []string{}, Sources: append([]string{}, in.Sources...),
		Held: in.Held, Known: in.Known, Verified: in.Verified, Signatures: []signatureJSON{}, Parts: []partJSON{},
		Index: in.Index, Manifest: in.Manifest, Config: in.Config,
	}
	for _, n := range in.Names {
		j.Names = append(j.Names, n.String())
	}
	for _, g := range in.Signatures {
		j.Signatures = append(j.Signatures, newSignatureJSON(g))
	}
	for _, p := range in.Parts {
		j.Parts = append(j.Parts, newPartJSON(p))
	}
	return j
}

// Run shows the object.
func (c *inspectCmd) Run(s *session) error {
	s.under(c.policyFlag)
	dist, err := s.local()
	if err != nil {
		return err
	}
	if client.IsWholeBundle(c.ID) {
		if c.Platform.Platform != nil {
			return usagef("--platform is for an image; bundle:PATH:NAME names one")
		}
		return s.inspectBundle(dist, c.ID)
	}
	in, err := dist.Inspect(s.ctx, c.ID, c.Platform.Platform)
	if err != nil {
		return about(c.ID, err)
	}
	j := newInspectJSON(in)
	return s.object(j, func(w io.Writer) error { return j.print(w, s.age) })
}

func (j inspectJSON) print(w io.Writer, age func(time.Time) string) error {
	fields := [][2]string{
		{"digest", j.Digest.String()},
		{"type", j.MediaType},
	}
	if j.Artifact != "" {
		fields = append(fields, [2]string{"artifact", j.Artifact})
	}
	fields = append(fields, [2]string{"size", oci.HumanSize(j.Size)}, [2]string{"place", j.Place})
	for _, n := range j.Names {
		fields = append(fields, [2]string{"name", n})
	}
	for _, from := range j.Sources {
		fields = append(fields, [2]string{"from", from})
	}
	if len(j.Parts) > 0 {
		fields = append(fields,
			[2]string{"here", oci.HumanSize(j.Held) + " of " + oci.HumanSize(j.Known) + j.images()},
			[2]string{"trust", trustWord(j.Verified)}, [2]string{"signatures", fmt.Sprint(len(j.Signatures))})
		for _, g := range j.Signatures {
			fields = append(fields, [2]string{"", g.text()})
		}
	}
	fields = append(fields, configFields(j.Config, age)...)
	fields = append(fields, annotationFields(j)...)
	if err := printFields(w, fields); err != nil {
		return err
	}
	if len(j.Parts) == 0 {
		return nil
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return j.printParts(w)
}

// printParts lists the parts. What only artifacts have takes a column only where
// there is some.
func (j inspectJSON) printParts(w io.Writer) error {
	cols := []partColumn{
		{"ROLE", func(p partJSON) string { return p.Role }},
		{"DIGEST", func(p partJSON) string { return oci.ShortDigest(p.Digest) }},
		{"TYPE", func(p partJSON) string { return p.MediaType }},
		{"SIZE|", func(p partJSON) string { return oci.HumanSize(p.Size) }},
		{"PLATFORM", func(p partJSON) string { return p.Platform }},
		{"HERE", func(p partJSON) string { return yesNo(p.Held) }},
	}
	for _, c := range []partColumn{
		{"ARTIFACT", func(p partJSON) string { return p.Artifact }},
		{"TITLE", func(p partJSON) string { return p.Title }},
	} {
		if slices.ContainsFunc(j.Parts, func(p partJSON) bool { return c.cell(p) != "" }) {
			cols = append(cols, c)
		}
	}
	titles := make([]string, len(cols))
	for i, c := range cols {
		titles[i] = c.title
	}
	t := newTable(w, columns(titles...))
	for _, p := range j.Parts {
		cells := make([]string, len(cols))
		for i, c := range cols {
			cells[i] = c.cell(p)
		}
		if err := t.add(cells...); err != nil {
			return err
		}
	}
	return t.flush()
}

// partColumn is a column of the table of parts.
type partColumn struct {
	title string
	cell  func(partJSON) string
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// configFields is how an image runs, leaving out what it does not say.
func configFields(c *oci.Image, age func(time.Time) string) [][2]string {
	if c == nil {
		return nil
	}
	fields := [][2]string{{"platform", oci.FormatPlatform(&c.Platform)}}
	add := func(name, value string) {
		if value != "" {
			fields = append(fields, [2]string{name, value})
		}
	}
	if c.Created != nil && !c.Created.IsZero() {
		// The beginning of time stands for "not said", as reproducible builds have it.
		created := c.Created.Format(time.RFC3339)
		if c.Created.Unix() != 0 {
			created += " (" + age(*c.Created) + " ago)"
		}
		add("created", created)
	}
	add("author", c.Author)
	add("user", c.Config.User)
	add("folder", c.Config.WorkingDir)
	add("entrypoint", quoteAll(c.Config.Entrypoint))
	add("command", quoteAll(c.Config.Cmd))
	for _, e := range c.Config.Env {
		add("env", e)
	}
	for _, p := range slices.Sorted(maps.Keys(c.Config.ExposedPorts)) {
		add("port", p)
	}
	for _, v := range slices.Sorted(maps.Keys(c.Config.Volumes)) {
		add("volume", v)
	}
	for _, k := range slices.Sorted(maps.Keys(c.Config.Labels)) {
		add("label", k+"="+c.Config.Labels[k])
	}
	return fields
}

func annotationFields(j inspectJSON) [][2]string {
	var notes map[string]string
	switch {
	case j.Manifest != nil:
		notes = j.Manifest.Annotations
	case j.Index != nil:
		notes = j.Index.Annotations
	}
	var fields [][2]string
	for _, k := range slices.Sorted(maps.Keys(notes)) {
		fields = append(fields, [2]string{"annotation", k + "=" + notes[k]})
	}
	return fields
}

// quoteAll writes an argument list so that its words can be told apart.
func quoteAll(args []string) string {
	quoted := make([]string, len(args))
	for i, a := range args {
		quoted[i] = a
		if a == "" || strings.ContainsAny(a, " \t\n\"'\\") {
			quoted[i] = fmt.Sprintf("%q", a)
		}
	}
	return strings.Join(quoted, " ")
}

// images says of how many images of an index all is here; what is known of the
// others is their manifests' size alone.
func (j inspectJSON) images() string {
	here, all := 0, 0
	for _, p := range j.Parts {
		if p.Role == oci.RoleManifest.String() {
			all++
			if p.Held {
				here++
			}
		}
	}
	if all == 0 {
		return ""
	}
	return fmt.Sprintf(", %d of %d images", here, all)
}
