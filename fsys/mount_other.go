//go:build !linux

package fsys

import (
	"fmt"

	"dist.example/content"
)

var errNoMount = fmt.Errorf("%w: file systems are mounted on Linux alone", content.ErrUnsupported)

func mountOverlay(string, string, string) error { return errNoMount }

func unmount(string) (bool, error) { return false, nil }
