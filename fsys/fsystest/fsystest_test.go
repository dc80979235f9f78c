package fsystest_test

import (
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/fsys/fsystest"
)

func newFS(t *testing.T, before map[string]string) (*fsystest.FS, string) {
	t.Helper()
	root := t.TempDir()
	for name, s := range before {
		name = filepath.Join(root, name)
		must(t, os.MkdirAll(filepath.Dir(name), 0o755))
		must(t, os.WriteFile(name, []byte(s), 0o600))
	}
	f, err := fsystest.New(fsys.OS(), root)
	must(t, err)
	return f, root
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// user is a test's way of writing a scenario in a line for each step.
type user struct {
	t    *testing.T
	fs   *fsystest.FS
	root string
}

func (u user) at(name string) string { return filepath.Join(u.root, name) }

func (u user) open(name string, flag int) fsys.File {
	u.t.Helper()
	f, err := u.fs.OpenFile(u.at(name), flag, 0o600)
	must(u.t, err)
	u.t.Cleanup(func() { f.Close() })
	return f
}

func (u user) write(f fsys.File, s string) {
	u.t.Helper()
	_, err := io.WriteString(f, s)
	must(u.t, err)
}

// create writes a file and, if asked, syncs it.
func (u user) create(name, s string, sync bool) fsys.File {
	u.t.Helper()
	f := u.open(name, os.O_WRONLY|os.O_CREATE)
	u.write(f, s)
	if sync {
		must(u.t, f.DataSync())
	}
	return f
}

func (u user) syncDir(name string) { u.t.Helper(); must(u.t, u.fs.SyncDir(u.at(name))) }

// tree is what a folder holds: content by path, "/" for a folder.
func tree(t *testing.T, root string) map[string]string {
	t.Helper()
	got := map[string]string{}
	must(t, filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		name := filepath.ToSlash(path[len(root)+1:])
		if e.IsDir() {
			got[name] = "/"
			return nil
		}
		p, err := os.ReadFile(path)
		got[name] = string(p)
		return err
	}))
	return got
}

