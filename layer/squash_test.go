package layer

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// FuzzSquash makes layers of a recipe, and squashes them from each on: on top of the
// layers below, the result gives the file system that all gave.
func FuzzSquash(f *testing.F) {
	f.Add([]byte("any bytes at all are a recipe"))
	for _, seed := range []string{"\x00\x11\x22", "\x33\x44\xff\x55\x66\xff\x77\x88", strings.Repeat("\x10\x21\x32\x43\xff", 6)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, recipe []byte) { checkRecipe(t, recipe) })
}

func TestWhatIsSquashedIsTheSameFileSystem(t *testing.T) {
	spaciously(t)
	random := rand.New(rand.NewPCG(1, 2))
	for range 120 {
		recipe := make([]byte, 10+random.IntN(60))
		for i := range recipe {
			recipe[i] = byte(random.Uint32())
			if i%2 == 0 && random.IntN(6) == 0 {
				recipe[i] = 255
			}
		}
		checkRecipe(t, recipe)
	}
}

// spaciously lets the heap grow until the test ends, which makes buffers for hundreds of
// small trees: beside so little that is kept, the collector would take most of its time.
func spaciously(t *testing.T) {
	before := debug.SetGCPercent(1000)
	t.Cleanup(func() { debug.SetGCPercent(before) })
}

func checkRecipe(t *testing.T, recipe []byte) {
	layers := brewed(recipe)
	all := NewTree(true)
	for _, in := range inputs(layers...) {
		if err := all.Apply(t.Context(), in); err != nil {
			if !errors.Is(err, content.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
	}
	for from := range layers {
		p := squashed(t, from, layers...)
		same(t, fmt.Sprintf("from %d", from), all, tree(t, append(slices.Clone(layers[:from]), p)...))
		if t.Failed() {
			for _, l := range layers {
				t.Logf("%q", told(t, l))
			}
			t.Fatalf("became %q", told(t, p))
		}
	}
}

// brewed makes up to five small layers of a few names, so that they meet: two bytes
// are a member, 255 begins another layer. Members that would be refused are left out.
func brewed(recipe []byte) [][]byte {
	layers, lines, trial := [][]byte{}, []string{}, NewTree(false)
	for n := 0; len(recipe) > 1 && len(layers) < 4 && n < 100; n++ {
		what, arg := recipe[0], recipe[1]
		recipe = recipe[2:]
		if what == 255 {
			layers, lines = append(layers, written(lines...)), nil
			trial.layer++
			continue
		}
		line := brewedMember(what, arg, n)
		h, err := tar.NewReader(bytes.NewReader(written(line))).Next()
		if err != nil {
			panic(err)
		}
		if _, err := trial.add(h, 0); err == nil {
			lines = append(lines, line)
		}
	}
	return append(layers, written(lines...))
}

func brewedMember(what, arg byte, n int) string {
	paths := []string{"a", "b", "d", "d/a", "d/b", "d/e", "d/e/a", "l", "l/a", "l/e/b", "d/m", "d/m/a", "e/f/g", "b/c", ".", "e"}
	name := paths[what%16]
	dir, base := "", name
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		dir, base = name[:i+1], name[i+1:]
	}
	switch what / 16 {
	case 0, 1, 2:
		return fmt.Sprintf("%s=%d", name, n)
	case 3, 4:
		return name + "/ " + []string{"755", "700"}[arg%2]
	case 5, 6:
		return name + "->" + []string{"d", "../d", "/d/e", "a", "nowhere/x", ".."}[arg%6]
	case 7, 8, 9:
		return name + "==" + paths[arg%16]
	case 10, 11, 12:
		return dir + ".wh." + base
	case 13:
		return dir + ".wh..wh..opq"
	case 14:
		return name
	}
	return name + "|"
}

// FuzzApply reads any bytes as a layer.
func FuzzApply(f *testing.F) {
	for _, tc := range merges {
		for _, p := range split(tc.layers) {
			f.Add(p)
		}
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		tr := NewTree(true)
		if tr.Apply(t.Context(), input(p)) != nil {
			return
		}
		var b bytes.Buffer
		if _, err := Squash(t.Context(), &b, inputs(p), SquashOptions{}); err != nil {
			if !errors.Is(err, content.ErrUnsupported) { // there are headers that can be read and not written
				t.Fatal(err)
			}
			return
		}
		same(t, "one layer", tr, tree(t, b.Bytes()))
	})
}

