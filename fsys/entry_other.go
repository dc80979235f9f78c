//go:build !linux

package fsys

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

func mknod(*os.File, string, fs.FileMode, int64, int64) error { return errors.ErrUnsupported }
func setTimes(*os.File, string, time.Time) error              { return errors.ErrUnsupported }
func setXattr(_ *os.File, _, _, _ string) error               { return errors.ErrUnsupported }
func syncFS(*os.File) error                                   { return nil }
