package testscripts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// exampleSession is a box in which the commands of one document run, each by a shell of
// its own that takes up where the last one was: its folder and its variables. In dir are
//
//	here/        the folder of the reader; machines behind another prompt have theirs beside it
//	home/here/   HOME there
//	root/        what stands for the folders of a machine that outside names
//	state/here   the variables of the shell
//
// All machines reach the same registries. A file in the folder of one machine that a
// command of another names, and does not have there, or has older, is carried over, as
// the text around it says.
type exampleSession struct {
	t     *testing.T
	page  string
	dir   string
	world *exampleWorld
	hosts map[string]string // URL of what answers for a host
	ports *strings.Replacer // see ownPorts
	// servers are those that a command has left in the background.
	servers []*exampleServer
}

// outside is where absolute paths lead that are not looked for in the machine's own.
// Those within images are none of them.
var outside = regexp.MustCompile(`(^|[\s='":<>])(/(?:media|mnt|srv|run|var|etc/containers|etc/bash_completion\.d|usr/local/share)/)`)

// carriable splits a command into what may be names of files.
var carriable = regexp.MustCompile(`[^\s='":<>|;&()]+`)

const reader = "here"

// machine names the machine of a prompt, and makes it if it is a new one.
func (s *exampleSession) machine(name string) string {
	if name == "" {
		name = reader
	}
	home := filepath.Join(s.dir, "home", name)
	if _, err := os.Stat(filepath.Join(s.dir, "state", name)); err == nil {
		return name
	}
	for _, dir := range []string{filepath.Join(s.dir, name), home, filepath.Join(s.dir, "state"), filepath.Join(s.dir, "root")} {
		s.must(os.MkdirAll(dir, 0o755))
	}
	s.must(ownRegistries(filepath.Join(home, ".config")))
	s.must(os.WriteFile(filepath.Join(s.dir, "state", name), nil, 0o644))
	for host, url := range s.hosts {
		s.answer(name, host, url)
	}
	return name
}

func (s *exampleSession) must(err error) {
	if err != nil {
		s.t.Helper()
		s.t.Fatal(err)
	}
}

// answer lets url answer for host, for one machine.
func (s *exampleSession) answer(machine, host, url string) {
	dir := filepath.Join(s.dir, "home", machine, ".config", "dist", "certs.d", host)
	s.must(os.MkdirAll(dir, 0o755))
	s.must(os.WriteFile(filepath.Join(dir, "hosts.toml"), []byte(fmt.Sprintf("server = %q\nskip_verify = true\n", url)), 0o644))
}

// run runs a command to its end. A server is one in the background, or ends when it has
// answered.
func (s *exampleSession) run(e example) outcome {
	s.t.Helper()
	name := s.machine(e.machine)
	s.carry(name, e.text)
	text := s.ports.Replace(e.text)
	text = outside.ReplaceAllString(text, "${1}"+filepath.Join(s.dir, "root")+"$2")
	if strings.HasPrefix(text, "dist serve") {
		return s.serve(name, text)
	}
	for host, url := range s.hosts {
		if strings.HasPrefix(text, "dist login") { // credentials belong to who answers
			text = strings.ReplaceAll(text, host, strings.TrimPrefix(url, "http://"))
		}
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	p, stdout, stderr := s.shell(ctx, name, text), new(bytes.Buffer), new(bytes.Buffer)
	p.Stdout, p.Stderr = stdout, stderr
	err := p.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		fmt.Fprintf(stderr, "%v\n", err)
	}
	out := outcome{stdout: stdout.String(), stderr: stderr.String(), exit: p.ProcessState.ExitCode()}
	if out.exit == brokenPipe && strings.Contains(text, "|") {
		out.exit = 0 // who reads has all that it wants, and has ended well
	}
	return out
}

// brokenPipe is how a part of a pipeline ends whose reader went away.
const brokenPipe = 141

// shell prepares a command. Where there is bash, a pipeline fails with any of its parts.
func (s *exampleSession) shell(ctx context.Context, machine, text string) *exec.Cmd {
	program, options := "bash", "set -a -o pipefail"
	if _, err := exec.LookPath(program); err != nil {
		program, options = "sh", "set -a"
	}
	state := filepath.Join(s.dir, "state", machine)
	p := exec.CommandContext(ctx, program, "-c", fmt.Sprintf("%s\n. %q\ncd \"$PWD\"\ntrap 'export -p >%q' EXIT\n%s\n", options, state, state, text))
	p.Dir = filepath.Join(s.dir, machine)
	p.Env = append([]string{
		"PATH=" + s.world.programs + ":" + os.Getenv("PATH"), "HOME=" + filepath.Join(s.dir, "home", machine), "PWD=" + p.Dir,
		"TMPDIR=" + os.TempDir(), "LC_ALL=C.UTF-8", "GOMAXPROCS=1", "DIST_PASSWORD=passphrase", "SECRET=passphrase",
	}, s.world.web...)
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.Cancel = func() error { return syscall.Kill(-p.Process.Pid, syscall.SIGKILL) }
	p.WaitDelay = 10 * time.Second
	return p
}

// carry brings what a command names to its machine.
func (s *exampleSession) carry(to, text string) {
	machines, err := os.ReadDir(filepath.Join(s.dir, "home"))
	s.must(err)
	for _, name := range carriable.FindAllString(text, -1) {
		for _, from := range machines {
			have, err := os.Stat(filepath.Join(s.dir, from.Name(), name))
			if err != nil || !have.Mode().IsRegular() || from.Name() == to || strings.Contains(name, "/") {
				continue
			}
			there := filepath.Join(s.dir, to, name)
			if fi, err := os.Stat(there); err != nil || fi.ModTime().Before(have.ModTime()) {
				s.must(copyFile(filepath.Join(s.dir, from.Name(), name), there, have))
			}
		}
	}
}
