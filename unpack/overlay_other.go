//go:build !linux

package unpack

import (
	"fmt"

	"dist.example/content"
)

var errNoOverlay = fmt.Errorf("%w: layers are mounted on Linux alone", content.ErrUnsupported)

func mountOverlay(string, []string, string, string, bool) error { return errNoOverlay }

func unmount(string) error { return errNoOverlay }
