package unpack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/layer"
)

// making is the mode of everything while it is made: nobody else looks in, and the owner
// may write. What it is to have comes after its content.
const making fs.FileMode = 0o700

// disk makes a tree below a folder, see layer.Disk.
type disk struct {
	ctx  context.Context
	o    Options
	shut bool // the root lets nobody else in
	// kept says that it is a snapshot, in which its owner may read all.
	kept  bool
	dirs  *folders
	buf   []byte
	res   *Result
	taken int64 // bytes of files so far, also of those that are gone again
	apart bool  // files cannot share blocks with those of snapshots
}

func newDisk(ctx context.Context, root *os.Root, o Options, shut bool, res *Result) *disk {
	return &disk{ctx: ctx, o: o, shut: shut, dirs: newFolders(root), buf: make([]byte, 256<<10), res: res}
}

// in is the open folder that an entry is in, and the entry's name there.
func (d *disk) in(name string) (*folder, string, error) {
	dir, base := path.Split(name)
	if !filepath.IsLocal(base) || strings.ContainsRune(base, filepath.Separator) {
		return nil, "", fmt.Errorf("%w: %q is no file's name on this system", content.ErrUnsupported, base)
	}
	f, err := d.dirs.open(strings.TrimSuffix(dir, "/"))
	return f, base, err
}

// made words what making an entry led to.
func made(err error) error {
	if errors.Is(err, fs.ErrExist) {
		// The tree says that nothing is there.
		return content.WithHint(fmt.Errorf("%w: another entry has its name: %w", content.ErrUnsupported, err),
			"two names of the image are one on this file system, or somebody else writes there")
	}
	for _, cannot := range []error{syscall.ENAMETOOLONG, syscall.EILSEQ, syscall.EMLINK, syscall.EINVAL} {
		if errors.Is(err, cannot) {
			return fmt.Errorf("%w: this file system cannot have it: %w", content.ErrUnsupported, err)
		}
	}
	return fsys.Classify(err)
}

// Folder implements layer.Disk.
func (d *disk) Folder(name string) error {
	dir, base, err := d.in(name)
	if err != nil {
		return err
	}
	return made(dir.root.Mkdir(base, making))
}

// Remove implements layer.Disk. All folders may still be written to.
func (d *disk) Remove(name string) error {
	d.dirs.forget(name)
	dir, base, err := d.in(name)
	if err != nil {
		return err
	}
	return fsys.Classify(dir.root.RemoveAll(base))
}

// Link implements layer.Disk.
func (d *disk) Link(name, old string) error {
	dir, base, err := d.in(name)
	if err != nil {
		return err
	}
	if path.Dir(name) == path.Dir(old) {
		err = dir.root.Link(path.Base(old), base)
	} else {
		err = d.dirs.root.Link(filepath.FromSlash(old), filepath.FromSlash(name))
	}
	if errors.Is(err, fs.ErrNotExist) && d.res.Skipped.Devices > 0 {
		return nil // one more name of what was left out
	}
	return made(err)
}

// Create implements layer.Disk.
func (d *disk) Create(name string, e layer.Entry, r io.Reader) error {
	if err := context.Cause(d.ctx); err != nil {
		return err
	}
	dir, base, err := d.in(name)
	if err != nil {
		return err
	}
	switch e.Type {
	case layer.TypeFile:
		return d.file(dir, base, e, r)
	case layer.TypeLink:
		if e.Target == "" {
			return fmt.Errorf("%w: a link to nothing", content.ErrInvalid)
		}
		if err := made(dir.root.Symlink(e.Target, base)); err != nil {
			return err
		}
		d.res.Links++
	default:
		left, err := d.special(dir, base, e)
		if left {
			d.res.Skipped.Devices++
		}
		if left || err != nil {
			return err
		}
	}
	return d.describe(dir, base, e, nil)
}

