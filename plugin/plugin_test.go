package plugin_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"dist.example/content"
	"dist.example/oci"
	"dist.example/plugin"
)

// TestMain lets the binary of the tests be a program that misbehaves, where it is
// called by such a name.
func TestMain(m *testing.M) {
	name := strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe")
	if what, ok := strings.CutPrefix(name, "dist-transport-"); ok {
		os.Exit(misbehave(what, bufio.NewReader(os.Stdin)))
	}
	os.Exit(m.Run())
}

var (
	blobData = bytes.Repeat([]byte("0123456789abcdef"), 40_000)
	blobDesc = oci.Describe(oci.MediaTypeLayer, blobData)
)

// misbehave answers each request by a script, which is the program's name.
func misbehave(what string, in *bufio.Reader) int {
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return 0
		}
		request, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch act := scripts[what][request]; {
		case act != nil:
			if code := act(in); code >= 0 {
				return code
			}
		case request == "hello":
			fmt.Println("ok 1 referrers future words")
		default:
			fmt.Println("error unsupported no")
		}
	}
}

// action is one answer; a result of 0 or more ends the program.
type action func(in *bufio.Reader) int

func says(s string) action {
	return func(*bufio.Reader) int {
		fmt.Print(s)
		return -1
	}
}

func dies(s string, code int) action {
	return func(*bufio.Reader) int {
		fmt.Print(s)
		fmt.Fprintln(os.Stderr, "it hurts\x1b[31m")
		return code
	}
}

// sleeps says nothing until its input ends, which it does when it is killed at the
// latest.
func sleeps(s string) action {
	return func(in *bufio.Reader) int {
		fmt.Print(s)
		_, _ = io.Copy(io.Discard, in)
		return 0
	}
}

func blobAnswer(data []byte) string { return fmt.Sprintf("ok %d\n%s", len(data), data) }

func flipped() []byte {
	p := bytes.Clone(blobData)
	p[len(p)/2] ^= 1
	return p
}

var scripts = map[string]map[string]action{
	"good": {
		"resolve":   says(fmt.Sprintf("wait\nwait\nok %s %d %s docker.io/library/x:v1 more\n", blobDesc.Digest, blobDesc.Size, oci.MediaTypeManifest)),
		"fetch":     says(blobAnswer(blobData)),
		"referrers": says("ok 99999999999\n"),
	},
	"refuses": {
		"resolve": says("error denied not%20for%20you%1B[31m ask%20the%20owner\n"),
		"fetch":   says("error weird what\n"),
		"exists":  says("ok perhaps\n"), "push": says("error no-space full\n"), "finish": says("error conflict busy\n"),
	},
	"unwelcome": {"hello": says("error invalid no%20such%20place\n")},
	"younger":   {"hello": says("ok 2\n")},
	"dies":      {"hello": dies("", 3)},
	"diesinline": {
		"resolve": dies("ok sha256:", 0), "fetch": dies(fmt.Sprintf("ok %d\n%s", blobDesc.Size, blobData[:100_000]), 1),
		"push": dies("go\n", 1),
	},
	"silent":   {"hello": sleeps("")},
	"stalls":   {"resolve": sleeps(""), "fetch": sleeps(fmt.Sprintf("ok %d\n%s", blobDesc.Size, blobData[:100_000])), "push": sleeps("go\n")},
	"nonsense": {"resolve": says("hello  there\n"), "fetch": says("ok -1\n"), "exists": says("\n"), "finish": says("yes\n"), "push": says("ok" + strings.Repeat("x", 100_000) + "\n"), "referrers": says("ok 3\nxyz")},
	"lies":     {"resolve": says("ok sha256:../../etc 1 text/plain -\n"), "fetch": says(blobAnswer(flipped()))},
	"short":    {"resolve": says("ok " + blobDesc.Digest.String() + "\n"), "fetch": says(blobAnswer(blobData[:10]))},
	"offline": {"resolve": func(*bufio.Reader) int {
		fmt.Printf("error denied offline=%s\n", os.Getenv("DIST_OFFLINE"))
		return -1
	}},
	"talks": {"resolve": func(*bufio.Reader) int {
		fmt.Fprint(os.Stderr, strings.Repeat("blah\n", 5000), strings.Repeat("x", 10_000))
		fmt.Println("error not-found nothing")
		return -1
	}},
}

