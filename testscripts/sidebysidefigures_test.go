package testscripts

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// figure is what one process took.
type figure struct {
	wall, cpu float64 // seconds
	peak      float64 // MiB, 0 where the system does not tell
}

// measured runs a command to its end.
func measured(cmd *exec.Cmd) (figure, error) {
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return figure{}, err
	}
	peak, stop := watchPeak(cmd.Process.Pid)
	err := cmd.Wait()
	took := time.Since(begun)
	stop()
	if err != nil {
		return figure{}, fmt.Errorf("%w: %s", err, &stderr)
	}
	used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return figure{took.Seconds(), used.Seconds(), float64(peak.Load()) / 1024}, nil
}

// watchPeak follows the most memory that a process had, in KiB. What the system
// counts when the process has ended will not do: there the memory of whoever
// started it is in, until it became another program.
func watchPeak(pid int) (peak *atomic.Int64, stop func()) {
	peak, end, ended := new(atomic.Int64), make(chan struct{}), make(chan struct{})
	status := filepath.Join("/proc", strconv.Itoa(pid), "status")
	go func() {
		defer close(ended)
		tick := time.NewTicker(4 * time.Millisecond)
		defer tick.Stop()
		for {
			if kib := peakIn(status); kib > 0 {
				peak.Store(kib)
			}
			select {
			case <-end:
				return
			case <-tick.C:
			}
		}
	}()
	return peak, func() { close(end); <-ended }
}

// peakIn reads VmHWM, 0 where there is none.
func peakIn(status string) int64 {
	p, err := os.ReadFile(status)
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(p), "VmHWM:")
	line, _, _ := strings.Cut(rest, "\n")
	kib, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(line, "kB")), 10, 64)
	return kib
}

// printRow prints the medians of each tool, and the ratios of the first one to it.
// figures has the runs of each tool, one a round.
func printRow(title string, able []tool, figures [][]figure) {
	wall := func(f figure) float64 { return f.wall }
	cpu := func(f figure) float64 { return f.cpu }
	fmt.Printf("\n%s\n  %-6s %9s %9s %9s   %s\n", title, "", "wall s", "cpu s", "peak MiB", "dist/peer: wall (least to most), cpu")
	for i, tl := range able {
		fmt.Printf("  %-6s %9.3f %9.3f %9s", tl.name, median(values(figures[i], wall)), median(values(figures[i], cpu)), peakText(figures[i]))
		if i > 0 && able[0].name == "dist" {
			w := ratios(values(figures[0], wall), values(figures[i], wall))
			c := ratios(values(figures[0], cpu), values(figures[i], cpu))
			fmt.Printf("   %.2f (%.2f to %.2f), %.2f", median(w), slices.Min(w), slices.Max(w), median(c))
		}
		fmt.Println()
	}
}

func peakText(runs []figure) string {
	peak := slices.MaxFunc(runs, func(a, b figure) int { return cmp.Compare(a.peak, b.peak) }).peak
	if peak == 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f", peak)
}

func values(runs []figure, of func(figure) float64) []float64 {
	out := make([]float64, len(runs))
	for i, f := range runs {
		out[i] = of(f)
	}
	return out
}

func ratios(a, b []float64) []float64 {
	out := make([]float64, len(a))
	for i := range a {
		out[i] = a[i] / max(b[i], 1e-6)
	}
	return out
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}
