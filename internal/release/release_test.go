package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

var commitTime = time.Unix(1795982348, 0).UTC()

var someFiles = []file{
	{"dist", 0o755, []byte("binary")},
	{"README.md", 0o644, []byte("read")},
	{"LICENSE", 0o644, []byte("licence")},
	{"CHANGELOG.md", 0o644, []byte("changes")},
	{"man/man1/dist-pull.1", 0o644, []byte("page")},
	{"completions/dist.bash", 0o644, []byte("words")},
}

// An archive has the files in their order and nothing of the machine that made it.
func TestAnArchiveTellsNothingOfItsMaker(t *testing.T) {
	files := withFolders(below("dist_v1", someFiles))
	data, err := tarGz(files, commitTime)
	if err != nil {
		t.Fatal(err)
	}
	turned := slices.Clone(someFiles)
	slices.Reverse(turned)
	again, err := tarGz(withFolders(below("dist_v1", turned)), commitTime)
	if err != nil || !bytes.Equal(data, again) {
		t.Errorf("the same files in another order make another archive (%v)", err)
	}
	var names []string
	for h := range entries(t, data) {
		names = append(names, h.Name)
		if h.Uid != 0 || h.Gid != 0 || !h.ModTime.Equal(commitTime) {
			t.Errorf("%s: owner %d:%d, time %s", h.Name, h.Uid, h.Gid, h.ModTime)
		}
		if executable := h.Mode&0o111 != 0; executable != (h.Typeflag == tar.TypeDir || h.Name == "dist_v1/dist") {
			t.Errorf("%s has mode %o", h.Name, h.Mode)
		}
	}
	want := "dist_v1/ dist_v1/CHANGELOG.md dist_v1/LICENSE dist_v1/README.md dist_v1/completions/ dist_v1/completions/dist.bash " +
		"dist_v1/dist dist_v1/man/ dist_v1/man/man1/ dist_v1/man/man1/dist-pull.1"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAZipHasTheSameFiles(t *testing.T) {
	data, err := zipped(withFolders(below("dist_v1", someFiles)), commitTime)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := z.Open("dist_v1/dist")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(got)
	if err != nil || string(text) != "binary" {
		t.Errorf("dist holds %q (%v)", text, err)
	}
	if !z.File[0].Modified.Equal(commitTime) {
		t.Errorf("time %s", z.File[0].Modified)
	}
}

// entries iterates over a tar.gz.
func entries(t *testing.T, data []byte) func(func(*tar.Header, []byte) bool) {
	t.Helper()
	return func(yield func(*tar.Header, []byte) bool) {
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		for r := tar.NewReader(z); ; {
			h, err := r.Next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			content, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			if !yield(h, content) {
				return
			}
		}
	}
}

// A package for Debian is three members, and each file is where Debian looks for it.
func TestAPackageIsInDebiansForm(t *testing.T) {
	data, err := debPackage("v1.2.3", "arm64", someFiles, commitTime)
	if err != nil {
		t.Fatal(err)
	}
	members := map[string][]byte{}
	rest, ok := bytes.CutPrefix(data, []byte("!<arch>\n"))
	for ok && len(rest) >= 60 {
		var size int
		for _, d := range bytes.TrimSpace(rest[48:58]) {
			size = size*10 + int(d-'0')
		}
		members[string(bytes.TrimSpace(rest[:16]))] = rest[60 : 60+size]
		rest = rest[60+size+size%2:]
	}
	if string(members["debian-binary"]) != "2.0\n" || len(members) != 3 || len(rest) != 0 {
		t.Fatalf("members %d, left over %d bytes, debian-binary %q", len(members), len(rest), members["debian-binary"])
	}
	for h, content := range entries(t, members["control.tar.gz"]) {
		if h.Name == "./control" && !strings.Contains(string(content), "\nVersion: 1.2.3\nArchitecture: arm64\n") {
			t.Errorf("control:\n%s", content)
		}
	}
	var names []string
	for h := range entries(t, members["data.tar.gz"]) {
		if h.Typeflag == tar.TypeReg {
			names = append(names, strings.TrimPrefix(h.Name, "./usr/"))
		}
	}
	want := "bin/dist share/bash-completion/completions/dist share/doc/dist-oci/CHANGELOG.md.gz share/doc/dist-oci/README.md.gz " +
		"share/doc/dist-oci/changelog.gz share/doc/dist-oci/copyright share/lintian/overrides/dist-oci share/man/man1/dist-pull.1.gz"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestVersionsAreInDebiansOrder(t *testing.T) {
	ordered := []struct{ git, debian string }{
		{"849a92bc0e88", "0~git.849a92bc0e88"},
		{"v0.9.0", "0.9.0"},
		{"v1.0.0-rc.1", "1.0.0~rc.1"},
		{"v1.0.0-rc.1-2-gabcdef012345", "1.0.0~rc.1+2.gabcdef012345"},
		{"v1.0.0", "1.0.0"},
		{"v1.0.0-3-gabcdef012345", "1.0.0+3.gabcdef012345"},
		{"v1.0.1", "1.0.1"},
	}
	dpkg, err := exec.LookPath("dpkg")
	for i, v := range ordered {
		if got := debVersion(v.git); got != v.debian {
			t.Errorf("%s is %s, want %s", v.git, got, v.debian)
		}
		if i > 0 && err == nil {
			if err := exec.Command(dpkg, "--compare-versions", ordered[i-1].debian, "lt", v.debian).Run(); err != nil {
				t.Errorf("dpkg: %s is not before %s", ordered[i-1].debian, v.debian)
			}
		}
	}
}

// The list names each module once, however many binaries have it, and what stands in
// for a module in its place.
func TestTheListNamesWhatIsLinked(t *testing.T) {
	info := &debug.BuildInfo{
		GoVersion: "go1.26.8 X:something",
		Main:      debug.Module{Path: "dist.example"},
		Deps: []*debug.Module{
			{Path: "example.org/Plain", Version: "v1.0.0", Sum: "h1:one="},
			{Path: "example.org/old", Version: "v2.0.0+incompatible", Sum: "h1:two="},
			{Path: "example.org/gone", Version: "v1.0.0", Replace: &debug.Module{Path: "example.org/fork", Version: "v1.0.1", Sum: "h1:three="}},
		},
	}
	var list bill
	list.add(system{"linux", "amd64"}, info, []byte("one"))
	list.add(system{"linux", "arm64"}, info, []byte("two"))
	data, err := list.encode(source{"v1.2.3", strings.Repeat("a", 40), commitTime})
	if err != nil {
		t.Fatal(err)
	}
	var doc spdx
	if err := json.Unmarshal(data, &doc); err != nil {
		t.Fatal(err)
	}
	var purls []string
	for _, p := range doc.Packages {
		purls = append(purls, p.Refs[0].Locator)
	}
	want := "pkg:golang/dist.example@v1.2.3 pkg:golang/dist.example@v1.2.3 pkg:golang/example.org/plain@v1.0.0 " +
		"pkg:golang/example.org/fork@v1.0.1 pkg:golang/example.org/old@v2.0.0%2Bincompatible pkg:golang/stdlib@1.26.8"
	if got := strings.Join(purls, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if len(doc.Relationships) != 2*(1+4) {
		t.Errorf("%d relationships", len(doc.Relationships))
	}
}

// Manual pages and completions are taken from the program; without them there is no
// release.
func TestPagesAndCompletionsComeFromTheProgram(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the program of this test is a shell script")
	}
	for script, want := range map[string]string{
		"exit 2": "an error",
		`case "$1 $2" in
"man --dir") mkdir -p "$3/man1" && echo page >"$3/man1/dist.1" && echo page >"$3/man1/dist-pull.1" ;;
"completion bash" | "completion zsh" | "completion fish") echo "for $2" ;;
*) exit 1 ;;
esac`: "completions/_dist completions/dist.bash completions/dist.fish man/man1/dist-pull.1 man/man1/dist.1",
		`[ "$1" = man ]`: "an error",
	} {
		dir := t.TempDir()
		r := release{temp: dir, work: dir, host: filepath.Join(dir, "dist")}
		if err := os.WriteFile(r.host, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		files, err := r.extras(t.Context())
		var names []string
		for _, f := range files {
			names = append(names, f.name)
		}
		slices.Sort(names)
		got := strings.Join(names, " ")
		if err != nil {
			got = "an error"
		}
		if got != want {
			t.Errorf("got %q (%v), want %q", got, err, want)
		}
	}
}

// A folder is replaced only if it is a release.
func TestWhatIsNoReleaseStays(t *testing.T) {
	r := release{out: filepath.Join(t.TempDir(), "out")}
	if err := r.begin(); err != nil {
		t.Fatalf("where nothing is: %v", err)
	}
	other := filepath.Join(r.out, "thesis.txt")
	if err := errors.Join(os.Mkdir(r.out, 0o755), os.WriteFile(other, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	if err := r.begin(); err == nil {
		t.Error("a folder with something else is taken")
	}
	if err := os.WriteFile(filepath.Join(r.out, sumsName), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := r.begin(); err != nil {
		t.Errorf("over an earlier release: %v", err)
	}
}

// What is released is what was committed, and nothing else.
func TestOnlyACommitIsReleased(t *testing.T) {
	dir := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		who := []string{"-c", "user.name=test", "-c", "user.email=test@dist.example", "-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false"}
		if _, err := output(t.Context(), dir, nil, "git", append(who, args...)...); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := readSource(t.Context(), dir); err == nil {
		t.Error("a folder without git is released")
	}
	git("init", "-q")
	git("commit", "-q", "--allow-empty", "-m", "First")
	got, err := readSource(t.Context(), dir)
	if err != nil || got.version != got.commit[:12] {
		t.Errorf("without a tag: %+v, %v", got, err)
	}
	git("tag", "v1.0.0")
	if got, err = readSource(t.Context(), dir); err != nil || got.version != "v1.0.0" || got.time.IsZero() {
		t.Errorf("with a tag: %+v, %v", got, err)
	}
	git("worktree", "add", "-q", filepath.Join(dir, "linked"))
	if _, err := readSource(t.Context(), filepath.Join(dir, "linked")); err == nil {
		t.Error("a linked worktree is released, where Go records no commit")
	}
	if _, err := readSource(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "linked") {
		t.Errorf("a file that was not committed: %v", err)
	}
}
