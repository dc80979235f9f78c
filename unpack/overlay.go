package unpack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/layer"
	"dist.example/oci"
)

// The folder with what is written to a mounted folder, beside that or in the bundle: what
// overlayfs calls its upper and work folders, and a Mount.
const (
	mountName   = "dist-mount"
	mountSuffix = "." + mountName
	upperName   = "upper"
	workName    = "work"
	mountRecord = "mount.json"
)

// mountOf is where that folder is for a root filesystem that is no bundle's.
func mountOf(dir string) string {
	return filepath.Join(filepath.Dir(dir), "."+filepath.Base(dir)+mountSuffix)
}

// Mount is what is kept about a folder that is mounted.
type Mount struct {
	Image oci.Digest `json:"image"`
	// Store is the folder of the store that has the snapshots, and UUID that store's.
	Store string `json:"store"`
	UUID  string `json:"uuid"`
	Lease string `json:"lease"` // by which the store keeps them
	// Inode is that of the folder that this is kept in: no file of an image is taken for it.
	Inode uint64    `json:"inode"`
	Made  time.Time `json:"made"`
	// Root is what the folder was like when it was made.
	Root MountRoot `json:"root"`
	// Command is what mounts it, for a shell: root, or who is root of a user namespace and has
	// mounts of his own.
	Command string `json:"command"`
}

// MountRoot is what can be changed of a mounted folder itself.
type MountRoot struct {
	Mode uint32 `json:"mode"`
	UID  int    `json:"uid"`
	GID  int    `json:"gid"`
}

func mountRoot(fi fs.FileInfo) MountRoot {
	d, _ := fsys.DetailOf(fi)
	return MountRoot{modeOf(fi.Mode()), d.UID, d.GID}
}

// Overlay is a Source that copies nothing: overlayfs lays the snapshots over each other,
// and what is written to the folder goes to one beside it, or in the bundle. Linux alone.
type Overlay struct {
	*Snapshots
	// Mount is what is to be kept about it; what only the making tells becomes known then.
	Mount
	// Base is a folder that all folders of the snapshots are in.
	Base string
	// Keep is called when the folder is there and is about to be mounted, nil for nothing.
	Keep func() error
	// Mounted says that it is mounted; who is not root gets the Command alone.
	Mounted bool

	kept string // the folder with upper and work
	root uint64 // the inode of the folder
}

// fill makes the folders that it takes.
func (v *Overlay) fill(ctx context.Context, st *stage, root *os.Root, o Options, shut bool, res *Result) (*layer.Tree, error) {
	in, name := st.root, mountName
	v.kept = mountOf(st.dir)
	if root != st.tree { // of a bundle
		in, v.kept = st.tree, filepath.Join(st.dir, mountName)
	}
	for _, dir := range []string{name, filepath.Join(name, upperName), filepath.Join(name, workName)} {
		if err := in.Mkdir(dir, making); err != nil {
			return nil, fsys.Classify(err)
		}
	}
	upper, err := in.OpenRoot(filepath.Join(name, upperName))
	if err != nil {
		return nil, fsys.Classify(err)
	}
	defer upper.Close()
	if count(v.tree, o, res); o.MaxSize > 0 && res.Size > o.MaxSize {
		return nil, tooLarge(o.MaxSize)
	}
	// The root is that of the upper folder.
	d := newDisk(ctx, upper, o, shut, &Result{})
	defer d.dirs.close()
	e, _ := v.tree.At("")
	if err := d.finish("", e); err != nil {
		return nil, err
	}
	fi, err := upper.Stat(".")
	if err != nil {
		return nil, fsys.Classify(err)
	}
	detail, _ := fsys.DetailOf(fi)
	v.Root = mountRoot(fi)
	// All that is in the snapshots is older than this.
	st.inode, st.started, st.mounted = detail.Inode, time.Time{}, true
	if v.Inode, err = inodeOf(in, name); err != nil {
		return nil, err
	}
	if v.root, err = inodeOf(root, "."); err != nil {
		return nil, err
	}
	v.Made, v.Command = time.Now().UTC(), v.command(st, root)
	p, err := json.MarshalIndent(v.Mount, "", "  ")
	if err != nil {
		return nil, err
	}
	return v.tree, durable(in, filepath.Join(name, mountRecord), append(p, '\n'))
}

