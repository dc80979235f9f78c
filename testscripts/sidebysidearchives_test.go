package testscripts

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// exported has a tool write what it keeps on the disk into an archive. oras has only
// a backup of what is in a registry.
func exported(t *testing.T, b *beside, r row, tl tool, to string) []string {
	from := b.container(t, tl, r.image)
	if tl.name == "oras" {
		from = imageIn(b.host, r.image)
	}
	return tl.export(from, r.image, to+".tar")
}

// imported has a tool take an archive that dist wrote, to where nothing is yet.
func imported(t *testing.T, b *beside, r row, tl tool, to string) []string {
	return tl.load(b.archive(t, r.image), r.image, b.empty(t, tl, to))
}

func importedAgain(t *testing.T, b *beside, r row, tl tool, to string) []string {
	args := tl.load(b.archive(t, r.image), r.image, b.empty(t, tl, to))
	b.do(t, tl, args)
	return args
}

// archive is an image in a file, which every tool here reads.
func (b *beside) archive(t *testing.T, tag string) string {
	t.Helper()
	file := filepath.Join(b.dir, tag+".tar")
	if _, err := os.Stat(file); err != nil {
		dist := b.tools[0]
		b.do(t, dist, dist.export(filepath.Join(b.dir, "maker"), tag, file))
	}
	return file
}

// empty is a place that a tool can import to.
func (b *beside) empty(t *testing.T, tl tool, to string) string {
	t.Helper()
	if tl.name == "ctr" {
		return b.containerd(t, to)
	}
	if tl.ready != nil {
		b.do(t, tl, tl.ready(to))
	}
	return to
}

// container is where a tool keeps an image: a folder, and for ctr a containerd of its
// own, which ends with t.
func (b *beside) container(t *testing.T, tl tool, tag string) string {
	t.Helper()
	if tl.name != "ctr" {
		return b.kept(t, tl, tag)
	}
	socket := b.containerd(t, filepath.Join(b.dir, fmt.Sprintf("containerd%d", b.folders)))
	b.do(t, tl, tl.load(b.archive(t, tag), tag, socket))
	return socket
}

// containerd starts one with all that it has below dir, and returns its socket, whose
// path has to be short.
func (b *beside) containerd(t *testing.T, dir string) string {
	t.Helper()
	short, err := os.MkdirTemp("", "dist")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(short); _ = os.RemoveAll(dir) })
	socket, config := filepath.Join(short, "socket"), filepath.Join(short, "config.toml")
	text := fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = %q\n",
		dir, filepath.Join(short, "state"), socket)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("containerd", "-c", config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for range 200 {
		if b.command("ctr", "-a", socket, "version").Run() == nil {
			return socket
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("containerd does not answer")
	return ""
}
