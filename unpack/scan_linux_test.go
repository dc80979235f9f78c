package unpack_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dist.example/content"
	"dist.example/layer"
	"dist.example/oci"
	"dist.example/unpack"
)

// unpacked is a folder of layers with the tree, with sums, that they make.
func unpacked(t *testing.T, o unpack.Options, layers ...[]byte) (dir string, tree *layer.Tree) {
	t.Helper()
	dir = filepath.Join(tempDir(t), "rootfs")
	o.Rootless = o.Rootless || rootless()
	o.Record = &unpack.Record{Image: oci.DigestBytes([]byte("image")), Name: "demo:v1"}
	ins := inputs(layers...)
	_, err := unpack.Rootfs(t.Context(), dir, ins, o)
	must(t, err)
	tree = layer.NewTree(true)
	for _, in := range ins {
		x, err := in.Index(t.Context(), new(layer.IndexBudget))
		must(t, err)
		must(t, tree.AddIndexes([]*layer.Index{x}))
	}
	tree.Explicit()
	return dir, tree
}

// changed are the paths that differ from the tree now.
func changed(t *testing.T, dir string, tree *layer.Tree) []string {
	t.Helper()
	r, at, err := unpack.ReadRecord(dir)
	must(t, err)
	root, err := os.OpenRoot(at)
	must(t, err)
	defer root.Close()
	x, err := unpack.Scan(t.Context(), root, tree, r)
	must(t, err)
	now := layer.NewTree(true)
	must(t, now.AddIndexes([]*layer.Index{x}))
	paths := []string{}
	for c := range layer.Changes(tree, now, true) {
		word := c.Path
		for _, a := range c.Aspects {
			word += " " + string(a)
		}
		paths = append(paths, word)
	}
	return paths
}

func wantChanged(t *testing.T, dir string, tree *layer.Tree, want ...string) {
	t.Helper()
	if got := changed(t, dir, tree); !slices.Equal(got, want) {
		t.Errorf("changed are %q, want %q", got, want)
	}
}

// What could not be made of an image has not changed, and neither has what only tells how
// it was unpacked.
func TestWhatWasUnpackedHasNotChanged(t *testing.T) {
	t.Parallel()
	theirs := file("theirs", "x", 0o4750)
	theirs.Uid, theirs.Gid = 12345, 54321
	odd := file("odd", "x", 0o644)
	odd.PAXRecords = map[string]string{"SCHILY.xattr.user.note": "a", "SCHILY.xattr.trusted.overlay.opaque": "y", "LIBARCHIVE.creationtime": "1"}
	p := packed(folder("d", 0o1777), theirs, odd, file("empty", "", 0o600), symlink("l", "/nowhere"), hardlink("h", "theirs"), hardlink("lh", "l"),
		file("no/folder/for/me", "x", 0o644), special('3', "null"), special('4', "d/disk"), special('6', "pipe"))
	for _, o := range []unpack.Options{{}, {Rootless: true}, {Closed: true}} {
		dir, tree := unpacked(t, o, p)
		wantChanged(t, dir, tree)
	}
}

