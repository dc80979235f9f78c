package fsys

import (
	"context"
	"io"
	"io/fs"
	"os"
	"sync/atomic"
)

// File is an open file. Reading and writing at offsets, WriteBack and DataSync are safe
// for concurrent use (but see Behind for the errors of several syncs), all else is for
// one goroutine at a time. Errors are *fs.PathError or wrap one, unless stated
// otherwise.
type File interface {
	io.Reader
	io.ReaderAt
	io.Writer
	io.WriterAt
	io.Seeker
	// Close also releases the lock. A second Close returns fs.ErrClosed.
	io.Closer

	// Name is the name the file was opened by.
	Name() string
	Stat() (fs.FileInfo, error)
	// Truncate sets the size and leaves the offset where it is.
	Truncate(size int64) error
	// Sync makes data and metadata durable.
	Sync() error
	// DataSync makes data durable and of the metadata what is needed to read it
	// back, the size included. It is Sync where the system knows no less.
	DataSync() error
	// WriteBack asks the system to begin writing n bytes from off to the disk. It
	// promises nothing, and does nothing where there is no such hint.
	WriteBack(off, n int64) error

	// TryLock takes the lock if nobody has it, and says whether it did. A
	// descriptor that holds the lock unlocks before it locks in the other mode:
	// converting is not portable, and not atomic where it is.
	TryLock(exclusive bool) (bool, error)
	// Lock waits for the lock until ctx ends, and then returns the cause of ctx.
	// The wait itself cannot be broken off: it goes on in the background and gives
	// the lock back as soon as it has it. Until then the open file lives on after
	// Close, TryLock on it says false and Lock waits its turn.
	Lock(ctx context.Context, exclusive bool) error
	// Unlock releases the lock. Unlocking what is not locked is an error on
	// Windows and none on Unix.
	Unlock() error

	// OS is the file itself, for sending it to a socket and for Clone, or nil
	// where there is none. What is written through it goes round the interface.
	OS() *os.File
}

// FS is a file system as the store uses it. It is safe for concurrent use. Names
// are those of the operating system, as package os takes them.
type FS interface {
	// OpenFile opens with the flags of package os. Who opens closes.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	MkdirAll(dir string, perm fs.FileMode) error
	// Remove takes away a name, or an empty folder. On Windows the name of an open
	// file stays (see InUse).
	Remove(name string) error
	// Rename replaces newName if it is there.
	Rename(oldName, newName string) error
	// Link gives a file a second name and fails with fs.ErrExist rather than
	// replace one.
	Link(oldName, newName string) error
	Chmod(name string, mode fs.FileMode) error
	// Stat follows symbolic links.
	Stat(name string) (fs.FileInfo, error)
	// ReadDir lists a folder by name.
	ReadDir(dir string) ([]fs.DirEntry, error)
	// SyncDir makes the names in dir durable: those that came, moved and went. On
	// Windows the file system's own journal has to do, and it does nothing.
	SyncDir(dir string) error
}

// OS is the operating system's file system.
func OS() FS { return osFS{} }

type osFS struct{}

func (osFS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &osFile{File: f}, nil
}

func (osFS) MkdirAll(dir string, perm fs.FileMode) error { return os.MkdirAll(dir, perm) }
func (osFS) Remove(name string) error                    { return os.Remove(name) }
func (osFS) Rename(oldName, newName string) error        { return os.Rename(oldName, newName) }
func (osFS) Link(oldName, newName string) error          { return os.Link(oldName, newName) }
func (osFS) Chmod(name string, mode fs.FileMode) error   { return os.Chmod(name, mode) }
func (osFS) Stat(name string) (fs.FileInfo, error)       { return os.Stat(name) }
func (osFS) ReadDir(dir string) ([]fs.DirEntry, error)   { return os.ReadDir(dir) }
func (osFS) SyncDir(dir string) error                    { return syncDir(dir) }

// osFile adds to an os.File what the interface has beyond it. The embedded file
// also lends io.Copy its fast ways (ReadFrom, WriteTo).
type osFile struct {
	*os.File
	waits  lockWaits
	locked atomic.Bool // a lock was got and not given back
}

// AsFile is f, which was opened in another way than by an FS, such as through an os.Root.
// It belongs to the File from then on.
func AsFile(f *os.File) File { return &osFile{File: f} }

// Mine says whether a file belongs to the user as whom this process works. Where a system
// does not tell it does.
func Mine(fi fs.FileInfo) bool { return mine(fi) }

func (f *osFile) OS() *os.File    { return f.File }
func (f *osFile) DataSync() error { return f.control("fdatasync", dataSync) }

func (f *osFile) WriteBack(off, n int64) error {
	return f.control("sync_file_range", func(fd uintptr) error { return writeBack(fd, off, n) })
}

// control runs op on the descriptor, which stays open until op has returned even
// if the file is closed meanwhile.
func (f *osFile) control(what string, op func(fd uintptr) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var opErr error
	if conn.Control(func(fd uintptr) { opErr = op(fd) }) != nil {
		opErr = fs.ErrClosed // the one thing that Control refuses for
	}
	if opErr != nil {
		return &fs.PathError{Op: what, Path: f.Name(), Err: opErr}
	}
	return nil
}

// SameFile says whether name still leads to the file that f has open. A name
// that is gone leads nowhere: false, and no error.
func SameFile(f File, name string, fsys FS) (bool, error) {
	open, err := f.Stat()
	if err != nil {
		return false, err
	}
	named, err := fsys.Stat(name)
	if isNotExist(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return os.SameFile(open, named), nil
}

// RemoveHeld takes away the name of a file that f has open, and closes f whether that
// works or not. f and its lock are held until the name is gone, so that whoever waits for
// the lock finds that it leads nowhere; on Windows, where the name of an open file stays, f
// is closed first. Errors: those of Remove, among them that somebody else has the file
// open (see InUse).
func RemoveHeld(f File, name string, fsys FS) error {
	if openNamesStay {
		f.Close()
		return fsys.Remove(name)
	}
	defer f.Close()
	return fsys.Remove(name)
}
