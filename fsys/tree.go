package fsys

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// RemoveTree removes a file or folder with all that is in it, also what is in folders that
// are closed to their owner. One that is not there is no error. Errors: those of Classify;
// then a part may be gone.
func RemoveTree(root *os.Root, name string) error {
	err := root.RemoveAll(name)
	if errors.Is(err, fs.ErrPermission) {
		// Each folder is opened before what is in it is listed.
		_ = fs.WalkDir(root.FS(), filepath.ToSlash(name), func(name string, e fs.DirEntry, err error) error {
			if e == nil || !e.IsDir() {
				return nil
			}
			if err != nil {
				return fs.SkipDir
			}
			_ = root.Chmod(filepath.FromSlash(name), 0o700)
			return nil
		})
		err = root.RemoveAll(name)
	}
	return Classify(err)
}
