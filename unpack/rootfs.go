package unpack

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"dist.example/content"
	"dist.example/fsys"
)

// Options direct Rootfs. The zero value is for root.
type Options struct {
	// Rootless leaves everything to whoever unpacks it: no owner is given away, and
	// devices are left out. The root of what is unpacked lets nobody else in then.
	Rootless bool
	// Closed has the root of what is unpacked let nobody else in, as Rootless does: it is
	// for root of a user namespace, who is somebody else outside.
	Closed bool
	// MaxSize bounds what the files of all layers have, in bytes; 0 does not.
	MaxSize int64
	// Record has what a Scan of the folder needs kept about it: Image, Name and Platform
	// are the caller's to say. nil keeps nothing.
	Record *Record
	// plain keeps modes without setuid and the like, and times, and nothing else.
	plain bool
	// Hook is called at the steps of the work. Only tests set it, to stop a process there.
	Hook func(point string)
}

// Skipped is how much of an image could not be made.
type Skipped struct {
	Owners  int `json:"owners"`  // entries that are neither root's nor were given to their owner
	Devices int `json:"devices"` // devices and pipes that are not there
	Xattrs  int `json:"xattrs"`  // extended attributes
}

// Result is what was made, what upper layers took away again too.
type Result struct {
	Files, Links int // regular files, and symbolic links; further names of one do not count
	Folders      int // that are there, with the root
	Size         int64
	Skipped      Skipped
}

// Rootfs makes a folder that has what src makes. dir may not be there,
// or be an empty folder, which may have links on its way; folders above it are made. It
// appears at once, whole and durable (on Linux; elsewhere as the system has it). The folder
// that it is in has to be one that the caller may write to.
//
// Errors: ErrConflict when something is in dir, or another process makes it; ErrCorrupt
// for a layer that is not what its digests say; ErrInvalid for one that is no tar or has
// names that lead out of it; ErrUnsupported for what goes beyond a cap, for names that this
// file system has not, or not beside each other, and for members that cannot be made;
// ErrNoSpace; ErrDenied, also when owners are to be given that only root can give. dir is
// as it was then, but for an error of what comes behind: it may be whole and its name not be
// durable, or the stage be left.
func Rootfs(ctx context.Context, dir string, src Source, o Options) (res Result, err error) {
	var at string
	err = place(ctx, dir, o, func(st *stage) error {
		at = st.dir
		shut := o.Rootless || o.Closed
		_, err := src.fill(ctx, st, st.tree, o, shut, &res)
		if err == nil && o.Record != nil {
			err = st.record(*o.Record, st.tree, o, res, shut, false)
		}
		return err
	})
	if err == nil {
		err = src.placed(ctx, at)
	}
	return res, err
}

// place makes a folder by what makes its content in a stage.
func place(ctx context.Context, dir string, o Options, make func(*stage) error) error {
	st, err := newStage(dir)
	if err != nil {
		return err
	}
	if err = make(st); err == nil {
		err = st.finish(o)
	}
	return errors.Join(err, st.end())
}

// stage is the folder in which one is made.
type stage struct {
	dir    string // that is to be made, absolute
	path   string // of the stage
	lock   fsys.File
	parent *os.Root // of both
	root   *os.Root // the stage, nil until it is locked
	disk   *os.File // the same
	tree   *os.Root // what dir is to be, in it
	// started is when that was made, by the clock of the file system.
	started time.Time
	// mounted says that something is to be mounted on tree, whose root has that inode.
	mounted bool
	inode   uint64
}

const (
	stageSuffix = ".dist-unpack"
	lockName    = "lock"
	treeName    = "tree"
)

// newStage makes the stage, or takes one over that was left behind.
func newStage(dir string) (_ *stage, err error) {
	st := &stage{}
	if st.dir, err = whereabouts(dir); err != nil {
		return nil, err
	}
	above, base := filepath.Split(st.dir)
	if base == "" {
		return nil, fmt.Errorf("%s: %w: it is the root of a file system", dir, content.ErrInvalid)
	}
	if err := os.MkdirAll(above, 0o777); err != nil {
		return nil, fsys.Classify(err)
	}
	st.path = filepath.Join(above, "."+base+stageSuffix)
	defer func() {
		if err != nil {
			err = errors.Join(err, st.end())
		}
	}()
	if st.parent, err = os.OpenRoot(above); err != nil {
		return nil, fsys.Classify(err)
	}
	if err := st.begin(); err != nil {
		return nil, err
	}
	return st, nil
}

