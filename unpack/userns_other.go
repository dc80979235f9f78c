//go:build !linux

package unpack

import (
	"context"
	"fmt"
	"io"

	"dist.example/content"
)

// UserNamespace says that there is none: only Linux has them.
func UserNamespace(context.Context) (uids, gids []IDMap, inside bool, err error) {
	return nil, nil, false, nil
}

// Remap is for Linux.
func Remap(context.Context, io.Reader, io.Writer, io.Writer) (exit int, err error) {
	return 0, fmt.Errorf("%w: user namespaces are for Linux", content.ErrUnsupported)
}