func TestWhatHeadersSayIsKept(t *testing.T) {
	members := []*tar.Header{
		{
			Typeflag: tar.TypeReg, Name: "f", Size: 1, Mode: 0o4711, Uid: 1000, Gid: 5_000_000, Uname: "user", Gname: "group",
			ModTime: time.Unix(1234567890, 123456789), Format: tar.FormatPAX,
			PAXRecords: map[string]string{xattrKey + "security.capability": "\x01\x00\x00\x02", "MSWINDOWS.fileattr": "32"},
		},
		{Typeflag: tar.TypeDir, Name: "d/", Mode: 0o1777, ModTime: time.Unix(-5, 0)},
		{Typeflag: tar.TypeSymlink, Name: "d/\xff\xfe", Linkname: "to\xfd", Mode: 0o777, ModTime: time.Unix(1, 0), PAXRecords: map[string]string{"hdrcharset": "BINARY"}},
		{Typeflag: tar.TypeChar, Name: "null", Mode: 0o666, Devmajor: 1, Devminor: 3, ModTime: time.Unix(1, 0)},
		{Typeflag: tar.TypeBlock, Name: "sda", Mode: 0o660, Devmajor: 8, ModTime: time.Unix(1, 0)},
		{Typeflag: tar.TypeDir, Name: "./", Mode: 0o711, Uid: 7, ModTime: time.Unix(9, 0)},
		{Typeflag: tar.TypeReg, Name: strings.Repeat("long/", 60) + "name", Mode: 0o644, ModTime: time.Unix(1, 0)},
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range members {
		must(t, w.WriteHeader(h))
		_, err := w.Write(make([]byte, h.Size))
		must(t, err)
	}
	must(t, w.Close())
	found := map[string]*tar.Header{}
	tr := tar.NewReader(bytes.NewReader(squashed(t, 0, b.Bytes())))
	for h, err := tr.Next(); err == nil; h, err = tr.Next() {
		found[h.Name] = h
	}
	for _, want := range members {
		got := found[want.Name]
		if got == nil {
			t.Errorf("%q is gone", want.Name)
			continue
		}
		if got.Typeflag != want.Typeflag || got.Mode != want.Mode || got.Uid != want.Uid || got.Gid != want.Gid || got.Uname != want.Uname ||
			got.Gname != want.Gname || !got.ModTime.Equal(want.ModTime) || got.Linkname != want.Linkname ||
			got.Devmajor != want.Devmajor || got.Devminor != want.Devminor || got.Size != want.Size {
			t.Errorf("%+v became %+v", want, got)
		}
		if a, b := records(want), records(got); !maps.Equal(a, b) {
			t.Errorf("%q: %q became %q", want.Name, a, b)
		}
	}
	same(t, "all", tree(t, b.Bytes()), tree(t, squashed(t, 0, b.Bytes())))
}

func TestSquashReadsEveryCompression(t *testing.T) {
	a, b := written("a=1", "b=1"), written("b=2")
	want := squashed(t, 0, a, b)
	for _, c := range []Compression{None, Gzip, Zstd} {
		ins := inputs(a, b)
		zipped, packed := gzipped(a), zstded(b)
		ins[0].MediaType, ins[0].Open = oci.MediaTypeDockerLayer, opens(zipped)
		ins[1].MediaType, ins[1].Open = oci.MediaTypeLayerZstd, opens(packed)
		var out bytes.Buffer
		res, err := Squash(t.Context(), &out, ins, SquashOptions{Compression: c})
		must(t, err)
		if res.DiffID != oci.DigestBytes(want) || res.Digest != oci.DigestBytes(out.Bytes()) || res.MediaType != c.MediaType() || res.Members != 2 {
			t.Errorf("%s: %+v", c, res)
		}
	}
}

func opens(p []byte) func(context.Context) (io.ReadCloser, error) {
	return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(p)), nil }
}