func TestPowerCut(t *testing.T) {
	const all = os.O_RDWR
	for _, c := range []struct {
		name      string
		before    map[string]string
		do        func(user)
		truncated map[string]string
		zeroed    map[string]string // as truncated where nil
	}{
		{
			"nothing done",
			map[string]string{"a": "1", "d/b": "2"},
			func(user) {},
			map[string]string{"a": "1", "d": "/", "d/b": "2"},
			nil,
		},
		{"written, synced and named", nil, func(u user) {
			u.create("a", "hello", true)
			u.syncDir("")
		}, map[string]string{"a": "hello"}, nil},
		{"no sync of the folder", nil, func(u user) { u.create("a", "hello", true) }, map[string]string{}, nil},
		{"no sync of the file", nil, func(u user) {
			u.create("a", "hello", false)
			u.syncDir("")
		}, map[string]string{"a": ""}, map[string]string{"a": "\x00\x00\x00\x00\x00"}},
		{"written on after the sync", nil, func(u user) {
			f := u.create("a", "hello", true)
			u.syncDir("")
			u.write(f, "!!")
		}, map[string]string{"a": "hello"}, map[string]string{"a": "hello\x00\x00"}},
		{"synced again", nil, func(u user) {
			f := u.create("a", "hello", true)
			u.syncDir("")
			u.write(f, "!!")
			must(u.t, f.Sync())
		}, map[string]string{"a": "hello!!"}, nil},
		{"appended", map[string]string{"a": "hello"}, func(u user) {
			u.write(u.open("a", os.O_WRONLY|os.O_APPEND), "!!")
		}, map[string]string{"a": "hello"}, map[string]string{"a": "hello\x00\x00"}},
		{"overwritten in the middle", map[string]string{"a": "hello"}, func(u user) {
			_, err := u.open("a", all).WriteAt([]byte("LL"), 2)
			must(u.t, err)
		}, map[string]string{"a": "hello"}, map[string]string{"a": "he\x00\x00o"}},
		{"cut", map[string]string{"a": "hello"}, func(u user) {
			must(u.t, u.open("a", all).Truncate(2))
		}, map[string]string{"a": "hello"}, map[string]string{"a": "he\x00\x00\x00"}},
		{"cut, written on and synced", map[string]string{"a": "hello"}, func(u user) {
			f := u.open("a", all)
			must(u.t, f.Truncate(2))
			_, err := f.WriteAt([]byte("y"), 3)
			must(u.t, err)
			must(u.t, f.DataSync())
		}, map[string]string{"a": "he\x00y"}, nil},
		{"opened empty", map[string]string{"a": "hello"}, func(u user) {
			u.write(u.open("a", all|os.O_TRUNC), "new")
		}, map[string]string{"a": "hello"}, map[string]string{"a": "\x00\x00\x00\x00\x00"}},
		{"written behind its back", map[string]string{"a": "hello"}, func(u user) {
			f := u.open("a", all)
			_, err := f.OS().WriteString("HE")
			must(u.t, err)
			must(u.t, f.Sync())
		}, map[string]string{"a": "HEllo"}, nil},
		{"removed", map[string]string{"a": "hello"}, func(u user) {
			must(u.t, u.fs.Remove(u.at("a")))
		}, map[string]string{"a": "hello"}, nil},
		{"removed for good", map[string]string{"a": "hello"}, func(u user) {
			must(u.t, u.fs.Remove(u.at("a")))
			u.syncDir("")
		}, map[string]string{}, nil},
		{"renamed over another", map[string]string{"a": "old", "b": "new"}, func(u user) {
			must(u.t, u.fs.Rename(u.at("b"), u.at("a")))
		}, map[string]string{"a": "old", "b": "new"}, nil},
		{"renamed over another for good", map[string]string{"a": "old", "b": "new"}, func(u user) {
			must(u.t, u.fs.Rename(u.at("b"), u.at("a")))
			u.syncDir("")
		}, map[string]string{"a": "new"}, nil},
		{"linked, ingest removed, only the new folder synced", map[string]string{"in/x": "", "out/y": ""}, func(u user) {
			u.create("in/1", "hello", true)
			u.syncDir("in")
			must(u.t, u.fs.Link(u.at("in/1"), u.at("out/1")))
			u.syncDir("out")
			must(u.t, u.fs.Remove(u.at("in/1")))
		}, map[string]string{"in": "/", "in/1": "hello", "in/x": "", "out": "/", "out/1": "hello", "out/y": ""}, nil},
		{"a folder nobody synced the name of", nil, func(u user) {
			must(u.t, u.fs.MkdirAll(u.at("d/e"), 0o755))
			u.create("d/e/a", "hello", true)
			u.syncDir("d/e")
			u.syncDir("d")
		}, map[string]string{}, nil},
		{"a folder made for good", nil, func(u user) {
			must(u.t, u.fs.MkdirAll(u.at("d"), 0o755))
			u.create("d/a", "hello", true)
			u.syncDir("d")
			u.syncDir("")
		}, map[string]string{"d": "/", "d/a": "hello"}, nil},
		{"a folder made and removed", nil, func(u user) {
			must(u.t, u.fs.MkdirAll(u.at("d"), 0o755))
			u.create("d/a", "hello", true)
			u.syncDir("d")
			must(u.t, u.fs.Remove(u.at("d/a")))
			must(u.t, u.fs.Remove(u.at("d")))
		}, map[string]string{}, nil},
		{"around the FS", map[string]string{"d/x": ""}, func(u user) {
			must(u.t, os.WriteFile(u.at("db"), []byte("rows"), 0o600))
			must(u.t, os.WriteFile(u.at("d/db"), []byte("rows"), 0o600))
		}, map[string]string{"db": "rows", "d": "/", "d/db": "rows", "d/x": ""}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, root := newFS(t, c.before)
			c.do(user{t, f, root})
			if c.zeroed == nil {
				c.zeroed = c.truncated
			}
			for loss, want := range map[fsystest.Loss]map[string]string{
				fsystest.Truncated: c.truncated, fsystest.Zeroed: c.zeroed, fsystest.Keep: tree(t, root),
			} {
				dst := t.TempDir()
				must(t, f.Crash(dst, loss))
				if got := tree(t, dst); !maps.Equal(got, want) {
					t.Errorf("loss %d: %q, want %q", loss, got, want)
				}
			}
		})
	}
}

