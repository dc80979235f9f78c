package testscripts

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"dist.example/oci"
	"dist.example/registryserver/registrytest"
)

// TestTenIngestOneKey lets ten processes ingest the same content under one key at
// once. Whichever comes to a point first is killed there; the other nine end well,
// and there is one copy.
func TestTenIngestOneKey(t *testing.T) {
	if runtime.GOOS == "windows" || os.Getenv("DIST_BINARY") != "" {
		t.Skip("needs kill -9, and a program with hooks")
	}
	for i, point := range []string{
		"lease.made", "ingest.created", "ingest.begun", "ingest.streamed", "loose.sealed", "loose.linked", "loose.durable",
		"commit.begin", "db.commit", "db.committed", "ingest.done", "ingest.stored",
	} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			tenIngest(t, point, registrytest.Bytes(uint64(500+i), 700<<10))
		})
	}
}

func tenIngest(t *testing.T, point string, p []byte) {
	const processes = 10
	b := newBox(t, nil)
	b.dist("init", "--store", "store")
	name, d := filepath.Join(b.dir, "content"), oci.DigestBytes(p)
	b.must(os.WriteFile(name, p, 0o644))
	c := command{args: []string{"ingest", "--expected-digest", d.String(), "key"}, stdin: name}
	outcomes := make([]outcome, processes)
	var wg sync.WaitGroup
	for i := range outcomes {
		wg.Go(func() { outcomes[i] = b.run(c, crashVar+"="+point, onceVar+"="+filepath.Join(b.dir, "dead")) })
	}
	wg.Wait()
	killed := 0
	for _, out := range append(outcomes, b.run(c)) {
		switch {
		case out.killed:
			killed++
		case out.exit != 0 || strings.TrimSpace(out.stdout) != d.String():
			t.Errorf("exit %d, printed %q\n%s", out.exit, out.stdout, out.stderr)
		}
	}
	if killed != 1 {
		t.Errorf("%d were killed, want 1", killed)
	}
	b.sound("after ten,")
	if got := b.state(); len(got.blobs) != 1 || !got.blobs[d] {
		t.Errorf("the store has %v", got.blobs)
	}
	copies, err := filepath.Glob(filepath.Join(b.store(), "blobs", "*", "*"))
	b.must(err)
	if len(copies) != 1 {
		t.Errorf("the copies are %q", copies)
	}
}
