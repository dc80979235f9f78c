package testscripts

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// changing is what differs from one run to the next, with what stands for it.
var changing = []struct {
	what *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`(?:/[\w.-]+)+/`), "/"},                                // folders
	{regexp.MustCompile(`\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?Z?)?`), "#"}, // times
	{regexp.MustCompile(`\b(?:just now|now|\d+ \w+ ago)\b`), "#"},
	{regexp.MustCompile(`\b[0-9a-f]{8,}\b`), "#"},                                                   // digests and ids
	{regexp.MustCompile(`\b\d[\d.]*(?: ?(?:B|[KMGT]iB|ms|s|min|h|d|hours?|days?))?\b(?:/s)?`), "#"}, // amounts
	{regexp.MustCompile(`# (\w+?)s?\b`), "# $1"},                                                    // so many things
	{regexp.MustCompile(`[ \t]+`), " "},
}

// steady is a line without what changes.
func steady(line string) string {
	for _, c := range changing {
		line = c.what.ReplaceAllString(line, c.as)
	}
	return strings.TrimSpace(line)
}

// unshown are the lines of a document that a command did not print. Their order does not
// count, nor does what it printed besides; "..." stands for anything.
func unshown(output, printed string) (missing []string) {
	var have []string
	for line := range strings.Lines(printed) {
		have = append(have, steady(line))
	}
	for line := range strings.Lines(output) {
		parts := strings.Split(steady(line), "...")
		if !slices.ContainsFunc(have, func(line string) bool { return hasParts(line, parts) }) && steady(line) != "" {
			missing = append(missing, line)
		}
	}
	return missing
}

// hasParts says whether a line is the parts, with anything between them.
func hasParts(line string, parts []string) bool {
	if len(parts) == 1 {
		return line == parts[0]
	}
	for i, part := range parts {
		at := strings.Index(line, part)
		if at < 0 || i == 0 && at > 0 {
			return false
		}
		line = line[at+len(part):]
	}
	return line == "" || parts[len(parts)-1] == ""
}

// Amounts, times and names of content are not compared, and words are.
func TestOutputOfExamplesIsCompared(t *testing.T) {
	const printed = "sha256:010c454d55e53059beaba4044116ea4636f8dd8181e975d893931c7e7204fffa  2.9 MiB  now\n" +
		"dist: moved 2.9 MiB, reused 0 B, 1 request, 0.11 s\npolicy  /tmp/x1/home/.config/policy.json\n"
	for output, want := range map[string]int{
		"sha256:5891b5b522d5 6 B now\n\n...\n": 0, "dist: moved 1 B, ...\n": 0, "dist: moved 0 B, reused 12 B, 4 requests, 2 s\n": 0,
		"policy /home/ann/policy.json\n": 0, "dist: moved 1 B\n": 1, "dist: carried 1 B, ...\n": 1, "a\nb\n": 2,
	} {
		if missing := unshown(output, printed); len(missing) != want {
			t.Errorf("%q: %q is missing", output, missing)
		}
	}
}
