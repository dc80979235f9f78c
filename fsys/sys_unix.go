//go:build unix

package fsys

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// openNamesStay says that nobody can take away the name of a file that is open.
const openNamesStay = false

var (
	noSpace = []error{unix.ENOSPC, unix.EDQUOT, unix.EFBIG}
	denied  = []error{unix.EACCES, unix.EPERM, unix.EROFS}
	inUse   []error

	unreadable = append([]error{unix.EIO}, badFileSystem...)
)

// again repeats a system call that a signal broke off.
func again(call func() error) error {
	for {
		if err := call(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// onFD calls op with the descriptor of an open folder.
func onFD(dir *os.File, op func(fd int) error) error {
	conn, err := dir.SyscallConn()
	if err != nil {
		return err
	}
	var opErr error
	if err := conn.Control(func(fd uintptr) { opErr = again(func() error { return op(int(fd)) }) }); err != nil {
		return err
	}
	return opErr
}

func renameFolder(dir *os.File, from, to string) error {
	return onFD(dir, func(fd int) error { return unix.Renameat(fd, from, fd, to) })
}

func mine(fi fs.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	return !ok || int(st.Uid) == os.Geteuid()
}

func flock(fd uintptr, how int) error {
	return again(func() error { return unix.Flock(int(fd), how) })
}

func lockMode(exclusive bool) int {
	if exclusive {
		return unix.LOCK_EX
	}
	return unix.LOCK_SH
}

func tryLock(fd uintptr, exclusive bool) (bool, error) {
	err := flock(fd, lockMode(exclusive)|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

func lock(fd uintptr, exclusive bool) error { return flock(fd, lockMode(exclusive)) }
func unlock(fd uintptr) error               { return flock(fd, unix.LOCK_UN) }

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func processAlive(pid int) bool {
	err := unix.Kill(pid, 0)
	return err == nil || errors.Is(err, unix.EPERM)
}
