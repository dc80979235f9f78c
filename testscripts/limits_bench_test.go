package testscripts

import (
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// BenchmarkTenUnderOneLimit lets ten processes fetch at once under one
// --limit-rate, and reports how much of it they reach together.
func BenchmarkTenUnderOneLimit(b *testing.B) {
	const processes, limit = 10, 50 << 20
	dist := binary(b)
	s := serveImage(b, dist)
	layer, size := largest(b, dist, s)
	run(b, s.dir, dist, "init", "--store", "shared")
	b.SetBytes(processes * size)
	for b.Loop() {
		var wg sync.WaitGroup
		for range processes {
			cmd := exec.Command(dist, "fetch-object", "--store", "shared", "--limit-rate", "50M", s.host+"/demo/bench", layer)
			cmd.Dir = s.dir
			wg.Go(func() {
				if err := cmd.Run(); err != nil {
					b.Error(err)
				}
			})
		}
		wg.Wait()
	}
	rate := float64(b.N) * processes * float64(size) / b.Elapsed().Seconds()
	b.ReportMetric(rate/limit*100, "%_of_limit")
}

// largest is the digest and size of the largest content of the served store.
func largest(b *testing.B, dist string, s served) (digest string, size int64) {
	b.Helper()
	for line := range strings.Lines(run(b, s.dir, dist, "list", "--store", "served", "--format", "go-template={{.digest}} {{.size}}")) {
		d, n, _ := strings.Cut(strings.TrimSpace(line), " ")
		if v, err := strconv.ParseInt(n, 10, 64); err == nil && v > size {
			digest, size = d, v
		}
	}
	return digest, size
}
