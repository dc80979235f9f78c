package cmd

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

const docsFolder = "../docs/cli"

// TestReferenceIsCurrent compares docs/cli with what the flags and texts of the
// program say. With DIST_WRITE_DOCS=1 (make docs) it writes the pages.
func TestReferenceIsCurrent(t *testing.T) {
	pages := reference(t)
	if os.Getenv("DIST_WRITE_DOCS") != "" {
		writePages(t, pages)
	}
	for name, want := range pages {
		got, err := os.ReadFile(filepath.Join(docsFolder, name))
		if err != nil || string(got) != want {
			t.Errorf("%s is not what the program says (run make docs)", name)
		}
	}
	entries, err := os.ReadDir(docsFolder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, ok := pages[e.Name()]; !ok {
			t.Errorf("%s is of no verb (run make docs)", e.Name())
		}
	}
}

// Every exit code has a meaning, and README.md tells the same ones.
func TestExitCodesAreTold(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range exitMeanings {
		words := ""
		for _, w := range exitWords(m.exit) {
			words += ", `" + w + "`"
		}
		row := fmt.Sprintf("\n| %d | %s |", m.exit, strings.TrimPrefix(words, ", "))
		if !strings.Contains(string(readme), strings.ReplaceAll(row, "|  |", "| |")) {
			t.Errorf("README.md has no row %q", row)
		}
	}
	for _, c := range exitClasses {
		if !slices.ContainsFunc(exitMeanings, func(m exitMeaning) bool { return m.exit == c.exit }) {
			t.Errorf("nothing says what exit %d means", c.exit)
		}
	}
}

func writePages(t *testing.T, pages map[string]string) {
	if err := os.RemoveAll(docsFolder); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(docsFolder, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range pages {
		if err := os.WriteFile(filepath.Join(docsFolder, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// docLink is a word in brackets by itself, which kong takes for the link of a Go
// comment and prints without them.
var docLink = regexp.MustCompile(`(?m)(^|\s)\[[A-Za-z][\w./]*\](\s|$)`)

// Every verb has a help text and an example, for that is what its page is.
func TestEveryVerbTeaches(t *testing.T) {
	var seen []string
	for _, verb := range model(t).Leaves(true) {
		if slices.Contains(seen, verb.Path()) {
			t.Errorf("%s: it is listed twice", verb.Path())
		}
		seen = append(seen, verb.Path())
		if lost := docLink.FindString(verb.Detail); lost != "" {
			t.Errorf("%s: the help would lose the brackets of %s", verb.Path(), lost)
		}
		if verb.Help == "" || !strings.Contains(verb.Detail, "$ dist "+verb.Path()) {
			t.Errorf("%s: no help text, or no example that begins with \"$ dist %s\"", verb.Path(), verb.Path())
		}
		for _, f := range verb.Flags {
			if f.Help == "" {
				t.Errorf("%s --%s: no help text", verb.Name, f.Name)
			}
		}
		for _, p := range verb.Positional {
			if p.Help == "" {
				t.Errorf("%s <%s>: no help text", verb.Name, p.Name)
			}
		}
	}
}

func model(t *testing.T) *kong.Application {
	var c globalFlags
	parser, _, err := newParser(&c, verbs(), io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return parser.Model
}

// reference is every page by its file name.
func reference(t *testing.T) map[string]string {
	app := model(t)
	pages := map[string]string{"README.md": overview(app)}
	for _, name := range topics {
		text, err := topicText(app, name)
		if err != nil {
			t.Fatal(err)
		}
		pages[topicPage(name)] = fmt.Sprintf("# dist help %s\n\n```text\n%s```\n", name, text)
	}
	for _, verb := range app.Leaves(true) {
		pages[pageName(verb)] = verbPage(verb)
	}
	return pages
}

func topicPage(name string) string { return "help-" + name + ".md" }

func pageName(n *kong.Node) string { return strings.ReplaceAll(n.Path(), " ", "-") + ".md" }

func overview(app *kong.Application) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# The command line\n\n%s\n\nEvery page here is what `dist VERB --help` or `dist help TOPIC` prints; `make docs` writes them.\n", app.Help)
	for _, g := range groupedVerbs(app) {
		fmt.Fprintf(&b, "\n## %s\n\n| verb | what it does |\n|---|---|\n", g.title)
		for _, n := range g.verbs {
			fmt.Fprintf(&b, "| [%s](%s) | %s |\n", n.Path(), pageName(n), cell(n.Help))
		}
	}
	b.WriteString("\n## Topics\n\n| topic | what it is about |\n|---|---|\n")
	for _, name := range topics {
		fmt.Fprintf(&b, "| [%s](%s) | %s |\n", name, topicPage(name), cell(topicAbout(name)))
	}
	b.WriteString("\n## Flags of every verb\n\n")
	writeFlagTable(&b, app.Flags)
	writeExitCodes(&b)
	return b.String()
}

func writeExitCodes(b *strings.Builder) {
	b.WriteString("\n## Exit codes\n\nThe words are those of the field `code` in JSON errors.\n\n| exit | code | meaning |\n|---|---|---|\n")
	for _, m := range exitMeanings {
		fmt.Fprintf(b, "| %d | %s | %s |\n", m.exit, strings.Join(exitWords(m.exit), ", "), cell(m.about))
	}
}

func verbPage(n *kong.Node) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# dist %s\n\n%s\n\n```\ndist %s\n```\n", n.Path(), n.Help, n.Summary())
	if n.Detail != "" {
		fmt.Fprintf(&b, "\n%s\n", strings.TrimSpace(n.Detail))
	}
	if arguments := argumentEntries(n); len(arguments) > 0 {
		b.WriteString("\n| argument | meaning |\n|---|---|\n")
		for _, e := range arguments {
			fmt.Fprintf(&b, "| `%s` | %s |\n", e.name, cell(e.about))
		}
	}
	if len(n.Flags) > 0 {
		b.WriteString("\n")
		writeFlagTable(&b, n.Flags)
	}
	b.WriteString("\nThe [flags of every verb](README.md#flags-of-every-verb) apply too.\n")
	return b.String()
}

func writeFlagTable(b *strings.Builder, flags []*kong.Flag) {
	b.WriteString("| flag | environment | meaning |\n|---|---|---|\n")
	for _, e := range flagEntries(flags) {
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", e.name, strings.Join(e.envs, " "), cell(e.about))
	}
}

// cell keeps a table's separators out of a text.
func cell(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "|", `\|`), "\n", " ")
}
