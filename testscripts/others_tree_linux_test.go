package testscripts

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"dist.example/fsys"
)

// treeEntry is what the system tells of a path: each field in words, by its name. What
// does not apply is not there.
type treeEntry map[string]string

// fsTree is all that is below a folder, by path, and the folder itself as ".".
type fsTree map[string]treeEntry

// readFSTree asks the system alone, so that dist and the programs of others are all
// looked at by the same eyes.
func readFSTree(t *testing.T, dir string) fsTree {
	t.Helper()
	tree, inodes := fsTree{}, map[uint64][]string{}
	err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		var st syscall.Stat_t
		if err := syscall.Lstat(name, &st); err != nil {
			return fmt.Errorf("lstat %s: %w", name, err)
		}
		e, err := entryOf(name, &st)
		if err != nil {
			return err
		}
		tree[rel] = e
		if st.Nlink > 1 && st.Mode&syscall.S_IFMT != syscall.S_IFDIR {
			inodes[st.Ino] = append(inodes[st.Ino], rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, names := range inodes {
		slices.Sort(names)
		for _, name := range names {
			tree[name]["names"] = fmt.Sprintf("%q", names)
		}
	}
	return tree
}

func entryOf(name string, st *syscall.Stat_t) (treeEntry, error) {
	e := treeEntry{
		"mode":  fmt.Sprintf("%04o", st.Mode&0o7777),
		"owner": fmt.Sprintf("%d:%d", st.Uid, st.Gid),
		"time":  fmt.Sprintf("%d.%09d", st.Mtim.Sec, st.Mtim.Nsec),
	}
	var err error
	switch st.Mode & syscall.S_IFMT {
	case syscall.S_IFREG:
		e["type"], e["size"] = "file", fmt.Sprint(st.Size)
		e["sha256"], err = sumOf(name)
	case syscall.S_IFDIR:
		e["type"] = "folder"
	case syscall.S_IFLNK:
		e["type"] = "link"
		delete(e, "mode") // Linux has none for links
		e["target"], err = os.Readlink(name)
	case syscall.S_IFIFO:
		e["type"] = "pipe"
	case syscall.S_IFCHR:
		e["type"], e["device"] = "character device", fmt.Sprintf("%#x", st.Rdev)
	case syscall.S_IFBLK:
		e["type"], e["device"] = "block device", fmt.Sprintf("%#x", st.Rdev)
	default:
		e["type"] = fmt.Sprintf("%#o", st.Mode)
	}
	if err != nil {
		return nil, err
	}
	xattrs, err := xattrsOf(name)
	for key, value := range xattrs {
		e["xattr "+key] = fmt.Sprintf("%q", value)
	}
	return e, err
}

func sumOf(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return fmt.Sprintf("%x", h.Sum(nil)), err
}

// xattrsOf are the extended attributes of what stands at a name, of a link its own.
func xattrsOf(name string) (map[string]string, error) {
	list, err := xattrCall(syscall.SYS_LLISTXATTR, name, "")
	if errors.Is(err, syscall.ENOTSUP) || len(list) == 0 && err == nil {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("llistxattr %s: %w", name, err)
	}
	xattrs := map[string]string{}
	for key := range bytes.SplitSeq(bytes.TrimSuffix(list, []byte{0}), []byte{0}) {
		value, err := xattrCall(syscall.SYS_LGETXATTR, name, string(key))
		if err != nil {
			return nil, fmt.Errorf("lgetxattr %s %s: %w", name, key, err)
		}
		xattrs[string(key)] = string(value)
	}
	return xattrs, nil
}

// xattrCall is llistxattr or lgetxattr, which package syscall has only for what links
// lead to. 64 KiB are the most that Linux has of either.
func xattrCall(call uintptr, name, key string) ([]byte, error) {
	path, err := syscall.BytePtrFromString(name)
	if err != nil {
		return nil, err
	}
	buf := make([]byte, 64<<10)
	var n uintptr
	var errno syscall.Errno
	if call == syscall.SYS_LLISTXATTR {
		n, _, errno = syscall.Syscall(call, uintptr(unsafe.Pointer(path)), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)))
	} else {
		var k *byte
		if k, err = syscall.BytePtrFromString(key); err != nil {
			return nil, err
		}
		n, _, errno = syscall.Syscall6(call, uintptr(unsafe.Pointer(path)), uintptr(unsafe.Pointer(k)), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0)
	}
	if errno != 0 {
		return nil, errno
	}
	return buf[:n], nil
}

// treeDiff is a field of a path in which two trees differ; "" is what one has not.
type treeDiff struct{ path, field, dist, other, kind string }

// isFolderTime holds where both have a folder, at different times.
func (d treeDiff) isFolderTime() bool { return d.field == "time" && d.kind == "folder" }

// isRounded holds for a time of whole seconds that is less than one away from the other's.
func (d treeDiff) isRounded() bool {
	a, aerr := strconv.ParseFloat(d.dist, 64)
	b, berr := strconv.ParseFloat(d.other, 64)
	return aerr == nil && berr == nil && a == math.Trunc(a) && math.Abs(a-b) < 1
}

