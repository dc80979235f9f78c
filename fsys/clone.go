package fsys

import (
	"context"
	"fmt"
	"io"
	"os"

	"dist.example/content"
)

// How Clone went about it.
const (
	ByReflink   = "reflink"         // blocks are shared until one side changes
	ByCopyRange = "copy_file_range" // copied inside the system
	ByCopy      = "copy"            // through this process
)

// Reflink has dst, an empty file opened for writing, share all blocks of src until one side
// changes. Nothing is verified. Errors: any, where blocks cannot be shared, and then dst is
// still empty.
func Reflink(dst, src *os.File) error { return reflink(dst, src) }

// CloneRange makes dst, an empty file opened for writing, a copy of n bytes of src from off
// on, whose whole blocks are shared until one side changes; the rest of the last block is
// copied. off has to be a multiple of the file system's block size. Nothing is verified
// and nothing synced. Errors: content.ErrUnsupported where blocks cannot be shared, and
// then dst is still empty; those of the disk.
func CloneRange(dst, src *os.File, off, n int64) error {
	block := blockSize(src.Name())
	if block <= 0 || off%block != 0 {
		return fmt.Errorf("share blocks of %s: %w", src.Name(), content.ErrUnsupported)
	}
	whole := n - n%block
	if whole > 0 {
		if err := reflinkRange(dst, src, off, whole); err != nil {
			return fmt.Errorf("share blocks of %s: %w: %v", src.Name(), content.ErrUnsupported, err)
		}
	}
	tail := make([]byte, n-whole)
	if _, err := src.ReadAt(tail, off+whole); err != nil {
		return Classify(err)
	}
	_, err := dst.WriteAt(tail, whole)
	return Classify(err)
}

// Clone makes dst, an empty file opened for writing, a copy of all of src, in
// the cheapest way that both file systems can, and says which it was. The
// offset of src does not matter and stays; that of dst is undefined afterwards.
// Nothing is verified and nothing synced. When ctx ends a copy ends soon, with its
// cause. After an error dst may hold a part.
func Clone(ctx context.Context, dst, src *os.File) (how string, err error) {
	if err := context.Cause(ctx); err != nil {
		return "", err
	}
	if reflink(dst, src) == nil {
		return ByReflink, nil
	}
	info, err := src.Stat()
	if err != nil {
		return "", err
	}
	n, err := copyRange(ctx, dst, src, info.Size())
	if err != nil {
		return "", fmt.Errorf("copy %s to %s: %w", src.Name(), dst.Name(), err)
	}
	if n > 0 && n == info.Size() {
		return ByCopyRange, nil
	}
	// Some file systems give up early, or before they begin: the rest goes by hand.
	rest := io.NewSectionReader(src, n, info.Size()-n)
	if _, err := io.Copy(io.NewOffsetWriter(dst, n), content.UntilDone(ctx, rest)); err != nil {
		return "", fmt.Errorf("copy %s to %s: %w", src.Name(), dst.Name(), err)
	}
	return ByCopy, nil
}
