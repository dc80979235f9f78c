package cmd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"dist.example/content"
)

func TestEveryErrorClassHasItsExitCode(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want int
	}{
		{errors.New("something else"), 1},
		{usagef("no such thing"), 2},
		{content.ErrInvalid, 2},
		{content.ErrNotFound, 3},
		{&os.PathError{Op: "open", Path: "x", Err: syscall.ENOENT}, 3},
		{content.ErrCorrupt, 4},
		{content.ErrDenied, 6},
		{&os.PathError{Op: "open", Path: "x", Err: syscall.EACCES}, 6},
		{content.ErrUnavailable, 7},
		{context.DeadlineExceeded, 7},
		{content.ErrConflict, 8},
		{content.ErrExists, 8},
		{content.ErrNoSpace, 9},
		{&os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, 9},
		{&os.PathError{Op: "write", Path: "x", Err: syscall.EFBIG}, 9},
		{content.ErrPartial, 10},
		{content.ErrOffline, 12},
		{content.ErrNoStore, 13},
		{content.ErrUnsupported, 14},
		{context.Canceled, 130},
		{exitStatus(3), 3},
	} {
		wrapped := content.WithHint(fmt.Errorf("do x: %w", tc.err), "try y")
		if got := report(io.Discard, "do", wrapped, false, styler{}); got != tc.want {
			t.Errorf("%v: exit %d, want %d", tc.err, got, tc.want)
		}
	}
}

func TestTheMoreTellingClassDecides(t *testing.T) {
	err := fmt.Errorf("manifest: %w: %w", content.ErrCorrupt, content.ErrInvalid)
	if got := classify(err).exit; got != exitIntegrity {
		t.Errorf("corrupt and invalid: exit %d, want %d", got, exitIntegrity)
	}
}

func TestErrorsAreOneLineAndOneHint(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		want string
	}{
		{"subject added", about("x:1", content.ErrNotFound), "dist: pull x:1: not found\n"},
		{"subject not twice", about("x:1", fmt.Errorf("pull x:1: %w", content.ErrNotFound)), "dist: pull x:1: not found\n"},
		{"subject without verb", about("x:1", fmt.Errorf("x:1: %w", content.ErrNotFound)), "dist: pull x:1: not found\n"},
		{"no subject", content.ErrNotFound, "dist: pull: not found\n"},
		{"hint", content.WithHint(content.ErrNotFound, "look elsewhere"), "dist: pull: not found\ndist: hint: look elsewhere\n"},
		{"lines and controls", errors.New("a\nb\x1b[2J"), "dist: pull: a; b?[2J\n"},
	} {
		var b bytes.Buffer
		report(&b, "pull", tc.err, false, styler{})
		if b.String() != tc.want {
			t.Errorf("%s:\n got %q\nwant %q", tc.name, b.String(), tc.want)
		}
	}
}

func TestJSONErrorHasEveryField(t *testing.T) {
	err := about("x:1", content.WithHint(&content.RemoteError{
		Registry: "localhost:5000", Status: 503, Retryable: true,
		Err: fmt.Errorf("fetch: %w", content.ErrUnavailable),
	}, "run it again"))
	var b bytes.Buffer
	if code := report(&b, "pull", err, true, styler{true}); code != 7 {
		t.Errorf("exit %d, want 7", code)
	}
	want := `{"version":1,"code":"unavailable","exit":7,"op":"pull","ref":"x:1","message":"pull x:1: fetch: unavailable",` +
		`"registry":"localhost:5000","http":503,"retryable":true,"hint":"run it again"}` + "\n"
	if b.String() != want {
		t.Errorf("got  %swant %s", b.String(), want)
	}
}

func TestHumanDurations(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0.00 s", 1240 * time.Millisecond: "1.2 s", 61 * time.Second: "61 s",
		3 * time.Minute: "3 min", 5 * time.Hour: "5 h", 72 * time.Hour: "3 days",
	} {
		if got := humanDuration(d); got != want {
			t.Errorf("humanDuration(%v) = %q, want %q", d, got, want)
		}
	}
	now := time.Unix(1000, 0)
	if got := humanAge(now.Add(time.Hour), now); got != "now" {
		t.Errorf("an age in the future is %q, want now", got)
	}
}

