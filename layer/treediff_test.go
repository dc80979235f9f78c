package layer

import (
	"archive/tar"
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dist.example/oci"
)

// changes are those between two trees, a line each.
func changes(a, b *Tree, times bool) []string {
	lines := []string{}
	for c := range Changes(a, b, times) {
		line := "C"
		switch {
		case c.Old == nil:
			line = "A"
		case c.New == nil:
			line = "D"
		}
		line += " " + c.Path
		for _, what := range c.Aspects {
			line += " " + string(what)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestChangesAreExact(t *testing.T) {
	for name, tc := range map[string]struct{ a, b, want string }{
		"nothing":                   {"a=1 d/ d/b=2", "a=1 d/ d/b=2", ""},
		"nothing, in other layers":  {"a=0 d/ x=1 -- d/b=2 a=1 .wh.x", "d/b=2 d/ -- a=1", ""},
		"added and removed":         {"a=1 z=1", "a=1 b/ b/c=1", "A /b, A /b/c, D /z"},
		"by a whiteout":             {"a=1 d/ d/b=1", "a=1 d/ d/b=1 -- .wh.a d/.wh..wh..opq", "D /a, D /d/b"},
		"content of one size":       {"a=1", "a=2", "C /a content"},
		"content and size":          {"a=1", "a=22", "C /a content size"},
		"emptied":                   {"a=1", "a", "C /a content size"},
		"mode":                      {"a=1", "a=1 755", "C /a mode"},
		"target":                    {"l->a", "l->b", "C /l target"},
		"type":                      {"a/ a/b=1", "a=1", "C /a type, D /a/b"},
		"type back":                 {"l->a", "l/ l/a=1", "C /l type, A /l/a"},
		"the mode of a link":        {"l->a", "l->a 777", ""},
		"a folder nobody mentions":  {"d/ 755 d/a=1", "d/a=1", ""},
		"but with another mode":     {"d/ 700 d/a=1", "d/a=1", "C /d mode"},
		"a hard link as a copy":     {"a=1 b==a", "a=1 b=1", ""},
		"a folder before its files": {"", "d-x=1 d/ d/a=1 d.y=1", "A /d, A /d/a, A /d-x, A /d.y"},
	} {
		got := strings.Join(changes(tree(t, fixed(tc.a)...), tree(t, fixed(tc.b)...), false), ", ")
		if got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

// fixed is split with modes, "a 755" as one word of a member.
func fixed(text string) [][]byte {
	var layers [][]byte
	for part := range strings.SplitSeq(text, "--") {
		var lines []string
		for _, word := range strings.Fields(part) {
			if len(word) == 3 && strings.Trim(word, "01234567") == "" {
				lines[len(lines)-1] += " " + word
				continue
			}
			lines = append(lines, word)
		}
		layers = append(layers, written(lines...))
	}
	return layers
}

func TestChangesOfWhatHeadersSay(t *testing.T) {
	plain := tar.Header{Typeflag: tar.TypeReg, Name: "f", Mode: 0o644, ModTime: time.Unix(1, 0)}
	device := tar.Header{Typeflag: tar.TypeChar, Name: "f", Mode: 0o644, ModTime: time.Unix(1, 0), Devmajor: 1, Devminor: 3}
	for want, tc := range map[string]struct {
		base   tar.Header
		change func(*tar.Header)
	}{
		"[owner]":       {plain, func(h *tar.Header) { h.Gid = 5 }},
		"[]":            {plain, func(h *tar.Header) { h.Uname = "me" }},
		"[xattrs]":      {plain, func(h *tar.Header) { h.PAXRecords = map[string]string{xattrKey + "user.a": "b"} }},
		"[time]":        {plain, func(h *tar.Header) { h.ModTime = time.Unix(2, 0) }},
		"[device]":      {device, func(h *tar.Header) { h.Devminor = 5 }},
		"[type]":        {device, func(h *tar.Header) { h.Typeflag = tar.TypeBlock; h.Mode = 0 }},
		"[mode owner]":  {device, func(h *tar.Header) { h.Uid, h.Mode = 1, 0o600 }},
		"[mode xattrs]": {plain, func(h *tar.Header) { h.Mode = 0o4755; h.PAXRecords = map[string]string{"MSWINDOWS.x": "b"} }},
	} {
		changed := tc.base
		tc.change(&changed)
		var trees []*Tree
		for _, h := range []tar.Header{tc.base, changed} {
			var b bytes.Buffer
			w := tar.NewWriter(&b)
			must(t, w.WriteHeader(&h))
			must(t, w.Close())
			trees = append(trees, tree(t, b.Bytes()))
		}
		got := "[]"
		for c := range Changes(trees[0], trees[1], true) {
			got = fmt.Sprint(c.Aspects)
		}
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if times := changes(trees[0], trees[1], false); want == "[time]" && len(times) > 0 {
			t.Errorf("times count: %q", times)
		}
	}
}

func TestAChangeDescribesBothSides(t *testing.T) {
	for c := range Changes(tree(t, written("a=one")), tree(t, written("a->b")), false) {
		if c.Old.Type != "file" || c.Old.Size != 3 || c.Old.Digest != oci.DigestBytes([]byte("one")) || c.Old.Mode != 0o644 ||
			c.New.Type != "link" || c.New.Target != "b" || c.New.Digest != "" {
			t.Errorf("%+v, %+v", c.Old, c.New)
		}
	}
}

func TestChangesEndWhenNobodyWantsMore(t *testing.T) {
	n := 0
	for range Changes(NewTree(true), tree(t, written("a=1", "d/", "d/b=1", "e=1")), false) {
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("%d changes", n)
	}
}

// Trees that begin with the same layers share what it takes to read them.
func TestACloneIsATreeOfItsOwn(t *testing.T) {
	layers := split("a=1 d/ d/b=1 h==a -- .wh.a d/c=2 d/.wh..wh..opq -- d=3")
	one := tree(t, layers[0])
	for i := 1; i < len(layers); i++ {
		other := one.Clone()
		for _, in := range inputs(layers[i:]...) {
			must(t, other.Apply(t.Context(), in))
		}
		same(t, fmt.Sprint(i), tree(t, append([][]byte{layers[0]}, layers[i:]...)...), other)
		same(t, "the first", tree(t, layers[0]), one)
	}
	if slices.Contains(changes(one, one.Clone(), true), "C") {
		t.Error("a clone is another")
	}
}
