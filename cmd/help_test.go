package cmd

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"dist.example/content"
)

// Every topic is a text of some dozens of lines that fit on a terminal, with examples of
// verbs that there are; and every file is a topic.
func TestTopicsTeach(t *testing.T) {
	app := model(t)
	entries, err := topicFiles.ReadDir("topics")
	if err != nil || len(entries) != len(topics) {
		t.Fatalf("%d files, %d topics, %v", len(entries), len(topics), err)
	}
	for _, name := range topics {
		text, err := topicText(app, name)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(text, "\n"); n < 20 || n > 75 {
			t.Errorf("%s has %d lines", name, n)
		}
		if strings.Contains(text, "@environment@") || strings.Contains(text, "@exit-codes@") || !strings.HasSuffix(text, "\n") {
			t.Errorf("%s is not whole", name)
		}
		for line := range strings.Lines(text) {
			if n := utf8.RuneCountInString(line); n > 100 || n > 81 && !strings.HasPrefix(line, "    ") {
				t.Errorf("%s: a line of %d characters: %s", name, n, line)
			}
		}
		if !strings.Contains(text, "    $ dist ") && !strings.Contains(text, "$ DIST_") {
			t.Errorf("%s has no example", name)
		}
		checkExamples(t, name, text)
	}
}

var example = regexp.MustCompile(`(?m)(?:^|[$|] |dist help )\s*dist ([a-z-]+)`)

// checkExamples looks whether the verbs of examples are there, and parses those lines that
// are whole and simple.
func checkExamples(t *testing.T, name, text string) {
	known := verbs()
	for _, m := range example.FindAllStringSubmatch(text, -1) {
		if !slices.ContainsFunc(known, func(v verb) bool { return v.name == m[1] }) {
			t.Errorf("%s: there is no verb %s", name, m[1])
		}
	}
	for line := range strings.Lines(text) {
		_, command, ok := strings.Cut(line, "$ dist ")
		if !ok || strings.ContainsAny(command, "|;&'\"<>(") {
			continue
		}
		command, _, _ = strings.Cut(command, "   ") // what it is for
		words := strings.Fields(command)
		if slices.ContainsFunc(words, func(w string) bool { return strings.HasSuffix(w, "...") }) {
			continue
		}
		var c globalFlags
		parser, _, err := newParser(&c, spoken(words), &strings.Builder{}, &strings.Builder{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(words); err != nil && classify(err).err != content.ErrNotFound {
			t.Errorf("%s: dist %s: %v", name, command, err)
		}
	}
}
