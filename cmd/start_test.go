package cmd

import (
	"context"
	"io"
	"strings"
	"testing"
)

// BenchmarkVersion is what a start costs in here: building the model of all
// verbs, parsing, and the smallest verb.
func BenchmarkVersion(b *testing.B) {
	for b.Loop() {
		if (Program{}).run(context.Background(), []string{"version"}, strings.NewReader(""), io.Discard, io.Discard) != 0 {
			b.Fatal("version fails")
		}
	}
}
