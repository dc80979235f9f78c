package testscripts

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestSideBySideServers measures dist serve beside docker-registry, on this machine
// and with the same requests: make bench-peers. A row has a registry of each of its
// own; both are asked in every round, and in every round another one begins. The
// figures are for reading; nothing asserts them. An answer that is not the one
// that was to come is an error.
//
// Both have synced what was pushed before they answer: for a small blob dist does so
// twice, pack and catalog, and docker-registry eleven times, a file each.
func TestSideBySideServers(t *testing.T) {
	if os.Getenv("DIST_BENCH_PEERS") == "" {
		t.Skip("measures; use make bench-peers")
	}
	if _, err := exec.LookPath("docker-registry"); err != nil || runtime.GOOS != "linux" {
		t.Skip("needs docker-registry, and /proc for what a server takes")
	}
	only, runs := regexp.MustCompile(os.Getenv("ROWS")), setting(t, "RUNS", 3)
	fmt.Printf("\ndist serve beside docker-registry. Rounds: %d; medians. cpu is the server's; peak is its most memory.\n", runs)
	fmt.Println("dist/peer is the median of the ratios of wall time, round by round: below 1, dist takes less.")
	for _, l := range loads {
		for _, conns := range l.conns {
			name := fmt.Sprintf("%s-%d", l.name, conns)
			if only.MatchString(name) {
				t.Run(name, func(t *testing.T) { measureLoad(t, l, name, conns, runs) })
			}
		}
	}
}

// server is a registry that runs in a process of its own.
type server struct {
	name string
	url  string
	pid  int
}

// startServer starts the one that program names, with an empty store.
func startServer(t *testing.T, program string) server {
	t.Helper()
	var cmd *exec.Cmd
	dir, addr := t.TempDir(), freeAddress(t)
	if program == "dist" {
		cmd = exec.Command(os.Getenv("DIST_BINARY"), "serve", "--writable", "--store", filepath.Join(dir, "store"), "--addr", addr)
	} else {
		file := filepath.Join(dir, "config.yml")
		config := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"+
			"storage: {filesystem: {rootdirectory: %q}, delete: {enabled: true}}\nhttp: {addr: %q, secret: known}\n", filepath.Join(dir, "root"), addr)
		if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd = exec.Command(program, "serve", file)
	}
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if err := answers(t.Context(), addr); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		t.Fatalf("%s: %v\n%s", program, err, &stderr)
	}
	return server{program, "http://" + addr, cmd.Process.Pid}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// answers returns once something listens at addr.
func answers(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

// used is the time of the processors that a process has had so far, in seconds.
func used(pid int) float64 {
	const ticks = 100 // a second, on Linux wherever Go runs
	p, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, found := bytes.Cut(p, []byte(") "))
	if err != nil || !found {
		return 0
	}
	fields := strings.Fields(string(rest)) // the first one is the third of the file
	user, _ := strconv.ParseFloat(fields[11], 64)
	system, _ := strconv.ParseFloat(fields[12], 64)
	return (user + system) / ticks
}

// measureLoad runs one row and prints its lines.
func measureLoad(t *testing.T, l load, name string, conns, runs int) {
	l.requests = max(conns, l.requests*min(conns, 4)/4)
	servers := []server{startServer(t, "dist"), startServer(t, "docker-registry")}
	clients, figures := make([]*loader, 2), make([][]figure, 2)
	for i, s := range servers {
		clients[i] = newLoader(s, conns)
		defer clients[i].close()
		if l.prepare != nil {
			if err := l.prepare(clients[i], l); err != nil {
				t.Fatalf("%s: %v", s.name, err)
			}
		}
	}
	for round := range runs + 1 {
		for i := range servers {
			k := (i + round) % 2
			f, err := clients[k].round(l, round)
			if err != nil {
				t.Fatalf("%s: %v", servers[k].name, err)
			}
			if round > 0 { // the first one is for warming up
				figures[k] = append(figures[k], f)
			}
		}
	}
	printLoad(name, l, conns, servers, figures)
}

func printLoad(name string, l load, conns int, servers []server, figures [][]figure) {
	wall := func(f figure) float64 { return f.wall }
	cpu := func(f figure) float64 { return f.cpu }
	fmt.Printf("\n%s: %s, %d at once, %d requests\n", name, l.what, conns, l.requests)
	fmt.Printf("  %-15s %9s %9s %9s %9s %9s   %s\n", "", "wall s", "req/s", "MiB/s", "cpu s", "peak MiB", "dist/peer: wall (least to most), cpu")
	for i, s := range servers {
		w := median(values(figures[i], wall))
		rate := "-"
		if l.size > 0 {
			rate = fmt.Sprintf("%.1f", float64(l.size)*float64(l.requests)/(1<<20)/w)
		}
		peak := slices.MaxFunc(figures[i], func(a, b figure) int { return cmp.Compare(a.peak, b.peak) }).peak
		fmt.Printf("  %-15s %9.3f %9.0f %9s %9.2f %9.0f", s.name, w, float64(l.requests)/w, rate, median(values(figures[i], cpu)), peak)
		if i > 0 {
			w, c := ratios(values(figures[0], wall), values(figures[i], wall)), ratios(values(figures[0], cpu), values(figures[i], cpu))
			fmt.Printf("   %.2f (%.2f to %.2f), %.2f", median(w), slices.Min(w), slices.Max(w), median(c))
		}
		fmt.Println()
	}
}
