package testscripts

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"dist.example/registryserver/conformance"
)

const conformanceDoc = "../docs/CONFORMANCE.md"

var (
	clauseRow  = regexp.MustCompile(`^\| ([a-z]+)-(\d+) \|(.+)\|(.+)\|(.+)\|(.+)\|$`)
	clauseTest = regexp.MustCompile("`([a-z/]+)\\.(Test[A-Za-z0-9]+)(?:/([a-z0-9./-]+))?`")
	levels     = []string{"MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY", "draft"}
)

// suites are where the checks of package conformance run.
var suites = []string{"registryserver.TestConformance", "client.TestConformance"}

// The tables of docs/CONFORMANCE.md number the clauses of each section without a
// gap, every clause names tests that exist, and every check of the suite is named
// by one.
func TestConformanceTable(t *testing.T) {
	data, err := os.ReadFile(conformanceDoc)
	if err != nil {
		t.Fatal(err)
	}
	last, named := map[string]int{}, map[string]bool{}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		row := clauseRow.FindStringSubmatch(line)
		if row == nil {
			if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| clause |") {
				t.Errorf("no clause: %s", line)
			}
			continue
		}
		id := row[1] + "-" + row[2]
		if n, _ := strconv.Atoi(row[2]); n != last[row[1]]+1 {
			t.Errorf("%s follows %s-%d", id, row[1], last[row[1]])
		}
		last[row[1]]++
		if level := strings.TrimSpace(row[4]); !slices.Contains(levels, level) {
			t.Errorf("%s: %q is no level", id, level)
		}
		for _, err := range wrongClauseTests(row[6], named) {
			t.Errorf("%s: %v", id, err)
		}
	}
	if len(last) < 14 {
		t.Errorf("there are %d sections", len(last))
	}
	for _, check := range conformance.Names() {
		if !named[check] {
			t.Errorf("no clause names the check %s", check)
		}
	}
	for _, suite := range suites {
		if pkg, name, _ := strings.Cut(suite, "."); !hasTest(pkg, name) {
			t.Errorf("there is no %s", suite)
		}
	}
}

// wrongClauseTests looks at the last cell of a row, and notes the checks in it.
func wrongClauseTests(cell string, named map[string]bool) (wrong []error) {
	tests := clauseTest.FindAllStringSubmatch(cell, -1)
	if left := strings.Trim(clauseTest.ReplaceAllString(cell, ""), " ,"); left != "" || len(tests) == 0 {
		wrong = append(wrong, fmt.Errorf("%q is no list of tests", cell))
	}
	for _, test := range tests {
		pkg, name, check := test[1], test[2], test[3]
		switch {
		case !hasTest(pkg, name):
			wrong = append(wrong, fmt.Errorf("package %s has no %s", pkg, name))
		case check == "":
		case !slices.Contains(suites, pkg+"."+name) || !slices.Contains(conformance.Names(), check):
			wrong = append(wrong, fmt.Errorf("%s.%s has no check %s", pkg, name, check))
		}
		named[check] = true
	}
	return wrong
}
