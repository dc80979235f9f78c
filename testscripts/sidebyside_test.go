package testscripts

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"dist.example/registryserver/registrytest"
)

// TestSideBySide measures dist beside the peers that are installed, on the same
// registry of this machine: make bench-peers. Every operation is one process of
// each program. All of them take their turns in every round, and in every round
// another one begins, so that whatever else the machine does meanwhile falls on
// all of them; ratios are of the runs of one round. The figures are for reading;
// nothing asserts them. An operation that a program cannot do is an error, so that
// no row is empty for the wrong reason.
//
// What a pull leaves behind is whole in each case, and not the same: dist writes
// into a store, verified, synced to the disk and with a name; the others write a
// folder with an OCI layout, and none of them but skopeo syncs it.
func TestSideBySide(t *testing.T) {
	if os.Getenv("DIST_BENCH_PEERS") == "" {
		t.Skip("measures; use make bench-peers")
	}
	b := newBeside(t, "many", "four", "newer", "large")
	b.about()
	for _, row := range rows {
		if b.only.MatchString(row.name) {
			t.Run(row.name, func(t *testing.T) { b.measure(t, row) })
		}
	}
}

// beside is what all rows share.
type beside struct {
	dist   string // the binary
	dir    string // with the maker's store, and layouts of the peers
	host   string // the registry that is pulled from
	tools  []tool
	absent []string
	images map[string]*image
	runs   int
	only   *regexp.Regexp
	copies int // repositories that were copied to
	// folders counts those that were pulled to.
	folders int
}

// image is what is moved. Its layers are compressed folders of random bytes in one file,
// or of text, as most trees are, in many.
type image struct {
	layers int
	size   int // of a layer
	files  int // of a layer, 0 for one of random bytes
	shares string
}

func (i image) String() string {
	s := fmt.Sprintf("%d x %s", i.layers, sizeText(i.size))
	if i.files > 0 {
		s += fmt.Sprintf(" in %d files each", i.files)
	}
	if i.shares != "" {
		s += ", one of them new"
	}
	return s
}

func sizeText(n int) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d KB", n/1000)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}

// newBeside makes the images of those names.
func newBeside(t *testing.T, names ...string) *beside {
	t.Helper()
	dist := os.Getenv("DIST_BINARY")
	if dist == "" {
		t.Fatal("DIST_BINARY names no binary; use make bench-peers")
	}
	four, tree := setting(t, "FOUR", 29)<<20, setting(t, "TREE", 32)<<20
	b := &beside{
		dist: dist, dir: t.TempDir(), runs: setting(t, "RUNS", 3), only: regexp.MustCompile(os.Getenv("ROWS")),
		images: map[string]*image{
			"many":  {layers: setting(t, "MANY", 60), size: 300_000},
			"four":  {layers: 4, size: four},
			"newer": {layers: 4, size: four, shares: "four"},
			"large": {layers: 1, size: setting(t, "LARGE", 256) << 20},
			"tree":  {layers: 4, size: tree, files: 2000},
			"tree2": {layers: 4, size: tree, files: 2000, shares: "tree"},
		},
	}
	b.tools, b.absent = installed(tools(dist))
	b.host = b.registry(t)
	for _, name := range names {
		b.make(t, name)
	}
	return b
}

// setting is a number from the environment.
func setting(t *testing.T, name string, value int) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return value
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("%s=%s: not a number of 1 or more", name, s)
	}
	return n
}

// registry starts an empty one, which ends with t: docker-registry, or dist where
// that is not installed.
func (b *beside) registry(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "registry")
	serve := runPeer
	if _, err := exec.LookPath("docker-registry"); err != nil {
		serve = b.serve
	}
	host, err := serve(dir, peerOptions{}, t.Cleanup)
	if err != nil {
		t.Fatal(err)
	}
	return host
}