// program puts this binary on PATH as the program for name.
func program(t *testing.T, name string, o plugin.Options) *plugin.Transport {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	data, err := os.ReadFile(self)
	must(t, err)
	dir, file := t.TempDir(), "dist-transport-"+name
	if runtime.GOOS == "windows" {
		file += ".exe"
	}
	must(t, os.WriteFile(filepath.Join(dir, file), data, 0o755))
	t.Setenv("PATH", dir)
	tr, err := plugin.Find(name, o)
	must(t, err)
	return tr
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func want(t *testing.T, what string, err, class error) {
	t.Helper()
	if !errors.Is(err, class) {
		t.Errorf("%s: got %v, want class %q", what, err, class)
	}
	if err != nil && strings.ContainsRune(err.Error(), 0x1b) {
		t.Errorf("%s: the message has control characters: %q", what, err)
	}
}

func fetch(t *testing.T, src content.ImageSource) error {
	t.Helper()
	r, err := src.Fetch(t.Context(), blobDesc)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(io.Discard, r)
	return err
}

func source(t *testing.T, tr *plugin.Transport) content.ImageSource {
	t.Helper()
	src, err := tr.Source(t.Context(), "a place%")
	must(t, err)
	t.Cleanup(func() { _ = src.Close() })
	return src
}

func target(t *testing.T, tr *plugin.Transport) content.ImageTarget {
	t.Helper()
	dst, err := tr.Target(t.Context(), "a place%")
	must(t, err)
	t.Cleanup(func() { _ = dst.Close() })
	return dst
}

func push(t *testing.T, dst content.ImageTarget) error {
	t.Helper()
	return dst.Push(t.Context(), blobDesc, bytes.NewReader(blobData))
}

func TestAProgramMayTakeItsTimeAndSayMore(t *testing.T) {
	src := source(t, program(t, "good", plugin.Options{}))
	for range 3 {
		name, desc, err := src.Image(t.Context())
		if err != nil || name.String() != "docker.io/library/x:v1" || desc.Digest != blobDesc.Digest || desc.Size != blobDesc.Size {
			t.Errorf("%s %+v %v", name, desc, err)
		}
		must(t, fetch(t, src))
	}
	for _, err := range src.(content.ReferrerLister).Referrers(t.Context(), blobDesc.Digest, "") {
		want(t, "a list of 100 GB", err, content.ErrUnsupported)
	}
}

func TestARefusalHasItsClass(t *testing.T) {
	tr := program(t, "refuses", plugin.Options{})
	src, dst := source(t, tr), target(t, tr)
	_, _, err := src.Image(t.Context())
	want(t, "resolve", err, content.ErrDenied)
	if content.Hint(err) != "ask the owner" || !strings.Contains(err.Error(), "not for you") || !strings.Contains(err.Error(), "dist-transport-refuses") {
		t.Errorf("%v with hint %q", err, content.Hint(err))
	}
	want(t, "fetch", fetch(t, src), content.ErrUnavailable)
	want(t, "push", push(t, dst), content.ErrNoSpace)
	want(t, "finish", dst.Finish(t.Context(), blobDesc, oci.Reference{}), content.ErrConflict)
	_, err = dst.Exists(t.Context(), blobDesc)
	want(t, "exists", err, content.ErrUnsupported)
	_, err = program(t, "unwelcome", plugin.Options{}).Source(t.Context(), "x")
	want(t, "hello", err, content.ErrInvalid)
	_, err = program(t, "younger", plugin.Options{}).Source(t.Context(), "x")
	want(t, "another version", err, content.ErrUnsupported)
}

func TestAProgramThatDiesIsAnError(t *testing.T) {
	var mu sync.Mutex
	var told []string
	warn := func(s string) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, s)
	}
	_, err := program(t, "dies", plugin.Options{Warn: warn}).Source(t.Context(), "x")
	want(t, "hello", err, content.ErrUnavailable)
	if !strings.Contains(err.Error(), "exit status 3") || len(told) != 1 || told[0] != "dist-transport-dies: it hurts[31m" {
		t.Errorf("%v, told %q", err, told)
	}
	tr := program(t, "diesinline", plugin.Options{})
	src, dst := source(t, tr), target(t, tr)
	_, _, err = src.Image(t.Context())
	want(t, "resolve", err, content.ErrUnsupported)
	want(t, "fetch", fetch(t, src), content.ErrUnavailable)
	want(t, "push", push(t, dst), content.ErrUnavailable)
}

