package blobstore

import (
	"context"
	"fmt"

	"dist.example/content"
	"dist.example/db"
	"dist.example/fsys"
)

// Cut drops the bytes of an ingest from the n-th on, for a Writer with a key whose last
// bytes turned out wrong. What stays is hashed again. Errors: content.ErrInvalid for more
// than there is, and without a key.
func (w *writer) Cut(ctx context.Context, n int64) error {
	if w.done || w.file == nil || w.file.again != nil || n < 0 || n > w.file.size() {
		return fmt.Errorf("cut ingest %s to %d bytes: %w", w.name(), n, content.ErrInvalid)
	}
	if err := w.file.cutTo(ctx, n); err != nil {
		return fmt.Errorf("cut ingest %s: %w", w.name(), fsys.Classify(err))
	}
	w.err, w.wrong = nil, false
	return nil
}

// cutTo keeps the first n bytes. The row goes first, as in cut.
func (in *ingest) cutTo(ctx context.Context, n int64) error {
	if in.sealed || n == 0 {
		return in.Reset()
	}
	if in.pipe != nil {
		if err := in.pipe.drain(); err != nil {
			return err
		}
	}
	if in.stop(); in.failed != nil {
		return in.failed
	}
	if err := in.forget(); err != nil {
		return err
	}
	in.s.hook("ingest.cutting")
	if err := in.file.Truncate(n); err != nil {
		return err
	}
	in.hash, in.sums, in.kept = hasher(in.opts.Expected), blockSums{}, db.Ingest{}
	in.resumed, in.marked = n, n
	return in.rehash(ctx, n, nil, false)
}
