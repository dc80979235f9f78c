package fsys_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"dist.example/content"
	"dist.example/fsys"
)

func open(t *testing.T, name string, flag int) fsys.File {
	t.Helper()
	f, err := fsys.OS().OpenFile(name, flag, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func write(t *testing.T, name, s string) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(s), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestEveryOperation(t *testing.T) {
	disk, dir := fsys.OS(), t.TempDir()
	sub := filepath.Join(dir, "a", "b")
	a, b, c := filepath.Join(sub, "a"), filepath.Join(sub, "b"), filepath.Join(sub, "c")
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	check("mkdir", disk.MkdirAll(sub, 0o755))
	f := open(t, a, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	_, err := f.Write([]byte("hello world"))
	check("write", err)
	check("write back", f.WriteBack(0, 5))
	check("truncate", f.Truncate(5))
	check("datasync", f.DataSync())
	check("sync", f.Sync())
	check("syncdir", disk.SyncDir(sub))
	check("link", disk.Link(a, b))
	if err := disk.Link(a, b); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a link over a name: %v", err)
	}
	check("rename", disk.Rename(b, c))
	check("chmod", disk.Chmod(c, 0o444))
	info, err := disk.Stat(c)
	check("stat", err)
	if info.Size() != 5 || info.Mode().Perm() != 0o444 {
		t.Errorf("stat: %d bytes, %v", info.Size(), info.Mode())
	}
	list, err := disk.ReadDir(sub)
	check("readdir", err)
	if len(list) != 2 || list[0].Name() != "a" || list[1].Name() != "c" {
		t.Errorf("readdir: %v", list)
	}
	check("chmod", disk.Chmod(c, 0o644))
	check("remove", disk.Remove(c))
	if f.OS() == nil || f.Name() != a {
		t.Errorf("OS %v, name %s", f.OS(), f.Name())
	}
}

func TestErrorsNameTheFile(t *testing.T) {
	f := open(t, filepath.Join(t.TempDir(), "name"), os.O_RDWR|os.O_CREATE)
	f.Close()
	for what, err := range map[string]error{
		"datasync": f.DataSync(),
		"unlock":   f.Unlock(),
		"lock":     f.Lock(t.Context(), true),
	} {
		if !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s of a closed file: %v", what, err)
		}
	}
	if err := fsys.OS().SyncDir(filepath.Join(t.TempDir(), "missing")); runtime.GOOS != "windows" && !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("syncdir: %v", err)
	}
}

func TestSameFile(t *testing.T) {
	dir := t.TempDir()
	name, other := write(t, filepath.Join(dir, "a"), ""), write(t, filepath.Join(dir, "b"), "")
	f := open(t, name, os.O_RDWR)
	check := func(name string, want bool) {
		t.Helper()
		if got, err := fsys.SameFile(f, name, fsys.OS()); got != want || err != nil {
			t.Errorf("%v, %v", got, err)
		}
	}
	check(name, true)
	check(other, false)
	check(filepath.Join(dir, "missing"), false)
	if runtime.GOOS == "windows" {
		return // names of open files do not move there
	}
	if err := os.Rename(other, name); err != nil {
		t.Fatal(err)
	}
	check(name, false)
}

func TestClone(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []int{0, 1, 3 << 20} {
		want := bytes.Repeat([]byte("0123456789"), n/10+1)[:n]
		src := open(t, write(t, filepath.Join(dir, "src"), string(want)), os.O_RDONLY)
		if _, err := src.Seek(0, io.SeekEnd); err != nil {
			t.Fatal(err)
		}
		dst := open(t, filepath.Join(dir, fmt.Sprint("dst", n)), os.O_RDWR|os.O_CREATE)
		how, err := fsys.Clone(t.Context(), dst.OS(), src.OS())
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(dst.Name()); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s of %d bytes gave %d, %v", how, n, len(got), err)
		}
		if at, err := src.Seek(0, io.SeekCurrent); err != nil || at != int64(n) {
			t.Errorf("source at %d, %v", at, err)
		}
	}
	ro := open(t, filepath.Join(dir, "src"), os.O_RDONLY)
	full := open(t, write(t, filepath.Join(dir, "full"), "full"), os.O_RDONLY)
	if _, err := fsys.Clone(t.Context(), ro.OS(), full.OS()); err == nil {
		t.Error("cloned into a file that is open for reading")
	}
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	dst := open(t, filepath.Join(dir, "unwanted"), os.O_RDWR|os.O_CREATE)
	if _, err := fsys.Clone(ctx, dst.OS(), full.OS()); !errors.Is(err, why) {
		t.Errorf("a copy that nobody wants: %v", err)
	}
}

