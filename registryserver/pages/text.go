package pages

import (
	"bytes"
	"fmt"
	"net/url"
	"unicode"
	"unicode/utf8"
)

// maxText bounds a value that others wrote, in characters.
const maxText = 1000

// clip cuts s where it is longer than people read.
func clip(s string) string {
	if len(s) <= maxText {
		return s
	}
	n := 0
	for i := range s {
		if n == maxText {
			return s[:i] + "…"
		}
		n++
	}
	return s
}

// reveal writes characters that are not seen, or that change the order in which
// others are seen, as their numbers, and bytes that are no text as U+FFFD. Line
// feeds and tabs stay. It is for whole pages, so that no value can be forgotten.
func reveal(page []byte) []byte {
	if bytes.IndexFunc(page, hidden) < 0 {
		return page
	}
	var b bytes.Buffer
	for len(page) > 0 {
		c, n := utf8.DecodeRune(page)
		if hidden(c) {
			fmt.Fprintf(&b, "⟨U+%04X⟩", c)
		} else {
			b.WriteRune(c)
		}
		page = page[n:]
	}
	return b.Bytes()
}

// hidden says whether c is not to be seen, or changes how others are.
func hidden(c rune) bool {
	switch c {
	case '\n', '\t':
		return false
	case '\u115f', '\u1160', '\u3164', '\uffa0': // letters that are blank
		return true
	}
	return unicode.In(c, unicode.Cc, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp, unicode.Variation_Selector)
}

// httpLink is s if it is an address that a page may link to, else "".
func httpLink(s string) string {
	if len(s) > 2*maxText {
		return ""
	}
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil {
		return ""
	}
	return u.String()
}
