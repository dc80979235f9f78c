package layer

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"dist.example/content"
)

// shelf is a PartDisk in memory.
type shelf struct {
	at       map[string]*item
	whiteout map[string]bool
}

// item is what a shelf has; names of one file share it.
type item struct {
	entry    Entry
	content  string
	opaque   bool
	finished bool
}

func newShelf() *shelf {
	return &shelf{map[string]*item{"": {entry: Entry{Type: TypeFolder}}}, map[string]bool{}}
}

func (s *shelf) put(name string, it *item) error {
	dir := s.at[strings.TrimSuffix(path.Dir("/" + name)[1:], "/")]
	if dir == nil || dir.entry.Type != TypeFolder || dir.finished {
		return fmt.Errorf("%s: its folder is not there, or finished", name)
	}
	if s.at[name] != nil || s.whiteout[name] {
		return fmt.Errorf("%s: %w", name, fs.ErrExist)
	}
	s.at[name] = it
	return nil
}

func (s *shelf) Folder(name string) error {
	return s.put(name, &item{entry: Entry{Type: TypeFolder}})
}

func (s *shelf) Create(name string, e Entry, r io.Reader) error {
	p, err := io.ReadAll(r)
	e.Digest = ""
	return cmp.Or(err, s.put(name, &item{entry: e, content: string(p)}))
}

func (s *shelf) Link(name, old string) error {
	if s.at[old] == nil {
		return fmt.Errorf("%s: %w", old, fs.ErrNotExist)
	}
	return s.put(name, s.at[old])
}

func (s *shelf) Remove(name string) error {
	if s.at[name] == nil {
		return fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	maps.DeleteFunc(s.at, func(p string, _ *item) bool { return p == name || strings.HasPrefix(p, name+"/") })
	return nil
}

func (s *shelf) Whiteout(name string) error {
	if err := s.put(name, &item{}); err != nil {
		return err
	}
	delete(s.at, name)
	s.whiteout[name] = true
	return nil
}

func (s *shelf) Opaque(name string) error {
	s.at[name].opaque = true
	return nil
}

func (s *shelf) Finish(name string, e Entry) error {
	it := s.at[name]
	if it == nil || it.finished || it.entry.Type != TypeFolder {
		return fmt.Errorf("%s: no folder to finish", name)
	}
	it.entry, it.finished = e, true
	return nil
}

func (s *shelf) open(name string) (io.ReadCloser, error) {
	if it := s.at[name]; it != nil && it.entry.Type == TypeFile {
		return io.NopCloser(strings.NewReader(it.content)), nil
	}
	return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
}

// laid is what file systems make of folders that are laid over each other, the lowest
// first: see the kernel's documentation of overlayfs.
func laid(parts []*shelf) *shelf {
	all := newShelf()
	drop := func(name string, self bool) {
		maps.DeleteFunc(all.at, func(p string, _ *item) bool {
			return self && p == name || strings.HasPrefix(p, strings.TrimPrefix(name+"/", "/")) && p != name
		})
	}
	for _, s := range parts {
		for name := range s.whiteout {
			drop(name, true)
		}
		for _, name := range slices.Sorted(maps.Keys(s.at)) {
			it, was := s.at[name], all.at[name]
			if it.opaque && name != "" || was == nil || was.entry.Type != TypeFolder || it.entry.Type != TypeFolder {
				drop(name, name != "")
			}
			all.at[name] = it
		}
	}
	return all
}

// lines tells all that a shelf has: what it is like, what is in it, and which names are one
// file.
func (s *shelf) lines() []string {
	first := map[*item]string{}
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(s.at)) {
		it := s.at[name]
		if it.entry.Type != TypeFolder && first[it] != "" {
			lines = append(lines, name+" is "+first[it])
			continue
		}
		first[it] = name
		e := it.entry
		lines = append(lines, fmt.Sprintf("%s: %s %o %d:%d %s ->%q %q", name, e.Type, e.Mode, e.UID, e.GID, e.Time.UTC(), e.Target, it.content))
	}
	return lines
}

// parted makes the parts of layers; ErrUnsupported where no disk can have one.
func parted(t *testing.T, layers ...[]byte) (parts []*shelf, all []*Index, tr *Tree, err error) {
	t.Helper()
	tr = NewTree(false)
	for _, in := range inputs(layers...) {
		s := newShelf()
		x, err := tr.Part(t.Context(), in, s, func(i int, name string) (io.ReadCloser, error) { return parts[i].open(name) })
		if err != nil {
			return nil, nil, nil, err
		}
		for name, it := range s.at {
			if it.entry.Type == TypeFolder && !it.finished {
				t.Errorf("%q was not finished", name)
			}
		}
		parts, all = append(parts, s), append(all, x)
	}
	return parts, all, tr, nil
}

