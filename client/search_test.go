package client

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSnippetsAreShortAndOnOneLine(t *testing.T) {
	long := strings.Repeat("é\n", 200) + "needle" + strings.Repeat("\x1bü", 200)
	for text, want := range map[string]string{
		"a=b":         "a=b",
		"a\tb\u009bc": "a b c",
	} {
		if got := snippet(text, "b"); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	for _, text := range []string{long, "needle" + long[:400], strings.Repeat("x ", 100) + "needle", strings.Repeat("İ", 300) + " needle"} {
		got := snippet(text, "needle")
		if n := utf8.RuneCountInString(got); n > maxSnippet+2 || !strings.Contains(got, "needle") && !strings.Contains(text, "İ") || strings.ContainsAny(got, "\n\x1b") {
			t.Errorf("%q: %q", text, got)
		}
	}
}
