package layer

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// written is a tar of members that are told in a line each: "a/" is a folder,
// "a/b=text" a file, "l->x" a symbolic link, "h==a/b" a hard link, "p|" a pipe; a mode
// may stand behind a blank.
func written(lines ...string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, line := range lines {
		h := &tar.Header{Mode: 0o644, ModTime: time.Unix(7, 0), Typeflag: tar.TypeReg}
		what, mode, ok := strings.Cut(line, " ")
		if ok {
			h.Mode, _ = strconv.ParseInt(mode, 8, 64)
		}
		var body string
		if name, target, ok := strings.Cut(what, "->"); ok {
			h.Name, h.Linkname, h.Typeflag = name, target, tar.TypeSymlink
		} else if name, target, ok := strings.Cut(what, "=="); ok {
			h.Name, h.Linkname, h.Typeflag = name, target, tar.TypeLink
		} else if h.Name, body, _ = strings.Cut(what, "="); strings.HasSuffix(h.Name, "/") {
			h.Typeflag = tar.TypeDir
		} else if name, ok := strings.CutSuffix(h.Name, "|"); ok {
			h.Name, h.Typeflag = name, tar.TypeFifo
		}
		h.Size = int64(len(body))
		if err := w.WriteHeader(h); err != nil {
			panic(err)
		}
		_, _ = io.WriteString(w, body)
	}
	_ = w.Close()
	return b.Bytes()
}

// told is the opposite of written, without modes but those that are odd.
func told(t *testing.T, p []byte) []string {
	t.Helper()
	lines := []string{}
	for tr := tar.NewReader(bytes.NewReader(p)); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return lines
		}
		must(t, err)
		body, err := io.ReadAll(tr)
		must(t, err)
		line := h.Name
		switch h.Typeflag {
		case tar.TypeSymlink:
			line += "->" + h.Linkname
		case tar.TypeLink:
			line += "==" + h.Linkname
		case tar.TypeFifo:
			line += "|"
		}
		if len(body) > 0 {
			line += "=" + string(body)
		}
		if h.Mode != 0o644 {
			line += " " + strconv.FormatInt(h.Mode, 8)
		}
		lines = append(lines, line)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// input is a layer in memory.
func input(p []byte) Input {
	return Input{
		Name: "layer", DiffID: oci.DigestBytes(p),
		Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(p)), nil },
	}
}

func inputs(layers ...[]byte) []Input {
	var ins []Input
	for _, p := range layers {
		ins = append(ins, input(p))
	}
	return ins
}

// squashed is what Squash makes of layers, plain.
func squashed(t *testing.T, from int, layers ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	_, err := Squash(t.Context(), &b, inputs(layers...), SquashOptions{From: from})
	must(t, err)
	return b.Bytes()
}

// tree applies layers.
func tree(t *testing.T, layers ...[]byte) *Tree {
	t.Helper()
	tr := NewTree(true)
	for _, in := range inputs(layers...) {
		must(t, tr.Apply(t.Context(), in))
	}
	return tr
}

// same says in what two trees differ, hard links too.
func same(t *testing.T, name string, want, got *Tree) {
	t.Helper()
	for c := range Changes(want, got, true) {
		t.Errorf("%s: %s: %v: %+v became %+v", name, c.Path, c.Aspects, c.Old, c.New)
	}
	if a, b := links(want), links(got); !slices.Equal(a, b) {
		t.Errorf("%s: hard links %q became %q", name, a, b)
	}
}

// links are the paths of each file that has more than one.
func links(tr *Tree) []string {
	paths := map[*file][]string{}
	_ = tr.walk(func(n *node) error {
		if !n.isDir() {
			paths[n.file] = append(paths[n.file], n.path())
		}
		return nil
	})
	var sets []string
	for _, p := range paths {
		if len(p) > 1 {
			sets = append(sets, strings.Join(p, " "))
		}
	}
	slices.Sort(sets)
	return sets
}

