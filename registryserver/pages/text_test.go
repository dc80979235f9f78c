package pages

import "testing"

func TestWhatIsNotSeenIsRevealed(t *testing.T) {
	for in, want := range map[string]string{
		"plain <b> text\n\ttoo": "plain <b> text\n\ttoo",
		"größer ✓":              "größer ✓",
		"a\u202eb\u2069":        "a⟨U+202E⟩b⟨U+2069⟩",
		"\x1b[1m\x7f\r":         "⟨U+001B⟩[1m⟨U+007F⟩⟨U+000D⟩",
		"\u200b\ufeff\u3164":    "⟨U+200B⟩⟨U+FEFF⟩⟨U+3164⟩",
		"\U000e0041\u2028":      "⟨U+E0041⟩⟨U+2028⟩",
	} {
		if got := string(reveal([]byte(in))); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	// Bytes that are no text do not get by beside what is replaced.
	if got := string(reveal([]byte("\x00\xff"))); got != "⟨U+0000⟩\ufffd" {
		t.Errorf("%q", got)
	}
}

func TestLinksAreHTTP(t *testing.T) {
	for in, want := range map[string]string{
		"https://a.example/b?c=d#e": "https://a.example/b?c=d#e",
		"http://a.example":          "http://a.example",
		"HTTPS://a.example":         "https://a.example",
		"javascript:alert(1)":       "",
		" javascript:alert(1)":      "",
		"//a.example":               "",
		"/v2/":                      "",
		"https:a":                   "",
		"https://u:p@a.example":     "",
		"a text with https://a":     "",
		"ftp://a.example":           "",
	} {
		if got := httpLink(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
