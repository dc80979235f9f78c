package cmd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"dist.example/content"
)

// jsonVersion is the version of every JSON document that the command line
// prints. It grows when a field goes or changes its meaning, not when one is
// added.
const jsonVersion = 1

// usageError is a mistake in how a verb was called.
type usageError struct{ msg string }

func (e *usageError) Error() string { return e.msg }
func (e *usageError) Unwrap() error { return content.ErrInvalid }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Sprintf(format, args...)}
}

// subjectError adds what the verb worked on.
type subjectError struct {
	subject string
	error
}

func (e *subjectError) Unwrap() error { return e.error }

// about says that err concerns subject; nil stays nil.
func about(subject string, err error) error {
	if err == nil {
		return nil
	}
	return &subjectError{subject, err}
}

// aboutOne says that err is about the one word that was given; of several, err itself
// says about which.
func aboutOne(words []string, err error) error {
	if len(words) == 1 {
		return about(words[0], err)
	}
	return err
}

// errorJSON is the one object that stands for an error with --format json.
type errorJSON struct {
	Version   int    `json:"version"`
	Code      string `json:"code"`
	Exit      int    `json:"exit"`
	Op        string `json:"op"`
	Ref       string `json:"ref"`
	Message   string `json:"message"`
	Registry  string `json:"registry"`
	HTTP      int    `json:"http"`
	Retryable bool   `json:"retryable"`
	Hint      string `json:"hint"`

	// Holders are what stands in the way of a deletion.
	Holders []holderJSON `json:"holders,omitempty"`
	lines   []string     // the same, for people
}

// report tells of err, which ended verb, and returns the exit code.
func report(w io.Writer, verb string, err error, asJSON bool, style styler) int {
	var status exitStatus
	if errors.As(err, &status) {
		return int(status)
	}
	e := describe(verb, err)
	if asJSON {
		// A struct of strings and numbers always marshals.
		line, _ := json.Marshal(e)
		fmt.Fprintf(w, "%s\n", line)
		return e.Exit
	}
	fmt.Fprintf(w, "%s %s\n", style.bad("dist:"), e.Message)
	for _, line := range e.lines {
		fmt.Fprintf(w, "%s %s\n", style.bad("dist:"), oneLine(line))
	}
	if e.Hint != "" {
		fmt.Fprintf(w, "%s %s\n", style.note("dist: hint:"), e.Hint)
	}
	return e.Exit
}

func describe(verb string, err error) errorJSON {
	class := classify(err)
	e := errorJSON{Version: jsonVersion, Code: class.code, Exit: class.exit, Op: verb, Hint: content.Hint(err)}
	var s *subjectError
	if errors.As(err, &s) {
		e.Ref = s.subject
	}
	var remote *content.RemoteError
	if errors.As(err, &remote) {
		e.Registry, e.HTTP, e.Retryable = remote.Registry, remote.Status, remote.Retryable
	}
	var held *heldError
	if errors.As(err, &held) {
		e.Holders, e.lines = held.holders(), held.Lines(maxLines)
	}
	var usage *usageError
	if e.Hint == "" && verb != "" && errors.As(err, &usage) {
		e.Hint = fmt.Sprintf("run \"dist %s --help\" for its arguments and examples", verb)
	}
	what := oneLine(err.Error())
	if errors.Is(err, context.Canceled) {
		what = "interrupted"
		if verb == "pull" || verb == "fetch" || verb == "ingest" {
			what = "interrupted, state kept"
		}
	}
	e.Message = oneLine(headline(verb, e.Ref, what))
	return e
}

// headline is "VERB SUBJECT: what", without saying twice what the error of a
// package below begins with anyway.
func headline(verb, subject, what string) string {
	switch head := strings.TrimSpace(verb + " " + subject); {
	case head == "" || strings.HasPrefix(what, head+":") || strings.HasPrefix(what, verb+" "):
		return what
	case subject != "" && strings.HasPrefix(what, subject+":"):
		return strings.TrimSpace(verb + " " + what)
	case subject != "" && strings.HasPrefix(what, "open "+subject+":"):
		return strings.TrimSpace(verb + " " + strings.TrimPrefix(what, "open "))
	default:
		return head + ": " + what
	}
}

// oneLine keeps a message to one line without control characters, whatever a
// registry answered or a file is called.
func oneLine(s string) string {
	return printable(strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' }), "; "))
}