func TestLayersThatAreNotWhatIsSaidAreRefused(t *testing.T) {
	good := written("a=1")
	for name, tc := range map[string]struct {
		change func(*Input)
		class  error
	}{
		"another diff_id":  {func(in *Input) { in.DiffID = oci.DigestBytes(nil) }, content.ErrCorrupt},
		"no diff_id":       {func(in *Input) { in.DiffID = "sha256:x" }, content.ErrInvalid},
		"another type":     {func(in *Input) { in.MediaType = oci.MediaTypeLayerGzip }, content.ErrInvalid},
		"no tar by type":   {func(in *Input) { in.MediaType = "application/vnd.in-toto+json" }, content.ErrUnsupported},
		"encrypted":        {func(in *Input) { in.MediaType = oci.MediaTypeLayer + "+encrypted" }, content.ErrUnsupported},
		"no tar":           {func(in *Input) { in.Open = opens([]byte("text")) }, content.ErrInvalid},
		"nothing":          {func(in *Input) { in.Open = opens(nil) }, content.ErrInvalid},
		"cut":              {func(in *Input) { in.Open = opens(good[:512]) }, content.ErrInvalid},
		"damaged":          {func(in *Input) { in.Open = opens(gzipped(good)[:30]) }, content.ErrCorrupt},
		"not there":        {func(in *Input) { in.Open = refuses }, content.ErrNotFound},
		"other at the end": {func(in *Input) { in.Open = opens(append(bytes.Clone(good), 0)) }, content.ErrCorrupt},
	} {
		for _, below := range []bool{true, false} {
			ins := inputs(written("x=1"), written("y=1"))
			bad := input(good)
			tc.change(&bad)
			if below {
				ins[0] = bad
			} else {
				ins[1] = bad
			}
			if _, err := Squash(t.Context(), io.Discard, ins, SquashOptions{From: 1}); !errors.Is(err, tc.class) || !strings.HasPrefix(err.Error(), "layer: ") {
				t.Errorf("%s: %v, want %v", name, err, tc.class)
			}
		}
	}
}

func refuses(context.Context) (io.ReadCloser, error) { return nil, content.ErrNotFound }

// A layer that is another one when it is read again ends in an error.
func TestALayerThatChangesIsNoticed(t *testing.T) {
	in, reads := input(written("a=1")), 0
	in.Open = func(context.Context) (io.ReadCloser, error) {
		reads++
		return io.NopCloser(bytes.NewReader([][]byte{written("a=1"), written("a=2")}[reads-1])), nil
	}
	if _, err := Squash(t.Context(), io.Discard, []Input{in}, SquashOptions{}); !errors.Is(err, content.ErrCorrupt) {
		t.Error(err)
	}
}

func TestOnlyLayersThatThereAreAreSquashed(t *testing.T) {
	for _, from := range []int{-1, 1, 2} {
		if _, err := Squash(t.Context(), io.Discard, inputs(written("a=1")), SquashOptions{From: from}); !errors.Is(err, content.ErrInvalid) {
			t.Errorf("%d: %v", from, err)
		}
	}
}

// Paths behind a link to a deep folder are many times what their headers have.
func TestHeadsKeepNoPaths(t *testing.T) {
	const files = 1000
	deep := strings.Repeat(strings.Repeat("d", 199)+"/", 19)
	lines := []string{deep, "l->" + deep}
	for i := range files {
		lines = append(lines, fmt.Sprintf("l/%d", i), fmt.Sprintf("l/%d-more==l/%d", i, i))
	}
	below := tree(t, written(lines...))
	for from := range int32(2) { // as files that are written, and as those that are there
		tr := below.Clone()
		tr.layer, tr.from = 1, from
		for i := range files {
			h := &tar.Header{Typeflag: tar.TypeLink, Name: fmt.Sprintf("h%d", i), Linkname: fmt.Sprintf("l/%d", i)}
			_, err := tr.add(h, int32(i))
			must(t, err)
		}
		s := &squashing{tree: tr, tw: tar.NewWriter(io.Discard), contents: make([][]*remains, 2), first: map[*file]*node{}}
		before := live()
		must(t, s.heads())
		if kept := live() - before; kept > 1<<20 {
			t.Errorf("from %d: %d bytes are kept for paths of %d", from, kept, files*len(deep))
		}
		if len(s.first) < files {
			t.Errorf("from %d: %d files", from, len(s.first))
		}
	}
}

// live is what is in use, in bytes.
func live() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestTheErrorOfTheTargetComesBack(t *testing.T) {
	big := written("a=" + strings.Repeat("x", 4<<20))
	if _, err := Squash(t.Context(), full{}, inputs(big), SquashOptions{}); !errors.Is(err, content.ErrNoSpace) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Squash(ctx, io.Discard, inputs(big), SquashOptions{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, content.ErrNoSpace }
