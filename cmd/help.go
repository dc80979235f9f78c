package cmd

import (
	"embed"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/alecthomas/kong"

	"dist.example/client"
)

// topicFiles are texts that belong to no verb. The first line says what each is about, a
// line @NAME@ stands for a table that is made of what the program knows.
//
//go:embed topics/*.txt
var topicFiles embed.FS

// topics are the names of the texts, in the order of the help.
var topics = []string{"references", "stores", "formats", "bundles", "trust", "exit-codes", "environment", "words"}

// helpCmd is `dist help`.
type helpCmd struct {
	Word []string `arg:"" optional:"" complete:"verb|topic" help:"A verb (pull, store set) or a topic. Without it, the verbs and topics are listed."`
}

// Help is the longer text of `dist help --help`.
func (helpCmd) Help() string {
	return "Topics are references, stores, formats, bundles, trust, exit-codes, environment and words. Of a word that is a verb and a topic, both are told. dist man prints the pages of verbs for man.\n\n" +
		"Examples:\n\n    $ dist help pull\n    $ dist help store set\n    $ dist help references"
}

// Run prints the help of a verb, a topic, or the list of both.
func (c *helpCmd) Run(s *session) error {
	known := verbs()
	if len(c.Word) > 0 {
		known = spoken(c.Word[:1])
	}
	parser, exited, err := newParser(new(globalFlags), known, s.stdout, s.stdout)
	if err != nil {
		return err
	}
	topic := len(c.Word) == 1 && slices.Contains(topics, c.Word[0])
	if len(c.Word) > 0 && !slices.ContainsFunc(known, func(v verb) bool { return v.name == c.Word[0] }) {
		if !topic {
			err := usagef("%q is no verb and no topic; \"dist help\" lists both", c.Word[0])
			return didYouMean(err, client.Nearest(c.Word[0], slices.Concat(verbNames(), topics)))
		}
		return s.tellTopic(parser.Model, c.Word[0])
	}
	// The help flag prints; what Parse makes of words that lack says nothing then.
	if _, err = parser.Parse(append(slices.Clone(c.Word), "--help")); !exited() {
		return err
	}
	if topic {
		fmt.Fprintln(s.stdout)
		return s.tellTopic(parser.Model, c.Word[0])
	}
	return nil
}

func (s *session) tellTopic(app *kong.Application, name string) error {
	text, err := topicText(app, name)
	if err == nil {
		_, err = io.WriteString(s.stdout, text)
	}
	return err
}

// topicText is the text of a topic, wrapped and with a line feed at its end. app is asked
// for all verbs' variables.
func topicText(app *kong.Application, name string) (string, error) {
	data, err := topicFiles.ReadFile("topics/" + name + ".txt")
	if err != nil {
		return "", err
	}
	text := string(data)
	if strings.Contains(text, "@exit-codes@") {
		text = strings.Replace(text, "@exit-codes@\n", exitTable(), 1)
	}
	if strings.Contains(text, "@environment@") {
		text = strings.Replace(text, "@environment@\n", variableTable(app), 1)
	}
	return text, nil
}

// topicAbout is the first line of a topic.
func topicAbout(name string) string {
	data, err := topicFiles.ReadFile("topics/" + name + ".txt")
	if err != nil {
		return "" // embedded: a test reads all of them
	}
	first, _, _ := strings.Cut(string(data), "\n")
	return first
}

// printHelp is the help of kong, with the topics below the list of verbs.
func printHelp(o kong.HelpOptions, ctx *kong.Context) error {
	if err := kong.DefaultHelpPrinter(o, ctx); err != nil || ctx.Selected() != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("\nTopics, told by \"dist help TOPIC\":\n")
	for _, name := range topics {
		fmt.Fprintf(&b, "  %-12s  %s\n", name, topicAbout(name))
	}
	_, err := io.WriteString(ctx.Stdout, b.String())
	return err
}

// topicWidth is of the lines of a table in a topic.
const topicWidth = 80

// exitTable are the exit codes in lines.
func exitTable() string {
	var b strings.Builder
	for _, m := range exitMeanings {
		words := strings.Join(exitWords(m.exit), ", ")
		hang(&b, fmt.Sprintf("    %3d  %-16s  ", m.exit, words), 27, m.about)
	}
	return b.String()
}

// variableTable are the variables that count in lines.
func variableTable(app *kong.Application) string {
	var b strings.Builder
	for _, e := range variables(app) {
		hang(&b, "    "+e.name+"  ", 8, e.about)
	}
	return b.String()
}

// hang writes words behind a heading; what does not fit goes into lines below, indented.
func hang(b *strings.Builder, heading string, indent int, text string) {
	line := heading
	for i, w := range strings.Fields(text) {
		switch {
		case i == 0:
			line += w
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(w) > topicWidth:
			b.WriteString(line + "\n")
			line = strings.Repeat(" ", indent) + w
		default:
			line += " " + w
		}
	}
	b.WriteString(line + "\n")
}
