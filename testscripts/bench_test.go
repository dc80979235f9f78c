package testscripts

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// The benchmarks run the static binary that DIST_BINARY names (make bench), one
// process for each operation, as a shell does. Peers are measured beside it
// where they are installed. The figures are for reading; nothing asserts them.

func binary(b *testing.B) string {
	b.Helper()
	name := os.Getenv("DIST_BINARY")
	if name == "" {
		b.Skip("DIST_BINARY names no binary; use make bench")
	}
	return name
}

func run(b *testing.B, dir, name string, args ...string) string {
	b.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		b.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, &stderr)
	}
	return strings.TrimSpace(stdout.String())
}

func randomFile(b *testing.B, name string, size int, seed byte) string {
	b.Helper()
	p := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(p)
	if err := os.WriteFile(name, p, 0o644); err != nil {
		b.Fatal(err)
	}
	return name
}

func BenchmarkStart(b *testing.B) {
	dist := binary(b)
	b.Run("dist", func(b *testing.B) {
		for b.Loop() {
			run(b, "", dist, "version")
		}
	})
	for _, peer := range []string{"crane", "oras"} {
		b.Run(peer, func(b *testing.B) {
			needs(b, peer)
			for b.Loop() {
				run(b, "", peer, "version")
			}
		})
	}
}

func needs(b *testing.B, program string) {
	b.Helper()
	if _, err := exec.LookPath(program); err != nil {
		b.Skip(program + " is not installed")
	}
}

func BenchmarkSmallObject(b *testing.B) {
	dist, dir := binary(b), b.TempDir()
	run(b, dir, dist, "init", "--store", "s")
	b.Run("put", func(b *testing.B) {
		n := 0
		for b.Loop() {
			b.StopTimer()
			n++
			name := filepath.Join(dir, "f")
			if err := os.WriteFile(name, fmt.Append(nil, b.N, n), 0o644); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
			run(b, dir, dist, "put", "--store", "s", name)
		}
	})
	id := run(b, dir, dist, "put", "--store", "s", "f")
	b.Run("get-s", func(b *testing.B) {
		for b.Loop() {
			run(b, dir, dist, "get", "--store", "s", "-s", id)
		}
	})
	b.Run("path", func(b *testing.B) {
		for b.Loop() {
			run(b, dir, dist, "path", "--store", "s", id)
		}
	})
}

func BenchmarkPutBatch(b *testing.B) {
	dist, dir := binary(b), b.TempDir()
	const files, size = 20_000, 4096
	var names bytes.Buffer
	for i := range files {
		p := make([]byte, size)
		_, _ = rand.NewChaCha8([32]byte{byte(i), byte(i >> 8)}).Read(p)
		name := filepath.Join(dir, fmt.Sprintf("f%05d", i))
		if err := os.WriteFile(name, p, 0o644); err != nil {
			b.Fatal(err)
		}
		fmt.Fprintln(&names, name)
	}
	round := 0
	for b.Loop() {
		round++
		cmd := exec.Command(dist, "put", "--batch", "--store", fmt.Sprintf("s%d", round))
		cmd.Dir, cmd.Stdin = dir, bytes.NewReader(names.Bytes())
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v\n%.2000s", err, out)
		}
	}
	b.ReportMetric(float64(b.N*files)/b.Elapsed().Seconds(), "objects/s")
}

func BenchmarkTenWriters(b *testing.B) {
	dist, dir := binary(b), b.TempDir()
	run(b, dir, dist, "init", "--store", "s")
	round := 0
	for b.Loop() {
		round++
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				cmd := exec.Command(dist, "put", "--store", "s")
				cmd.Dir, cmd.Stdin = dir, strings.NewReader(fmt.Sprint(b.N, round, i))
				if out, err := cmd.CombinedOutput(); err != nil {
					b.Errorf("%v\n%s", err, out)
				}
			})
		}
		wg.Wait()
	}
	b.ReportMetric(float64(b.N*10)/b.Elapsed().Seconds(), "puts/s")
}

func BenchmarkPutLarge(b *testing.B) {
	dist, dir := binary(b), b.TempDir()
	const size = 512 << 20
	name := randomFile(b, filepath.Join(dir, "big"), size, 1)
	b.SetBytes(size)
	round := 0
	for b.Loop() {
		round++
		store := fmt.Sprintf("s%d", round)
		run(b, dir, dist, "put", "--store", store, name)
		b.StopTimer()
		_ = os.RemoveAll(filepath.Join(dir, store))
		b.StartTimer()
	}
}

// served is a registry that serves an image of four layers from a store of
// dist's; every client pulls the same.
type served struct {
	dir, host, name string
	size            int64
}

func serveImage(b *testing.B, dist string) served {
	b.Helper()
	s := served{dir: b.TempDir()}
	var layers []string
	for i := range 4 {
		folder := filepath.Join(s.dir, fmt.Sprintf("layer%d", i))
		if err := os.Mkdir(folder, 0o755); err != nil {
			b.Fatal(err)
		}
		const size = 48 << 20
		randomFile(b, filepath.Join(folder, fmt.Sprintf("file%d", i)), size, byte(i+1))
		layers = append(layers, folder)
		s.size += size
	}
	run(b, s.dir, dist, append([]string{"pack", "--store", "served", "--compress", "none", "demo/bench:v1"}, layers...)...)
	cmd := exec.Command(dist, "serve", "--store", "served", "--addr", "127.0.0.1:0")
	cmd.Dir = s.dir
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	s.host = strings.TrimPrefix(strings.TrimSpace(line), "http://")
	s.name = s.host + "/demo/bench:v1"
	return s
}

// pullers are the ways to bring an image into a folder of its own. dist alone
// syncs it to the disk.
var pullers = []struct {
	program string
	args    func(s served, to string) []string
}{
	{"dist", func(s served, to string) []string { return []string{"pull", "--store", to, s.name} }},
	{"crane", func(s served, to string) []string {
		return []string{"pull", "--insecure", "--format", "oci", s.name, to}
	}},
	{"oras", func(s served, to string) []string {
		return []string{"copy", "--from-plain-http", "--to-oci-layout", s.name, to + ":v1"}
	}},
}

func BenchmarkPullLoopback(b *testing.B) {
	dist := binary(b)
	s := serveImage(b, dist)
	for _, p := range pullers {
		b.Run(p.program, func(b *testing.B) {
			program := dist
			if p.program != "dist" {
				needs(b, p.program)
				program = p.program
			}
			b.SetBytes(s.size)
			round := 0
			for b.Loop() {
				round++
				to := filepath.Join(s.dir, fmt.Sprintf("%s%d", p.program, round))
				run(b, s.dir, program, p.args(s, to)...)
				b.StopTimer()
				_ = os.RemoveAll(to)
				b.StartTimer()
			}
		})
	}
}

func BenchmarkPullNothing(b *testing.B) {
	dist := binary(b)
	s := serveImage(b, dist)
	for _, p := range pullers {
		b.Run(p.program, func(b *testing.B) {
			program := dist
			if p.program != "dist" {
				needs(b, p.program)
				program = p.program
			}
			to := filepath.Join(s.dir, p.program)
			run(b, s.dir, program, p.args(s, to)...)
			for b.Loop() {
				run(b, s.dir, program, p.args(s, to)...)
			}
		})
	}
}