func TestCounts(t *testing.T) {
	f, root := newFS(t, nil)
	u := user{t, f, root}
	file := u.create("a", "hello", true)
	_, err := file.WriteAt([]byte("x"), 0)
	must(t, err)
	u.syncDir("")
	want := map[fsystest.Op]int{fsystest.OpOpen: 1, fsystest.OpWrite: 2, fsystest.OpDataSync: 1, fsystest.OpSyncDir: 1}
	if got := f.Counts(); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	f.ResetCounts()
	if n := f.Count(fsystest.OpWrite); n != 0 {
		t.Errorf("%d after the reset", n)
	}
}

func TestNthOperationFails(t *testing.T) {
	f, root := newFS(t, nil)
	u := user{t, f, root}
	file, boom := u.create("a", "1", true), errors.New("boom")
	f.FailNth(fsystest.OpDataSync, 2, boom)
	for i, want := range []error{nil, boom, nil} {
		if err := file.DataSync(); !errors.Is(err, want) {
			t.Errorf("sync %d: %v", i, err)
		}
	}
	f.FailNth(fsystest.OpRemove, 1, boom)
	if err := f.Remove(u.at("a")); !errors.Is(err, boom) {
		t.Errorf("remove: %v", err)
	}
	if _, err := os.Stat(u.at("a")); err != nil {
		t.Errorf("the failed remove had an effect: %v", err)
	}
}

func TestDiskFull(t *testing.T) {
	f, root := newFS(t, nil)
	u := user{t, f, root}
	a, b := u.create("a", "", false), u.create("b", "", false)
	f.LimitWrites(8)
	u.write(a, "12345")
	n, err := b.Write([]byte("12345"))
	if n != 3 || !errors.Is(fsys.Classify(err), content.ErrNoSpace) {
		t.Errorf("the write across the limit: %d, %v", n, err)
	}
	if n, err := a.WriteAt([]byte("1"), 0); n != 0 || err == nil {
		t.Errorf("a write after the limit: %d, %v", n, err)
	}
	f.LimitWrites(-1)
	u.write(b, "45")
	if got := tree(t, root); got["b"] != "12345" {
		t.Errorf("%q", got)
	}
}

// A hook at a named point takes the state there, stops the rest, and the locks
// still go.
func TestStopAtAPoint(t *testing.T) {
	f, root := newFS(t, nil)
	u := user{t, f, root}
	dst := t.TempDir()
	var seen []string
	f.Hook(func(op fsystest.Op, name string) error {
		seen = append(seen, string(op)+" "+filepath.Base(name))
		if op == fsystest.OpLink {
			f.Halt()
			must(t, f.Crash(dst, fsystest.Truncated))
			return fsystest.ErrHalted
		}
		return nil
	})
	file := u.create("a", "hello", true)
	if ok, err := file.TryLock(true); !ok || err != nil {
		t.Fatal(ok, err)
	}
	u.syncDir("")
	if err := f.Link(u.at("a"), u.at("b")); !errors.Is(err, fsystest.ErrHalted) {
		t.Errorf("link: %v", err)
	}
	if _, err := f.Stat(u.at("a")); !errors.Is(err, fsystest.ErrHalted) {
		t.Errorf("stat: %v", err)
	}
	must(t, file.Unlock())
	must(t, file.Close())
	want := "open a, write a, datasync a, lock a, syncdir " + filepath.Base(root) + ", link b"
	if got := strings.Join(seen[:min(len(seen), 6)], ", "); got != want {
		t.Errorf("hook saw %s, want %s", got, want)
	}
	for _, where := range []string{dst, root} {
		if got := tree(t, where); !maps.Equal(got, map[string]string{"a": "hello"}) {
			t.Errorf("%q", got)
		}
	}
}

func TestRenamingAFolderIsRefused(t *testing.T) {
	f, root := newFS(t, map[string]string{"d/a": ""})
	err := f.Rename(filepath.Join(root, "d"), filepath.Join(root, "e"))
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v", err)
	}
	if got := slices.Sorted(maps.Keys(tree(t, root))); !slices.Equal(got, []string{"d", "d/a"}) {
		t.Errorf("%q", got)
	}
}
