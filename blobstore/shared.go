package blobstore

import (
	"context"
	"fmt"
	"os"

	"dist.example/content"
	"dist.example/fsys"
)

// Share gives an ingest that is empty and has a file all of its content at once: n bytes
// of src from off on, whose blocks it shares with src until one side changes. They are
// hashed as they are in the ingest's file, and Commit judges them like any others. Errors:
// content.ErrUnsupported where that cannot be done, and then the ingest is as it was.
func (w *writer) Share(ctx context.Context, src *os.File, off, n int64) error {
	if w.done || w.file == nil || w.file.sealed || w.file.how != resuming || w.file.size() != 0 || w.opts.Total != n {
		return fmt.Errorf("share blocks with ingest %s: %w", w.name(), content.ErrUnsupported)
	}
	return w.file.share(ctx, src, off, n)
}

func (in *ingest) share(ctx context.Context, src *os.File, off, n int64) error {
	dst := in.file.OS()
	if dst == nil {
		return fmt.Errorf("share blocks with ingest %s: %w", in.key, content.ErrUnsupported)
	}
	if err := in.s.spend(n); err != nil { // a quota counts it
		return err
	}
	if err := fsys.CloneRange(dst, src, off, n); err != nil {
		return err
	}
	in.stop() // there is nothing in it
	return in.rehash(ctx, n, nil, false)
}
