package fsys

import (
	"context"
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// badFileSystem is how file systems say that their own records are damaged, in
// a checksum (EBADMSG) or in what they mean.
var badFileSystem = []error{unix.EUCLEAN, unix.EBADMSG}

func dataSync(fd uintptr) error {
	return again(func() error { return unix.Fdatasync(int(fd)) })
}

func writeBack(fd uintptr, off, n int64) error {
	err := again(func() error { return unix.SyncFileRange(int(fd), off, n, unix.SYNC_FILE_RANGE_WRITE) })
	if isAny(err, []error{unix.ENOSYS, unix.EINVAL, unix.ESPIPE, unix.EPERM}) {
		return nil // a hint that this file system, or a sandbox, does not take
	}
	return err
}

// syncEvery is how much a file gets, at most, between two syncs in the background, see
// Behind.
const syncEvery int64 = 16 << 20

func widen(fd uintptr) {
	if has, err := unix.FcntlInt(fd, unix.F_GETPIPE_SZ, 0); err == nil && has < pipeSize {
		_, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, pipeSize)
	}
}

func reflink(dst, src *os.File) error {
	return onBoth(dst, src, func(d, s int) error {
		return again(func() error { return unix.IoctlFileClone(d, s) })
	})
}

// reflinkRange shares whole blocks of src with the beginning of dst.
func reflinkRange(dst, src *os.File, off, n int64) error {
	return onBoth(dst, src, func(d, s int) error {
		r := unix.FileCloneRange{Src_fd: int64(s), Src_offset: uint64(off), Src_length: uint64(n)}
		return again(func() error { return unix.IoctlFileCloneRange(d, &r) })
	})
}

// rangeSize is what the system copies between two looks whether the copy is still
// wanted.
const rangeSize = 64 << 20

// copyRange copies as much of src as the system does by itself. It reports
// errors of the disk; that the system cannot do it is none.
func copyRange(ctx context.Context, dst, src *os.File, size int64) (done int64, err error) {
	err = onBoth(dst, src, func(d, s int) error {
		for done < size {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			from, to := done, done
			n, err := unix.CopyFileRange(s, &from, d, &to, int(min(size-done, rangeSize)), 0)
			switch {
			case errors.Is(err, unix.EINTR):
				continue
			case isAny(err, noSpace), errors.Is(err, unix.EIO):
				return err
			case err != nil || n == 0:
				return nil
			}
			done += int64(n)
		}
		return nil
	})
	return done, err
}

// onBoth runs op on both descriptors and keeps them open meanwhile.
func onBoth(dst, src *os.File, op func(d, s int) error) error {
	dstConn, err := dst.SyscallConn()
	if err != nil {
		return err
	}
	srcConn, err := src.SyscallConn()
	if err != nil {
		return err
	}
	var opErr, srcErr error
	err = dstConn.Control(func(d uintptr) {
		srcErr = srcConn.Control(func(s uintptr) { opErr = op(int(d), int(s)) })
	})
	return errors.Join(err, srcErr, opErr)
}

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

func bootID() string {
	p, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(p))
}