// split makes tars of lines; "--" begins the next layer.
func split(text string) [][]byte {
	var layers [][]byte
	for part := range strings.SplitSeq(text, "--") {
		layers = append(layers, written(strings.Fields(part)...))
	}
	return layers
}

var merges = map[string]struct {
	layers string
	from   int
	want   string
}{
	"files of both":                     {"a=1 -- b=2", 0, "a=1 b=2"},
	"the later of one path":             {"a=1 -- a=2", 0, "a=2"},
	"the later in one layer":            {"a=1 a=2", 0, "a=2"},
	"names in all spellings":            {"./a=1 /b//c=1 -- ./a=2 b/./c=2", 0, "b/+ a=2 b/c=2"},
	"a whiteout":                        {"a=1 b=1 -- .wh.a", 0, "b=1"},
	"a whiteout of nothing":             {"b=1 -- .wh.a x/.wh.y", 0, "b=1"},
	"a whiteout spares its own layer":   {"a=1 -- a=2 .wh.a", 0, "a=2"},
	"wherever it stands":                {"a=1 -- .wh.a a=2", 0, "a=2"},
	"a whiteout of a folder":            {"d/ d/a=1 -- .wh.d", 0, ""},
	"and one in its place":              {"d/ d/a=1 -- d/ d/b=2 .wh.d", 0, "d/ d/b=2"},
	"a folder that is renewed":          {"d/ d/e/ d/e/a=1 -- d/e/b=2 .wh.d", 0, "d/+ d/e/+ d/e/b=2"},
	"opaque":                            {"d/ d/a=1 d/e/f=1 -- d/.wh..wh..opq d/b=2", 0, "d/ d/b=2"},
	"opaque behind its siblings":        {"d/ d/a=1 d/e/f=1 -- d/b=2 d/e/g=2 d/.wh..wh..opq", 0, "d/ d/e/+ d/b=2 d/e/g=2"},
	"opaque twice":                      {"d/a=1 -- d/b=2 d/.wh..wh..opq d/c=2 d/.wh..wh..opq", 0, "d/+ d/b=2 d/c=2"},
	"opaque root":                       {"a=1 -- b=2 .wh..wh..opq", 0, "b=2"},
	"what AUFS leaves":                  {".wh..wh.plnk/ .wh..wh.plnk/1.2=1 .wh..wh.aufs a=1", 0, "a=1"},
	"a file in a folder's place":        {"d/ d/a=1 -- d=2", 0, "d=2"},
	"a folder in a file's":              {"d=1 -- d/ d/a=2", 0, "d/ d/a=2"},
	"a folder that nobody mentions":     {"d=1 -- d/a=2", 0, "d/+ d/a=2"},
	"a folder over a folder":            {"d/ d/a=1 -- d/", 0, "d/ d/a=1"},
	"through a link":                    {"r/ l->r r/a=1 r/b=1 -- l/a=2 l/.wh.b", 0, "l->r r/ r/a=2"},
	"through an absolute link":          {"x/l->/r r/a=1 -- x/l/a=2", 0, "r/+ x/+ x/l->/r r/a=2"},
	"through a link that leads out":     {"l->../../../r r/a=1 -- l/a=2", 0, "l->../../../r r/+ r/a=2"},
	"through a link to nothing":         {"l->r/s -- l/a=2", 0, "l->r/s r/+ r/s/+ r/s/a=2"},
	"hard links":                        {"a=1 c==a b==a", 0, "a=1 b==a c==a"},
	"a hard link into another layer":    {"b=1 -- a==b", 0, "a=1 b==a"},
	"whose target is gone":              {"b=1 -- a==b c==b -- .wh.b", 0, "a=1 c==a"},
	"whose target is another":           {"b=1 a==b -- b=2", 0, "a=1 b=2"},
	"a hard link to itself":             {"a=1 a==a", 0, "a=1"},
	"a hard link in its target's place": {"d/a=1 d==d/a", 0, "d=1"},
	"a hard link to a link":             {"l->x h==l", 0, "h->x l==h"},
	"a hard link to an empty file":      {"e h==e", 0, "e h==e"},
	"a hard link through a link":        {"r/a=1 l->r h==l/a", 0, "l->r r/+ h=1 r/a==h"},
	"the rest of types":                 {"p| -- q|", 0, "p| q|"},
	"a folder that is left empty":       {"d/a=1 -- d/.wh.a", 0, "d/+"},
	"content last, by layers":           {"z=1 d/y=1 -- a=2 e l->z", 0, "d/+ e l->z z=1 d/y=1 a=2"},

	"above: only what is above":              {"a=1 -- b=2 -- c=3", 1, "b=2 c=3"},
	"above: a whiteout stays":                {"a=1 b=1 -- .wh.a", 1, ".wh.a"},
	"above: one of nothing goes":             {"b=1 -- .wh.a -- c=1", 1, "c=1"},
	"above: one of what is above goes":       {"b=1 -- a=1 -- .wh.a", 1, ""},
	"above: one that was replaced goes":      {"a=1 -- .wh.a -- a=2", 1, "a=2"},
	"above: and comes back":                  {"a=1 -- a=2 -- .wh.a", 1, ".wh.a"},
	"above: with its folder":                 {"d/a=1 -- d/.wh.a -- .wh.d", 1, ".wh.d"},
	"above: opaque stays":                    {"d/a=1 -- d/b=2 d/.wh..wh..opq -- c=3", 1, "d/.wh..wh..opq d/b=2 c=3"},
	"above: opaque with its entry":           {"d/a=1 -- d/ d/.wh..wh..opq", 1, "d/ d/.wh..wh..opq"},
	"above: opaque of what is above goes":    {"a=1 -- d/a=2 -- d/ d/.wh..wh..opq", 1, "d/"},
	"above: a folder anew is opaque":         {"d/a=1 -- .wh.d -- d/ d/b=2", 1, "d/ d/.wh..wh..opq d/b=2"},
	"above: also one nobody mentions":        {"d/a=1 -- .wh.d -- d/b=2", 1, "d/+ d/.wh..wh..opq d/b=2"},
	"above: a folder in a file's place":      {"d=1 -- d/ d/b=2", 1, "d/ d/.wh..wh..opq d/b=2"},
	"above: a file in a folder's place":      {"d/a=1 -- d=2", 1, "d=2"},
	"above: an untouched folder stays out":   {"d/ d/a=1 -- d/b=2 -- d/.wh.a", 1, "d/.wh.a d/b=2"},
	"above: a hard link down":                {"b=1 -- a==b", 1, "a==b"},
	"above: whose target is gone":            {"b=1 -- a==b -- .wh.b", 1, ".wh.b a=1"},
	"above: one of whose targets is gone":    {"b=1 c==b -- a==b -- .wh.b", 1, ".wh.b a==c"},
	"above: through a link below":            {"r/a=1 l->r -- l/b=2 -- l/.wh.a", 1, "r/.wh.a r/b=2"},
	"above: a link in a folder's place":      {"d/a=1 r/ -- d->r -- d/b=2", 1, "d->r r/b=2"},
	"above: a folder renewed by a whiteout":  {"d/ d/a=1 -- d/b=2 .wh.d", 1, "d/+ d/.wh..wh..opq d/b=2"},
	"above: below an opaque one, then again": {"d/e/a=1 -- d/.wh..wh..opq -- d/e/b=2", 1, "d/.wh..wh..opq d/e/+ d/e/b=2"},
}

