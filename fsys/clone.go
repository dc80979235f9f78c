package fsys

import (
	"fmt"
	"io"
	"os"
)

// How Clone went about it.
const (
	ByReflink   = "reflink"         // blocks are shared until one side changes
	ByCopyRange = "copy_file_range" // copied inside the system
	ByCopy      = "copy"            // through this process
)

// Clone makes dst, an empty file opened for writing, a copy of all of src, in
// the cheapest way that both file systems can, and says which it was. The
// offset of src does not matter and stays; that of dst is undefined afterwards.
// Nothing is verified and nothing synced. After an error dst may hold a part.
func Clone(dst, src *os.File) (how string, err error) {
	if reflink(dst, src) == nil {
		return ByReflink, nil
	}
	info, err := src.Stat()
	if err != nil {
		return "", err
	}
	n, err := copyRange(dst, src, info.Size())
	if err != nil {
		return "", fmt.Errorf("copy %s to %s: %w", src.Name(), dst.Name(), err)
	}
	if n > 0 && n == info.Size() {
		return ByCopyRange, nil
	}
	// Some file systems give up early, or before they begin: the rest goes by hand.
	rest := io.NewSectionReader(src, n, info.Size()-n)
	if _, err := io.Copy(io.NewOffsetWriter(dst, n), rest); err != nil {
		return "", fmt.Errorf("copy %s to %s: %w", src.Name(), dst.Name(), err)
	}
	return ByCopy, nil
}
