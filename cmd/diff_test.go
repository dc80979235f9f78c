package cmd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"

	"dist.example/layer"
)

// manyFiles are changes with long paths, and never holds more than one. made counts
// the bytes of paths.
func manyFiles(made *int) iter.Seq[layer.Change] {
	return func(yield func(layer.Change) bool) {
		for i := range 1000 {
			c := layer.Change{Path: fmt.Sprintf("/%s/%d", strings.Repeat("d", 4000), i), New: &layer.Entry{Type: "file"}}
			*made += len(c.Path)
			if !yield(c) {
				return
			}
		}
	}
}

// lagging sees how far what is written is behind what was made.
type lagging struct {
	bytes.Buffer
	made, lag int
}

func (l *lagging) Write(p []byte) (int, error) {
	l.lag = max(l.lag, l.made-l.Len())
	return l.Buffer.Write(p)
}

func TestFilesThatDifferArePrintedAsTheyCome(t *testing.T) {
	j := diffJSON{Differs: true, Files: []fileJSON{}}
	for name, print := range map[string]func(io.Writer, iter.Seq[layer.Change]) error{
		"paths": printPaths,
		"json": func(w io.Writer, files iter.Seq[layer.Change]) error {
			return j.printJSON(w, outputFormat{kind: "json"}, files)
		},
		"jsonl": func(w io.Writer, files iter.Seq[layer.Change]) error {
			return j.printJSON(w, outputFormat{kind: "jsonl"}, files)
		},
	} {
		var out lagging
		if err := print(&out, manyFiles(&out.made)); err != nil {
			t.Fatal(err)
		}
		if out.made < 4e6 || out.Len() < out.made || out.lag > 128<<10 {
			t.Errorf("%s: %d bytes made, %d written, up to %d late", name, out.made, out.Len(), out.lag)
		}
	}
}

// The document that is written in parts is the one that would be written as a whole.
func TestADifferenceIsOneDocument(t *testing.T) {
	change := layer.Change{Path: "/<a>", New: &layer.Entry{Type: "file"}, Aspects: []layer.Aspect{}}
	for n := range 3 {
		whole := diffJSON{Kind: "image", Manifest: []fieldJSON{}, Config: []fieldJSON{{Path: "x", Old: json.RawMessage(`[]`)}}, Files: []fileJSON{}}
		parts := whole
		for range n {
			whole.Files = append(whole.Files, newFileJSON(change))
		}
		files := func(yield func(layer.Change) bool) {
			for i := 0; i < n && yield(change); i++ {
			}
		}
		for _, kind := range []string{"json", "jsonl"} {
			var want, got bytes.Buffer
			if err := printObject(&want, outputFormat{kind: kind}, whole, nil); err != nil {
				t.Fatal(err)
			}
			if err := parts.printJSON(&got, outputFormat{kind: kind}, files); err != nil || got.String() != want.String() {
				t.Errorf("%d files, %s: %v\n got %s\nwant %s", n, kind, err, &got, &want)
			}
		}
	}
}

func TestTheErrorOfTheOutputComesBack(t *testing.T) {
	made := 0
	for _, kind := range []string{"json", "jsonl"} {
		if err := (diffJSON{Files: []fileJSON{}}).printJSON(refusing{}, outputFormat{kind: kind}, manyFiles(&made)); err == nil {
			t.Errorf("%s: no error", kind)
		}
	}
}

type refusing struct{}

func (refusing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }
