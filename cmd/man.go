package cmd

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"dist.example/client"
	"dist.example/layer"
)

// manCmd is `dist man`.
type manCmd struct {
	Verb []string `arg:"" optional:"" complete:"verb" help:"Verb whose page is printed: pull, store set. Without it, that of dist."`
	Dir  string   `type:"path" complete:"dir" placeholder:"DIR" help:"Write all pages into this folder, as man1/dist.1, man1/dist-pull.1 and so on."`
}

// Help is the longer text of `dist man --help`.
func (manCmd) Help() string {
	return `The page is printed as roff, whatever stdout is: man shows it. It says what --help and docs/cli say, from the same flags and texts, with exit codes and variables of the environment.

With --dir each page appears when it is whole, and pages of before are replaced. The same program writes the same bytes; a date is on the pages only where SOURCE_DATE_EPOCH says one.

Examples:

    $ dist man pull | man -l -
    $ dist man store set | man -l -
    $ dist man --dir /usr/local/share/man`
}

// Run prints a page, or writes all.
func (c *manCmd) Run(s *session) error {
	if c.Dir != "" && len(c.Verb) > 0 {
		return usagef("--dir writes all pages; leave out the verb")
	}
	date, err := layer.ParseEpoch(s.getenv("SOURCE_DATE_EPOCH"))
	if err != nil {
		return err
	}
	parser, _, err := newParser(new(globalFlags), verbs(), io.Discard, io.Discard)
	if err != nil {
		return err
	}
	m := manual{app: parser.Model, date: date}
	if c.Dir != "" {
		return m.writeAll(filepath.Join(c.Dir, "man1"))
	}
	n, err := findVerb(parser.Model, c.Verb)
	if err != nil {
		return err
	}
	_, err = io.WriteString(s.stdout, m.page(n))
	return err
}

// findVerb finds the node of a verb's words; none are the program's own.
func findVerb(app *kong.Application, words []string) (*kong.Node, error) {
	n := app.Node
	for i, w := range words {
		at := slices.IndexFunc(n.Children, func(c *kong.Node) bool { return c.Name == w })
		if at < 0 {
			err := usagef("%q is no verb; \"dist --help\" lists the verbs", strings.Join(words[:i+1], " "))
			return nil, didYouMean(err, client.Nearest(w, childNames(n)))
		}
		n = n.Children[at]
	}
	return n, nil
}

// manual writes the pages of a program.
type manual struct {
	app  *kong.Application
	date time.Time // zero for none
}

// writeAll writes each page into folder dir, which is made.
func (m manual) writeAll(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return m.each(m.app.Node, func(n *kong.Node) error {
		return replaceFile(filepath.Join(dir, manName(n)+".1"), m.page(n))
	})
}

// each calls fn for a node and all below it.
func (m manual) each(n *kong.Node, fn func(*kong.Node) error) error {
	err := fn(n)
	for _, c := range n.Children {
		err = errors.Join(err, m.each(c, fn))
	}
	return err
}

// replaceFile gives a file a new text: who reads it meanwhile has the old one or this.
func replaceFile(name, text string) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), ".dist-man-*")
	if err != nil {
		return err
	}
	_, err = io.WriteString(tmp, text)
	err = errors.Join(err, tmp.Chmod(0o644), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}

// manName is the name of a node's page.
func manName(n *kong.Node) string {
	return strings.TrimSuffix("dist-"+strings.ReplaceAll(n.Path(), " ", "-"), "-")
}

// page is the page of a node, in roff.
func (m manual) page(n *kong.Node) string {
	r := new(roff)
	r.WriteString(".\\\" Written by \"dist man\". Change the texts of the program in place of it.\n")
	date := ""
	if !m.date.IsZero() {
		date = m.date.UTC().Format(time.DateOnly)
	}
	fmt.Fprintf(r, ".TH %q 1 %q %q %q\n.nh\n.ad l\n", strings.ToUpper(manName(n)), date, "dist "+release(), "Manual of dist")
	r.section("Name")
	about := strings.TrimSuffix(n.Help, ".")
	if n == m.app.Node {
		about = "move container images and other content between registries, files and a store"
	}
	fmt.Fprintf(r, "%s \\- %s\n", roffEscape(manName(n)), roffEscape(about))
	r.section("Synopsis")
	r.macro("B", "dist")
	r.line(strings.TrimSpace(n.Summary()))
	if n == m.app.Node {
		m.program(r)
	} else {
		m.verb(r, n)
	}
	return r.String()
}

// program writes the sections of dist(1).
func (m manual) program(r *roff) {
	r.section("Description")
	r.line(m.app.Help)
	for _, g := range groupedVerbs(m.app) {
		r.macro("SS", g.title)
		for _, n := range g.verbs {
			r.WriteString(".TP\n")
			r.macro("B", n.Path())
			r.line(n.Help)
		}
	}
	r.entries("Global options", flagEntries(m.app.Flags))
	r.entries("Exit status", exitEntries())
	r.entries("Environment", variables(m.app))
	r.section("Examples")
	r.prose([]paragraph{{true, programExamples}})
	var names []string
	for _, n := range m.app.Children {
		names = append(names, manName(n))
	}
	r.references(names)
}

const programExamples = `$ dist pull redis:7
$ dist images
$ dist pack demo/hello:v1 ./app
$ dist serve --addr 127.0.0.1:5123
$ dist man pull | man -l -`

// exitEntries are the exit codes, with their words in JSON.
func exitEntries() (entries []entry) {
	for _, x := range exitMeanings {
		entries = append(entries, entry{name: strconv.Itoa(x.exit), envs: exitWords(x.exit), about: x.about})
	}
	return entries
}

// verb writes the sections of a verb's page, or of one that has others below it.
func (m manual) verb(r *roff, n *kong.Node) {
	prose, examples := paragraphs(n.Detail)
	r.section("Description")
	r.prose(append([]paragraph{{false, n.Help}}, prose...))
	below, also := []entry{}, []string{"dist"}
	if n.Parent != m.app.Node {
		also = append(also, manName(n.Parent))
	}
	for _, c := range n.Children {
		below = append(below, entry{name: c.Path(), about: c.Help})
		also = append(also, manName(c))
	}
	r.entries("Commands", below)
	r.entries("Arguments", argumentEntries(n))
	r.entries("Options", flagEntries(n.Flags))
	r.section("Global options")
	r.line("The options that every verb takes are in dist(1): " + flagNames(m.app.Flags) + ".")
	r.section("Exit status")
	r.line("0 when it is done. Every other code has one meaning for all verbs, and dist(1) tells it.")
	r.section("Environment")
	if own := ownVariables(n); own != "" {
		r.line(own)
	}
	r.line("All that counts is in dist(1).")
	if len(examples) > 0 {
		r.section("Examples")
		r.prose(examples)
	}
	top, _, _ := strings.Cut(n.Path(), " ")
	for _, name := range mentioned(n.Detail, top) {
		also = append(also, "dist-"+name)
	}
	r.references(also)
}

// flagNames are flags in one line.
func flagNames(flags []*kong.Flag) string {
	var names []string
	for _, f := range flags {
		names = append(names, "--"+f.Name)
	}
	return strings.Join(names, ", ")
}

// ownVariables says which variables stand for flags of a verb.
func ownVariables(n *kong.Node) string {
	var said []string
	for _, f := range n.Flags {
		if len(f.Envs) > 0 {
			said = append(said, fmt.Sprintf("%s stands for --%s.", strings.Join(f.Envs, ", "), f.Name))
		}
	}
	return strings.Join(said, " ")
}