// file makes a file.
func (d *disk) file(dir *folder, base string, e layer.Entry, r io.Reader) error {
	if d.o.MaxSize > 0 && e.Size > d.o.MaxSize-d.taken {
		return tooLarge(d.o.MaxSize)
	}
	d.taken += e.Size
	f, err := dir.root.OpenFile(base, os.O_WRONLY|os.O_CREATE|os.O_EXCL, making)
	if err != nil {
		return made(err)
	}
	defer f.Close()
	if e.Size > 0 {
		if !d.share(f, e, r) {
			if err := writeContent(d.ctx, f, e, r, d.buf); err != nil {
				return fsys.Classify(err)
			}
		}
		d.res.Size += e.Size
	}
	d.res.Files++
	if err := d.describe(dir, base, e, f); err != nil {
		return err
	}
	return fsys.Classify(f.Close())
}

func tooLarge(most int64) error {
	return content.WithHint(fmt.Errorf("%w: the files of its layers have more than %d bytes", content.ErrUnsupported, most),
		"`dist unpack --max-size` lets it have more")
}

// WriteContent writes a file of a tree into f, which is empty; what of it are holes in the
// layer are holes in f.
func WriteContent(ctx context.Context, f *os.File, e layer.Entry, r io.Reader) error {
	return writeContent(ctx, f, e, r, make([]byte, 256<<10))
}

func writeContent(ctx context.Context, f *os.File, e layer.Entry, r io.Reader, buf []byte) error {
	if !e.Sparse {
		// Hidden, or each would do it in its own small steps.
		_, err := io.CopyBuffer(struct{ io.Writer }{f}, struct{ io.Reader }{r}, buf)
		return err
	}
	for off := int64(0); off < e.Size; {
		if err := context.Cause(ctx); err != nil {
			return err // holes take no reading, and end late
		}
		n, err := io.ReadFull(r, buf[:min(int64(len(buf)), e.Size-off)])
		if err != nil {
			return err
		}
		if err := writeData(f, buf[:n], off); err != nil {
			return err
		}
		off += int64(n)
	}
	// The verdict on it comes with its end.
	if n, err := r.Read(buf[:1]); n > 0 || err != io.EOF {
		return errors.Join(fmt.Errorf("%w: it has more than it says", content.ErrCorrupt), err)
	}
	return f.Truncate(e.Size)
}

// hole is the size of the smallest hole, in bytes: file systems have no smaller ones.
const hole = 4 << 10

var zeros [hole]byte