// checkParts says in what the parts of layers, laid over each other, or put together by
// their indexes, are not what the layers make.
func checkParts(t *testing.T, layers ...[]byte) {
	t.Helper()
	parts, all, tr, err := parted(t, layers...)
	if errors.Is(err, content.ErrUnsupported) {
		return
	}
	must(t, err)
	want := tree(t, layers...)
	same(t, "the tree", want, tr)
	of := NewTree(true)
	must(t, of.AddIndexes(all))
	same(t, "the tree of the indexes", want, of)

	whole := newShelf()
	plain := NewTree(false)
	plain.Make(whole)
	must(t, plain.ApplyAll(t.Context(), inputs(layers...), nil))
	must(t, plain.Folders(whole.Finish))
	// Of the root overlayfs does not ask: such a part is not for it.
	opaque := slices.ContainsFunc(parts, func(s *shelf) bool { return s.at[""].opaque })
	if got, want := laid(parts).lines(), whole.lines(); !opaque && !slices.Equal(got, want) {
		t.Errorf("laid over each other:\n%s\nand not\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	filled := newShelf()
	must(t, of.Fill(filled, func(i int, name string) (io.ReadCloser, error) { return parts[i].open(name) }))
	must(t, of.Folders(filled.Finish))
	if got, want := filled.lines(), whole.lines(); !slices.Equal(got, want) {
		t.Errorf("filled:\n%s\nand not\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if t.Failed() {
		for i, l := range layers {
			t.Logf("%q became %q, without %q", told(t, l), parts[i].lines(), slices.Sorted(maps.Keys(parts[i].whiteout)))
		}
		t.FailNow()
	}
}

func TestPartsMakeTheImage(t *testing.T) {
	spaciously(t)
	for name, tc := range merges {
		t.Run(name, func(t *testing.T) { checkParts(t, split(tc.layers)...) })
	}
	for name, layers := range map[string]string{
		"a link below whose folder goes":       "d/a=1 d/b==d/a c==d/a -- d/b==d/a d/.wh..wh..opq",
		"a link given again, then taken":       "d/a=1 d/b==d/a -- d/b==d/a .wh.d",
		"more names of what has three":         "a=1 b==a c==a -- d==b -- .wh.a e==c",
		"a folder of another mode, opaque":     "d/ 700 d/a=1 -- .wh.d d/b=1 -- d/c=1",
		"an opaque folder of which none speak": "d/ 700 d/a=1 -- d/.wh..wh..opq -- d/a=2",
	} {
		t.Run(name, func(t *testing.T) {
			var all [][]byte
			for part := range strings.SplitSeq(layers, "--") {
				all = append(all, written(modes(part)...))
			}
			checkParts(t, all...)
		})
	}
	random, recipes := rand.New(rand.NewPCG(3, 4)), 400
	if testing.Short() {
		recipes = 60
	}
	for range recipes {
		recipe := make([]byte, 10+random.IntN(80))
		for i := range recipe {
			recipe[i] = byte(random.Uint32())
			if i%2 == 0 && random.IntN(6) == 0 {
				recipe[i] = 255
			}
		}
		checkParts(t, brewed(recipe)...)
	}
}

// FuzzPart makes parts of the layers of a recipe.
func FuzzPart(f *testing.F) {
	f.Add([]byte("any bytes at all are a recipe"))
	f.Add([]byte(strings.Repeat("\x10\x21\x32\x43\xff", 6)))
	f.Fuzz(func(t *testing.T, recipe []byte) {
		layers := brewed(recipe)
		tr := NewTree(true)
		for _, in := range inputs(layers...) {
			if tr.Apply(t.Context(), in) != nil {
				return
			}
		}
		checkParts(t, layers...)
	})
}

// What is opened of a part is held to what the part had.
func TestPartsAreHeldToTheirSums(t *testing.T) {
	layers := [][]byte{written("a=1"), written("b==a")}
	var first *shelf
	tr := NewTree(false)
	for i, in := range inputs(layers...) {
		s := newShelf()
		_, err := tr.Part(t.Context(), in, s, func(int, string) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader("2")), nil
		})
		if i == 1 != errors.Is(err, content.ErrCorrupt) {
			t.Errorf("layer %d: %v", i, err)
		}
		if i == 0 {
			first = s
		}
	}
	_, all, _, err := parted(t, layers[:1]...)
	must(t, err)
	of := NewTree(true)
	must(t, of.AddIndexes(all))
	for other, want := range map[string]error{"1": nil, "2": content.ErrCorrupt, "": content.ErrCorrupt, "11": content.ErrCorrupt} {
		err := of.Fill(newShelf(), func(int, string) (io.ReadCloser, error) { return io.NopCloser(bytes.NewBufferString(other)), nil })
		if !errors.Is(err, want) {
			t.Errorf("%q in place of %q: %v", other, first.at["a"].content, err)
		}
	}
}

// modes splits lines of which some have a mode behind a blank.
func modes(text string) (lines []string) {
	for _, w := range strings.Fields(text) {
		if last := len(lines) - 1; last >= 0 && strings.Trim(w, "01234567") == "" {
			lines[last] += " " + w
			continue
		}
		lines = append(lines, w)
	}
	return lines
}
