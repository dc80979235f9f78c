//go:build !linux

package unpack

import (
	"context"
	"fmt"
	"os"

	"dist.example/content"
	"dist.example/layer"
)

// Scan is for Linux.
func Scan(context.Context, *os.Root, *layer.Tree, Record) (*layer.Index, error) {
	return nil, fmt.Errorf("%w: what has changed in a folder is found out on Linux alone", content.ErrUnsupported)
}