// Vacant says whether a folder can be made at dir as far as that can be seen before:
// nothing is there but perhaps an empty folder. Errors: those of Rootfs.
func Vacant(dir string) error {
	_, err := whereabouts(dir)
	return err
}

// whereabouts is where a folder is to be made, absolute: dir, or what it leads to if it is
// there. Nothing is in its place but an empty folder.
func whereabouts(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fsys.Classify(err)
	}
	real, err := filepath.EvalSymlinks(abs)
	if kept := mountOf(cmp.Or(real, abs)); err == nil || errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(kept); err == nil {
			return "", content.WithHint(fmt.Errorf("%s: %w: there is what was written to a folder that was mounted there", kept, content.ErrConflict),
				"`dist unpack --umount %s` removes it; the command in %s mounts it again", dir, mountRecord)
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Lstat(abs); err == nil {
			return "", fmt.Errorf("%s: %w: it is a link that leads nowhere", dir, content.ErrConflict)
		}
		return abs, nil
	case err != nil:
		return "", fsys.Classify(err)
	}
	if fi, err := os.Stat(real); err != nil || !fi.IsDir() {
		return "", errors.Join(fmt.Errorf("%s: %w: it is no folder", dir, content.ErrConflict), err)
	}
	f, err := os.Open(real)
	if err != nil {
		return "", fsys.Classify(err)
	}
	defer f.Close()
	if names, _ := f.Readdirnames(1); len(names) > 0 {
		return "", content.WithHint(fmt.Errorf("%s: %w: something is in it already", dir, content.ErrConflict),
			"give a folder that is empty, or not there yet")
	}
	return real, nil
}

// stageTries bounds how often the stage may go away between its making and its locking,
// which takes another process that unpacks to the same folder and ends in that moment.
const stageTries = 100

// begin makes the stage and locks it.
func (st *stage) begin() error {
	name := filepath.Base(st.path)
	for range stageTries {
		err := st.parent.Mkdir(name, making)
		fresh := err == nil
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return fsys.Classify(err)
		}
		held, err := st.hold(name, fresh)
		if err != nil && fresh {
			_ = st.parent.Remove(name)
		}
		if held || err != nil {
			return err
		}
	}
	return fmt.Errorf("%s: %w: somebody keeps taking it away", st.path, content.ErrConflict)
}

// hold opens and locks the stage; held is false when it went away meanwhile. In a folder
// that others may write to one of them may have made it: what is done in it would be done
// under their eyes and hands.
func (st *stage) hold(name string, fresh bool) (held bool, err error) {
	fi, err := st.parent.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil && !fresh && (!fi.IsDir() || !fsys.Mine(fi) || runtime.GOOS != "windows" && fi.Mode().Perm()&0o022 != 0) {
		return false, content.WithHint(fmt.Errorf("%s: %w: it is no folder that only you can write to", st.path, content.ErrConflict), "remove it, or give another folder")
	}
	if err != nil {
		return false, fsys.Classify(err)
	}
	if st.root, err = st.parent.OpenRoot(name); err != nil {
		return false, fsys.Classify(err)
	}
	defer func() {
		if !held {
			if st.disk != nil {
				st.disk.Close()
				st.disk = nil
			}
			if st.tree != nil {
				st.tree.Close()
				st.tree = nil
			}
			st.root.Close()
			st.root = nil
		}
	}()
	if now, err := st.root.Stat("."); err != nil || !os.SameFile(fi, now) {
		return false, fsys.Classify(err)
	}
	f, err := st.root.OpenFile(lockName, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil // the folder is gone that is open
	}
	if err != nil {
		return false, fsys.Classify(err)
	}
	lock := fsys.AsFile(f)
	defer func() {
		if !held {
			lock.Close()
		}
	}()
	locked, err := lock.TryLock(true)
	if err == nil && !locked {
		err = content.WithHint(fmt.Errorf("%s: %w: another process unpacks to it", st.dir, content.ErrConflict), "wait until it is done")
	}
	if err != nil {
		return false, fsys.Classify(err)
	}
	// The lock goes with its name, and the folder with its own.
	mine, err := lock.Stat()
	there, lerr := st.root.Lstat(lockName)
	dir, derr := st.parent.Lstat(name)
	if err := errors.Join(err, lerr, derr); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fsys.Classify(err)
	} else if err != nil || !os.SameFile(mine, there) || !os.SameFile(dir, fi) {
		return false, nil
	}
	// Opened before anything is written, so that it is told of all errors.
	if st.disk, err = st.root.Open("."); err != nil {
		return false, fsys.Classify(err)
	}
	// What one has left that was killed.
	if err := st.discard(); err != nil {
		return false, err
	}
	if err := st.root.Mkdir(treeName, making); err != nil {
		return false, fsys.Classify(err)
	}
	if st.tree, err = st.root.OpenRoot(treeName); err != nil {
		return false, fsys.Classify(err)
	}
	ti, err := st.tree.Stat(".")
	if err != nil {
		return false, fsys.Classify(err)
	}
	st.started = ti.ModTime().UTC()
	st.lock = lock
	return true, nil
}

