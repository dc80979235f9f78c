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
	Store string     `json:"store"` // the folder of the store that has the snapshots
	Lease string     `json:"lease"` // by which that keeps them
	// Inode is that of the folder that this is kept in: no file of an image is taken for it.
	Inode uint64    `json:"inode"`
	Made  time.Time `json:"made"`
	// Command is what mounts it, for a shell: root, or who is root of a user namespace and has
	// mounts of his own.
	Command string `json:"command"`
}

// Overlay is a Source that copies nothing: overlayfs lays the snapshots over each other,
// and what is written to the folder goes to one beside it, or in the bundle. Linux alone.
type Overlay struct {
	*Snapshots
	// Mount is what is to be kept about it; Command becomes known as it is made.
	Mount
	// Base is a folder that all folders of the snapshots are in.
	Base string
	// Mounted says that it is mounted; who is not root gets the Command alone.
	Mounted bool

	kept string // the folder with upper and work
}

// fill makes the folders that it takes. The snapshots are shown as they are: devices and
// owners of others among them were left out when they were made.
func (v *Overlay) fill(ctx context.Context, st *stage, root *os.Root, o Options, shut bool, res *Result) (*layer.Tree, error) {
	in, name := st.root, mountName
	v.kept = mountOf(st.dir)
	if root != st.tree { // of a bundle
		in, v.kept = st.tree, filepath.Join(st.dir, mountName)
	} else if _, err := st.parent.Lstat(filepath.Base(v.kept)); err == nil {
		return nil, content.WithHint(fmt.Errorf("%s: %w: what was written to a folder that was mounted there", v.kept, content.ErrConflict),
			"`dist unpack --umount %s` removes it", st.dir)
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
	count(v.tree, res)
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
	// All that is in the snapshots is older than this.
	detail, _ := fsys.DetailOf(fi)
	st.inode, st.started = detail.Inode, time.Time{}
	if fi, err = in.Stat(name); err != nil {
		return nil, fsys.Classify(err)
	}
	folder, _ := fsys.DetailOf(fi)
	v.Inode, v.Made, v.Command = folder.Inode, time.Now().UTC(), v.command(st, root)
	p, err := json.MarshalIndent(v.Mount, "", "  ")
	if err != nil {
		return nil, err
	}
	return v.tree, durable(in, filepath.Join(name, mountRecord), append(p, '\n'))
}

// count is what a tree has.
func count(t *layer.Tree, res *Result) {
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
func (v *Overlay) placed(_ context.Context, root string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	if err := v.mount(root); err != nil {
		if isBundle(v.kept) {
			err = errors.Join(err, removeAny(filepath.Join(filepath.Dir(root), configName)))
		}
		err = errors.Join(err, removeMounted(root, v.kept))
		if isBundle(v.kept) {
			err = errors.Join(err, os.Remove(filepath.Dir(root)))
		}
		return err
	}
	v.Mounted = true
	return nil
}

// mount mounts it. The two folders beside are named by one that is open, so that their names
// may be any.
func (v *Overlay) mount(root string) error {
	lower, err := v.lowers()
	if err != nil {
		return err
	}
	kept, err := os.Open(v.kept)
	if err != nil {
		return fsys.Classify(err)
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
	if err := fsys.MountOverlay(v.Base, root, options); err != nil {
		return content.WithHint(err, "without --mount the layers are copied")
	}
	return nil
}

// isBundle says whether the folder with what was written is in a bundle.
func isBundle(kept string) bool { return filepath.Base(kept) == mountName }

// removeMounted removes a folder that is not mounted, with what was written and its record.
func removeMounted(root, kept string) error {
	above, err := os.OpenRoot(filepath.Dir(kept))
	if err != nil {
		return fsys.Classify(err)
	}
	defer above.Close()
	if err := fsys.RemoveTree(above, filepath.Base(kept)); err != nil {
		return err
	}
	record := recordOf(root)
	if isBundle(kept) {
		record = filepath.Join(filepath.Dir(root), recordName)
	}
	return errors.Join(removeAny(record), removeAny(root))
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
// written, discard has to say that it may go. Once it is unmounted, a second call goes on
// where one has ended. Errors: those of FindMount; ErrConflict where something was written,
// and where the folder is in use; ErrDenied for who is not root and finds it mounted.
func Unmount(dir string, discard bool) (Mount, error) {
	m, root, kept, err := findMount(dir)
	if err != nil {
		return m, err
	}
	if !discard {
		if err := unwritten(dir, kept); err != nil {
			return m, err
		}
	}
	mounted, err := isMounted(root)
	if err != nil {
		return m, err
	}
	if mounted {
		if err := unmount(root); err != nil {
			return m, err
		}
	}
	if !discard { // in the meantime
		if err := unwritten(dir, kept); err != nil {
			return m, err
		}
	}
	return m, removeMounted(root, kept)
}

// unwritten refuses a folder to which something was written.
func unwritten(dir, kept string) error {
	entries, err := os.ReadDir(filepath.Join(kept, upperName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fsys.Classify(err)
	}
	if len(entries) == 0 {
		return nil
	}
	return content.WithHint(fmt.Errorf("%s: %w: something was written to it", dir, content.ErrConflict),
		"`dist repack` keeps it as a layer; --discard removes it")
}

// isMounted says whether something is mounted at a folder.
func isMounted(root string) (bool, error) {
	above, err := os.Open(filepath.Dir(root))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fsys.Classify(err)
	}
	defer above.Close()
	mounted, err := fsys.IsMount(above, filepath.Base(root))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return mounted, fsys.Classify(err)
}

func unmount(root string) error {
	err := fsys.Unmount(root)
	switch {
	case errors.Is(err, content.ErrConflict):
		return content.WithHint(err, "fuser -vm %s tells by whom", root)
	case errors.Is(err, content.ErrDenied):
		return content.WithHint(err, "whoever mounted it can unmount it: umount %s", root)
	}
	return err
}
