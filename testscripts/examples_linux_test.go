package testscripts

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// excused are the commands in texts of help that are not run, with the reason.
var excused = map[string]string{
	"dist login quay.io": "it asks for user and password on a terminal, as the test of a terminal in package cmd does",
}

// ranElsewhere are documents whose commands another test runs.
var ranElsewhere = map[string]string{
	"docs/SEEDS.md": "TestSeedLinesAreVerbatim compares its lines with those of scripts",
}

// TestExamples runs every command that help and documents show, and fails where one does
// not end as they say: a page of docs/cli, which is the help of a verb or a topic, in a
// copy of the world that examples/world.sh makes, any other document as one session in a
// folder that is empty at first. examplesession_linux_test.go says how.
func TestExamples(t *testing.T) {
	documents := allExamples(t)
	scripts, err := filepath.Glob("examples/before/*.sh")
	for _, script := range scripts {
		if !slices.ContainsFunc(slices.Collect(maps.Keys(documents)), func(page string) bool { return before(page) == script }) {
			err = errors.Join(err, fmt.Errorf("%s is for no document", script))
		}
	}
	if err != nil {
		t.Error(err)
	}
	w := newExampleWorld(t)
	for page, all := range documents {
		t.Run(strings.TrimSuffix(strings.TrimPrefix(page, "../"), ".md"), func(t *testing.T) {
			t.Parallel()
			runExamples(w.session(t, page, all), all)
		})
	}
}

// allExamples are the commands of each document, with the excuses of those that are not
// run. All excuses have to be of use.
func allExamples(t *testing.T) map[string][]example {
	t.Helper()
	documents, run, left := map[string][]example{}, 0, []string{}
	unused := slices.Collect(maps.Keys(excused))
	for _, pattern := range []string{"../docs/cli/*.md", "../*.md", "../docs/*.md", "../docs/guides/*.md"} {
		pages, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, page := range pages {
			all := readExamples(t, page)
			if len(all) == 0 || ranElsewhere[strings.TrimPrefix(page, "../")] != "" {
				continue
			}
			for i, e := range all {
				if reason := excused[e.text]; reason != "" {
					all[i].excuse = reason
					unused = slices.DeleteFunc(unused, func(text string) bool { return text == e.text })
				}
				if strings.Contains(e.text, "mount ") && os.Geteuid() == 0 && !mounts() {
					all[i].excuse = "nothing can be mounted here"
				}
				switch {
				case all[i].excuse != "":
					left = append(left, fmt.Sprintf("%s:%d: %s: %s", page, e.line, e.text, all[i].excuse))
				case !e.unseen:
					run++
				}
			}
			documents[page] = all
		}
	}
	t.Logf("%d examples are run, %d are not:\n%s", run, len(left), strings.Join(left, "\n"))
	if run < 300 || len(left) > 30 {
		t.Errorf("%d examples are run, and %d are not", run, len(left))
	}
	for _, text := range unused {
		t.Errorf("there is no example %q, which is excused", text)
	}
	return documents
}

// runExamples runs the commands of a session. One that ends otherwise than it should
// does not keep those behind it from being run.
func runExamples(s *exampleSession, all []example) {
	for _, e := range all {
		if e.excuse != "" {
			continue
		}
		out := s.run(e)
		missing := unshown(e.output, out.stdout+out.stderr)
		switch {
		case out.exit != e.exit:
			s.t.Errorf("%s:%d: %s\nexit %d, want %d\n%s%s", s.page, e.line, e.text, out.exit, e.exit, indented(out.stdout), indented(out.stderr))
		case len(missing) > 0:
			s.t.Errorf("%s:%d: %s\nit does not print\n%sbut\n%s%s", s.page, e.line, e.text, indented(strings.Join(missing, "")), indented(out.stdout), indented(out.stderr))
		}
	}
	s.endServers("")
}

// indented is what a command printed, at most the last screen of it.
func indented(s string) string {
	if len(s) > 2000 {
		s = fmt.Sprintf("… (%d bytes) ", len(s)-2000) + s[len(s)-2000:]
	}
	if s = strings.TrimRight(s, "\n"); s == "" {
		return ""
	}
	return "  " + strings.ReplaceAll(s, "\n", "\n  ") + "\n"
}
