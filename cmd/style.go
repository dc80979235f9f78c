package cmd

import (
	"io"
	"os"

	"golang.org/x/term"
)

// colorMode is the value of --color.
type colorMode string

// UnmarshalText takes auto, always or never; empty is auto.
func (m *colorMode) UnmarshalText(text []byte) error {
	return oneOf((*string)(m), string(text), "auto", "always", "never")
}

// oneOf sets dst to value if it is among the words, the first of which stands
// for an empty value: an environment variable that is set to nothing counts as
// not set.
func oneOf(dst *string, value string, words ...string) error {
	if value == "" {
		value = words[0]
	}
	for _, w := range words {
		if w == value {
			*dst = value
			return nil
		}
	}
	return usagef("%q is none of %s", value, joinWords(words))
}

// styler colours words for people. Its zero value leaves them alone.
type styler struct{ on bool }

func (s styler) paint(code, text string) string {
	if !s.on {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s styler) bad(text string) string  { return s.paint("1;31", text) }
func (s styler) note(text string) string { return s.paint("36", text) }
func (s styler) bar(text string) string  { return s.paint("32", text) }

// newStyler decides on colour for w: --color first, then NO_COLOR, then
// CLICOLOR_FORCE, then whether w is a terminal that is not dumb
// (no-color.org and bixense.com/clicolors).
func newStyler(mode colorMode, w io.Writer, getenv func(string) string) styler {
	force := getenv("CLICOLOR_FORCE")
	switch {
	case mode == "always":
		return styler{true}
	case mode == "never" || getenv("NO_COLOR") != "":
		return styler{}
	case force != "" && force != "0":
		return styler{true}
	case getenv("TERM") == "dumb":
		return styler{}
	}
	return styler{isTerminal(w)}
}

// isTerminal says whether w is a terminal.
func isTerminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// terminalSize is the width and height of the terminal w, or 80 by 24.
func terminalSize(w any) (width, height int) {
	if f, ok := w.(*os.File); ok {
		if width, height, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return width, height
		}
	}
	return 80, 24
}
