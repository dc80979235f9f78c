package cmd

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

func TestPagesHaveAllSections(t *testing.T) {
	m := manual{app: model(t), date: time.Unix(0, 0)}
	err := m.each(m.app.Node, func(n *kong.Node) error {
		page := m.page(n)
		want := []string{"NAME", "SYNOPSIS", "DESCRIPTION", "GLOBAL OPTIONS", "EXIT STATUS", "ENVIRONMENT", "SEE ALSO"}
		if n.Leaf() {
			want = append(want, "EXAMPLES")
		}
		if len(n.Positional) > 0 {
			want = append(want, "ARGUMENTS")
		}
		if len(n.Flags) > 0 && n != m.app.Node {
			want = append(want, "OPTIONS")
		}
		for _, section := range want {
			if !strings.Contains(page, ".SH \""+section+"\"\n") {
				t.Errorf("%s: no section %s", manName(n), section)
			}
		}
		if !strings.Contains(page, `" 1 "1970-01-01" "dist `) || page != m.page(n) {
			t.Errorf("%s: its date, or all of it, is another one each time", manName(n))
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestRoffReadsTextAsText(t *testing.T) {
	r := new(roff)
	r.line(".br is no request")
	r.line("'nor is this")
	r.line(`a\fBbold\fR --flag "quoted" ~/x^2 ` + "`code` …")
	r.code("first\n\n  .second")
	want := `\&.br is no request
\(aqnor is this
a\efBbold\efR \-\-flag \(dqquoted\(dq \(ti/x\(ha2 \(gacode\(ga \[u2026]
.RS 4
.nf
first
\&
\&  .second
.fi
.RE
`
	if got := r.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestManTakesEveryPage has man itself read all pages, and warn of nothing.
func TestManTakesEveryPage(t *testing.T) {
	if said, err := exec.Command("man", "--version").Output(); err != nil || !bytes.HasPrefix(said, []byte("man 2.")) {
		t.Skip("the man of man-db is not here")
	}
	m := manual{app: model(t)}
	var all strings.Builder
	var pages []*kong.Node
	_ = m.each(m.app.Node, func(n *kong.Node) error {
		pages = append(pages, n)
		all.WriteString(m.page(n))
		return nil
	})
	// One start of it takes as long as a hundred pages do.
	if len(pages) < len(verbs()) || warnings(t, all.String()) == "" {
		return
	}
	for _, n := range pages {
		if said := warnings(t, m.page(n)); said != "" {
			t.Errorf("%s: %s", manName(n), said)
		}
	}
	t.Error("man warns")
}

// warnings are what man says of pages.
func warnings(t *testing.T, pages string) string {
	man := exec.CommandContext(t.Context(), "man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", "-")
	man.Env = append(os.Environ(), "LC_ALL=C", "MANPAGER=cat")
	var said bytes.Buffer
	man.Stdin, man.Stdout, man.Stderr = strings.NewReader(pages), io.Discard, &said
	if err := man.Run(); err != nil {
		fmt.Fprintln(&said, err)
	}
	return said.String()
}
