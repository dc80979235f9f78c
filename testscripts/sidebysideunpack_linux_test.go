package testscripts

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"dist.example/oci"
)

// TestSideBySideUnpack measures how long root filesystems take beside others, as
// TestSideBySide does: make bench-peers. dist unpacks from its store, umoci from an OCI
// layout, tar from the layers in it, which it only knows how to extract, and crane by a pipe
// to tar from a registry. dist alone has what it made on the disk in the end.
func TestSideBySideUnpack(t *testing.T) {
	if os.Getenv("DIST_BENCH_PEERS") == "" {
		t.Skip("measures; use make bench-peers")
	}
	if os.Geteuid() != 0 {
		t.Skip("left out: only root unpacks what has owners")
	}
	only := regexp.MustCompile(os.Getenv("ROWS"))
	rows := slices.DeleteFunc(slices.Clone(unpackRows), func(r row) bool { return !only.MatchString(r.name) })
	if len(rows) == 0 {
		t.Skip("ROWS picks none")
	}
	b := newBeside(t, "many", "four", "tree", "tree2")
	b.tools, b.absent = installed(unpackTools(b.dist))
	fmt.Printf("\nUnpacking. Rounds: %d; medians. Not installed: %s.\n", b.runs, cmp.Or(strings.Join(b.absent, ", "), "none"))
	for _, tl := range b.tools {
		fmt.Printf("  %-6s %s\n", tl.name, tl.leaves)
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) { b.measure(t, row) })
	}
}

var unpackRows = []row{
	{name: "unpack-many", what: "unpack", image: "many", prepare: unpacked},
	{name: "unpack-four", what: "unpack", image: "four", prepare: unpacked},
	{name: "unpack-tree", what: "unpack", image: "tree", prepare: unpacked},
	{name: "unpack-tree-durable", what: "unpack that outlives a power cut", image: "tree", durable: true, prepare: unpacked},
	{name: "unpack-second", what: "unpack beside an image with the same base", image: "tree2", prepare: unpackedAfter("tree")},
}

// unpackTools are those that make root filesystems; dist comes first.
func unpackTools(dist string) []tool {
	return []tool{
		{
			name: "dist", program: dist, leaves: "unpack: every digest and diff_id held, synced",
			unpack: func(_ *testing.T, from, tag, to string) []string {
				return []string{"unpack", "-q", "--store", from, "bench/app:" + tag, to}
			},
		},
		{
			name: "kept", program: dist, leaves: "dist unpack --snapshots: a copy of layers that are kept unpacked, held to their sums, synced",
			way: true, can: isSecond,
			unpack: func(_ *testing.T, from, tag, to string) []string {
				return []string{"unpack", "-q", "--snapshots", "--store", from, "bench/app:" + tag, to}
			},
		},
		{
			name: "shown", program: dist, leaves: "dist unpack --mount: the same, mounted",
			way: true, can: func(b *beside, r row) bool { return isSecond(b, r) && mounts() },
			unpack: func(t *testing.T, from, tag, to string) []string {
				t.Cleanup(func() {
					if out, err := exec.Command(dist, "unpack", "--store", from, "--umount", to, "--discard").CombinedOutput(); err != nil {
						t.Errorf("umount: %v: %s", err, out)
					}
				})
				return []string{"unpack", "-q", "--mount", "--store", from, "bench/app:" + tag, to}
			},
		},
		{
			name: "umoci", program: "umoci", leaves: "raw unpack, from a layout: every digest and diff_id held, not synced",
			unpack: func(_ *testing.T, from, tag, to string) []string {
				return []string{"raw", "unpack", "--image", from + ":" + tag, to}
			},
		},
		{
			name: "crane", program: "crane", script: true, leaves: "export from the registry to tar -x: not synced",
			unpack: func(_ *testing.T, host, tag, to string) []string {
				return []string{"-c", `mkdir "$1" && crane export --insecure "$0" - | tar -x -p --numeric-owner -C "$1"`, imageIn(host, tag), to}
			},
		},
		{
			name: "tar", program: "tar", script: true, leaves: "-xzf of each layer: nothing held to a digest, no whiteouts, not synced",
			unpack: func(t *testing.T, from, tag, to string) []string {
				args := []string{"-c", `mkdir "$0" && for layer; do tar -x -z -p --numeric-owner -f "$layer" -C "$0" || exit; done`, to}
				return append(args, blobsOfLayers(t, from, tag)...)
			},
		},
	}
}

func unpacked(t *testing.T, b *beside, r row, tl tool, to string) []string {
	return tl.unpack(t, b.unpackedFrom(t, tl, r.image), r.image, to)
}

// isSecond says whether another image is unpacked before.
func isSecond(_ *beside, r row) bool { return r.name == "unpack-second" }

// unpackedAfter has another image unpacked by the same program before. Only dist makes use of
// that, where it is to keep layers unpacked, which it did not do before.
func unpackedAfter(before string) func(*testing.T, *beside, row, tool, string) []string {
	return func(t *testing.T, b *beside, r row, tl tool, to string) []string {
		first := to + "-before"
		t.Cleanup(func() { _ = os.RemoveAll(first) })
		from := b.unpackedFrom(t, tl, before)
		if tl.way {
			b.do(t, tl, []string{"gc", "--snapshots", "--store", from})
		}
		b.do(t, tl, tl.unpack(t, from, before, first))
		return unpacked(t, b, r, tl, to)
	}
}

// unpackedFrom is where a tool has an image.
func (b *beside) unpackedFrom(t *testing.T, tl tool, tag string) string {
	t.Helper()
	switch tl.name {
	case "dist", "kept", "shown":
		return filepath.Join(b.dir, "maker")
	case "crane":
		return b.host
	}
	layout := filepath.Join(b.dir, "layout-"+tag)
	if _, err := os.Stat(layout); err == nil {
		return layout
	}
	b.do(t, b.tools[0], []string{"export", "-q", "--store", "maker", "--layout", "bench/app:" + tag, "-o", layout + "/"})
	// umoci knows images by tags alone.
	name := filepath.Join(layout, "index.json")
	var index oci.Index
	p, err := os.ReadFile(name)
	must(t, errors.Join(err, json.Unmarshal(p, &index)))
	for i := range index.Manifests {
		index.Manifests[i].Annotations = map[string]string{oci.AnnotationRefName: tag}
	}
	writeFile(t, name, toJSON(t, index))
	return layout
}

// blobsOfLayers are the files of an image's layers, as they are in a layout.
func blobsOfLayers(t *testing.T, layout, tag string) []string {
	t.Helper()
	blob := func(d oci.Digest) string { return filepath.Join(layout, "blobs", d.Algorithm().String(), d.Encoded()) }
	var m oci.Manifest
	p, err := os.ReadFile(blob(tagged(t, layout, tag).Digest))
	must(t, errors.Join(err, json.Unmarshal(p, &m)))
	var files []string
	for _, l := range m.Layers {
		files = append(files, blob(l.Digest))
	}
	return files
}
