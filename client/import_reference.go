package client

import (
	"context"
	"errors"
	"fmt"
	"os"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
)

// referencedFrom is the size from which blobs stay in the archive's own blocks: smaller
// ones do not begin at a block there.
const referencedFrom = 1 << 20

// blockShares counts what stays in the archive's blocks, and what should have.
type blockShares struct {
	blobs  int
	bytes  int64
	copied int   // in spite of what was asked for
	why    error // of the first of them
}

// referencing is a session that shares the blocks of large blobs with the archive that
// they come from, where that can be.
type referencing struct {
	*blobstore.Session
	im *imports
}

// sharer is a Writer that can take all of its content as a stretch of a file.
type sharer interface {
	Share(ctx context.Context, src *os.File, off, n int64) error
}

// Writer implements content.Ingester. What it returns has all of its bytes already, where
// they could be shared.
func (r referencing) Writer(ctx context.Context, o content.IngestOptions) (content.Writer, error) {
	if o.Expected == "" || o.Total <= referencedFrom {
		return r.Session.Writer(ctx, o)
	}
	w, err := r.Session.Writer(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := r.share(ctx, w, o); err != nil {
		_ = w.Close()
		return nil, err
	}
	return w, nil
}

func (r referencing) share(ctx context.Context, w content.Writer, o content.IngestOptions) error {
	if w.Status().Offset > 0 {
		if err := w.Reset(); err != nil {
			return err
		}
	}
	ra, err := r.im.in.ReaderAt(ctx, oci.Descriptor{Digest: o.Expected})
	if err != nil {
		return err
	}
	defer ra.Close()
	err = fmt.Errorf("%w: it is in no file", content.ErrUnsupported)
	if b, ok := ra.(content.Backed); ok {
		if f, off, n := b.File(); n == o.Total {
			err = w.(sharer).Share(ctx, f, off, n)
		}
	}
	if err != nil && !errors.Is(err, content.ErrUnsupported) {
		return err
	}
	r.im.mu.Lock()
	defer r.im.mu.Unlock()
	s := &r.im.shares
	if err == nil {
		s.blobs++
		s.bytes += o.Total
		return nil
	}
	if s.copied++; s.why == nil {
		s.why = err
	}
	return nil
}

// tellShares says once what came of --reference.
func (im *imports) tellShares() {
	s := im.shares
	if s.blobs > 0 {
		im.c.opts.Warn(fmt.Sprintf("%s of %s stay in the blocks of %s", oci.HumanSize(s.bytes), howMany(s.blobs, "blob"), im.places[0]))
	}
	switch {
	case s.copied > 0:
		im.c.opts.Warn(fmt.Sprintf("%s copied, since blocks cannot be shared: %v", howMany(s.copied, "large blob"), s.why))
	case im.o.Reference && im.stream != nil:
		im.c.opts.Warn("all was copied: only a tar in one file that is not compressed, and a folder, have blocks to share")
	}
}
