package testscripts

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const seedsDoc = "../docs/SEEDS.md"

var (
	seedRow = regexp.MustCompile(`^\| (\d+) \|(.*)\|(.*)\|(.*)\|$`)
	// proofLink leads to a script, and goTest names a test of a package, such as
	// client.TestLookup.
	proofLink = regexp.MustCompile(`\]\(\.\./testscripts/([a-z_/0-9]+\.txtar)\)`)
	goTest    = regexp.MustCompile("`([a-z/]+)\\.(Test[A-Za-z0-9]+)`")
	seedID    = regexp.MustCompile(`sha256:[0-9a-f]{64}|\b[0-9a-f]{40}\b|\$[A-Z][A-Z0-9]+`)
)

// The table of docs/SEEDS.md has every capability once, in order, and what it
// names to show one is there.
func TestSeedsTable(t *testing.T) {
	next := 1
	for line := range strings.Lines(readSeedsDoc(t)) {
		row := seedRow.FindStringSubmatch(strings.TrimSpace(line))
		if row == nil {
			continue
		}
		if n, _ := strconv.Atoi(row[1]); n != next {
			t.Fatalf("row %d stands where %d should", n, next)
		}
		for _, err := range wrongProofs(row[4]) {
			t.Errorf("row %d: %v", next, err)
		}
		next++
	}
	if next != 83 {
		t.Errorf("the table ends with row %d in place of 82", next-1)
	}
}

// wrongProofs looks at the last cell of a row: it names scripts and tests that
// exist, or says that the row comes later.
func wrongProofs(cell string) (wrong []error) {
	scripts, tests := proofLink.FindAllStringSubmatch(cell, -1), goTest.FindAllStringSubmatch(cell, -1)
	if len(scripts)+len(tests) == 0 && !strings.Contains(cell, "later: ") {
		wrong = append(wrong, fmt.Errorf("%q names no script, no test and nothing that comes later", cell))
	}
	for _, s := range scripts {
		if _, err := os.Stat(s[1]); err != nil {
			wrong = append(wrong, err)
		}
	}
	for _, test := range tests {
		if !hasTest(test[1], test[2]) {
			wrong = append(wrong, fmt.Errorf("package %s has no %s", test[1], test[2]))
		}
	}
	return wrong
}

func hasTest(pkg, name string) bool {
	files, _ := filepath.Glob("../" + pkg + "/*_test.go") // the pattern is well formed
	for _, file := range files {
		if src, err := os.ReadFile(file); err == nil && strings.Contains(string(src), "func "+name+"(t *testing.T)") {
			return true
		}
	}
	return false
}

// Each line that docs/SEEDS.md quotes stands in the script that is named above it,
// word for word: only ids may be variables there.
func TestSeedLinesAreVerbatim(t *testing.T) {
	var script string
	lines := 0
	for part := range strings.SplitSeq(section(t, readSeedsDoc(t), "## The lines"), "```") {
		if command, ok := strings.CutPrefix(strings.TrimSpace(part), "$ "); ok {
			lines++
			if script == "" || !strings.Contains(withoutIDs(script), withoutIDs(command)) {
				t.Errorf("the script does not run\n%s", command)
			}
			continue
		}
		if link := proofLink.FindStringSubmatch(part); link != nil {
			data, err := os.ReadFile(link[1])
			if err != nil {
				t.Fatal(err)
			}
			script = string(data)
		}
	}
	if lines < 10 {
		t.Errorf("%d lines are quoted", lines)
	}
}

func withoutIDs(s string) string { return seedID.ReplaceAllString(s, "ID") }

func readSeedsDoc(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(seedsDoc)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// section is the text below a heading, up to the next one.
func section(t *testing.T, doc, heading string) string {
	t.Helper()
	_, text, ok := strings.Cut(doc, "\n"+heading+"\n")
	if !ok {
		t.Fatalf("%s has no %q", seedsDoc, heading)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	return text
}
