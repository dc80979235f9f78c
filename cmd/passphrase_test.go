package cmd

import (
	"errors"
	"io"
	"strings"
	"testing"

	"dist.example/content"
)

func TestAPassphraseIsTheFirstLine(t *testing.T) {
	longest := strings.Repeat("x", maxAnswer)
	for in, want := range map[string]string{
		"": "", "\n": "", "secret": "secret", "secret\n": "secret", "secret\r\n": "secret", "secret\r": "secret",
		" a b \nnext": " a b ", "a\rb\n": "a\rb",
		longest: longest, longest + "\r\nmore": longest,
		"secret\n" + strings.Repeat("x", 5*maxAnswer): "secret",
	} {
		if got, err := firstLine(strings.NewReader(in)); err != nil || string(got) != want {
			t.Errorf("%.20q: %.20q, %v", in, got, err)
		}
	}
	for _, in := range []string{longest + "x", longest + "x\n", longest + "\rx\n", longest + longest} {
		if got, err := firstLine(strings.NewReader(in)); !errors.Is(err, content.ErrInvalid) || got != nil {
			t.Errorf("%.20q, %d bytes: %.20q, %v", in, len(in), got, err)
		}
	}
}

func TestAPassphraseNeedsNoEndOfThePipe(t *testing.T) {
	r, w := io.Pipe()
	defer w.Close()
	go func() { _, _ = io.WriteString(w, "secret\n") }()
	if got, err := firstLine(r); err != nil || string(got) != "secret" {
		t.Fatalf("%q, %v", got, err)
	}
}
