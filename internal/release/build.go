package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

// system is what a binary runs on.
type system struct{ os, arch string }

func (s system) String() string { return s.os + "/" + s.arch }

func parseSystem(word string) (system, error) {
	name, arch, ok := strings.Cut(word, "/")
	if !ok || name == "" || arch == "" {
		return system{}, fmt.Errorf("system %q: want OS/ARCH", word)
	}
	return system{name, arch}, nil
}

// program is what the binary is called there.
func (s system) program() string {
	if s.os == "windows" {
		return "dist.exe"
	}
	return "dist"
}

// source is the commit that a release is made of.
type source struct {
	version string
	commit  string
	time    time.Time // of the commit
}

// wordRule is for versions, which become file names, and a tag of the release.
var wordRule = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._-]{0,99}$`)

// readSource asks git. The digits of an abbreviated commit are fixed: git takes as
// many as the clone happens to need.
func readSource(ctx context.Context, root string) (source, error) {
	// In a linked worktree .git is a file, and there Go records no commit.
	if info, err := os.Stat(filepath.Join(root, ".git")); err != nil || !info.IsDir() {
		return source{}, errors.New("a release is made in a clone of its own (git clone), not in a linked worktree, nor without git")
	}
	changes, err := output(ctx, root, nil, "git", "status", "--porcelain")
	if err != nil {
		return source{}, err
	}
	if changes != "" {
		return source{}, fmt.Errorf("the tree is not as it was committed:\n%s", changes)
	}
	about, err := output(ctx, root, nil, "git", "show", "-s", "--format=%H %ct", "HEAD")
	if err != nil {
		return source{}, err
	}
	commit, at, _ := strings.Cut(about, " ")
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return source{}, fmt.Errorf("time of the commit: %w", err)
	}
	version, err := output(ctx, root, nil, "git", "describe", "--tags", "--always", "--abbrev=12")
	if err != nil {
		return source{}, err
	}
	if !wordRule.MatchString(version) {
		return source{}, fmt.Errorf("version %q: it is to be a part of file names", version)
	}
	return source{version, commit, time.Unix(seconds, 0).UTC()}, nil
}

// buildEnv keeps what a user has set for builds of his own out of the binaries. An
// empty variable would not: Go then looks into its file of settings.
func buildEnv(s system) []string {
	return []string{
		"CGO_ENABLED=0", "GOOS=" + s.os, "GOARCH=" + s.arch, "GOFLAGS=-mod=readonly", "GOWORK=off",
		"GOAMD64=v1", "GOARM64=v8.0", "GOFIPS140=off",
	}
}

// build builds dist into a file, and returns what Go has recorded in it: the commit,
// or else it is refused.
func (r *release) build(ctx context.Context, s system, path string) (*debug.BuildInfo, error) {
	_, err := output(ctx, r.root, append(buildEnv(s), r.env...), "go", "build", "-trimpath", "-buildvcs=true",
		"-ldflags", "-s -w -X dist.example/cmd.version="+r.version, "-o", path, "./cmd/dist")
	if err != nil {
		return nil, err
	}
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", s, err)
	}
	recorded := map[string]string{}
	for _, setting := range info.Settings {
		recorded[setting.Key] = setting.Value
	}
	if recorded["vcs.revision"] != r.commit || recorded["vcs.modified"] != "false" {
		return nil, fmt.Errorf("build %s: it is of commit %q, modified %q, and not of %s", s, recorded["vcs.revision"], recorded["vcs.modified"], r.commit)
	}
	return info, nil
}

// extras are the manual pages and completions, written by the program itself.
func (r *release) extras(ctx context.Context) ([]file, error) {
	dir := filepath.Join(r.temp, "man")
	if _, err := r.dist(ctx, "man", "--dir", dir); err != nil {
		return nil, err
	}
	pages, err := filepath.Glob(filepath.Join(dir, "man*", "*"))
	if err != nil {
		return nil, err
	}
	var found []file
	for _, page := range pages {
		data, err := os.ReadFile(page)
		if err != nil {
			return nil, err
		}
		found = append(found, file{"man/" + filepath.Base(filepath.Dir(page)) + "/" + filepath.Base(page), 0o644, data})
	}
	for shell, name := range map[string]string{"bash": "dist.bash", "zsh": "_dist", "fish": "dist.fish"} {
		script, err := r.dist(ctx, "completion", shell)
		if err != nil {
			return nil, err
		}
		found = append(found, file{"completions/" + name, 0o644, []byte(script + "\n")})
	}
	return found, nil
}

// dist runs the program that was built, in the folder of the release, with a store
// that goes away and the time of the commit for what it makes.
func (r *release) dist(ctx context.Context, args ...string) (string, error) {
	env := []string{
		"DIST_STORE=" + filepath.Join(r.temp, "store"), "DIST_FORMAT=table", "DIST_PROGRESS=none", "DIST_KEY=",
		fmt.Sprintf("SOURCE_DATE_EPOCH=%d", r.time.Unix()),
	}
	if r.signer == nil { // nor by a key that this user has for other things
		env = append(env, "XDG_CONFIG_HOME="+filepath.Join(r.temp, "config"))
	}
	return output(ctx, r.work, append(env, r.env...), r.host, args...)
}

// output runs a program and returns what it prints, without the last line's end.
func output(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env, cmd.Stderr = dir, append(os.Environ(), env...), &said
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(append([]string{filepath.Base(name)}, args[:min(2, len(args))]...), " "), err, bytes.TrimSpace(said.Bytes()))
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}