func TestStoreFolder(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Chdir(t.TempDir())
	env := func(xdg string) func(string) string {
		return func(k string) string { return map[string]string{"XDG_DATA_HOME": xdg}[k] }
	}
	check := func(why, given, xdg, want string) {
		t.Helper()
		if got, err := storeFolder(given, env(xdg)); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", why, got, err, want)
		}
	}
	data := t.TempDir()
	check("default", "", "", filepath.Join(home, ".local", "share", "dist"))
	check("XDG_DATA_HOME", "", data, filepath.Join(data, "dist"))
	check("relative XDG_DATA_HOME is ignored", "", "data", filepath.Join(home, ".local", "share", "dist"))
	if err := os.Mkdir(".content", 0o755); err != nil {
		t.Fatal(err)
	}
	check(".content is preferred", "", data, ".content")
	check("--store beats all", "elsewhere", data, "elsewhere")
}

func TestColour(t *testing.T) {
	for _, tc := range []struct {
		mode colorMode
		env  map[string]string
		want bool
	}{
		{"auto", nil, false},
		{"always", map[string]string{"NO_COLOR": "1"}, true},
		{"never", map[string]string{"CLICOLOR_FORCE": "1"}, false},
		{"auto", map[string]string{"CLICOLOR_FORCE": "1"}, true},
		{"auto", map[string]string{"CLICOLOR_FORCE": "0"}, false},
		{"auto", map[string]string{"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, false},
	} {
		got := newStyler(tc.mode, io.Discard, func(k string) string { return tc.env[k] }).on
		if got != tc.want {
			t.Errorf("%s %v: %v, want %v", tc.mode, tc.env, got, tc.want)
		}
	}
}

func TestInputGivesUpWhenInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	pipe, keepOpen := io.Pipe()
	defer keepOpen.Close()
	r := interruptible(ctx, pipe)
	go func() {
		_, _ = io.WriteString(keepOpen, "abc")
		cancel()
	}()
	got, err := io.ReadAll(r)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("read %q, %v, want it to end as interrupted", got, err)
	}
}

func TestInputComesWhole(t *testing.T) {
	want := strings.Repeat("0123456789", 100_000)
	got, err := io.ReadAll(interruptible(context.Background(), strings.NewReader(want)))
	if err != nil || string(got) != want {
		t.Errorf("read %d bytes, %v, want %d", len(got), err, len(want))
	}
}

func TestCallsWithoutAVerb(t *testing.T) {
	for _, tc := range []struct {
		args           []string
		exit           int
		stdout, stderr string
	}{
		{nil, 2, "", "Usage: dist <command>"},
		{[]string{"--help"}, 0, "Usage: dist <command>", ""},
		{[]string{"help"}, 0, "Usage: dist <command>", ""},
		{[]string{"help", "version"}, 0, "Usage: dist version", ""},
		{[]string{"--version"}, 0, "dist ", ""},
		{[]string{"frobnicate"}, 2, "", "dist: unexpected argument frobnicate"},
		{[]string{"version", "--nonsense"}, 2, "", "dist: version: unknown flag --nonsense"},
		{[]string{"version", "--format", "xml"}, 2, "", "none of table, json, jsonl or go-template=TEXT"},
		{[]string{"query", "--format", "csv", "SELECT 1"}, 2, "", "dist query --csv"},
	} {
		var stdout, stderr bytes.Buffer
		exit := Program{}.run(context.Background(), tc.args, strings.NewReader(""), &stdout, &stderr)
		if exit != tc.exit || !strings.HasPrefix(stdout.String(), tc.stdout) || !strings.Contains(stderr.String(), tc.stderr) {
			t.Errorf("dist %q: exit %d, stdout %.60q, stderr %.100q", tc.args, exit, &stdout, &stderr)
		}
		if (tc.stdout == "") != (stdout.Len() == 0) {
			t.Errorf("dist %q: stdout %.60q", tc.args, &stdout)
		}
	}
}

func TestEveryVerbIsListedOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, v := range verbs() {
		if seen[v.name] {
			t.Errorf("%s is there twice", v.name)
		}
		seen[v.name] = true
	}
}
