//go:build !linux

package unpack

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/layer"
)

// Scan is for Linux.
func Scan(context.Context, *os.Root, *layer.Tree, Record) (*layer.Index, error) {
	return nil, fmt.Errorf("%w: what has changed in a folder is found out on Linux alone", content.ErrUnsupported)
}

// Open is for what Scan has found.
func Open(context.Context, *os.Root, string) (io.ReadCloser, error) {
	return nil, fmt.Errorf("%w: what has changed in a folder is found out on Linux alone", content.ErrUnsupported)
}

// openRegular opens what is a file.
func openRegular(root *os.Root, name string) (*os.File, error) {
	fi, err := root.Lstat(filepath.FromSlash(name))
	if err == nil && !fi.Mode().IsRegular() {
		err = fmt.Errorf("/%s: %w: it is no file any more", name, content.ErrConflict)
	}
	if err != nil {
		return nil, fsys.Classify(err)
	}
	f, err := root.Open(filepath.FromSlash(name))
	return f, fsys.Classify(err)
}
