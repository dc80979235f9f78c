package plugin

import (
	"bytes"
	"strings"
	"unicode"
)

// maxText bounds what is shown of a message, in bytes.
const maxText = 2000

// clip shortens s for a message.
func clip(s string) string {
	if len(s) > maxText {
		return strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	return s
}

// printable is s for a terminal: one line without control characters.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, strings.TrimSpace(clip(s)))
}

// maxWarnings bounds the lines of one process that are shown.
const maxWarnings = 100

// warnings hands on what a program says on its standard error, a line at a time. A
// line that is longer than maxText goes on as several.
type warnings struct {
	name string
	warn func(string)
	line bytes.Buffer
	n    int
}

func (w *warnings) Write(p []byte) (int, error) {
	for _, c := range p {
		if c != '\n' && w.line.Len() < maxText {
			w.line.WriteByte(c)
			continue
		}
		w.flush()
		if c != '\n' {
			w.line.WriteByte(c)
		}
	}
	return len(p), nil
}

// flush hands on what there is of a line.
func (w *warnings) flush() {
	text := printable(w.line.String())
	w.line.Reset()
	if text == "" || w.n > maxWarnings {
		return
	}
	if w.n++; w.n > maxWarnings {
		text = "…"
	}
	w.warn(w.name + ": " + text)
}