// serve is runPeer with dist for the registry.
func (b *beside) serve(dir string, _ peerOptions, atEnd func(func())) (string, error) {
	cmd := b.command(b.dist, "serve", "--writable", "--store", dir, "--addr", "127.0.0.1:0")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	atEnd(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	return strings.TrimPrefix(strings.TrimSpace(line), "http://"), err
}

// make packs an image in the maker's store and pushes it to the registry.
func (b *beside) make(t *testing.T, name string) {
	t.Helper()
	im := b.images[name]
	args := []string{"pack", "--store", "maker", "bench/app:" + name}
	for i := range im.layers {
		from := name
		if im.shares != "" && i < im.layers-1 {
			from = im.shares // the last layer is its own
		}
		folder := filepath.Join(b.dir, "rootfs", from, strconv.Itoa(i))
		if _, err := os.Stat(folder); err != nil {
			im.fill(t, folder, from, i)
		}
		args = append(args, folder)
	}
	for _, command := range [][]string{args, {"push", "--store", "maker", "-r", b.host, "bench/app:" + name}} {
		if out, err := b.command(b.dist, command...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", command, err, out)
		}
	}
}

// fill makes the folder of layer i, whose bytes seed decides.
func (i image) fill(t *testing.T, folder, seed string, layer int) {
	t.Helper()
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for k := range max(i.files, 1) {
		file := filepath.Join(folder, fmt.Sprintf("%s-%d", seed, layer))
		bytes := func(size int) []byte {
			return registrytest.Bytes(uint64(k)<<32|uint64(layer)<<16|uint64(len(seed))<<8|uint64(seed[0]), size)
		}
		p := []byte(nil)
		if i.files == 0 {
			p = bytes(i.size)
		} else {
			file = filepath.Join(folder, fmt.Sprintf("%s-%d", seed, layer), strconv.Itoa(k/50), strconv.Itoa(k))
			p = fmt.Appendf(nil, "%x", bytes(i.size/i.files/2))
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, p, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// command is a program in a home of its own, so that nothing of the machine's
// user steers it.
func (b *beside) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = b.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + b.dir, "TMPDIR=" + b.dir}
	return cmd
}

// about says what is measured, and beside whom.
func (b *beside) about() {
	server := "docker-registry"
	if _, err := exec.LookPath(server); err != nil {
		server = "dist serve (docker-registry is not installed)"
	}
	fmt.Printf("\nRegistry: %s. Rounds: %d; medians. Not installed: %s.\n", server, b.runs, cmp.Or(strings.Join(b.absent, ", "), "none"))
	fmt.Println("dist/peer is the median of the ratios, round by round: below 1, dist takes less.")
	fmt.Println("Each pulls whole images to the disk:")
	for _, tl := range b.tools {
		fmt.Printf("  %-6s %s\n", tl.name, tl.leaves)
	}
}

// measure runs one row and prints its lines.
func (b *beside) measure(t *testing.T, r row) {
	var (
		able []tool
		out  string
	)
	for _, tl := range b.tools {
		if tl.can == nil || tl.can(b, r) {
			able = append(able, tl)
		} else if !tl.way {
			out += fmt.Sprintf("; %s cannot do this yet", tl.name)
		}
	}
	figures := make([][]figure, len(able))
	for round := range b.runs {
		for i := range able {
			k := (i + round) % len(able)
			f := b.once(t, r, able[k])
			if t.Failed() {
				return
			}
			figures[k] = append(figures[k], f)
		}
	}
	printRow(r.title(b)+out, able, figures)
}

// once prepares and measures one run of one program.
func (b *beside) once(t *testing.T, r row, tl tool) (f figure) {
	t.Run(tl.name, func(t *testing.T) { // for what ends with the run
		b.folders++
		to := filepath.Join(b.dir, fmt.Sprintf("to%d", b.folders)) // plain, for regctl
		defer os.RemoveAll(to)
		defer os.RemoveAll(to + ".tar")
		args := r.prepare(t, b, r, tl, to)
		settle()
		var err error
		if f, err = measured(b.command(tl.runs(), args...)); err != nil {
			t.Fatalf("%s %s: %v", tl.runs(), strings.Join(args, " "), err)
		}
		if tl.script {
			f.peak = 0
		}
		if r.durable {
			begun := time.Now()
			settle()
			f.wall += time.Since(begun).Seconds()
		}
	})
	return f
}

// settle writes to the disk what runs before left to be written.
func settle() {
	if sync, err := exec.LookPath("sync"); err == nil {
		_ = exec.Command(sync).Run()
	}
}

// do runs a command that is not measured.
func (b *beside) do(t *testing.T, tl tool, args []string) {
	t.Helper()
	var stderr bytes.Buffer
	cmd := b.command(tl.runs(), args...)
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", tl.runs(), strings.Join(args, " "), err, &stderr)
	}
}
