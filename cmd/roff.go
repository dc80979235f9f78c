package cmd

import (
	"fmt"
	"strings"
)

// roff writes a page for man(1), in the macros of man(7) that groff and mandoc share.
type roff struct{ strings.Builder }

// roffText replaces what roff would read as its own, or print as another character: a
// hyphen of an option must be found by a search for it.
var roffText = strings.NewReplacer(
	`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`, `"`, `\(dq`,
)

// roffEscape is text as it is to be printed, wherever it stands but at the beginning of a
// line. Characters beyond ASCII have names, so that no encoding has to be guessed.
func roffEscape(text string) string {
	var b strings.Builder
	for _, r := range roffText.Replace(text) {
		if r < 0x80 {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\[u%04X]`, r)
		}
	}
	return b.String()
}

// macro writes a request with its arguments, which are texts.
func (r *roff) macro(name string, args ...string) {
	r.WriteString("." + name)
	for _, a := range args {
		r.WriteString(` "` + roffEscape(a) + `"`)
	}
	r.WriteString("\n")
}

// line writes a line of text. A dot or a quote at its beginning is no request.
func (r *roff) line(text string) {
	text = roffEscape(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, " ") {
		text = `\&` + text
	}
	r.WriteString(text + "\n")
}

func (r *roff) section(title string) { r.macro("SH", strings.ToUpper(title)) }

// prose writes paragraphs, each with a space above it but for the first.
func (r *roff) prose(all []paragraph) {
	for i, p := range all {
		if i > 0 {
			r.macro("PP")
		}
		if p.code {
			r.code(p.text)
		} else {
			r.line(p.text)
		}
	}
}

// code writes lines as they are.
func (r *roff) code(text string) {
	r.WriteString(".RS 4\n.nf\n")
	for l := range strings.SplitSeq(text, "\n") {
		if l == "" {
			r.WriteString("\\&\n")
			continue
		}
		r.line(l)
	}
	r.WriteString(".fi\n.RE\n")
}

// entries writes rows as terms and what they mean.
func (r *roff) entries(title string, all []entry) {
	if len(all) == 0 {
		return
	}
	r.section(title)
	for _, e := range all {
		r.WriteString(".TP\n")
		r.macro("B", e.name)
		about := e.about
		if len(e.envs) > 0 {
			about += " (" + strings.Join(e.envs, ", ") + ")"
		}
		r.line(about)
	}
}

// references writes names of pages, all of section 1.
func (r *roff) references(names []string) {
	r.section("See also")
	for i, n := range names {
		end := ","
		if i == len(names)-1 {
			end = ""
		}
		fmt.Fprintf(r, ".BR %s (1)%s\n", roffEscape(n), end)
	}
}
