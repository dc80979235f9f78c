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

// pass passes a blob on that there is no room for. Errors: ErrNoSpace where its size is
// not known.
func (m *Mirror) pass(ctx context.Context, repo oci.Reference, d oci.Digest, size int64) (io.ReadSeekCloser, error) {
	if size < 0 {
		return nil, fmt.Errorf("blob %s in %s: %w, and its registry does not tell its size", d, repo.Name(), content.ErrNoSpace)
	}
	desc := oci.Descriptor{MediaType: oci.MediaTypeOctets, Digest: d, Size: size}
	return &passing{ctx: ctx, from: m.o.Open(repo), desc: desc, hash: d.Algorithm().Hash()}, nil
}

// passing reads a blob of another registry and keeps nothing. As of following, whoever
// reads from the first byte on gets the last ones when all are verified. It is not for
// concurrent use.
type passing struct {
	ctx  context.Context //nolint:containedctx // of the request
	from Repository
	desc oci.Descriptor
	pos  int64

	in     io.ReadCloser // nil before it is asked for
	at     int64         // where in is
	last   []byte        // the end, which is verified before any of it is given
	hash   hash.Hash
	hashed int64 // from the first byte on
}

// Seek implements io.Seeker; nothing is asked for.
func (p *passing) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += p.pos
	case io.SeekEnd:
		offset += p.desc.Size
	}
	if offset < 0 {
		return p.pos, fmt.Errorf("seek to %d: %w", offset, content.ErrInvalid)
	}
	p.pos = offset
	return offset, nil
}

// Read implements io.Reader.
func (p *passing) Read(b []byte) (int, error) {
	if p.pos >= p.desc.Size {
		return 0, io.EOF
	}
	lastFrom := p.desc.Size - int64(len(p.last))
	if len(p.last) == 0 || p.pos < lastFrom {
		if err := p.open(); err != nil {
			return 0, err
		}
		if end := p.desc.Size - heldBack; p.pos < end {
			n, err := p.in.Read(b[:min(int64(len(b)), end-p.pos)])
			p.took(b[:n])
			p.pos += int64(n)
			return n, p.early(err)
		}
		if err := p.readLast(); err != nil {
			return 0, err
		}
		lastFrom = p.pos
	}
	n := copy(b, p.last[p.pos-lastFrom:])
	p.pos += int64(n)
	return n, nil
}

// readLast reads all from pos on, and verifies what was read from the first byte on.
func (p *passing) readLast() error {
	last := make([]byte, p.desc.Size-p.pos)
	if _, err := io.ReadFull(p.in, last); err != nil {
		return p.early(err)
	}
	p.took(last)
	if d := p.desc.Digest; p.hashed == p.desc.Size && oci.NewDigest(d.Algorithm(), p.hash) != d {
		return fmt.Errorf("blob %s: %w", d, content.ErrCorrupt)
	}
	p.last = last
	return nil
}

// took is told of bytes that were read where in is.
func (p *passing) took(b []byte) {
	if p.hashed == p.at {
		p.hash.Write(b)
		p.hashed += int64(len(b))
	}
	p.at += int64(len(b))
}

// early is the error of a blob that ends before its size.
func (p *passing) early(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("blob %s: %w: it ends too early", p.desc.Digest, content.ErrUnavailable)
	}
	return err
}

// open lets in be at pos. Where its registry cannot start there, what is before it is
// read, too.
func (p *passing) open() (err error) {
	if p.in != nil && p.at == p.pos {
		return nil
	}
	p.Close()
	if p.in, err = p.from.FetchFrom(p.ctx, p.desc, p.pos); err == nil {
		p.at = p.pos
		return nil
	}
	if !errors.Is(err, content.ErrUnsupported) {
		return err
	}
	if p.in, err = p.from.FetchFrom(p.ctx, p.desc, 0); err != nil {
		return err
	}
	p.at = p.pos
	_, err = io.CopyN(io.Discard, p.in, p.pos)
	return p.early(err)
}

// Close ends the request to the registry. Idempotent.
func (p *passing) Close() error {
	if p.in == nil {
		return nil
	}
	err := p.in.Close()
	p.in = nil
	return err
}
