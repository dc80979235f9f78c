package testscripts

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dist.example/client"
	"dist.example/cmd"
	"dist.example/oci"
)

// box is a folder in which dist runs, with a home and a store of its own.
type box struct {
	t    *testing.T
	dir  string
	vars map[string]string // what $NAME stands for in arguments
}

func newBox(t *testing.T, vars map[string]string) *box {
	b := &box{t, t.TempDir(), maps.Clone(vars)}
	b.must(ownRegistries(filepath.Join(b.dir, "home")))
	return b
}

func (b *box) must(err error) {
	if err != nil {
		b.t.Helper()
		b.t.Fatal(err)
	}
}

func (b *box) store() string { return filepath.Join(b.dir, "store") }

// blob is the file of a loose blob.
func (b *box) blob(id string) string {
	return filepath.Join(b.store(), "blobs", filepath.FromSlash(strings.Replace(b.expand(id), ":", "/", 1)))
}

// copy is a box of another test with the same in it, hard links among them.
func (b *box) copy(t *testing.T) *box {
	to := &box{t, t.TempDir(), maps.Clone(b.vars)}
	linked := map[string]fs.FileInfo{}
	to.must(filepath.WalkDir(b.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := e.Info()
		if err != nil {
			return err
		}
		name := filepath.Join(to.dir, strings.TrimPrefix(path, b.dir))
		if e.IsDir() {
			return os.MkdirAll(name, 0o755)
		}
		for first, of := range linked {
			if os.SameFile(of, fi) {
				return os.Link(first, name)
			}
		}
		if strings.Contains(path, "/blobs/") || strings.Contains(path, "/ingest/") {
			linked[name] = fi
		}
		return copyFile(path, name, fi)
	}))
	return to
}

func copyFile(from, to string, fi fs.FileInfo) error {
	p, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, p, fi.Mode().Perm())
	}
	if err == nil {
		err = os.Chtimes(to, fi.ModTime(), fi.ModTime())
	}
	return err
}

// command is a call of dist; $NAME in its arguments stands for what the box says.
type command struct {
	args  []string
	stdin string // name of a file, "" for nothing
	exit  int    // that it ends with when nothing disturbs it
}

// outcome is what a call left.
type outcome struct {
	stdout, stderr string
	exit           int
	killed         bool
}

func (b *box) expand(s string) string {
	return os.Expand(s, func(name string) string {
		v, ok := b.vars[name]
		if !ok {
			b.t.Fatalf("$%s is nothing", name)
		}
		return v
	})
}

func (b *box) prepared(c command, env ...string) *exec.Cmd {
	args := make([]string, len(c.args))
	for i, a := range c.args {
		args[i] = b.expand(a)
	}
	p := exec.CommandContext(b.t.Context(), "dist", args...)
	p.Dir = b.dir
	home := filepath.Join(b.dir, "home")
	p.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "DOCKER_CONFIG=" + home, "XDG_CONFIG_HOME=" + home, "TMPDIR=" + os.TempDir(),
		"DIST_STORE=" + b.store(), "DIST_PROGRESS=none", "SOURCE_DATE_EPOCH=1700000000",
	}, env...)
	return p
}

// run calls dist to its end, however that comes.
func (b *box) run(c command, env ...string) outcome {
	b.t.Helper()
	return b.runFor(c, 0, env...)
}

// runFor is run, with a kill after some time unless that is 0.
func (b *box) runFor(c command, d time.Duration, env ...string) outcome {
	b.t.Helper()
	p := b.prepared(c, env...)
	var stdout, stderr bytes.Buffer
	p.Stdout, p.Stderr = &stdout, &stderr
	if c.stdin != "" {
		f, err := os.Open(b.expand(c.stdin))
		b.must(err)
		defer f.Close()
		p.Stdin = f
	}
	b.must(p.Start())
	if d > 0 {
		defer time.AfterFunc(d, func() { _ = p.Process.Kill() }).Stop()
	}
	err := p.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		b.t.Fatal(err)
	}
	return outcome{
		strings.ReplaceAll(stdout.String(), b.dir, "BOX"), stderr.String(),
		p.ProcessState.ExitCode(), p.ProcessState.String() == "signal: killed",
	}
}

// ok is run of what has to end as it should.
func (b *box) ok(c command, env ...string) string {
	b.t.Helper()
	out := b.run(c, env...)
	if out.exit != c.exit {
		b.t.Fatalf("dist %s: exit %d, want %d\n%s", strings.Join(c.args, " "), out.exit, c.exit, out.stderr)
	}
	return out.stdout
}

// dist is ok for preparing: no input, exit 0.
func (b *box) dist(args ...string) string {
	b.t.Helper()
	return b.ok(command{args: args})
}

// dies calls dist and lets it be killed at a point.
func (b *box) dies(point string, c command) outcome {
	b.t.Helper()
	out := b.run(c, crashVar+"="+point)
	if !out.killed {
		b.t.Fatalf("dist %s was to die at %s: exit %d\n%s", strings.Join(c.args, " "), point, out.exit, out.stderr)
	}
	return out
}

// state is what a store has: the content, all of it sound, and what names stand
// for.
type state struct {
	blobs map[oci.Digest]bool
	names map[string]oci.Digest
}

// state opens the store and reads all of it; no store is an empty one.
func (b *box) state() state {
	b.t.Helper()
	st := state{map[oci.Digest]bool{}, map[string]oci.Digest{}}
	if _, err := os.Stat(filepath.Join(b.store(), "store.json")); errors.Is(err, fs.ErrNotExist) {
		return st
	}
	c := client.New(client.Options{Store: b.store()})
	defer c.Close()
	for info, err := range c.List(b.t.Context()) {
		b.must(err)
		st.blobs[info.Digest] = info.Place != "damaged"
	}
	images, err := c.Images(b.t.Context(), client.NameFilter{All: true})
	b.must(err)
	for _, im := range images {
		st.names[im.Name.String()] = im.Target.Digest
	}
	return st
}

// sound lets check judge the store, within this process.
func (b *box) sound(when string) {
	b.t.Helper()
	var out bytes.Buffer
	if code := b.check(&out); code != 0 {
		b.t.Errorf("%s check exits %d:\n%s", when, code, &out)
	}
}

// check runs check within this process.
func (b *box) check(out io.Writer, flags ...string) int {
	args := append([]string{"check", "--store", b.store(), "--progress", "none"}, flags...)
	return cmd.Main(args, strings.NewReader(""), out, out)
}
