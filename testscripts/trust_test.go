package testscripts

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

const trustDoc = "../docs/TRUST.md"

var (
	threatRow  = regexp.MustCompile(`^\| (.+) \| (.+) \| (.+) \|$`)
	reasonWord = regexp.MustCompile(`(?m)^\tReason\w+ +Reason = "([a-z-]+)"`)
)

// Every threat in docs/TRUST.md names scripts or tests that exist, and nothing that
// comes later.
func TestThreatsTable(t *testing.T) {
	rows := 0
	for line := range strings.Lines(section(t, readTrustDoc(t), "## Threats, and the test for each")) {
		row := threatRow.FindStringSubmatch(strings.TrimSpace(line))
		if row == nil || row[1] == "threat" {
			continue
		}
		rows++
		for _, err := range wrongProofs(row[3]) {
			t.Errorf("%s: %v", row[1], err)
		}
		if left := strings.Trim(goTest.ReplaceAllString(proofName.ReplaceAllString(row[3], ""), ""), " ,"); left != "" {
			t.Errorf("%s: %q is no script and no test", row[1], left)
		}
	}
	if rows < 30 {
		t.Errorf("there are %d threats", rows)
	}
}

// proofName is a link to a script, with its name.
var proofName = regexp.MustCompile(`\[[a-z_]+\]\(\.\./testscripts/[a-z_]+\.txtar\)`)

// docs/TRUST.md explains each reason why a signature does not count.
func TestReasonsAreExplained(t *testing.T) {
	src, err := os.ReadFile("../sign/judge.go")
	if err != nil {
		t.Fatal(err)
	}
	words, doc := reasonWord.FindAllStringSubmatch(string(src), -1), readTrustDoc(t)
	for _, w := range words {
		if !strings.Contains(doc, "\n| `"+w[1]+"` | ") {
			t.Errorf("%s does not explain %s", trustDoc, w[1])
		}
	}
	if len(words) < 14 {
		t.Errorf("there are %d reasons", len(words))
	}
}

func readTrustDoc(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(trustDoc)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
