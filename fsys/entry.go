package fsys

import (
	"io/fs"
	"os"
	"time"
)

// The functions here make and describe entries of an open folder by their bare names,
// which the caller has made sure of: no slash is in one. None follows a link that has the
// name. Where a system has no such thing they return errors.ErrUnsupported.

// Mknod makes a named pipe or a device: mode has fs.ModeNamedPipe, fs.ModeDevice, or
// fs.ModeDevice and fs.ModeCharDevice, and its permissions are what the umask lets. Only
// root makes devices, and not in a user namespace. Linux alone.
func Mknod(dir *os.File, name string, mode fs.FileMode, major, minor int64) error {
	return named("mknod", dir, name, mknod(dir, name, mode, major, minor))
}

// SetTimes sets the time of modification and that of access. Linux alone; os.Root.Chtimes
// does it elsewhere for what is no link.
func SetTimes(dir *os.File, name string, t time.Time) error {
	return named("utimensat", dir, name, setTimes(dir, name, t))
}

// SetXattr sets an extended attribute. Linux alone, where it needs /proc: without that the
// error is one of a missing file.
func SetXattr(dir *os.File, name, key, value string) error {
	return named("set "+key+" of", dir, name, setXattr(dir, name, key, value))
}

// RenameFolder gives a folder the name to, where nothing may be but an empty folder: os.Rename
// and os.Root refuse that. Both names are paths below dir. On Windows an empty folder is
// removed first.
func RenameFolder(dir *os.File, from, to string) error {
	return named("rename", dir, to, renameFolder(dir, from, to))
}

// SyncFS makes durable what was written to the file system that dir is on, by anybody. An
// error of writing since dir was opened is told. On other systems than Linux it does nothing.
func SyncFS(dir *os.File) error { return named("syncfs", dir, "", syncFS(dir)) }

// named adds what an error is about.
func named(op string, dir *os.File, name string, err error) error {
	if err == nil {
		return nil
	}
	path := dir.Name()
	if name != "" {
		path += string(os.PathSeparator) + name
	}
	return &os.PathError{Op: op, Path: path, Err: err}
}
