//go:build !linux

package fsys

import (
	"errors"
	"io/fs"
	"os"
)

func detail(fs.FileInfo) (Detail, bool) { return Detail{}, false }

func isMount(*os.File, string) (bool, error) { return false, errors.ErrUnsupported }

func xattrs(*os.File, string) (map[string]string, error) { return nil, errors.ErrUnsupported }