// isNow holds for a time that is none of an image's, but that of a test that runs.
func isNow(text string) bool {
	seconds, _, _ := strings.Cut(text, ".")
	n, err := strconv.ParseInt(seconds, 10, 64)
	return err == nil && time.Since(time.Unix(n, 0)).Abs() < time.Hour
}

func (d treeDiff) String() string {
	return fmt.Sprintf("%q %s: dist %s, other %s", d.path, d.field, cmp.Or(d.dist, "none"), cmp.Or(d.other, "none"))
}

// diffTrees says in what two trees differ, by path. What only one of them has is one
// difference, of the field "type".
func diffTrees(dist, other fsTree) []treeDiff {
	var diffs []treeDiff
	for _, path := range slices.Sorted(maps.Keys(both(dist, other))) {
		a, b := dist[path], other[path]
		for _, field := range slices.Sorted(maps.Keys(both(a, b))) {
			if a[field] != b[field] && (a != nil && b != nil || field == "type") {
				diffs = append(diffs, treeDiff{path, field, a[field], b[field], b["type"]})
			}
		}
	}
	return diffs
}

func both[M ~map[string]V, V any](a, b M) M {
	all := maps.Clone(a)
	if all == nil {
		all = M{}
	}
	maps.Copy(all, b)
	return all
}

// known says of a difference why it is there, "" of one that nobody has looked into.
type known func(treeDiff) string

// wantSameTree compares trees, and logs how much there was and which differences are
// known; why may be nil.
func wantSameTree(t *testing.T, dist, other fsTree, why known) {
	t.Helper()
	reasons := map[string]int{}
	for _, d := range diffTrees(dist, other) {
		reason := ""
		if why != nil {
			reason = why(d)
		}
		if reason == "" {
			t.Error(d)
		} else {
			reasons[reason]++
		}
	}
	fields := 0
	for _, e := range dist {
		fields += len(e)
	}
	t.Logf("%d entries with %d fields compared", len(dist), fields)
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		t.Logf("%d differ: %s", reasons[reason], reason)
	}
}

// A comparison that overlooks something would find all trees the same.
func TestDifferencesOfTreesAreFound(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(at func(string) string) error{
		`"f" mode`:   func(at func(string) string) error { return os.Chmod(at("f"), 0o755|os.ModeSetuid) },
		`"f" time`:   func(at func(string) string) error { return os.Chtimes(at("f"), longAgo, longAgo.Add(1)) },
		`"f" size`:   func(at func(string) string) error { return os.Truncate(at("f"), 9) },
		`"f" sha256`: func(at func(string) string) error { return os.WriteFile(at("f"), []byte("y"), 0o644) },
		`"f" names`:  func(at func(string) string) error { return os.Link(at("f"), at("f2")) },
		`"f" owner`:  func(at func(string) string) error { return os.Chown(at("f"), 1, 2) },
		`"f" xattr`:  func(at func(string) string) error { return syscall.Setxattr(at("f"), "user.x", []byte("1"), 0) },
		`"new" type`: func(at func(string) string) error { return os.Mkdir(at("new"), 0o755) },
		`"d" type`:   func(at func(string) string) error { return os.Remove(at("d")) },
		`"l" type`:   func(at func(string) string) error { return errors.Join(os.Remove(at("l")), os.Mkdir(at("l"), 0o755)) },
		`"l" target`: func(at func(string) string) error { return errors.Join(os.Remove(at("l")), os.Symlink("d", at("l"))) },
		`"l" xattr`: func(at func(string) string) error {
			dir, err := os.Open(at(""))
			if err != nil {
				return err
			}
			defer dir.Close()
			return fsys.SetXattr(dir, "l", "trusted.x", "1")
		},
		`"null" device`: func(at func(string) string) error {
			return errors.Join(os.Remove(at("null")), syscall.Mknod(at("null"), syscall.S_IFCHR|0o600, 1<<8|5))
		},
	} {
		dir := t.TempDir()
		at := func(name string) string { return filepath.Join(dir, name) }
		must(t, errors.Join(os.WriteFile(at("f"), []byte("x"), 0o644), os.Mkdir(at("d"), 0o755), os.Symlink("f", at("l")), os.Chtimes(at("f"), longAgo, longAgo)))
		_ = syscall.Mknod(at("null"), syscall.S_IFCHR|0o600, 1<<8|3) // only root can
		before := readFSTree(t, dir)
		if err := change(at); err != nil {
			t.Logf("left out: %s: %v", want, err) // not root, or not on this file system
			continue
		}
		diffs := diffTrees(before, readFSTree(t, dir))
		if !slices.ContainsFunc(diffs, func(d treeDiff) bool { return strings.HasPrefix(d.String(), want) }) {
			t.Errorf("%s was not found, but %v", want, diffs)
		}
	}
}
