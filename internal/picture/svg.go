package main

import (
	"bytes"
	"fmt"
	"html"
	"strings"
	"unicode/utf8"
)

// step is a command and what it printed.
type step struct{ command, printed string }

// palette is how one of the two pictures looks.
type palette struct {
	name                           string
	ground, frame, text, faint     string
	prompt, red, green, blue, cyan string
}

var (
	light = palette{"light", "#ffffff", "#d0d7de", "#1f2328", "#8c959f", "#1a7f37", "#cf222e", "#1a7f37", "#0969da", "#1b7c83"}
	dark  = palette{"dark", "#0d1117", "#30363d", "#e6edf3", "#6e7681", "#3fb950", "#ff7b72", "#3fb950", "#58a6ff", "#39c5cf"}
)

// Measures, in pixels. A cell is as wide as most fonts have it; textLength makes the
// others fit.
const (
	cellWidth  = 8.1
	lineHeight = 19
	gap        = 9 // before a command
	margin     = 22
	titleBar   = 34
	fontSize   = 13.5
)

// span is text in one style.
type span struct {
	text  string
	class string // as in the style sheet, "" for plain text
}

// draw makes the picture of a session.
func draw(steps []step, p palette) []byte {
	var body bytes.Buffer
	y, columns := float64(titleBar-gap), 0
	line := func(runs []span) {
		y += lineHeight
		columns = max(columns, drawLine(&body, runs, y))
	}
	for _, s := range steps {
		y += gap
		line([]span{{"$", "p"}, {" ", ""}, {s.command, "c"}})
		printed := strings.TrimSuffix(s.printed, "\n")
		for text := range strings.Lines(printed) {
			line(parseLine(strings.TrimSuffix(text, "\n")))
		}
	}
	width, height := 2*margin+int(float64(columns)*cellWidth), int(y)+margin
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%[1]d" height="%d" role="img" aria-label="dist in a terminal">
<style>
text{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono","Liberation Mono",monospace;font-size:%gpx;fill:%s;white-space:pre}
.c,.b{font-weight:bold}.p{fill:%s;font-weight:bold}.d{fill:%s}.r{fill:%s}.g{fill:%s}.l{fill:%s}.y{fill:%s}
</style>
<rect x=".5" y=".5" width="%d" height="%d" rx="9" fill="%s" stroke="%s"/>
`, width, height, fontSize, p.text, p.prompt, p.faint, p.red, p.green, p.blue, p.cyan, width-1, height-1, p.ground, p.frame)
	for i := range 3 {
		fmt.Fprintf(&b, `<circle cx="%d" cy="20" r="5.5" fill="%s"/>`+"\n", margin+4+18*i, p.frame)
	}
	b.Write(body.Bytes())
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// drawLine writes one line and returns how many columns it takes. Each span stands at
// its own column, so that a font of another width moves nothing.
func drawLine(b *bytes.Buffer, runs []span, y float64) int {
	column := 0
	for _, r := range runs {
		text := strings.TrimLeft(r.text, " ")
		start := column + len(r.text) - len(text)
		column += utf8.RuneCountInString(r.text)
		text = strings.TrimRight(text, " ")
		if text == "" {
			continue
		}
		class := ""
		if r.class != "" {
			class = ` class="` + r.class + `"`
		}
		fmt.Fprintf(b, `<text x="%.1f" y="%g" textLength="%.1f" lengthAdjust="spacingAndGlyphs" xml:space="preserve"%s>%s</text>`+"\n",
			margin+float64(start)*cellWidth, y, float64(utf8.RuneCountInString(text))*cellWidth, class, html.EscapeString(text))
	}
	return column
}

// classes are the styles for the codes of terminals that dist uses, and those beside
// them.
var classes = map[string]string{"1": "b", "2": "d", "31": "r", "32": "g", "34": "l", "36": "y"}

// parseLine splits a line at its colour codes. Codes for anything else are left out.
func parseLine(line string) []span {
	var runs []span
	class := ""
	for line != "" {
		text, rest, found := strings.Cut(line, "\x1b[")
		if text != "" {
			runs = append(runs, span{text, class})
		}
		if !found {
			break
		}
		end := strings.IndexFunc(rest, func(r rune) bool { return r >= '@' && r <= '~' })
		if end < 0 {
			break
		}
		if rest[end] == 'm' {
			class = classOf(rest[:end])
		}
		line = rest[end+1:]
	}
	return runs
}

// classOf is the style of codes with semicolons between them; 0 ends all.
func classOf(codes string) string {
	var names []string
	for code := range strings.SplitSeq(codes, ";") {
		if name, ok := classes[code]; ok {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}
