package unpack_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/layer"
	"dist.example/oci"
	"dist.example/unpack"
)

// taken are snapshots of layers, made below a folder that has a number for each.
type taken struct {
	base    string
	o       unpack.Options
	indexes []oci.Digest
	last    unpack.Snapshot
}

func take(t *testing.T, o unpack.Options, layers ...[]byte) *taken {
	t.Helper()
	o.Rootless = o.Rootless || rootless()
	k := &taken{base: tempDir(t), o: o}
	s := unpack.NewSnapshots(k.o)
	defer s.Close()
	for i, in := range inputs(layers...) {
		must(t, os.Mkdir(k.dir(i), 0o700))
		var err error
		k.last, err = s.Make(t.Context(), k.dir(i), in)
		must(t, err)
		must(t, unpack.VerifySnapshot(t.Context(), k.dir(i), k.last.Index))
		k.indexes = append(k.indexes, k.last.Index)
	}
	return k
}

func (k *taken) dir(i int) string { return filepath.Join(k.base, fmt.Sprint(i)) }

// open puts them together.
func (k *taken) open(t *testing.T) *unpack.Snapshots {
	t.Helper()
	s := unpack.NewSnapshots(k.o)
	t.Cleanup(s.Close)
	for i, index := range k.indexes {
		must(t, s.Add(k.dir(i), index))
	}
	return s
}

// everything are layers that have all that layers can say.
func everything(t *testing.T) [][]byte {
	attr := file("attr", "x", 0o644)
	attr.PAXRecords = map[string]string{"SCHILY.xattr.user.note": "v"}
	owned := file("owned", "x", 0o4755)
	if !rootless() {
		owned.Uid, owned.Gid = 1234, 4321
	}
	return [][]byte{
		packed(folder("opaque", 0o700), file("opaque/old", "1", 0o644), folder("opaque/deep", 0o755), file("opaque/deep/old", "1", 0o644),
			file("gone", "1", 0o644), file("kept", "1", 0o644), hardlink("kept2", "kept"), hardlink("kept3", "kept"), folder("becomes/file", 0o755), file("becomes/file/x", "1", 0o644),
			file("becomes/folder", "1", 0o644), symlink("way", "real"), folder("real", 0o755), folder("closed", 0o500), file("closed/in", "1", 0o400),
			folder("anew", 0o711), file("anew/old", "1", 0o600), special(tar.TypeFifo, "pipe"), attr, owned, file("large", strings.Repeat("large ", 20_000), 0o644)),
		packed(file("opaque/new", "2", 0o644), file("opaque/.wh..wh..opq", "", 0o644), file(".wh.gone", "", 0o644), file(".wh.never", "", 0o644),
			hardlink("kept4", "kept2"), file("becomes/file", "2", 0o644), file("becomes/folder/x", "2", 0o644), file("way/through", "2", 0o644),
			file("closed/too", "2", 0o400), folder("real", 0o700), file(".wh.anew", "", 0o644), file("anew/new", "2", 0o600)),
		sparseTar(t, 1<<20, "data"),
		packed(file(".wh.kept", "", 0o644), file("closed/.wh.in", "", 0o644), file("gone", "back", 0o600)),
	}
}

