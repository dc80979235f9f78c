package fsys

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

func mknod(dir *os.File, name string, mode fs.FileMode, major, minor int64) error {
	kind, dev := uint32(unix.S_IFIFO), uint64(0)
	if mode&fs.ModeDevice != 0 {
		if major>>12 != 0 || minor>>20 != 0 {
			return errors.ErrUnsupported // the system would take others in their place
		}
		kind, dev = unix.S_IFBLK, unix.Mkdev(uint32(major), uint32(minor))
	}
	if mode&fs.ModeCharDevice != 0 {
		kind = unix.S_IFCHR
	}
	return onFD(dir, func(fd int) error { return unix.Mknodat(fd, name, kind|uint32(mode.Perm()), int(dev)) })
}

func setTimes(dir *os.File, name string, t time.Time) error {
	ts, err := unix.TimeToTimespec(t)
	if err != nil {
		return err
	}
	return onFD(dir, func(fd int) error {
		return unix.UtimesNanoAt(fd, name, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
	})
}

func setXattr(dir *os.File, name, key, value string) error {
	return onFD(dir, func(fd int) error {
		return unix.Lsetxattr("/proc/self/fd/"+strconv.Itoa(fd)+"/"+name, key, []byte(value), 0)
	})
}

func syncFS(dir *os.File) error { return onFD(dir, unix.Syncfs) }
