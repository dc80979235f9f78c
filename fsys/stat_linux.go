package fsys

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func detail(fi fs.FileInfo) (Detail, bool) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return Detail{}, false
	}
	return Detail{
		Device: st.Dev, Inode: st.Ino, Links: uint64(st.Nlink), Stored: st.Blocks * 512, UID: int(st.Uid), GID: int(st.Gid),
		Major: int64(unix.Major(st.Rdev)), Minor: int64(unix.Minor(st.Rdev)), Changed: time.Unix(st.Ctim.Unix()),
	}, true
}

func xattrs(dir *os.File, name string) (found map[string]string, err error) {
	err = onFD(dir, func(fd int) error {
		found, err = xattrsAt("/proc/self/fd/" + strconv.Itoa(fd) + "/" + name)
		return err
	})
	return found, err
}

func isMount(dir *os.File, name string) (mount bool, err error) {
	err = onFD(dir, func(fd int) error {
		var st unix.Statx_t
		err := unix.Statx(fd, name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT, 0, &st)
		mount = st.Attributes_mask&st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
		return err
	})
	return mount, err
}

// maxXattrs bounds the names of a file's extended attributes, and each value, in bytes;
// the kernel has 64 KiB.
const maxXattrs = 1 << 20

func xattrsAt(path string) (map[string]string, error) {
	names, err := grown(func(p []byte) (int, error) { return unix.Llistxattr(path, p) })
	switch {
	case errors.Is(err, unix.ENOTSUP):
		return nil, nil
	case err != nil:
		return nil, err
	case len(names) == 0:
		return nil, nil
	}
	found := map[string]string{}
	for key := range strings.SplitSeq(strings.TrimSuffix(string(names), "\x00"), "\x00") {
		value, err := grown(func(p []byte) (int, error) { return unix.Lgetxattr(path, key, p) })
		if errors.Is(err, unix.ENODATA) {
			continue // it went away, or is not for everybody
		}
		if err != nil {
			return nil, err
		}
		found[key] = string(value)
	}
	return found, nil
}

// grown calls get with more and more room.
func grown(get func([]byte) (int, error)) ([]byte, error) {
	for size := 256; ; size *= 4 {
		p := make([]byte, size)
		n, err := get(p)
		if err == nil {
			return p[:n], nil
		}
		if !errors.Is(err, unix.ERANGE) || size > maxXattrs {
			return nil, err
		}
	}
}