// discard removes what the stage has.
func (st *stage) discard() error {
	for _, name := range []string{recordName, treeName, mountName} {
		if err := fsys.RemoveTree(st.root, name); err != nil {
			return err
		}
	}
	return nil
}

// folder makes one in the tree.
func (st *stage) folder(name string) (*os.Root, error) {
	if err := st.tree.Mkdir(name, making); err != nil {
		return nil, fsys.Classify(err)
	}
	root, err := st.tree.OpenRoot(name)
	return root, fsys.Classify(err)
}

// hook calls Hook, if there is one.
func (o Options) hook(point string) {
	if o.Hook != nil {
		o.Hook(point)
	}
}

// finish has the tree on the disk and gives it its name.
func (st *stage) finish(o Options) error {
	o.hook("unpack.finished")
	if err := fsys.SyncFS(st.disk); err != nil {
		return fsys.Classify(err)
	}
	err := st.tree.Close() // Windows renames nothing that is open
	if st.tree = nil; err != nil {
		return fsys.Classify(err)
	}
	above, err := st.parent.Open(".")
	if err != nil {
		return fsys.Classify(err)
	}
	defer above.Close()
	// One of another folder that was there.
	if err := st.parent.Remove(filepath.Base(recordOf(st.dir))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fsys.Classify(err)
	}
	if err := fsys.RenameFolder(above, filepath.Join(filepath.Base(st.path), treeName), filepath.Base(st.dir)); err != nil {
		if _, werr := whereabouts(st.dir); werr != nil {
			return werr
		}
		if errors.Is(err, syscall.EBUSY) {
			return content.WithHint(fmt.Errorf("%s: %w: another file system is mounted there: %w", st.dir, content.ErrConflict, err), "give a folder in it")
		}
		return fsys.Classify(err)
	}
	o.hook("unpack.placed")
	if err := st.parent.Rename(filepath.Join(filepath.Base(st.path), mountName), filepath.Base(mountOf(st.dir))); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fsys.Classify(err)
	}
	err = st.parent.Rename(filepath.Join(filepath.Base(st.path), recordName), filepath.Base(recordOf(st.dir)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fsys.Classify(err)
	}
	return fsys.Classify(fsys.OS().SyncDir(filepath.Dir(st.dir)))
}

// end takes the stage away, and what is in it.
func (st *stage) end() error {
	var errs []error
	if st.lock != nil {
		errs = append(errs, st.discard(), st.unlock())
	}
	if st.disk != nil {
		errs = append(errs, st.disk.Close())
	}
	if st.tree != nil {
		errs = append(errs, st.tree.Close())
	}
	if st.root != nil {
		errs = append(errs, st.root.Close())
		if st.lock != nil {
			_ = st.parent.Remove(filepath.Base(st.path)) // unless somebody has begun anew in it
		}
	}
	if st.parent != nil {
		errs = append(errs, st.parent.Close())
	}
	return errors.Join(errs...)
}

// unlock takes the lock away with its name, by which whoever waits for it knows that it
// counts no more.
func (st *stage) unlock() error {
	err := st.root.Remove(lockName)
	if cerr := st.lock.Close(); cerr != nil {
		return errors.Join(err, fsys.Classify(cerr))
	}
	if fsys.InUse(err) {
		err = st.root.Remove(lockName)
	}
	return fsys.Classify(err)
}