// A copy of snapshots is what unpacking the layers makes, to the time and the link.
func TestSnapshotsMakeTheImage(t *testing.T) {
	t.Parallel()
	layers := everything(t)
	plain, tree := unpacked(t, unpack.Options{}, layers...)
	k := take(t, unpack.Options{}, layers...)
	dir := filepath.Join(tempDir(t), "rootfs")
	o := k.o
	o.Record = &unpack.Record{Image: oci.DigestBytes([]byte("image"))}
	res, err := unpack.Rootfs(t.Context(), dir, k.open(t), o)
	must(t, err)
	if got, want := listing(t, dir), listing(t, plain); !slices.Equal(got, want) {
		t.Errorf("there is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	wantChanged(t, dir, tree)
	for _, name := range []string{"kept2", "kept3", "kept4", "large"} {
		if got, want := linked(t, dir, name), linked(t, plain, name); got != want {
			t.Errorf("%s has %d names, want %d", name, got, want)
		}
	}
	fi, err := os.Stat(filepath.Join(dir, "sparse"))
	must(t, err)
	if blocks := fi.Sys().(*syscall.Stat_t).Blocks; blocks > 100 {
		t.Errorf("the holes take %d blocks", blocks)
	}
	if res.Files == 0 || res.Skipped.Xattrs != 0 {
		t.Errorf("it says %+v", res)
	}
}

func linked(t *testing.T, dir, name string) uint64 {
	t.Helper()
	fi, err := os.Lstat(filepath.Join(dir, name))
	must(t, err)
	return uint64(fi.Sys().(*syscall.Stat_t).Nlink)
}

// mounts says whether this user may mount overlay file systems. It tries.
var mounts = sync.OnceValue(func() bool {
	dir, err := os.MkdirTemp("", "mounts")
	if err != nil {
		return false
	}
	defer os.RemoveAll(dir)
	for _, name := range []string{"lower", "upper", "work", "on"} {
		if os.Mkdir(filepath.Join(dir, name), 0o700) != nil {
			return false
		}
	}
	if fsys.MountOverlay(dir, filepath.Join(dir, "on"), "lowerdir=lower,upperdir=upper,workdir=work") != nil {
		return false
	}
	mounted, err := fsys.Unmount(filepath.Join(dir, "on"))
	return mounted && err == nil
})

// overlaid mounts snapshots, or skips the test where that cannot be.
func (k *taken) overlaid(t *testing.T, dir string) *unpack.Overlay {
	t.Helper()
	v := &unpack.Overlay{Snapshots: k.open(t), Base: k.base, Mount: unpack.Mount{Image: oci.DigestBytes([]byte("image")), Store: k.base, Lease: "1"}}
	o := k.o
	o.Record = &unpack.Record{Image: v.Image}
	if rootless() || !mounts() {
		t.Skip("nothing can be mounted here")
	}
	_, err := unpack.Rootfs(t.Context(), dir, v, o)
	must(t, err)
	t.Cleanup(func() { _, _ = unmount(dir, true) })
	return v
}

// unmount is unpack.Unmount with what it ends.
func unmount(dir string, discard bool) (ended unpack.Mount, err error) {
	err = unpack.Unmount(dir, discard, func(m unpack.Mount) error {
		ended = m
		return nil
	})
	return ended, err
}

// What the kernel makes of snapshots is the image, and what is written there goes elsewhere.
func TestSnapshotsAreMounted(t *testing.T) {
	t.Parallel()
	layers := everything(t)
	plain, tree := unpacked(t, unpack.Options{}, layers...)
	for _, name := range []string{"rootfs", `a, "b":c\d`} {
		t.Run(name, func(t *testing.T) {
			k := take(t, unpack.Options{}, layers...)
			above := tempDir(t)
			dir := filepath.Join(above, name)
			if v := k.overlaid(t, dir); !v.Mounted {
				t.Error("it says that it is not mounted")
			}
			if got, want := listing(t, dir), listing(t, plain); !slices.Equal(got, want) {
				t.Errorf("there is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
			wantChanged(t, dir, tree)
			must(t, os.WriteFile(filepath.Join(dir, "large"), []byte("other"), 0o644))
			must(t, os.Remove(filepath.Join(dir, "closed/too")))
			wantChanged(t, dir, tree, "/closed time", "/closed/too", "/large content size time")
			for i, index := range k.indexes {
				must(t, unpack.VerifySnapshot(t.Context(), k.dir(i), index))
			}
			if _, err := unpack.Rootfs(t.Context(), dir, k.open(t), k.o); !errors.Is(err, content.ErrConflict) {
				t.Errorf("over it: %v", err)
			}
			if _, err := unmount(dir, false); !errors.Is(err, content.ErrConflict) || !strings.Contains(content.Hint(err), "repack") {
				t.Errorf("what was written: %v", err)
			}
			m, err := unmount(dir, true)
			must(t, err)
			if m.Lease != "1" || m.Store != k.base {
				t.Errorf("it was %+v", m)
			}
			wantNothingLeft(t, above)
			if _, err := unmount(dir, true); !errors.Is(err, content.ErrNotFound) {
				t.Errorf("once more: %v", err)
			}
		})
	}
}

// What cannot be mounted leaves nothing.
func TestAMountThatFails(t *testing.T) {
	t.Parallel()
	if rootless() {
		t.Skip("only root mounts")
	}
	k := take(t, unpack.Options{}, packed(file("f", "x", 0o644)))
	above := tempDir(t)
	for name, bundle := range map[string]bool{"rootfs": false, "bundle": true} {
		v := &unpack.Overlay{Snapshots: k.open(t), Base: filepath.Join(k.base, "nowhere")}
		o := k.o
		o.Record = &unpack.Record{Image: oci.DigestBytes([]byte("image"))}
		var err error
		if bundle {
			_, err = unpack.Bundle(t.Context(), filepath.Join(above, name), v, oci.Image{}, unpack.BundleOptions{Options: o, Args: []string{"/bin/true"}})
		} else {
			_, err = unpack.Rootfs(t.Context(), filepath.Join(above, name), v, o)
		}
		if !errors.Is(err, content.ErrInvalid) || v.Mounted {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantNothingLeft(t, above)
}

// What an image has is not taken for the record of a mounted folder.
func TestNoFileOfAnImageIsAMount(t *testing.T) {
	t.Parallel()
	dir, _ := unpacked(t, unpack.Options{}, packed(folder("rootfs", 0o755), folder("dist-mount", 0o755), folder("dist-mount/upper", 0o755),
		file("dist-mount/mount.json", `{"store":"/","lease":"1","inode":12}`, 0o644)))
	if _, err := unmount(dir, true); !errors.Is(err, content.ErrNotFound) {
		t.Errorf("it was taken for one: %v", err)
	}
}

// A mounted folder that somebody is in stays.
func TestWhatIsInUseIsNotUnmounted(t *testing.T) {
	t.Parallel()
	k := take(t, unpack.Options{}, packed(file("f", "x", 0o644)))
	dir := filepath.Join(tempDir(t), "rootfs")
	k.overlaid(t, dir)
	f, err := os.Open(filepath.Join(dir, "f"))
	must(t, err)
	if _, err := unmount(dir, false); !errors.Is(err, content.ErrConflict) {
		t.Errorf("in use: %v", err)
	}
	f.Close()
	_, err = unmount(dir, false)
	must(t, err)
}

// Where root mounted nothing, the command that would is told, and what is mounted or not is
// taken away in the same way.
func TestTheCommandThatMounts(t *testing.T) {
	t.Parallel()
	if !rootless() {
		t.Skip("root mounts")
	}
	k := take(t, unpack.Options{}, packed(file("f", "x", 0o644)), packed(file("g", "x", 0)))
	above := tempDir(t)
	dir := filepath.Join(above, "it's")
	v := &unpack.Overlay{Snapshots: k.open(t), Base: k.base}
	_, err := unpack.Rootfs(t.Context(), dir, v, k.o)
	must(t, err)
	for _, part := range []string{"mount -t overlay overlay -o 'userxattr,lowerdir=" + k.dir(1) + "/tree:" + k.dir(0) + "/tree,", `it'\''s`} {
		if v.Mounted || !strings.Contains(v.Command, part) {
			t.Errorf("it says %v, %s", v.Mounted, v.Command)
		}
	}
	if m, err := unpack.FindMount(dir); err != nil || m.Command != v.Command {
		t.Errorf("it is %+v, %v", m, err)
	}
	if exec.Command("unshare", "-Urm", "true").Run() != nil {
		t.Log("there are no user namespaces here")
	} else if out, err := exec.Command("unshare", "-Urm", "sh", "-c", v.Command+` && cat "$0/f"`, dir).CombinedOutput(); err != nil || string(out) != "x" {
		t.Errorf("it does %q, %v", out, err)
	}
	if _, err := unpack.Rootfs(t.Context(), dir, v, k.o); !errors.Is(err, content.ErrConflict) {
		t.Errorf("again: %v", err)
	}
	_, err = unmount(dir, false)
	must(t, err)
	wantNothingLeft(t, above)
}

// A snapshot that is damaged, or gone, is told of by its number.
func TestDamagedSnapshots(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(*testing.T, *taken){
		"content":  func(t *testing.T, k *taken) { overwrite(t, filepath.Join(k.dir(1), "tree/f"), []byte("3")) },
		"more":     func(t *testing.T, k *taken) { overwrite(t, filepath.Join(k.dir(1), "tree/f"), []byte("22")) },
		"a file":   func(t *testing.T, k *taken) { must(t, os.Remove(filepath.Join(k.dir(1), "tree/f"))) },
		"a link":   func(t *testing.T, k *taken) { relinked(t, filepath.Join(k.dir(1), "tree/f")) },
		"an index": func(t *testing.T, k *taken) { overwrite(t, filepath.Join(k.dir(1), "index"), []byte("no")) },
		"all":      func(t *testing.T, k *taken) { must(t, os.RemoveAll(k.dir(1))) },
	} {
		t.Run(name, func(t *testing.T) {
			k := take(t, unpack.Options{}, packed(file("e", "1", 0o644)), packed(file("f", "2", 0o644)))
			damage(t, k)
			if err := unpack.VerifySnapshot(t.Context(), k.dir(1), k.indexes[1]); !isSnapshot(err, 0) {
				t.Errorf("verify: %v", err)
			}
			s := unpack.NewSnapshots(k.o)
			defer s.Close()
			must(t, s.Add(k.dir(0), k.indexes[0]))
			err := s.Add(k.dir(1), k.indexes[1])
			above := tempDir(t)
			if err == nil {
				_, err = unpack.Rootfs(t.Context(), filepath.Join(above, "rootfs"), s, k.o)
			}
			if !isSnapshot(err, 1) {
				t.Errorf("unpack: %v", err)
			}
			wantNothingLeft(t, above)
		})
	}
}

func isSnapshot(err error, number int) bool {
	var bad *unpack.SnapshotError
	return errors.As(err, &bad) && bad.Number == number
}

func overwrite(t *testing.T, name string, p []byte) {
	t.Helper()
	must(t, os.Chmod(name, 0o600))
	must(t, os.WriteFile(name, p, 0o600))
}

func relinked(t *testing.T, name string) {
	t.Helper()
	must(t, os.Remove(name))
	must(t, os.Symlink("/etc/passwd", name))
}

// What overlayfs would take for something else is not to be mounted.
func TestWhatIsNotMountable(t *testing.T) {
	t.Parallel()
	if k := take(t, unpack.Options{}, packed(file("f", "x", 0o644))); !k.last.Mountable {
		t.Error("a file")
	}
	if rootless() {
		t.Skip("devices are left out")
	}
	d := special(tar.TypeChar, "d")
	d.Devmajor, d.Devminor = 0, 0
	if k := take(t, unpack.Options{}, packed(d)); k.last.Mountable {
		t.Error("a device that is a whiteout")
	}
}

// All layers together are held to MaxSize, and to their digests.
func TestSnapshotsAreHeldToWhatLayersAre(t *testing.T) {
	t.Parallel()
	s := unpack.NewSnapshots(unpack.Options{Rootless: rootless(), MaxSize: 3})
	defer s.Close()
	base := tempDir(t)
	var err error
	for i, in := range inputs(packed(file("f", "xx", 0o644)), packed(file("f", "xx", 0o644))) {
		dir := filepath.Join(base, fmt.Sprint(i))
		must(t, os.Mkdir(dir, 0o700))
		_, err = s.Make(t.Context(), dir, in)
	}
	if !errors.Is(err, content.ErrUnsupported) {
		t.Errorf("beyond the bound: %v", err)
	}
	in := input(packed(file("f", "x", 0o644)))
	in.DiffID = oci.DigestBytes(bytes.NewBufferString("other").Bytes())
	other := unpack.NewSnapshots(unpack.Options{Rootless: rootless()})
	defer other.Close()
	dir := filepath.Join(base, "other")
	must(t, os.Mkdir(dir, 0o700))
	if _, err := other.Make(t.Context(), dir, in); !errors.Is(err, content.ErrCorrupt) {
		t.Errorf("another diff_id: %v", err)
	}
}

var _ unpack.Source = unpack.Layers([]layer.Input{})

// Of the root of a lower folder overlayfs does not ask whether it is opaque.
func TestAnOpaqueRootIsNotMountable(t *testing.T) {
	t.Parallel()
	if k := take(t, unpack.Options{}, packed(file("old", "1", 0o644)), packed(file("new", "2", 0o644), file(".wh..wh..opq", "", 0o644))); k.last.Mountable {
		t.Error("it is said to be mountable")
	}
}

// Unmount takes nothing away until nothing is mounted, and goes on where it has ended.
func TestUnmountingGoesOn(t *testing.T) {
	t.Parallel()
	k := take(t, unpack.Options{}, packed(file("f", "x", 0o644)))
	above := tempDir(t)
	dir := filepath.Join(above, "rootfs")
	v := k.overlaid(t, dir)
	// Somebody has it mounted once more.
	if out, err := exec.Command("sh", "-c", v.Command).CombinedOutput(); err != nil {
		t.Logf("not twice: %s", out)
	}
	must(t, os.Chmod(dir, 0o711))
	if _, err := unmount(dir, false); !errors.Is(err, content.ErrConflict) {
		t.Errorf("with another mode: %v", err)
	}
	failed := errors.New("the lease stays")
	if err := unpack.Unmount(dir, true, func(unpack.Mount) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("a lease that stays: %v", err)
	}
	if m, err := unpack.FindMount(dir); err != nil || m.Lease != "1" {
		t.Errorf("nothing tells of it: %v", err)
	}
	if _, err := unpack.Rootfs(t.Context(), dir, k.open(t), k.o); !errors.Is(err, content.ErrConflict) || !strings.Contains(content.Hint(err), "--umount") {
		t.Errorf("over what is left: %v", err)
	}
	_, err := unmount(dir, true)
	must(t, err)
	wantNothingLeft(t, above)
}

// What is in the folder and not in the mount is left alone, and all that tells of it.
func TestWhatIsBelowAMountStays(t *testing.T) {
	t.Parallel()
	k := take(t, unpack.Options{}, packed(file("f", "x", 0o644)))
	above := tempDir(t)
	dir := filepath.Join(above, "rootfs")
	k.overlaid(t, dir)
	if mounted, err := fsys.Unmount(dir); !mounted || err != nil {
		t.Fatal(mounted, err)
	}
	mine := filepath.Join(dir, "mine")
	must(t, os.WriteFile(mine, []byte("x"), 0o644))
	for range 2 {
		if _, err := unmount(dir, true); !errors.Is(err, content.ErrConflict) || !strings.Contains(content.Hint(err), "elsewhere") {
			t.Errorf("with a file in it: %v", err)
		}
	}
	must(t, os.Remove(mine))
	_, err := unmount(dir, false)
	must(t, err)
	wantNothingLeft(t, above)
}

// What was left out of snapshots, and what their owner may read beyond the image, is no
// change of a folder that shows them.
func TestARootlessMountIsUnchanged(t *testing.T) {
	t.Parallel()
	theirs := file("theirs", "x", 0)
	theirs.Uid, theirs.Gid = 123, 456
	theirs.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"}
	layers := [][]byte{packed(theirs, special(tar.TypeChar, "null"), folder("closed", 0), file("closed/in", "x", 0o200))}
	_, tree := unpacked(t, unpack.Options{Rootless: true}, layers...)
	k := take(t, unpack.Options{Rootless: true}, layers...)
	dir := filepath.Join(tempDir(t), "rootfs")
	k.overlaid(t, dir)
	wantChanged(t, dir, tree)
	must(t, os.WriteFile(filepath.Join(dir, "theirs"), []byte("y"), 0o600))
	wantChanged(t, dir, tree, "/theirs content time")
}