func inodeOf(root *os.Root, name string) (uint64, error) {
	fi, err := root.Lstat(name)
	if err != nil {
		return 0, fsys.Classify(err)
	}
	d, _ := fsys.DetailOf(fi)
	return d.Inode, nil
}

// count is what a tree has, and what was left out of it when its snapshots were made.
func count(t *layer.Tree, o Options, res *Result) {
	// What is visited does not fail.
	_ = t.Each("", -1, func(_ string, e layer.Entry) error {
		switch e.Type {
		case layer.TypeFolder:
			res.Folders++
		case layer.TypeLink:
			res.Links++
		case layer.TypeFile:
			res.Files++
			res.Size += e.Size
		case layer.TypeCharDevice, layer.TypeBlockDevice:
			if o.Rootless {
				res.Skipped.Devices++
			}
		}
		if o.Rootless && (e.UID != 0 || e.GID != 0) && (e.UID != os.Geteuid() || e.GID != os.Getegid()) {
			res.Skipped.Owners++
		}
		for key := range e.Xattrs {
			if space, _, _ := strings.Cut(key, "."); o.Rootless && space != "user" || !settable(key) {
				res.Skipped.Xattrs++
			}
		}
		return nil
	})
}

// lowers are the folders of the parts below a base, the highest first, as overlayfs wants
// them.
func (v *Overlay) lowers() ([]string, error) {
	var all []string
	for i := len(v.parts) - 1; i >= 0; i-- {
		rel, err := filepath.Rel(v.Base, v.parts[i].dir)
		if err != nil || !filepath.IsLocal(rel) {
			return nil, fmt.Errorf("%s: %w: it is not in %s", v.parts[i].dir, content.ErrInvalid, v.Base)
		}
		all = append(all, filepath.Join(rel, partName))
	}
	return all, nil
}

// command is what mounts it, for a shell.
func (v *Overlay) command(st *stage, root *os.Root) string {
	at := st.dir
	if root != st.tree {
		at = filepath.Join(st.dir, rootfsName)
	}
	var lower []string
	for i := len(v.parts) - 1; i >= 0; i-- {
		lower = append(lower, escaped(filepath.Join(v.parts[i].dir, partName)))
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", strings.Join(lower, ":"),
		escaped(filepath.Join(v.kept, upperName)), escaped(filepath.Join(v.kept, workName)))
	if v.o.Rootless {
		options = "userxattr," + options
	}
	return fmt.Sprintf("mount -t overlay overlay -o %s %s", quoted(options), quoted(at))
}