// What the disk cannot give back has no class of its own: a write fails with the
// same errors, and damages nothing.
func TestUnreadable(t *testing.T) {
	bad := &fs.PathError{Op: "read", Path: "x", Err: syscall.EIO}
	if !fsys.Unreadable(bad) || !fsys.Unreadable(fmt.Errorf("blob: %w", bad)) {
		t.Error("an input/output error can be read")
	}
	for _, err := range []error{nil, io.EOF, fs.ErrNotExist, fs.ErrClosed, syscall.ENOSPC, syscall.EISDIR} {
		if fsys.Unreadable(err) {
			t.Errorf("%v is none of reading", err)
		}
	}
	if got := fsys.Classify(bad); errors.Is(got, content.ErrCorrupt) {
		t.Errorf("%v has the class of damage", got)
	}
}

func TestClassify(t *testing.T) {
	missing := func() error { _, err := os.Stat(filepath.Join(t.TempDir(), "missing")); return err }()
	path := func(err error) error { return &fs.PathError{Op: "write", Path: "/store/x", Err: err} }
	other := errors.New("other")
	for _, c := range []struct{ err, want error }{
		{path(syscall.ENOSPC), content.ErrNoSpace},
		{fmt.Errorf("append: %w", path(syscall.ENOSPC)), content.ErrNoSpace},
		{path(fs.ErrPermission), content.ErrDenied},
		{missing, content.ErrNotFound},
		{path(fs.ErrNotExist), content.ErrNotFound},
	} {
		got := fsys.Classify(c.err)
		if !errors.Is(got, c.want) || !errors.Is(got, c.err) || got.Error() != c.err.Error() {
			t.Errorf("%v became %v, want class %v", c.err, got, c.want)
		}
		if again := fsys.Classify(got); again != got {
			t.Errorf("classified twice: %v", again)
		}
	}
	for _, err := range []error{nil, other} {
		if got := fsys.Classify(err); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
	if fsys.InUse(nil) || fsys.InUse(other) {
		t.Error("in use")
	}
}

func TestCheckLocal(t *testing.T) {
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Join(dir, "not", "there", "yet")} {
		if err := fsys.CheckLocal(d); err != nil {
			t.Errorf("%s: %v", d, err)
		}
	}
}

func TestFreeBytes(t *testing.T) {
	if n, err := fsys.FreeBytes(t.TempDir()); n == 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := fsys.FreeBytes(filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("of a folder that is not there")
	}
}

func TestBootIDIsStable(t *testing.T) {
	if a, b := fsys.BootID(), fsys.BootID(); a != b || strings.TrimSpace(a) != a {
		t.Errorf("%q, %q", a, b)
	}
}

// childMode makes the test binary a process that holds a lock until its standard
// input ends.
const childMode = "FSYS_TEST_HOLD"

func TestMain(m *testing.M) {
	if name := os.Getenv(childMode); name != "" {
		if err := hold(name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func hold(name string) error {
	f, err := fsys.OS().OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := f.Lock(context.Background(), true); err != nil {
		return err
	}
	fmt.Println("locked")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// startHolder starts a process that holds the lock on name.
func startHolder(t *testing.T, name string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), childMode+"="+name)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, len("locked"))
	if _, err := io.ReadFull(out, line); err != nil || string(line) != "locked" {
		t.Fatalf("holder said %q, %v", line, err)
	}
	return cmd
}

// A killed process leaves no lock and is no longer alive.
func TestLockDiesWithItsProcess(t *testing.T) {
	name := write(t, filepath.Join(t.TempDir(), "lock"), "")
	f := open(t, name, os.O_RDWR)
	holder := startHolder(t, name)
	if !fsys.ProcessAlive(holder.Process.Pid) || !fsys.ProcessAlive(os.Getpid()) || fsys.ProcessAlive(0) || fsys.ProcessAlive(-1) {
		t.Error("alive")
	}
	if ok, err := f.TryLock(false); ok || err != nil {
		t.Fatalf("locked beside the holder: %v, %v", ok, err)
	}
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := f.Lock(t.Context(), true); err != nil {
		t.Errorf("lock: %v", err)
	}
	_ = holder.Wait() // it was killed
	if fsys.ProcessAlive(holder.Process.Pid) {
		t.Error("a process that was waited for is alive")
	}
}

// A name that is taken away is gone, the file is closed, and its lock with it.
func TestRemoveHeld(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "held")
	f, err := fsys.OS().OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := f.TryLock(true); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if err := fsys.RemoveHeld(f, name, fsys.OS()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the name: %v", err)
	}
	if err := f.Close(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("closing it: %v", err)
	}
	if err := fsys.RemoveHeld(f, name, fsys.OS()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("once more: %v", err)
	}
}
