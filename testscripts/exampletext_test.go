package testscripts

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// example is one command of a document, as a reader would type it.
type example struct {
	line    int    // that it begins on
	machine string // the word before the prompt, "" for the reader's own machine
	text    string // what the shell gets
	exit    int    // that it has to end with
	output  string // that the document shows of it
	unseen  bool   // it is in a comment, and does what the text around it tells
	excuse  string // why it is not run, "" when it is
}

var (
	// prompt begins a command; in a text of help it is indented by four.
	prompt = regexp.MustCompile(`^(    )?([a-z]*)\$ +(\S.*)$`)
	// anyPrompt is what looks like one, to find those that prompt has missed.
	anyPrompt = regexp.MustCompile(`(?m)^[ \t]*[\w.@-]*\$ +\S`)
	// remark is what is said behind a command: in Markdown a comment, in a text of help
	// what stands apart.
	remark     = regexp.MustCompile(`\s{2,}#.*$`)
	helpRemark = regexp.MustCompile(`\s{3,}\S.*$`)
	exitWord   = regexp.MustCompile(`\bexit (\d+)`)
	goesOn     = regexp.MustCompile(`(\\|\||&&)$`)
	// hereDocument names the line that ends what a command reads from the lines behind it.
	hereDocument = regexp.MustCompile(`<<-?['"]?(\w+)['"]?`)

	note = regexp.MustCompile(`(?s)^<!-- (not run|run): (.*?) *-->`)
)

// examplesOf finds the commands of a document, in their order. They stand in fences or,
// in texts of help, are indented. A comment <!-- not run: REASON --> excuses those of the
// fence behind it, and <!-- run: COMMAND --> is one that no reader sees.
func examplesOf(doc string) (all []example) {
	lines, fenced, shown, excuse := strings.Split(doc, "\n"), false, false, ""
	for i := 0; i < len(lines); i++ {
		if m := note.FindStringSubmatch(strings.Join(lines[i:], "\n")); m != nil && !fenced {
			if m[1] == "run" {
				all = append(all, example{line: i + 1, text: m[2], unseen: true})
			} else {
				excuse = m[2]
			}
			i += strings.Count(m[0], "\n")
			continue
		}
		if strings.HasPrefix(lines[i], "```") {
			if fenced, shown = !fenced, false; !fenced {
				excuse = ""
			}
			continue
		}
		m := prompt.FindStringSubmatch(lines[i])
		if m == nil || !fenced && m[1] == "" {
			if fenced && shown {
				all[len(all)-1].output += lines[i] + "\n"
			}
			continue
		}
		e := example{line: i + 1, machine: m[2], text: m[3], excuse: excuse}
		apart := remark
		if m[1] != "" {
			apart = helpRemark
		}
		for e.takeRemark(apart); goesOn.MatchString(e.text) && i+1 < len(lines); e.takeRemark(apart) {
			i++
			e.text += "\n" + strings.TrimSpace(lines[i])
		}
		for end := hereDocument.FindStringSubmatch(e.text); end != nil && i+1 < len(lines); {
			i++
			if e.text += "\n" + lines[i]; strings.TrimSpace(lines[i]) == end[1] {
				break
			}
		}
		all, shown = append(all, e), m[1] == ""
	}
	return all
}

// takeRemark takes what is said behind a command off it. "exit N" there is how it ends.
func (e *example) takeRemark(apart *regexp.Regexp) {
	said := apart.FindString(e.text)
	e.text = strings.TrimSuffix(e.text, said)
	if m := exitWord.FindStringSubmatch(said); m != nil {
		e.exit, _ = strconv.Atoi(m[1]) // digits
	}
}

// readExamples are those of a file. All that looks like one has to be among them.
func readExamples(t *testing.T, file string) []example {
	t.Helper()
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	all := examplesOf(string(doc))
	seen := slices.DeleteFunc(slices.Clone(all), func(e example) bool { return e.unseen })
	if n := len(anyPrompt.FindAllIndex(doc, -1)); n != len(seen) {
		t.Errorf("%s has %d lines that begin with a prompt, and %d of them are taken for commands", file, n, len(seen))
	}
	return all
}

// Commands are found in both kinds of documents, with what is said of them.
func TestExamplesAreFound(t *testing.T) {
	const doc = `
Text that tells of $ signs.

    $ dist init                      # here
    $ DIST_OFFLINE=1 dist pull a     exit 12 before anything is sent
    $ dist fetch a |
        jq .
    plant$ dist import a

<!-- run: rm a
rm b -->
` + "```" + `
$ dist list  # exit 13, for there is no store
output
$ dist sign a \
    b

$ dist list -q | xargs dist delete
` + "```" + `
<!-- not run: it asks -->
` + "```" + `
$ dist login a
` + "```" + `
` + "```" + `
here$  dist list
$ cat >list <<'END'
$HOME
END
` + "```" + `
$ no command
`
	want := []string{
		"4::dist init:0", "5::DIST_OFFLINE=1 dist pull a:12", "6::dist fetch a |\njq .:0", "8:plant:dist import a:0", "10::rm a\nrm b:0",
		"13::dist list:13", "15::dist sign a \\\nb:0", "18::dist list -q | xargs dist delete:0", "22::dist login a:0", "25:here:dist list:0",
		"26::cat >list <<'END'\n$HOME\nEND:0",
	}
	all := examplesOf(doc)
	var got []string
	for _, e := range all {
		got = append(got, fmt.Sprintf("%d:%s:%s:%d", e.line, e.machine, e.text, e.exit))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%q, want\n%q", got, want)
	}
	if len(all) == len(want) && (!all[4].unseen || all[8].excuse != "it asks" || all[9].excuse != "") {
		t.Errorf("unseen or excused are others: %+v", all)
	}
}