func TestAProgramThatStallsIsKilled(t *testing.T) {
	o := plugin.Options{Stall: 300 * time.Millisecond}
	_, err := program(t, "silent", o).Source(t.Context(), "x")
	want(t, "hello", err, content.ErrUnavailable)
	// A machine under load may need longer for hello than the stall allows.
	tr := program(t, "stalls", plugin.Options{Stall: 3 * time.Second})
	src, dst := source(t, tr), target(t, tr)
	_, _, err = src.Image(t.Context())
	want(t, "resolve", err, content.ErrUnavailable)
	want(t, "fetch", fetch(t, src), content.ErrUnavailable)
	want(t, "push", push(t, dst), content.ErrUnavailable)
}

func TestACancelledContextEndsTheWait(t *testing.T) {
	src := source(t, program(t, "stalls", plugin.Options{Stall: time.Hour}))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, _, err := src.Image(ctx)
		done <- err
	}()
	cancel()
	want(t, "resolve", <-done, context.Canceled)
}

func TestNonsenseIsRefused(t *testing.T) {
	tr := program(t, "nonsense", plugin.Options{})
	src, dst := source(t, tr), target(t, tr)
	_, _, err := src.Image(t.Context())
	want(t, "resolve", err, content.ErrUnsupported)
	want(t, "fetch", fetch(t, src), content.ErrUnsupported)
	_, err = dst.Exists(t.Context(), blobDesc)
	want(t, "exists", err, content.ErrUnsupported)
	want(t, "push", push(t, dst), content.ErrUnsupported)
	want(t, "finish", dst.Finish(t.Context(), blobDesc, oci.Reference{}), content.ErrUnsupported)
	for _, err := range src.(content.ReferrerLister).Referrers(t.Context(), blobDesc.Digest, "") {
		want(t, "referrers", err, content.ErrCorrupt)
	}
}

func TestLiesAreFoundOut(t *testing.T) {
	src := source(t, program(t, "lies", plugin.Options{}))
	_, _, err := src.Image(t.Context())
	want(t, "a digest that is a path", err, content.ErrUnsupported)
	want(t, "a flipped bit", fetch(t, src), content.ErrCorrupt)
	src = source(t, program(t, "short", plugin.Options{}))
	_, _, err = src.Image(t.Context())
	want(t, "an answer with too few words", err, content.ErrUnsupported)
	want(t, "a blob that is short", fetch(t, src), content.ErrCorrupt)
}

func TestAProgramIsToldOfOffline(t *testing.T) {
	for offline, word := range map[bool]string{true: "offline=1", false: "offline="} {
		t.Setenv("DIST_OFFLINE", "")
		_, _, err := source(t, program(t, "offline", plugin.Options{Offline: offline})).Image(t.Context())
		if err == nil || !strings.HasSuffix(err.Error(), word) {
			t.Errorf("offline %t: %v", offline, err)
		}
	}
}

func TestChatterIsBounded(t *testing.T) {
	var mu sync.Mutex
	lines := 0
	src := source(t, program(t, "talks", plugin.Options{Warn: func(string) {
		mu.Lock()
		defer mu.Unlock()
		lines++
	}}))
	_, _, err := src.Image(t.Context())
	want(t, "resolve", err, content.ErrNotFound)
	must(t, src.Close())
	if lines < 10 || lines > 200 {
		t.Errorf("%d warnings", lines)
	}
}

func TestOnlyProgramsOnPathAreFound(t *testing.T) {
	for _, name := range []string{"", "-x", "../x", "a/b", "A", "x y", "ü", "x\x00"} {
		_, err := plugin.Find(name, plugin.Options{})
		want(t, name, err, content.ErrInvalid)
	}
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "dist-transport-here"), []byte("#!/bin/sh\n"), 0o755))
	t.Chdir(dir)
	for _, path := range []string{"", ".", t.TempDir()} {
		t.Setenv("PATH", path)
		_, err := plugin.Find("here", plugin.Options{})
		want(t, "PATH "+path, err, content.ErrNotFound)
		if content.Hint(err) == "" {
			t.Errorf("PATH %q: no hint", path)
		}
	}
}
