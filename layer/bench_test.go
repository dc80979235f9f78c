package layer

import (
	"bytes"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// goroot is real content that every machine with Go has.
func goroot(tb testing.TB) string {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		tb.Skip("go is not installed")
	}
	return strings.TrimSpace(string(out))
}

func BenchmarkWriteGOROOT(b *testing.B) {
	root := goroot(b)
	for _, c := range []Compression{None, Gzip, Zstd} {
		b.Run(c.String(), func(b *testing.B) {
			for b.Loop() {
				r, err := Write(b.Context(), io.Discard, root, Options{Compression: c, FollowLinks: true})
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(r.PlainSize)
				b.ReportMetric(float64(r.Size)/1e6, "MB_out")
			}
		})
	}
}

func BenchmarkInspectGOROOT(b *testing.B) {
	root := goroot(b)
	for _, c := range []Compression{None, Gzip, Zstd} {
		b.Run(c.String(), func(b *testing.B) {
			var packed bytes.Buffer
			r, err := Write(b.Context(), &packed, root, Options{Compression: c, FollowLinks: true})
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(r.PlainSize)
			for b.Loop() {
				if _, err := Inspect(b.Context(), bytes.NewReader(packed.Bytes())); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
