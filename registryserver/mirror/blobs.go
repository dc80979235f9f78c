package mirror

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"

	"dist.example/content"
	"dist.example/oci"
)

func blobKey(repo oci.Reference, d oci.Digest) string { return "blob " + repo.WithDigest(d).String() }

// StatBlob implements registryserver.Upstream.
func (m *Mirror) StatBlob(ctx context.Context, repo oci.Reference, d oci.Digest) (size int64, held bool, err error) {
	if held, err = m.here(ctx, repo, d); held || err != nil {
		return 0, held, err
	}
	size, err = m.stat(ctx, repo, d)
	return size, false, err
}

// stat asks upstream whether repo has d, and for its size.
func (m *Mirror) stat(ctx context.Context, repo oci.Reference, d oci.Digest) (int64, error) {
	key := blobKey(repo, d)
	if err := m.refused(repo.Registry, key); err != nil {
		return 0, err
	}
	if size, ok := m.stats.young(key, m.o.Now(), refusalAge); ok {
		return size, nil
	}
	return together(ctx, m, key, answerTime, func(ctx context.Context) (int64, error) {
		desc, err := m.o.Open(repo).StatBlob(ctx, d)
		if err == nil && oci.HasSuccessors(desc.MediaType) {
			err = fmt.Errorf("blob %s in %s: %w: it is a manifest", d, repo.Name(), content.ErrNotFound)
		}
		if err != nil {
			return 0, m.refuse(repo.Registry, key, err)
		}
		m.stats.put(key, desc.Size, 1, m.o.Now())
		return desc.Size, nil
	})
}

// Blob implements registryserver.Upstream.
func (m *Mirror) Blob(ctx context.Context, repo oci.Reference, d oci.Digest) (io.ReadSeekCloser, error) {
	size, held, err := m.StatBlob(ctx, repo, d)
	if held || err != nil {
		return nil, err
	}
	vouched, err := m.vouched(ctx, repo, d)
	if err != nil {
		return nil, err
	}
	if vouched {
		return nil, m.share(ctx, repo, d)
	}
	if _, full := m.unkept.young(blobKey(repo, d), m.o.Now(), unkeptAge); full {
		return m.pass(ctx, repo, d, size)
	}
	f, err := m.join(repo, oci.Descriptor{MediaType: oci.MediaTypeOctets, Digest: d, Size: size})
	if err != nil {
		return nil, err
	}
	r := &following{ctx: ctx, f: f, size: size, hash: d.Algorithm().Hash()}
	// Of one that waits for its verification whole there is nothing to pass on.
	err = f.wait(ctx, func(coming, done bool) bool { return done || coming && size > heldBack })
	_, done, _, _ := f.state()
	if err == nil && !done {
		return r, nil
	}
	r.Close()
	if errors.Is(err, content.ErrNoSpace) {
		return m.pass(ctx, repo, d, size)
	}
	if err != nil {
		return nil, err
	}
	return nil, m.share(ctx, repo, d)
}

// share says that d, which is held, is in repo too.
func (m *Mirror) share(ctx context.Context, repo oci.Reference, d oci.Digest) error {
	if err := m.include(ctx, repo, d); err != nil {
		return err
	}
	m.arrived(ctx, d)
	return nil
}

// heldBack is how many bytes at the end of a blob wait for its verification.
const heldBack = 32 << 10

// following reads a blob while it comes in. It is not for concurrent use.
type following struct {
	ctx  context.Context //nolint:containedctx // of the request
	f    *flight
	size int64
	pos  int64

	part  content.ReaderAt // of the ingest, nil before there is one
	whole content.ReaderAt // of the blob, nil until it is held

	hash   hash.Hash
	hashed int64 // from the first byte on; who begins elsewhere is not judged
	closed bool
}

// Seek implements io.Seeker; nothing is waited for.
func (r *following) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.pos
	case io.SeekEnd:
		offset += r.size
	}
	if offset < 0 {
		return r.pos, fmt.Errorf("seek to %d: %w", offset, content.ErrInvalid)
	}
	r.pos = offset
	return offset, nil
}

// Read implements io.Reader.
func (r *following) Read(p []byte) (int, error) {
	if r.pos >= r.size {
		return 0, io.EOF
	}
	n, err := r.next(p[:min(int64(len(p)), r.size-r.pos)])
	if err != nil {
		return 0, err
	}
	if r.hashed == r.pos {
		r.hash.Write(p[:n])
		r.hashed += int64(n)
	}
	if d := r.f.desc.Digest; r.hashed == r.size && oci.NewDigest(d.Algorithm(), r.hash) != d {
		return 0, fmt.Errorf("blob %s: %w: it began with what did not last", d, content.ErrCorrupt)
	}
	r.pos += int64(n)
	return n, nil
}

// next waits for bytes at pos.
func (r *following) next(p []byte) (int, error) {
	for {
		_, done, changed, err := r.f.state()
		if err != nil {
			return 0, err
		}
		if done {
			return r.readWhole(p)
		}
		if n, err := r.readPart(p); n > 0 || err != nil {
			return n, err
		}
		select {
		case <-changed:
		case <-r.ctx.Done():
			return 0, context.Cause(r.ctx)
		}
	}
}

func (r *following) readWhole(p []byte) (int, error) {
	if r.whole == nil {
		var err error
		if r.whole, err = r.f.m.store.ReaderAt(r.ctx, r.f.desc); err != nil {
			return 0, err
		}
		if r.whole.Size() != r.size {
			return 0, fmt.Errorf("blob %s: %w: %d bytes in place of %d", r.f.desc.Digest, content.ErrCorrupt, r.whole.Size(), r.size)
		}
	}
	return unlessEmpty(r.whole.ReadAt(p, r.pos))
}

// readPart reads what has come, 0 bytes when it is not at pos yet.
func (r *following) readPart(p []byte) (int, error) {
	if p = p[:min(int64(len(p)), max(0, r.size-heldBack-r.pos))]; len(p) == 0 {
		return 0, nil
	}
	if r.part == nil {
		part, err := r.f.m.store.Part(r.ctx, r.f.key)
		if errors.Is(err, content.ErrNotFound) {
			return 0, nil // not yet, or not any more
		}
		if err != nil {
			return 0, err
		}
		r.part = part
	}
	n, err := r.part.ReadAt(p, r.pos)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// unlessEmpty is io.ReaderAt's answer as io.Reader gives it.
func unlessEmpty(n int, err error) (int, error) {
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// Close gives the seat in the flight back. Idempotent.
func (r *following) Close() error {
	if r.closed {
		return nil
	}
	r.closed = true
	r.f.leave()
	var errs []error
	for _, ra := range []content.ReaderAt{r.part, r.whole} {
		if ra != nil {
			errs = append(errs, ra.Close())
		}
	}
	return errors.Join(errs...)
}