// escaped is a path in the options of overlayfs.
func escaped(path string) string {
	return strings.NewReplacer(`\`, `\\`, `:`, `\:`, `,`, `\,`).Replace(path)
}

// quoted is a word for a shell.
func quoted(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// open opens a file in the snapshots: nothing is mounted yet.
func (v *Overlay) open(_ *os.Root, name string) (io.ReadCloser, error) {
	number, ok := v.tree.LayerOf(name)
	if !ok {
		return nil, fmt.Errorf("/%s: %w", name, content.ErrNotFound)
	}
	return v.openPart(number, name)
}

// placed mounts it, for root.
func (v *Overlay) placed(_ context.Context, root string) (err error) {
	if v.Keep != nil {
		err = v.Keep()
	}
	if err == nil && os.Geteuid() == 0 {
		err = v.mount(root)
		v.Mounted = err == nil
	}
	if err == nil {
		return nil
	}
	if isBundle(v.kept) {
		err = errors.Join(err, removeAny(filepath.Join(filepath.Dir(root), configName)))
	}
	err = errors.Join(err, removeMounted(root, v.kept, nil))
	if isBundle(v.kept) {
		err = errors.Join(err, os.Remove(filepath.Dir(root)))
	}
	return err
}

// mount mounts it, on the folders that were made, whatever has become of their names.
func (v *Overlay) mount(root string) error {
	lower, err := v.lowers()
	if err != nil {
		return err
	}
	on, err := openFolder(root, v.root)
	if err != nil {
		return err
	}
	defer on.Close()
	kept, err := openFolder(v.kept, v.Inode)
	if err != nil {
		return err
	}
	defer kept.Close()
	at := fmt.Sprintf("/proc/self/fd/%d/", kept.Fd())
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", strings.Join(lower, ":"), at+upperName, at+workName)
	if v.o.Rootless {
		options = "userxattr," + options
	}
	if len(options) > fsys.MaxMountOptions {
		return content.WithHint(fmt.Errorf("%w: it has more layers (%d) than can be mounted", content.ErrUnsupported, len(lower)),
			"without --mount they are copied; `dist squash` makes fewer of them")
	}
	if err := fsys.MountOverlay(v.Base, fmt.Sprintf("/proc/self/fd/%d", on.Fd()), options); err != nil {
		return content.WithHint(fmt.Errorf("%s: %w", root, err), "without --mount the layers are copied")
	}
	return nil
}

// openFolder opens the folder of that name that has an inode, and no other.
func openFolder(name string, inode uint64) (*os.File, error) {
	above, err := os.OpenRoot(filepath.Dir(name))
	if err != nil {
		return nil, fsys.Classify(err)
	}
	defer above.Close()
	f, err := above.Open(filepath.Base(name))
	if err != nil {
		return nil, fsys.Classify(err)
	}
	fi, err := f.Stat()
	if d, _ := fsys.DetailOf(fi); err == nil && d.Inode != inode {
		err = fmt.Errorf("%s: %w: it is another folder than was made", name, content.ErrConflict)
	}
	if err != nil {
		f.Close()
		return nil, fsys.Classify(err)
	}
	return f, nil
}

// isBundle says whether the folder with what was written is in a bundle.
func isBundle(kept string) bool { return filepath.Base(kept) == mountName }

// removeMounted removes a folder that is not mounted, with what was written and its record.
// released is called once only the Mount is left, which goes then; nil for nothing. So what
// one has left that ended early can be gone on with.
func removeMounted(root, kept string, released func() error) error {
	// First, for it fails where something is in it, or mounted on it after all.
	if err := removeAny(root); err != nil {
		return fmt.Errorf("%w: %w", content.ErrConflict, err)
	}
	record := recordOf(root)
	if isBundle(kept) {
		record = filepath.Join(filepath.Dir(root), recordName)
	}
	if err := removeAny(record); err != nil {
		return err
	}
	above, err := os.OpenRoot(filepath.Dir(kept))
	if err != nil {
		return fsys.Classify(err)
	}
	defer above.Close()
	base := filepath.Base(kept)
	for _, name := range []string{workName, upperName} {
		if err := fsys.RemoveTree(above, filepath.Join(base, name)); err != nil {
			return err
		}
	}
	if released != nil {
		if err := released(); err != nil {
			return err
		}
	}
	return fsys.RemoveTree(above, base)
}

// removeAny removes a file or an empty folder, if it is there.
func removeAny(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fsys.Classify(err)
	}
	return nil
}

// FindMount is what is kept about a folder that Overlay made, or a bundle of it: also where
// it is not mounted (any more). Errors: ErrNotFound for any other; ErrInvalid for a record that
// is none.
func FindMount(dir string) (m Mount, err error) {
	m, _, _, err = findMount(dir)
	return m, err
}

// findMount also says where it is mounted, and which folder has what was written.
func findMount(dir string) (m Mount, root, kept string, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return m, "", "", fsys.Classify(err)
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	for _, at := range []struct{ root, kept string }{
		{dir, mountOf(dir)}, {filepath.Join(dir, rootfsName), filepath.Join(dir, mountName)},
	} {
		m = Mount{}
		name := filepath.Join(at.kept, mountRecord)
		p, err := fsys.ReadCapped(name, maxRecord)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return m, "", "", fsys.Classify(err)
		}
		if err := json.Unmarshal(p, &m); err != nil {
			return m, "", "", fmt.Errorf("%s: %w: %w", name, content.ErrInvalid, err)
		}
		fi, err := os.Lstat(at.kept)
		if err != nil {
			return m, "", "", fsys.Classify(err)
		}
		if d, _ := fsys.DetailOf(fi); d.Inode != m.Inode {
			continue
		}
		return m, at.root, at.kept, nil
	}
	return m, "", "", fmt.Errorf("%s: %w: it was not mounted by dist", dir, content.ErrNotFound)
}

// Unmount takes a folder that Overlay made away: it is unmounted, for root, and the folder
// and what was written to it are removed; of a bundle config.json stays. Where something was
// written, discard has to say that it may go. released is called at the end, before what is
// kept about the mount goes; a second call goes on where one has ended. A mount in another
// namespace of mounts is not seen, and loses what is below it. Errors: those of FindMount and
// released; ErrConflict where something was written, and where the folder is in use or has
// something in it without being mounted; ErrDenied for who is not root and finds it mounted.
func Unmount(dir string, discard bool, released func(Mount) error) error {
	m, root, kept, err := findMount(dir)
	if err != nil {
		return err
	}
	if !discard {
		if err := unwritten(dir, kept, m); err != nil {
			return err
		}
	}
	if err := unmount(root); err != nil {
		return err
	}
	if !discard { // in the meantime
		if err := unwritten(dir, kept, m); err != nil {
			return err
		}
	}
	err = removeMounted(root, kept, func() error { return released(m) })
	if errors.Is(err, content.ErrConflict) {
		err = content.WithHint(err, "what is in it is no part of the image: move it elsewhere")
	}
	return err
}

// unwritten refuses a folder to which something was written, or that was given another mode
// or owner itself.
func unwritten(dir, kept string, m Mount) error {
	upper := filepath.Join(kept, upperName)
	entries, err := os.ReadDir(upper)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fsys.Classify(err)
	}
	fi, err := os.Lstat(upper)
	if err != nil {
		return fsys.Classify(err)
	}
	if len(entries) == 0 && mountRoot(fi) == m.Root {
		return nil
	}
	return content.WithHint(fmt.Errorf("%s: %w: something was written to it", dir, content.ErrConflict),
		"`dist repack` keeps it as a layer; --discard removes it")
}

// unmount unmounts all that is mounted on a folder, for root; for others nothing is.
func unmount(root string) error {
	if os.Geteuid() != 0 {
		if mounted, err := isMounted(root); err != nil || !mounted {
			return err
		}
		return content.WithHint(fmt.Errorf("%s: %w: it is mounted", root, content.ErrDenied), "whoever mounted it can unmount it: umount %s", root)
	}
	for {
		mounted, err := fsys.Unmount(root)
		if errors.Is(err, content.ErrConflict) {
			err = content.WithHint(err, "fuser -vm %s tells by whom", root)
		}
		if err != nil || !mounted {
			return err
		}
	}
}

// isMounted says whether a folder is on another file system than the one that it is in.
func isMounted(root string) (bool, error) {
	fi, err := os.Lstat(root)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	above, aerr := os.Stat(filepath.Dir(root))
	if err := errors.Join(err, aerr); err != nil {
		return false, fsys.Classify(err)
	}
	a, _ := fsys.DetailOf(fi)
	b, _ := fsys.DetailOf(above)
	return a.Device != b.Device, nil
}
