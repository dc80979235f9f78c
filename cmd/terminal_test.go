package cmd

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"dist.example/content"
)

// typed is a terminal at which keys are pressed, and whether it is raw.
func typed(keys io.Reader) (t *terminal, out *bytes.Buffer, raw *bool) {
	out, raw = &bytes.Buffer{}, new(bool)
	return &terminal{keys: keys, out: out, raw: func() (func() error, error) {
		*raw = true
		return func() error { *raw = false; return nil }, nil
	}}, out, raw
}

func TestKeysMakeALine(t *testing.T) {
	for keys, want := range map[string]string{
		"secret\r":              "secret",
		"secret\nmore":          "secret",
		"no\x15yes\r":           "yes",
		"sx\x7fe\x08ecret\r":    "secret",
		"a\u00e9\x7fb\r":        "ab",
		"\x7f\x7fa\r":           "a",
		"without an end":        "without an end",
		"an end by key\x04oh":   "an end by key",
		" blanks stay in it \r": " blanks stay in it ",
		"\r":                    "",
	} {
		term, out, raw := typed(strings.NewReader(keys))
		got, err := term.askSecret(t.Context(), "Password: ")
		if err != nil || got != want || *raw {
			t.Errorf("%q: %q, %v, still raw: %v", keys, got, err, *raw)
		}
		if out.String() != "Password: \n" {
			t.Errorf("%q: shown %q", keys, out)
		}
	}
}

func TestAnAnswerThatNeverComes(t *testing.T) {
	for keys, class := range map[string]error{
		"sec\x03ret\r":                        context.Canceled,
		"":                                    content.ErrInvalid,
		"\x04":                                content.ErrInvalid,
		strings.Repeat("x", maxAnswer) + "yz": content.ErrInvalid,
	} {
		term, _, raw := typed(strings.NewReader(keys))
		if got, err := term.askSecret(t.Context(), "?"); !errors.Is(err, class) || got != "" || *raw {
			t.Errorf("%.20q: %q, %v, still raw: %v", keys, got, err, *raw)
		}
	}
}

func TestATerminalIsPutBackWhenTheContextEnds(t *testing.T) {
	keys, person := io.Pipe()
	defer person.Close()
	term, _, raw := typed(keys)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, _ = person.Write([]byte("sec")) // read key by key, so that all are taken when it returns
		cancel()
	}()
	if _, err := term.askSecret(ctx, "?"); !errors.Is(err, context.Canceled) || *raw {
		t.Fatalf("%v, still raw: %v", err, *raw)
	}
}

func TestWhatIsMissingIsAskedFor(t *testing.T) {
	for keys, want := range map[string][2]string{
		"ann\nsecret\r": {"ann", "secret"}, " bob \nsecret\r": {"bob", "secret"},
	} {
		term, out, _ := typed(strings.NewReader(keys))
		user, password, err := term.credential(t.Context(), "r.test", "")
		if err != nil || user != want[0] || password != want[1] {
			t.Errorf("%q: %q %q, %v", keys, user, password, err)
		}
		if strings.Contains(out.String(), "secret") || !strings.Contains(out.String(), "r.test") {
			t.Errorf("shown %q", out)
		}
	}
	term, out, _ := typed(strings.NewReader("secret\r"))
	if user, password, err := term.credential(t.Context(), "r.test", "ann"); err != nil || user != "ann" || password != "secret" || strings.Contains(out.String(), "User name") {
		t.Errorf("%q %q, %v, shown %q", user, password, err, out)
	}
	for _, keys := range []string{"\nsecret\r", "ann\n\r", "ann\n"} {
		term, _, _ := typed(strings.NewReader(keys))
		if _, _, err := term.credential(t.Context(), "r.test", ""); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("%q: %v", keys, err)
		}
	}
}

func TestPasswordOnStdin(t *testing.T) {
	for in, want := range map[string]string{
		"secret": "secret", "secret\n": "secret", "secret\r\n": "secret", "a\nb\n": "a\nb", " x \n\n": " x \n",
		strings.Repeat("x", maxAnswer) + "\r\n": strings.Repeat("x", maxAnswer),
	} {
		if got, err := readPassword(strings.NewReader(in)); err != nil || got != want {
			t.Errorf("%.20q: %.20q, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "\n", "\r\n", strings.Repeat("x", maxAnswer+1), strings.Repeat("x", 1<<20)} {
		if got, err := readPassword(strings.NewReader(in)); !errors.Is(err, content.ErrInvalid) || got != "" {
			t.Errorf("%.20q: %.20q, %v", in, got, err)
		}
	}
}

func TestNobodySitsAtAPipe(t *testing.T) {
	if newTerminal(strings.NewReader(""), io.Discard) != nil {
		t.Fatal("a reader is taken for a terminal")
	}
}
