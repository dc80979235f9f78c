package unpack

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"dist.example/content"
	"dist.example/fsys"
)

// maxMountOptions is how many bytes the kernel takes: a page.
const maxMountOptions = 4095

// mountOverlay mounts. The options have a page at most: the lower folders are named from
// base, which a thread of its own has as its working folder, and the two others by open
// files, so that their names may be any.
func mountOverlay(base string, lower []string, kept, root string, user bool) error {
	folder, err := os.Open(kept)
	if err != nil {
		return fsys.Classify(err)
	}
	defer folder.Close()
	at := fmt.Sprintf("/proc/self/fd/%d/", folder.Fd())
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", strings.Join(lower, ":"), at+upperName, at+workName)
	if user {
		options = "userxattr," + options
	}
	if len(options) > maxMountOptions {
		return content.WithHint(fmt.Errorf("%w: it has more layers (%d) than can be mounted", content.ErrUnsupported, len(lower)),
			"without --mount they are copied; `dist squash` makes fewer of them")
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with its working folder
		err := unix.Unshare(unix.CLONE_FS)
		if err == nil {
			err = unix.Chdir(base)
		}
		if err == nil {
			err = unix.Mount("overlay", root, "overlay", 0, options)
		}
		done <- err
	}()
	err = <-done
	runtime.KeepAlive(folder)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.EINVAL):
		err = fmt.Errorf("%w: overlay: %w", content.ErrUnsupported, err)
	case errors.Is(err, unix.EPERM):
		err = fmt.Errorf("%w: overlay: %w", content.ErrDenied, err)
	}
	return content.WithHint(fmt.Errorf("mount %s: %w", root, fsys.Classify(err)), "without --mount the layers are copied")
}

// unmount unmounts.
func unmount(root string) error {
	err := unix.Unmount(filepath.Clean(root), unix.UMOUNT_NOFOLLOW)
	switch {
	case errors.Is(err, unix.EBUSY):
		return content.WithHint(fmt.Errorf("%s: %w: something in it is in use", root, content.ErrConflict), "fuser -vm %s tells by whom", root)
	case errors.Is(err, unix.EPERM):
		return content.WithHint(fmt.Errorf("%s: %w: it is mounted", root, content.ErrDenied), "whoever mounted it can unmount it: umount %s", root)
	}
	return fsys.Classify(err)
}
