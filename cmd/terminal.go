package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"dist.example/content"
	"golang.org/x/term"
)

// maxAnswer bounds a line that somebody types or pastes, and a password on stdin.
const maxAnswer = 64 << 10

// terminal is where a person is asked, on stderr, and answers, on stdin.
type terminal struct {
	keys io.Reader
	out  io.Writer
	// raw turns echo off, and lets every key through at once.
	raw func() (restore func() error, err error)
}

// newTerminal is nil when nobody sits at stdin.
func newTerminal(stdin io.Reader, stderr io.Writer) *terminal {
	f, ok := stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return &terminal{keys: f, out: stderr, raw: func() (func() error, error) {
		state, err := term.MakeRaw(int(f.Fd()))
		return func() error { return term.Restore(int(f.Fd()), state) }, err
	}}
}

// ask asks for a line, which is shown as it is typed.
func (t *terminal) ask(ctx context.Context, question string) (string, error) {
	fmt.Fprint(t.out, question)
	return t.line(ctx)
}

// errDeclined is what a person's no comes to.
var errDeclined error = declinedError{}

// declinedError is a wrong call as far as exit codes go, but none that the help of the
// verb would explain.
type declinedError struct{}

func (declinedError) Error() string { return "nothing was done" }
func (declinedError) Unwrap() error { return content.ErrInvalid }

// confirm asks a person whether to go on; nil is a yes. Where nobody can be asked, or
// would not see the question, it is an error that names --yes, which its callers have.
func (s *session) confirm(question string) error {
	t := newTerminal(s.terminal, s.stderr)
	if _, file := s.stderr.(*os.File); t == nil || file && !isTerminal(s.stderr) {
		return content.WithHint(usagef("nothing was done: there is no terminal to ask on"), "--yes does it without asking")
	}
	answer, err := t.ask(s.ctx, question+" [y/N] ")
	if err != nil && !errors.Is(err, content.ErrInvalid) {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errDeclined // also for no answer at all
}

// askSecret asks for a line that is not shown, from the question on. The terminal
// is as it was when it returns, however it does; Ctrl-C, which is a key like others
// meanwhile, is the error context.Canceled.
func (t *terminal) askSecret(ctx context.Context, question string) (answer string, err error) {
	restore, err := t.raw()
	if err != nil {
		return "", fmt.Errorf("terminal: %w", err)
	}
	fmt.Fprint(t.out, question)
	defer func() {
		err = errors.Join(err, restore())
		fmt.Fprintln(t.out)
	}()
	return t.line(ctx)
}

// The keys that edit a line. A terminal that is not raw keeps them to itself.
const (
	keyInterrupt = 0x03
	keyEnd       = 0x04
	keyBackspace = 0x08
	keyErase     = 0x15
	keyDelete    = 0x7f
)

// line reads up to the end of a line, or of all input.
func (t *terminal) line(ctx context.Context) (string, error) {
	var text []byte
	for len(text) <= maxAnswer {
		key, err := t.key(ctx)
		switch {
		case errors.Is(err, io.EOF), err == nil && key == keyEnd:
			if len(text) == 0 {
				return "", usagef("no answer")
			}
			return string(text), nil
		case err != nil:
			return "", err
		case key == '\r' || key == '\n':
			return string(text), nil
		case key == keyInterrupt:
			return "", context.Canceled
		case key == keyBackspace || key == keyDelete:
			_, n := utf8.DecodeLastRune(text)
			text = text[:len(text)-n]
		case key == keyErase:
			text = text[:0]
		default:
			text = append(text, key)
		}
	}
	return "", usagef("an answer of more than %d bytes", maxAnswer)
}

// key waits for one byte. A read cannot be called off: after the end of ctx it goes
// on until there is one, which is then lost.
func (t *terminal) key(ctx context.Context) (byte, error) {
	type read struct {
		key byte
		err error
	}
	got := make(chan read, 1)
	go func() {
		var b [1]byte
		_, err := io.ReadFull(t.keys, b[:])
		got <- read{b[0], err}
	}()
	select {
	case r := <-got:
		return r.key, r.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}