// A change is found by what it changes, whatever it does to times.
func TestChangesAreFound(t *testing.T) {
	t.Parallel()
	dir, tree := unpacked(t, unpack.Options{}, packed(folder("d", 0o755), file("d/one", "1", 0o644), file("two", "2", 0o644), file("three", "3", 0o644),
		file("mode", "x", 0o644), symlink("l", "a"), folder("becomes", 0o755), file("becomes/x", "x", 0o644)))
	at := func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }
	same := func(name, body string) { // size and time stay as they were
		must(t, os.WriteFile(at(name), []byte(body), 0o644))
		must(t, os.Chtimes(at(name), time.Time{}, then))
	}
	time.Sleep(20 * time.Millisecond) // the clock of the file system has gone on
	same("d/one", "9")
	same("two", "2") // and is the same
	must(t, os.Chmod(at("mode"), 0o600))
	must(t, os.Remove(at("three")))
	must(t, os.Remove(at("l")))
	must(t, os.Symlink("b", at("l")))
	must(t, os.RemoveAll(at("becomes")))
	must(t, os.WriteFile(at("becomes"), nil, 0o644))
	must(t, os.Mkdir(at("new"), 0o700))
	wantChanged(t, dir, tree, "/ time", "/becomes type", "/becomes/x", "/d/one content", "/l target time", "/mode mode", "/new", "/three")
	must(t, os.WriteFile(at(".wh.x"), nil, 0o644))
	r, _, err := unpack.ReadRecord(dir)
	must(t, err)
	root, err := os.OpenRoot(dir)
	must(t, err)
	defer root.Close()
	if _, err := unpack.Scan(t.Context(), root, tree, r); !errors.Is(err, content.ErrUnsupported) {
		t.Errorf("a name that deletes: %v", err)
	}
}

// A folder that gets another's name takes files along that know nothing of it.
func TestAnotherFolderOfTheSameName(t *testing.T) {
	t.Parallel()
	dir, tree := unpacked(t, unpack.Options{}, packed(folder("v1/sub", 0o755), file("v1/sub/VERSION", "1", 0o644), folder("v2/sub", 0o755), file("v2/sub/VERSION", "2", 0o644)))
	time.Sleep(20 * time.Millisecond)
	must(t, os.RemoveAll(filepath.Join(dir, "v1")))
	must(t, os.Rename(filepath.Join(dir, "v2"), filepath.Join(dir, "v1")))
	wantChanged(t, dir, tree, "/ time", "/v1/sub/VERSION content", "/v2", "/v2/sub", "/v2/sub/VERSION")
}

// What was unpacked as somebody else is not taken for what it is not.
func TestAnotherUserLooks(t *testing.T) {
	t.Parallel()
	dir, tree := unpacked(t, unpack.Options{}, packed(file("f", "x", 0o644)))
	r, at, err := unpack.ReadRecord(dir)
	must(t, err)
	root, err := os.OpenRoot(at)
	must(t, err)
	defer root.Close()
	r.Rootless, r.Users = false, "0 100000 65536"
	if _, err := unpack.Scan(t.Context(), root, tree, r); !errors.Is(err, content.ErrDenied) {
		t.Errorf("of another namespace: %v", err)
	}
}

// A record is about one folder, and a file of the image is none.
func TestRecords(t *testing.T) {
	t.Parallel()
	forged := file("dist-unpacked.json", `{"image":"`+oci.DigestBytes(nil).String()+`","inode":1}`, 0o644)
	dir, _ := unpacked(t, unpack.Options{}, packed(forged, folder("rootfs", 0o755)))
	r, at, err := unpack.ReadRecord(dir)
	must(t, err)
	if real, err := filepath.EvalSymlinks(dir); err != nil || at != real || r.Name != "demo:v1" || r.Image != oci.DigestBytes([]byte("image")) {
		t.Errorf("it says %+v of %s: %v", r, at, err)
	}
	beside := filepath.Join(filepath.Dir(dir), ".rootfs.dist-unpacked.json")
	moved := dir + "2"
	must(t, os.Rename(dir, moved))
	if _, _, err := unpack.ReadRecord(moved); !errors.Is(err, content.ErrInvalid) {
		t.Errorf("without its record, and with one of the image: %v", err)
	}
	must(t, os.Mkdir(dir, 0o755))
	if _, _, err := unpack.ReadRecord(dir); !errors.Is(err, content.ErrNotFound) || !strings.Contains(err.Error(), "another folder") {
		t.Errorf("another folder: %v", err)
	}
	must(t, os.WriteFile(beside, []byte("{"), 0o600))
	if _, _, err := unpack.ReadRecord(dir); !errors.Is(err, content.ErrInvalid) {
		t.Errorf("one that is none: %v", err)
	}
}
