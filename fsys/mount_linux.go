package fsys

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"dist.example/content"
)

func mountOverlay(base, root, options string) error {
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
	err := <-done
	if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL) {
		err = fmt.Errorf("%w: %w", content.ErrUnsupported, err)
	}
	if err != nil {
		return fmt.Errorf("mount %s: %w", root, Classify(err))
	}
	return nil
}

func unmount(root string) (bool, error) {
	err := unix.Unmount(filepath.Clean(root), unix.UMOUNT_NOFOLLOW)
	switch {
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT):
		return false, nil
	case errors.Is(err, unix.EBUSY):
		err = fmt.Errorf("%w: something in it is in use", content.ErrConflict)
	}
	if err != nil {
		return false, fmt.Errorf("unmount %s: %w", root, Classify(err))
	}
	return true, nil
}