func TestLayersAreMerged(t *testing.T) {
	for name, tc := range merges {
		layers := split(tc.layers)
		got := squashed(t, tc.from, layers...)
		want := strings.Fields(tc.want)
		for i := range want {
			want[i] = strings.Replace(want[i], "/+", "/ 755", 1) // a folder that no member is for
		}
		if lines := told(t, got); !slices.Equal(lines, want) {
			t.Errorf("%s: %s from %d\n got %q\nwant %q", name, tc.layers, tc.from, lines, want)
		}
		same(t, name, tree(t, layers...), tree(t, append(slices.Clone(layers[:tc.from]), got)...))
	}
}

// What is squashed is squashed.
func TestSquashOfOneLayerIsItself(t *testing.T) {
	for name, tc := range merges {
		if tc.from > 0 {
			continue
		}
		once := squashed(t, 0, split(tc.layers)...)
		if twice := squashed(t, 0, once); !bytes.Equal(once, twice) {
			t.Errorf("%s: %q became %q", name, told(t, once), told(t, twice))
		}
	}
}

func TestMembersThatAreNoneAreRefused(t *testing.T) {
	long := strings.Repeat("x/", MaxPath/2)
	for name, tc := range map[string]struct {
		layers string
		class  error
	}{
		"out of its folder":           {"a/../b=1", content.ErrInvalid},
		"out of the tree":             {"../b=1", content.ErrInvalid},
		"a whiteout of nothing":       {".wh.", content.ErrInvalid},
		"a whiteout of a dot":         {"a/.wh..", content.ErrInvalid},
		"a whiteout of two dots":      {"a/.wh...", content.ErrInvalid},
		"below a whiteout":            {".wh.a/b=1", content.ErrInvalid},
		"a hard link to nothing":      {"a==b", content.ErrInvalid},
		"a hard link to a folder":     {"b/ a==b", content.ErrInvalid},
		"a hard link to the root":     {"a==./", content.ErrInvalid},
		"a hard link out":             {"a==../../etc/passwd", content.ErrInvalid},
		"a hard link for the root":    {"a=1 ./==a", content.ErrInvalid},
		"the root as a link":          {".->a", content.ErrInvalid},
		"a link to itself on the way": {"l->l l/a=1", content.ErrInvalid},
		"links in a circle":           {"l->m m->l l/a=1", content.ErrInvalid},
		"a long name":                 {long + "yy", content.ErrUnsupported},
		"a long target":               {"l->" + long + "yy", content.ErrUnsupported},
		"a long way":                  {long + "y=1 l->" + long[:len(long)-100] + " l/" + long[:200], content.ErrUnsupported},
	} {
		_, err := Squash(t.Context(), io.Discard, inputs(split(tc.layers)...), SquashOptions{})
		if !errors.Is(err, tc.class) {
			t.Errorf("%s: %v, want %v", name, err, tc.class)
		}
	}
}

