package content

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"

	"dist.example/oci"
)

// Verify wraps r so that its end is reported only when all bytes have matched
// desc's digest and, unless it is -1, its size; otherwise, and as soon as r runs
// past the size, Read returns ErrCorrupt. Content shorter than desc says is
// ErrCorrupt too: callers that can tell a broken connection apart do so below.
func Verify(r io.Reader, desc oci.Descriptor) io.Reader {
	return &verifier{r: r, desc: desc, hash: desc.Digest.Algorithm().Hash()}
}

type verifier struct {
	r    io.Reader
	desc oci.Descriptor
	hash hash.Hash
	n    int64
	err  error
}

func (v *verifier) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	n, err := v.r.Read(p)
	if v.desc.Size >= 0 && v.n+int64(n) > v.desc.Size {
		v.err = fmt.Errorf("%s: %w: more than its %d bytes", v.desc.Digest, ErrCorrupt, v.desc.Size)
		return 0, v.err
	}
	v.hash.Write(p[:n])
	v.n += int64(n)
	if errors.Is(err, io.EOF) {
		err = v.check()
	}
	v.err = err
	return n, err
}

func (v *verifier) check() error {
	if v.desc.Size >= 0 && v.n != v.desc.Size {
		return fmt.Errorf("%s: %w: %d bytes in place of %d", v.desc.Digest, ErrCorrupt, v.n, v.desc.Size)
	}
	if got := fmt.Sprintf("%x", v.hash.Sum(nil)); got != v.desc.Digest.Encoded() {
		return fmt.Errorf("%s: %w: the bytes hash to %s", v.desc.Digest, ErrCorrupt, got)
	}
	return io.EOF
}

// VerifyCloser is Verify for a reader that has to be closed.
func VerifyCloser(rc io.ReadCloser, desc oci.Descriptor) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{Verify(rc, desc), rc}
}

// UntilDone is r until ctx ends: from then on Read returns the cause. A Read that
// blocks is not woken.
func UntilDone(ctx context.Context, r io.Reader) io.Reader { return &untilDone{ctx, r} }

type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u *untilDone) Read(p []byte) (int, error) {
	if u.ctx.Err() != nil {
		return 0, context.Cause(u.ctx)
	}
	return u.r.Read(p)
}

// ReadAll fetches a small blob whole and verified. What is larger than limit is
// refused before anything is read (ErrUnsupported), as is an unknown size.
func ReadAll(ctx context.Context, from Fetcher, desc oci.Descriptor, limit int64) ([]byte, error) {
	if desc.Size < 0 || desc.Size > limit {
		return nil, fmt.Errorf("%s of %d bytes: %w: the limit for %s is %d", desc.Digest, desc.Size, ErrUnsupported, desc.MediaType, limit)
	}
	rc, err := from.Fetch(ctx, desc)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	p := make([]byte, desc.Size)
	if _, err := io.ReadFull(rc, p); err != nil {
		return nil, shortRead(desc, err)
	}
	// The verdict on digest and size comes with the end of the stream.
	if _, err := rc.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		if err == nil {
			err = fmt.Errorf("%s: %w: more than its %d bytes", desc.Digest, ErrCorrupt, desc.Size)
		}
		return nil, err
	}
	return p, nil
}

// shortRead gives io.ReadFull's complaint of an early end its class.
func shortRead(desc oci.Descriptor, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%s: %w: shorter than its %d bytes", desc.Digest, ErrCorrupt, desc.Size)
	}
	return err
}
