package content

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"

	"dist.example/oci"
)

// relay sends a blob from a source that can start in the middle. The target gets
// it as something that can be read again, so that neither a broken download nor
// a broken upload begins at the first byte. What the source had wrong is asked
// for once more from nothing, and then from each other place that it knows.
func (c *copier) relay(ctx context.Context, src RangeFetcher, desc oci.Descriptor) error {
	for tries := 1; ; tries++ {
		r := newReplay(ctx, src, desc, func(offset int64) { c.event(EventAdvanced, desc, offset) })
		// Opened here, so that what is not there is told before an upload begins.
		err := r.open(0)
		if err == nil {
			err = c.dst.Push(ctx, desc, io.NewSectionReader(r, 0, desc.Size))
		}
		spoilt := r.end()
		if err == nil || !spoilt || !c.worthAnother(ctx, desc, tries) {
			return err
		}
	}
}

// replay is a blob of a RangeFetcher as an io.ReaderAt. It is meant to be read in
// order, by one reader at a time: whoever goes elsewhere costs another request.
//
// Each byte is hashed when it is read for the first time, and the last ones are
// held back until the hash is right: a target that gets all of them has been
// given the blob, or has had a part of it twice and must check for itself, as
// every target does.
type replay struct {
	ctx    context.Context //nolint:containedctx // the copy's, ended by end
	cancel context.CancelFunc
	src    RangeFetcher
	desc   oci.Descriptor
	told   func(offset int64)

	mu     sync.Mutex
	body   io.ReadCloser // nil when nothing is open
	pos    int64         // of body's next byte
	hash   hash.Hash
	hashed int64 // bytes from the first on that the hash has seen
	wrong  error // what was found to be no part of the blob
}

func newReplay(ctx context.Context, src RangeFetcher, desc oci.Descriptor, told func(int64)) *replay {
	ctx, cancel := context.WithCancel(ctx)
	return &replay{ctx: ctx, cancel: cancel, src: src, desc: desc, told: told, hash: desc.Digest.Algorithm().Hash()}
}

// ReadAt reads in full, and to the blob's end with io.EOF. Errors: those of the
// source, and ErrCorrupt when it does not give the blob.
func (r *replay) ReadAt(p []byte, off int64) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wrong != nil {
		return 0, r.wrong
	}
	if off >= r.desc.Size {
		return 0, io.EOF
	}
	if r.body == nil || off != r.pos {
		if err := r.openAt(off); err != nil {
			return 0, err
		}
	}
	whole := len(p)
	p = p[:min(int64(whole), r.desc.Size-off)]
	n, err := io.ReadFull(r.body, p)
	r.took(p[:n])
	if err == nil && r.pos == r.desc.Size {
		err = r.verdict()
	}
	switch {
	case err != nil:
		return 0, r.failed(err)
	case n < whole:
		return n, io.EOF
	}
	return n, nil
}

// took accounts for p, the bytes at r.pos.
func (r *replay) took(p []byte) {
	next := r.pos + int64(len(p))
	if r.pos <= r.hashed && next > r.hashed {
		r.hash.Write(p[r.hashed-r.pos:])
		r.hashed = next
	}
	r.pos = next
	r.told(next)
}

// verdict looks at the end: nothing may follow, and the hash has to be right.
func (r *replay) verdict() error {
	var one [1]byte
	if n, err := io.ReadFull(r.body, one[:]); n > 0 || !errors.Is(err, io.EOF) {
		if err == nil {
			err = fmt.Errorf("%s: %w: more than its %d bytes", r.desc.Digest, ErrCorrupt, r.desc.Size)
		}
		return err
	}
	if r.hashed < r.desc.Size {
		return nil
	}
	if got := fmt.Sprintf("%x", r.hash.Sum(nil)); got != r.desc.Digest.Encoded() {
		return fmt.Errorf("%s: %w: the bytes hash to %s", r.desc.Digest, ErrCorrupt, got)
	}
	return nil
}

// failed closes what broke, and remembers what is wrong for good.
func (r *replay) failed(err error) error {
	r.close()
	// The source's own word for its end, not what a broken connection is wrapped in.
	if err == io.EOF || err == io.ErrUnexpectedEOF { //nolint:errorlint // see above
		err = fmt.Errorf("%s: %w: %d bytes in place of %d", r.desc.Digest, ErrCorrupt, r.pos, r.desc.Size)
	}
	if errors.Is(err, ErrCorrupt) {
		r.wrong = err
	}
	return err
}

func (r *replay) open(off int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.openAt(off)
}

// openAt lets the source begin at off, or at its first byte where it cannot.
func (r *replay) openAt(off int64) error {
	r.close()
	body, err := r.src.FetchFrom(r.ctx, r.desc, off)
	r.pos = off
	if off > 0 && errors.Is(err, ErrUnsupported) {
		body, err = r.src.FetchFrom(r.ctx, r.desc, 0)
		r.pos = 0
	}
	if err != nil {
		return r.failed(err)
	}
	r.body = body
	if r.pos < off {
		n, err := io.CopyN(io.Discard, body, off)
		r.pos = n
		if err != nil {
			return r.failed(err)
		}
	}
	return nil
}

func (r *replay) close() {
	if r.body != nil {
		r.body.Close()
		r.body = nil
	}
}

// end gives up what is open, also from under a reader that is still at it, and
// says whether the source gave what is no part of the blob.
func (r *replay) end() (spoilt bool) {
	r.cancel()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.close()
	return r.wrong != nil
}
