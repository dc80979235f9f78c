package fsys

import (
	"context"
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

var badFileSystem []error // all of it is EIO

// dataSync asks for F_FULLFSYNC: fsync alone leaves the bytes in the drive's
// cache. File systems that do not know it get the fsync.
func dataSync(fd uintptr) error {
	err := again(func() error {
		_, err := unix.FcntlInt(fd, unix.F_FULLFSYNC, 0)
		return err
	})
	if isAny(err, []error{unix.ENOTSUP, unix.EINVAL, unix.ENOTTY}) {
		return again(func() error { return unix.Fsync(int(fd)) })
	}
	return err
}

func writeBack(uintptr, int64, int64) error { return nil }

// syncEvery is 0: whether syncs in the background pay here has not been measured.
const syncEvery int64 = 0

func widen(uintptr) {}

// clonefile wants to make the destination itself, which is open here already.
func reflink(_, _ *os.File) error { return errors.ErrUnsupported }

func reflinkRange(_, _ *os.File, _, _ int64) error { return errors.ErrUnsupported }

func copyRange(context.Context, *os.File, *os.File, int64) (int64, error) { return 0, nil }

func freeBytes(dir string) (uint64, error) {
	var st unix.Statfs_t
	if err := again(func() error { return unix.Statfs(dir, &st) }); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return st.Bavail * uint64(st.Bsize), nil
}

func blockSize(dir string) int64 {
	var st unix.Statfs_t
	if err := again(func() error { return unix.Statfs(dir, &st) }); err != nil {
		return 0
	}
	return int64(st.Bsize)
}

func networkKind(dir string) (string, error) {
	var st unix.Statfs_t
	if err := again(func() error { return unix.Statfs(dir, &st) }); err != nil {
		return "", err
	}
	if st.Flags&unix.MNT_LOCAL == 0 {
		return unix.ByteSliceToString(st.Fstypename[:]), nil
	}
	return "", nil
}

// bootID prefers the session's own id: kern.boottime moves when the clock is set.
func bootID() string {
	if id, err := unix.Sysctl("kern.bootsessionuuid"); err == nil && id != "" {
		return id
	}
	tv, err := unix.SysctlTimeval("kern.boottime")
	if err != nil {
		return ""
	}
	return "boottime-" + strconv.FormatInt(tv.Sec, 10)
}