func TestTypesThatNoFileSystemHasAreRefused(t *testing.T) {
	for _, tc := range []struct {
		h    *tar.Header
		want string
	}{
		{&tar.Header{Name: "v", Typeflag: 'V'}, "type 'V'"},
		{&tar.Header{Name: "s", Typeflag: tar.TypeReg, PAXRecords: map[string]string{"GNU.sparse.x": "1"}}, "a sparse file"},
		{&tar.Header{Name: "s", Typeflag: tar.TypeGNUSparse}, "a sparse file"},
	} {
		if _, err := NewTree(false).add(tc.h, 0); !errors.Is(err, content.ErrUnsupported) || !strings.HasSuffix(err.Error(), ": "+tc.want) {
			t.Errorf("%v, want %s", err, tc.want)
		}
	}
}

func TestTreesAreBounded(t *testing.T) {
	links := []string{"d/"}
	for i := range maxLinks {
		links = append(links, fmt.Sprintf("l%d->%sd", i, strings.Repeat("d/../", 50)))
	}
	for name, tc := range map[string]struct {
		caps  caps
		lines []string
	}{
		"entries":         {caps{3, 1000, 1000}, []string{"a=1", "a=2", "a=3", "a=4"}},
		"implied folders": {caps{5, 1000, 1000}, []string{"a/b/c/d/e/f/g=1"}},
		"names":           {caps{100, 10, 1000}, []string{"a-long-name=1"}},
		"targets":         {caps{100, 10, 1000}, []string{"l->a-long-name"}},
		"hops":            {caps{1000, 100000, 200}, append(links, "l0/a=1", "l1/b=1", "l2/c=1")},
	} {
		tr := NewTree(false)
		tr.caps = tc.caps
		if err := tr.Apply(t.Context(), input(written(tc.lines...))); !errors.Is(err, content.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, h := range map[string]*tar.Header{
		"owners":              {Typeflag: tar.TypeReg, Name: "f", Uname: "a-long-name"},
		"extended attributes": {Typeflag: tar.TypeReg, Name: "f", PAXRecords: map[string]string{xattrKey + "user.a": "b"}},
	} {
		tr := NewTree(false)
		tr.caps = caps{100, 10, 100}
		if _, err := tr.add(h, 0); !errors.Is(err, content.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What a path means follows links in the tree, and never leads out of it.
func TestLookup(t *testing.T) {
	t.Parallel()
	tree := NewTree(false)
	p := written("a/", "a/b/", "a/b/f=text", "rel->b/f", "a/rel->b/f", "abs->/a/b", "up->../../../a/b/f", "dot->a/b/.", "over->a/b/f/", "ring->ring2", "ring2->ring", "a/out->/nowhere", "back->abs/../rel")
	if err := tree.Apply(t.Context(), Input{DiffID: oci.DigestBytes(p), Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(p)), nil }}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"": "", "/": "", "a/b/f": "a/b/f", "/a/b/f": "a/b/f", "a/rel": "a/b/f", "abs/f": "a/b/f", "abs": "a/b", "up": "a/b/f", "dot": "a/b", "dot/f": "a/b/f", "back": "a/b/f",
		"rel": "not found", "over": "not found", "a/out": "not found", "a/b/f/": "a/b/f", "a/b/f/x": "not found", "none": "not found",
		"ring": "invalid", "ring/x": "invalid", "../a": "invalid", "a\x00": "invalid",
	} {
		got, e, err := tree.Lookup(name)
		switch {
		case errors.Is(err, content.ErrNotFound):
			got = "not found"
		case errors.Is(err, content.ErrInvalid):
			got = "invalid"
		case err != nil:
			t.Errorf("%q: %v", name, err)
		case e.Type != TypeFile && e.Type != TypeFolder:
			t.Errorf("%q is a %s", name, e.Type)
		}
		if got != want {
			t.Errorf("%q leads to %q, want %q", name, got, want)
		}
	}
}

// closing counts the layers that are open.
type closing struct {
	io.Reader
	open *int
}

func (c closing) Close() error { *c.open--; return nil }

// Layers that are read ahead come in their order, and are closed whatever happens.
func TestApplyAll(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 40<<20) // more than is read ahead
	for name, c := range map[string]struct {
		layers [][]byte
		want   error
	}{
		"all":             {[][]byte{written("a=1", "b/"), written("a=22"), written("b/c=333", "big="+big), written("b/d=" + big)}, nil},
		"a bad one first": {[][]byte{written("../a=1"), written("b=" + big)}, content.ErrInvalid},
		"a bad one last":  {[][]byte{written("a=" + big), written("b=1"), []byte("no tar")}, content.ErrInvalid},
		"one":             {[][]byte{written("a=1")}, nil},
		"none":            {nil, nil},
	} {
		open, after := 0, 0
		var ins []Input
		for _, p := range c.layers {
			ins = append(ins, Input{DiffID: oci.DigestBytes(p), Open: func(context.Context) (io.ReadCloser, error) {
				open++
				return closing{bytes.NewReader(p), &open}, nil
			}})
		}
		tree := NewTree(false)
		err := tree.ApplyAll(t.Context(), ins, func() { after++ })
		if !errors.Is(err, c.want) || (c.want == nil) != (err == nil) || open != 0 || err == nil && after != len(c.layers) {
			t.Errorf("%s: %v, %d open, %d of %d applied", name, err, open, after, len(c.layers))
		}
		if name != "all" {
			continue
		}
		if _, e, err := tree.Lookup("a"); err != nil || e.Size != 2 {
			t.Errorf("%s: a is %+v: %v", name, e, err)
		}
	}
}
