package fsystest_test

import (
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"dist.example/fsys/fsystest"
)

// states is all that a power cut now may leave: trees, written in a line each.
func (u user) states() []string {
	u.t.Helper()
	cut, err := u.fs.Cut()
	must(u.t, err)
	found := map[string]bool{}
	for o := range cut.Outcomes(rand.New(rand.NewPCG(1, 2)), 1<<12) {
		dst := u.t.TempDir()
		must(u.t, cut.After(o).Write(dst))
		var line []string
		got := tree(u.t, dst)
		for _, name := range slices.Sorted(maps.Keys(got)) {
			line = append(line, name+"="+strings.ReplaceAll(got[name], "\x00", "0"))
		}
		found[strings.Join(line, " ")] = true
	}
	return slices.Sorted(maps.Keys(found))
}

func TestACutLeavesAnyPartOfWhatIsNotSynced(t *testing.T) {
	for _, c := range []struct {
		name   string
		before map[string]string
		do     func(user)
		want   []string
	}{
		{"nothing done", map[string]string{"a": "1"}, func(user) {}, []string{"a=1"}},
		{"all is synced", nil, func(u user) { u.create("a", "hi", true); u.syncDir("") }, []string{"a=hi"}},
		{"a name", nil, func(u user) { u.create("a", "hi", true) }, []string{"", "a=hi"}},
		{"two names", nil, func(u user) { u.create("a", "1", true); u.create("b", "2", true) }, []string{"", "a=1", "a=1 b=2", "b=2"}},
		{"the bytes", nil, func(u user) { u.create("a", "hi", false); u.syncDir("") }, []string{"a=", "a=00", "a=hi"}},
		{"bytes in the middle", map[string]string{"a": "hello"}, func(u user) {
			_, err := u.open("a", os.O_RDWR).WriteAt([]byte("LL"), 2)
			must(u.t, err)
		}, []string{"a=he00o", "a=heLLo", "a=hello"}},
		{"a rename is one thing", map[string]string{"a": "new", "b": "old"}, func(u user) {
			must(u.t, u.fs.Rename(u.at("a"), u.at("b")))
		}, []string{"a=new b=old", "b=new"}},
		{"unless one folder is synced", map[string]string{"a": "1", "d/x": ""}, func(u user) {
			must(u.t, u.fs.Rename(u.at("a"), u.at("d/a")))
			u.syncDir("d")
		}, []string{"a=1 d=/ d/a=1 d/x=", "d=/ d/a=1 d/x="}},
		{"a removal", map[string]string{"a": "1"}, func(u user) { must(u.t, u.fs.Remove(u.at("a"))) }, []string{"", "a=1"}},
		{"a removal of what was never synced", nil, func(u user) {
			u.create("a", "hi", false)
			u.syncDir("")
			must(u.t, u.fs.Remove(u.at("a")))
		}, []string{"", "a=", "a=00", "a=hi"}},
		{"a folder", nil, func(u user) {
			must(u.t, u.fs.MkdirAll(u.at("d"), 0o755))
			u.create("d/a", "1", true)
			u.syncDir("d")
		}, []string{"", "d=/ d/a=1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, root := newFS(t, c.before)
			must(t, f.TakeOver(func(string) bool { return false }))
			u := user{t, f, root}
			c.do(u)
			if got := u.states(); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// torn is what a file may have when it is torn, n times.
func (u user) torn(name string, n int) (all []string) {
	u.t.Helper()
	cut, err := u.fs.Cut()
	must(u.t, err)
	for seed := range uint64(n) {
		dst := u.t.TempDir()
		must(u.t, cut.After(fsystest.Outcome{Files: []fsystest.Fate{fsystest.Torn}, Seed: seed}).Write(dst))
		all = append(all, tree(u.t, dst)[name])
	}
	return all
}

func TestACutTearsAtSectors(t *testing.T) {
	f, root := newFS(t, nil)
	u := user{t, f, root}
	u.create("a", strings.Repeat("x", 3000), false)
	u.syncDir("")
	ends, mixed := map[int]bool{}, false
	for _, content := range u.torn("a", 100) {
		ends[len(content)] = true
		mixed = mixed || strings.Contains(content, "x\x00") && strings.Contains(content, "\x00x")
		for at := 0; at < len(content); at += 512 {
			if sector := content[at:min(at+512, len(content))]; strings.Trim(sector, "x") != "" && strings.Trim(sector, "\x00") != "" {
				t.Errorf("the sector at %d has both", at)
			}
		}
	}
	if !mixed || !ends[0] || !ends[3000] || !ends[1024] || len(ends) > 7 {
		t.Errorf("mixed %v, lengths %v", mixed, ends)
	}
}

// Two names of a file stay two names of one file, and a cut does not change with what
// is done after it.
func TestACutKeepsLinksAndIsFixed(t *testing.T) {
	f, root := newFS(t, nil)
	u := user{t, f, root}
	file := u.create("a", "1", true)
	must(t, f.Link(u.at("a"), u.at("b")))
	u.syncDir("")
	cut, err := f.Cut()
	must(t, err)
	u.write(file, "2")
	must(t, file.Sync())
	dst := t.TempDir()
	for o := range cut.Outcomes(rand.New(rand.NewPCG(1, 2)), 1) {
		must(t, cut.After(o).Write(dst))
	}
	if got := tree(t, dst); !maps.Equal(got, map[string]string{"a": "1", "b": "1"}) {
		t.Errorf("%q", got)
	}
	a, err := os.Stat(dst + "/a")
	must(t, err)
	b, err := os.Stat(dst + "/b")
	must(t, err)
	if !os.SameFile(a, b) {
		t.Error("they are two files")
	}
}

// A sample has the extremes.
func TestASampleOfOutcomes(t *testing.T) {
	f, root := newFS(t, nil)
	u := user{t, f, root}
	for _, name := range strings.Split("abcdefghij", "") {
		u.create(name, "1", true)
	}
	cut, err := f.Cut()
	must(t, err)
	kept := map[int]int{}
	n := 0
	for o := range cut.Outcomes(rand.New(rand.NewPCG(1, 2)), 40) {
		count := 0
		for _, k := range o.Names {
			if k {
				count++
			}
		}
		kept[count]++
		n++
	}
	if n != 40 || kept[0] == 0 || kept[10] == 0 || kept[1] < 5 || kept[9] < 5 {
		t.Errorf("%d outcomes, %v", n, kept)
	}
}
