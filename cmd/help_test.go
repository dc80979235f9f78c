package cmd

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// Every topic is a text of some dozens of lines that fit on a terminal, with examples,
// which testscripts.TestExamples runs; and every file is a topic.
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
	}
}
