package client_test

import (
	"os"
	"strings"
	"testing"
)

// The guide for who embeds the packages shows code of the examples, which run: each of
// its lines stands there. A line of … leaves some out.
func TestTheGuideShowsTheExamples(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../docs/guides/embedding.md")
	must(t, err)
	lines := map[string]bool{"// …": true, "": true}
	for _, file := range []string{"example_test.go", "example_images_test.go"} {
		code, err := os.ReadFile(file)
		must(t, err)
		for line := range strings.Lines(string(code)) {
			lines[strings.TrimSpace(line)] = true
		}
	}
	shown, inside := 0, false
	for line := range strings.Lines(string(guide)) {
		switch line = strings.TrimSpace(line); {
		case strings.HasPrefix(line, "```"):
			inside = line == "```go"
		case inside && !lines[line]:
			t.Errorf("no example has the line %q", line)
		case inside:
			shown++
		}
	}
	if shown < 20 {
		t.Errorf("the guide shows %d lines of code", shown)
	}
}
