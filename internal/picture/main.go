// Command picture takes the pictures of a terminal that the README shows: it runs a
// short session with a real program against a registry on this machine, and draws
// what that printed as SVG, once for light and once for dark pages.
//
//	go run ./internal/picture -dist bin/dist -o docs
//
// Nothing that is drawn is made up: commands, output and colours are those of the
// run. What is pulled is always the same; keys, times and with them a few digests
// differ from run to run. The name registry.example leads to the registry on this
// machine by a hosts.toml, as a mirror's would. What it made goes away in the end.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
)

func main() {
	program := flag.String("dist", filepath.Join("bin", "dist"), "`program` to show")
	out := flag.String("o", "docs", "`folder` for picture-light.svg and picture-dark.svg")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *program, *out); err != nil {
		fmt.Fprintln(os.Stderr, "picture:", err)
		os.Exit(1)
	}
}

// shown is the session, in a store that has nothing at first.
var shown = []string{
	"dist pull registry.example/web:1.4",
	"dist pull registry.example/web:1.5",
	"dist images",
	"dist diff --files registry.example/web:1.4 registry.example/web:1.5",
	"dist tree registry.example/web:1.5",
	"dist pull registry.example/tool:0.9",
}

func run(ctx context.Context, program, out string) error {
	program, err := filepath.Abs(program)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "dist-picture-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	s := session{program: program, dir: dir}
	if err := s.publish(ctx); err != nil {
		return err
	}
	stop, err := s.serve(ctx)
	if err != nil {
		return err
	}
	defer stop()
	var steps []step
	for _, command := range shown {
		printed, err := s.dist(ctx, "reader", strings.Fields(command)[1:]...)
		var code *exec.ExitError
		if err != nil && !errors.As(err, &code) { // what is refused is shown, too
			return err
		}
		steps = append(steps, step{command, printed})
	}
	for _, p := range []palette{light, dark} {
		if err := os.WriteFile(filepath.Join(out, "picture-"+p.name+".svg"), draw(steps, p), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// session runs one program with nothing of its user's settings.
type session struct{ program, dir string }

func (s session) command(ctx context.Context, store string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, s.program, args...)
	cmd.Dir = s.dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir, "XDG_CONFIG_HOME=" + filepath.Join(s.dir, "config"),
		"DIST_STORE=" + filepath.Join(s.dir, store), "CLICOLOR_FORCE=1",
	}
	return cmd
}

// dist runs the program and returns what it prints, both streams in their order.
func (s session) dist(ctx context.Context, store string, args ...string) (string, error) {
	printed, err := s.command(ctx, store, args...).CombinedOutput()
	return string(printed), err
}

// publish makes two versions of a signed image, with a list of modules about the
// second, and an image that nobody signs.
func (s session) publish(ctx context.Context) error {
	files := []struct {
		name string
		size int64
	}{
		{"base/lib/libc.so", 9_000_000},
		{"v1.4/bin/web", 900_000},
		{"v1.4/etc/web.conf", 400},
		{"v1.5/bin/web", 700_000},
		{"v1.5/etc/web.conf", 400},
		{"v1.5/etc/tls.conf", 300},
		{"tool/bin/tool", 1000},
	}
	for _, f := range files {
		if err := s.write(f.name, f.size); err != nil {
			return err
		}
	}
	const list = `{"spdxVersion":"SPDX-2.3","packages":[]}`
	if err := os.WriteFile(filepath.Join(s.dir, "web.spdx.json"), []byte(list), 0o644); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"pack", "registry.example/tool:0.9", "tool"}, // before there is a key
		{"key", "generate", "--no-passphrase", "release"},
		{"pack", "-k", "release", "registry.example/web:1.4", "base", "v1.4"},
		{"pack", "-k", "release", "registry.example/web:1.5", "base", "v1.5"},
		{"attach", "--type", "spdx", "registry.example/web:1.5", "web.spdx.json:json"},
		{"trust", "add", "release", "--scope", "registry.example"},
	} {
		if said, err := s.dist(ctx, "publisher", args...); err != nil {
			return fmt.Errorf("dist %s: %w\n%s", strings.Join(args, " "), err, said)
		}
	}
	return nil
}

// write makes a file whose bytes depend on its base name and size: what two versions
// have in common is the same file.
func (s session) write(name string, size int64) error {
	path := filepath.Join(s.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	var seed [32]byte
	copy(seed[:], fmt.Sprintf("%s %d", filepath.Base(name), size))
	var content bytes.Buffer
	if _, err := io.CopyN(&content, rand.NewChaCha8(seed), size); err != nil {
		return err
	}
	return os.WriteFile(path, content.Bytes(), 0o755)
}

// serve lets registry.example be what was published, until it is stopped.
func (s session) serve(ctx context.Context) (stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	cmd := s.command(ctx, "publisher", "serve", "--addr", "127.0.0.1:0")
	says, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	stop = func() {
		cancel()
		_ = cmd.Wait() // it was killed
	}
	address, err := bufio.NewReader(says).ReadString('\n')
	if err != nil {
		stop()
		return nil, fmt.Errorf("dist serve does not start: %w", err)
	}
	hosts := fmt.Sprintf("server = %q\n[host.%[1]q]\ncapabilities = [\"pull\", \"resolve\"]\n", strings.TrimSpace(address))
	folder := filepath.Join(s.dir, "config", "dist", "certs.d", "registry.example")
	if err := errors.Join(os.MkdirAll(folder, 0o755), os.WriteFile(filepath.Join(folder, "hosts.toml"), []byte(hosts), 0o644)); err != nil {
		stop()
		return nil, err
	}
	return stop, nil
}
