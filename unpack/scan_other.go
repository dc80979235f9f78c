//go:build !linux

package unpack

import (
	"context"
	"fmt"
	"io"
	"os"

	"dist.example/content"
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