// writeData writes those parts of p that are not zero, in whole blocks of the file.
func writeData(f *os.File, p []byte, off int64) error {
	for len(p) > 0 {
		n := 0
		for n < len(p) && !bytes.Equal(p[n:min(n+hole, len(p))], zeros[:min(hole, len(p)-n)]) {
			n = min(n+hole, len(p))
		}
		if _, err := f.WriteAt(p[:n], off); err != nil {
			return err
		}
		if n < len(p) { // a hole is behind it
			n = min(n+hole, len(p))
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// special makes a named pipe or a device; left says that it is left out.
func (d *disk) special(dir *folder, base string, e layer.Entry) (left bool, err error) {
	mode, mine := fs.ModeNamedPipe, true
	switch e.Type {
	case layer.TypeCharDevice:
		mode, mine = fs.ModeDevice|fs.ModeCharDevice, false
	case layer.TypeBlockDevice:
		mode, mine = fs.ModeDevice, false
	}
	if !mine && d.o.Rootless {
		return true, nil
	}
	at, err := dir.handle()
	if err != nil {
		return false, err
	}
	err = fsys.Mknod(at, base, mode|making&^0o111, e.Major, e.Minor)
	if errors.Is(err, errors.ErrUnsupported) || !mine && errors.Is(err, fs.ErrPermission) {
		return true, nil
	}
	return false, made(err)
}

// describe gives an entry owner, extended attributes, mode and time, in the order in which
// none takes another away. f is the file, where it is one and open.
func (d *disk) describe(dir *folder, base string, e layer.Entry, f *os.File) error {
	if err := d.own(dir, base, e, f); err != nil {
		return err
	}
	if err := d.xattrs(dir, base, e); err != nil {
		return err
	}
	if e.Type != layer.TypeLink {
		mode := fileMode(e.Mode)
		if d.o.plain {
			mode &= fs.ModePerm | fs.ModeSticky
		}
		if d.kept && d.o.Rootless {
			mode |= readable(e.Type)
		}
		var err error
		if f != nil {
			err = f.Chmod(mode)
		} else {
			err = dir.root.Chmod(base, mode)
		}
		if err != nil {
			return fsys.Classify(err)
		}
	}
	return d.stamp(dir, base, e)
}

// readable is what the mode of an entry of a snapshot has for its owner, who is not root and
// would have to be to read it otherwise.
func readable(kind string) fs.FileMode {
	if kind == layer.TypeFolder {
		return 0o500
	}
	return 0o400
}

// own gives an entry to whom it belongs.
func (d *disk) own(dir *folder, base string, e layer.Entry, f *os.File) error {
	if d.o.plain {
		return nil
	}
	if d.o.Rootless {
		if (e.UID != 0 || e.GID != 0) && (e.UID != os.Geteuid() || e.GID != os.Getegid()) {
			d.res.Skipped.Owners++
		}
		return nil
	}
	if !isOwner(e.UID) || !isOwner(e.GID) {
		return fmt.Errorf("%w: it is to belong to %d:%d, which no user is", content.ErrUnsupported, e.UID, e.GID)
	}
	var err error
	if f != nil {
		err = f.Chown(e.UID, e.GID)
	} else {
		err = dir.root.Lchown(base, e.UID, e.GID)
	}
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, fs.ErrPermission) {
		// In a user namespace the first is said of who is not in it.
		return content.WithHint(fmt.Errorf("%w: it cannot be given to %d:%d: %w", content.ErrDenied, e.UID, e.GID, err),
			"--rootless leaves everything to you")
	}
	return fsys.Classify(err)
}

// isOwner says whether a number can be that of a user: others would be taken for one that
// can, or for none.
func isOwner(id int) bool { return id >= 0 && int64(id) < math.MaxUint32 }

// settable says whether an extended attribute is one that files have: other records of a
// tar have other keys. Those of overlay file systems are no content, they tell what stands
// for what.
func settable(key string) bool {
	space, rest, _ := strings.Cut(key, ".")
	switch space {
	case "security", "system":
		return key != "system.nfs4_acl"
	case "user", "trusted":
		return !strings.HasPrefix(rest, "overlay.") && !strings.HasPrefix(rest, "fuseoverlayfs.")
	}
	return false
}

// xattrs sets those that can be set: there is no telling which a file system takes, in
// which size, and of whom.
func (d *disk) xattrs(dir *folder, base string, e layer.Entry) error {
	if len(e.Xattrs) == 0 || d.o.plain {
		return nil
	}
	at, err := dir.handle()
	if err != nil {
		return err
	}
	for key, value := range e.Xattrs {
		if !settable(key) || fsys.SetXattr(at, base, key, value) != nil {
			d.res.Skipped.Xattrs++
		}
	}
	return nil
}

// stamp sets an entry's time.
func (d *disk) stamp(dir *folder, base string, e layer.Entry) error {
	at, err := dir.handle()
	if err != nil {
		return err
	}
	err = fsys.SetTimes(at, base, e.Time)
	if errors.Is(err, errors.ErrUnsupported) && runtime.GOOS != "linux" {
		if e.Type == layer.TypeLink {
			return nil
		}
		err = dir.root.Chtimes(base, time.Time{}, e.Time)
	}
	return fsys.Classify(err)
}

// finish gives a folder what it is to have; all that is in it is there.
func (d *disk) finish(name string, e layer.Entry) error {
	if err := context.Cause(d.ctx); err != nil {
		return err
	}
	d.res.Folders++
	if name == "" {
		f := &folder{root: d.dirs.root}
		defer f.close()
		if d.shut {
			// Its files may run as who unpacks it: nobody else gets in.
			e.Mode = uint32(making)
		}
		return d.describe(f, ".", e, nil)
	}
	d.dirs.forget(name)
	dir, base, err := d.in(name)
	if err != nil {
		return err
	}
	return d.describe(dir, base, e, nil)
}

var modeFlags = map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky}

// fileMode is a mode as package os has it.
func fileMode(mode uint32) fs.FileMode {
	m := fs.FileMode(mode & 0o777)
	for bit, flag := range modeFlags {
		if mode&bit != 0 {
			m |= flag
		}
	}
	return m
}

// modeOf is the opposite of fileMode.
func modeOf(m fs.FileMode) uint32 {
	mode := uint32(m.Perm())
	for bit, flag := range modeFlags {
		if m&flag != 0 {
			mode |= bit
		}
	}
	return mode
}
