package fsys

import (
	"io/fs"
	"os"
	"time"
)

// Detail is what Linux tells of a file beyond fs.FileInfo.
type Detail struct {
	Device, Inode, Links uint64
	Stored               int64 // bytes that it takes on the disk
	UID, GID             int
	Major, Minor         int64     // of a device
	Changed              time.Time // when content or what describes it last changed, by the system's clock
}

// DetailOf is the detail of a file; false where the system does not tell. Linux alone.
func DetailOf(fi fs.FileInfo) (Detail, bool) { return detail(fi) }

// IsMount says whether something is mounted at an entry of an open folder, by its bare name,
// as far as the kernel tells (5.8 does). Linux alone.
func IsMount(dir *os.File, name string) (bool, error) {
	mount, err := isMount(dir, name)
	return mount, named("statx", dir, name, err)
}

// Xattrs are the extended attributes of an entry of an open folder, by its bare name, those
// of a link itself. A file system that has none has none. Linux alone, where it needs /proc.
func Xattrs(dir *os.File, name string) (map[string]string, error) {
	found, err := xattrs(dir, name)
	return found, named("read attributes of", dir, name, err)
}
