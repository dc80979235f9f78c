package fsys

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// openNamesStay says that nobody can take away the name of a file that is open.
const openNamesStay = true

var (
	noSpace = []error{windows.ERROR_DISK_FULL, windows.ERROR_HANDLE_DISK_FULL, windows.ERROR_DISK_QUOTA_EXCEEDED, windows.ERROR_FILE_TOO_LARGE, syscall.ENOSPC}
	denied  = []error{windows.ERROR_ACCESS_DENIED, windows.ERROR_WRITE_PROTECT}
	inUse   = []error{windows.ERROR_SHARING_VIOLATION, windows.ERROR_LOCK_VIOLATION, windows.ERROR_USER_MAPPED_FILE}

	unreadable = []error{windows.ERROR_CRC, windows.ERROR_SECTOR_NOT_FOUND, windows.ERROR_READ_FAULT, windows.ERROR_IO_DEVICE, windows.ERROR_FILE_CORRUPT, windows.ERROR_DISK_CORRUPT, syscall.EIO}
)

// The locked byte: far past the end of any file, since a lock on Windows keeps
// others from reading what it covers.
const (
	lockOffsetHigh = 0x7fffffff
	lockLength     = 1
)

func renameFolder(dir *os.File, from, to string) error {
	from, to = filepath.Join(dir.Name(), from), filepath.Join(dir.Name(), to)
	if fi, err := os.Lstat(to); err == nil && fi.IsDir() {
		if err := os.Remove(to); err != nil {
			return err
		}
	}
	return os.Rename(from, to)
}

func mine(fs.FileInfo) bool { return true }

func lockFile(fd uintptr, flags uint32) error {
	at := &windows.Overlapped{OffsetHigh: lockOffsetHigh}
	return windows.LockFileEx(windows.Handle(fd), flags, 0, lockLength, 0, at)
}

func lockMode(exclusive bool) uint32 {
	if exclusive {
		return windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	return 0
}

func tryLock(fd uintptr, exclusive bool) (bool, error) {
	err := lockFile(fd, lockMode(exclusive)|windows.LOCKFILE_FAIL_IMMEDIATELY)
	if isAny(err, []error{windows.ERROR_LOCK_VIOLATION, windows.ERROR_IO_PENDING}) {
		return false, nil
	}
	return err == nil, err
}

func lock(fd uintptr, exclusive bool) error { return lockFile(fd, lockMode(exclusive)) }

func unlock(fd uintptr) error {
	at := &windows.Overlapped{OffsetHigh: lockOffsetHigh}
	return windows.UnlockFileEx(windows.Handle(fd), 0, lockLength, 0, at)
}

func dataSync(fd uintptr) error { return windows.FlushFileBuffers(windows.Handle(fd)) }

func writeBack(uintptr, int64, int64) error { return nil }

// syncEvery is 0: whether syncs in the background pay here has not been measured.
const syncEvery int64 = 0

func widen(uintptr)               {}
func syncDir(string) error        { return nil }
func reflink(_, _ *os.File) error { return errors.ErrUnsupported }

func reflinkRange(_, _ *os.File, _, _ int64) error                        { return errors.ErrUnsupported }
func copyRange(context.Context, *os.File, *os.File, int64) (int64, error) { return 0, nil }

func freeBytes(dir string) (uint64, error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, &os.PathError{Op: "free space", Path: dir, Err: err}
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(name, &free, nil, nil); err != nil {
		return 0, &os.PathError{Op: "free space", Path: dir, Err: err}
	}
	return free, nil
}

func blockSize(string) int64 { return 0 }

func networkKind(dir string) (string, error) {
	if _, err := os.Stat(dir); err != nil {
		return "", err
	}
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return "", err
	}
	root := make([]uint16, windows.MAX_LONG_PATH)
	if err := windows.GetVolumePathName(name, &root[0], uint32(len(root))); err != nil {
		return "", err
	}
	if windows.GetDriveType(&root[0]) == windows.DRIVE_REMOTE {
		return "a network drive", nil
	}
	return "", nil
}

// timeOfDay is the head of SYSTEM_TIMEOFDAY_INFORMATION.
type timeOfDay struct {
	bootTime, currentTime, timeZoneBias int64
	timeZoneID, reserved                uint32
	bootTimeBias, sleepTimeBias         uint64
}

func bootID() string {
	var info timeOfDay
	size := uint32(unsafe.Sizeof(info))
	if err := windows.NtQuerySystemInformation(windows.SystemTimeOfDayInformation, unsafe.Pointer(&info), size, nil); err != nil {
		return ""
	}
	return "boottime-" + strconv.FormatInt(info.bootTime, 10)
}

// stillActive is what Windows gives as the exit code of a process that runs.
const stillActive = 259

func processAlive(pid int) bool {
	h, err := windows.OpenProcess(windows.PROCESS_QUERY_LIMITED_INFORMATION, false, uint32(pid))
	if err != nil {
		return errors.Is(err, windows.ERROR_ACCESS_DENIED)
	}
	defer windows.CloseHandle(h)
	var code uint32
	if err := windows.GetExitCodeProcess(h, &code); err != nil {
		return true
	}
	return code == stillActive
}
