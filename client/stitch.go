package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"dist.example/blobstore"
	"dist.example/content"
	"dist.example/oci"
)

// stitched reads a large blob: what the store's own damaged copy still has of it from
// there, and the rest, in order, from a source. Whoever reads it checks the whole.
//
// It is content.Mixed.
type stitched struct {
	ctx  context.Context //nolint:containedctx // of opening: it covers the reading
	desc oci.Descriptor
	src  content.Fetcher
	left *blobstore.Salvage
	bad  []blobstore.Range // those not read yet
	at   int64
	held int64
	cur  io.ReadCloser // of the first of bad, nil until that is reached
}

// canStitch says whether a source gives a part of a blob without all of it.
func canStitch(src content.Fetcher) bool {
	switch src.(type) {
	case content.StretchFetcher, content.Provider, content.RangeFetcher:
		return true
	}
	return false
}

// stitch opens desc from byte offset on, and closes left in the end, also after an
// error. The source is asked for the first part at once. Errors: the source's,
// ErrUnsupported where it gives no parts.
func stitch(ctx context.Context, left *blobstore.Salvage, src content.Fetcher, desc oci.Descriptor, offset int64) (*stitched, error) {
	s := &stitched{ctx: ctx, desc: desc, src: src, left: left, bad: left.Bad, at: offset}
	for len(s.bad) > 0 && s.bad[0].Offset+s.bad[0].Length <= offset {
		s.bad = s.bad[1:]
	}
	if len(s.bad) > 0 {
		if err := s.open(); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

// open asks the source for the next part.
func (s *stitched) open() (err error) {
	from := max(s.at, s.bad[0].Offset)
	s.cur, err = fetchStretch(s.ctx, s.src, s.desc, from, s.bad[0].Offset+s.bad[0].Length-from)
	return err
}

// fetchStretch gets a part of a blob in the way that asks the source for the least.
func fetchStretch(ctx context.Context, src content.Fetcher, desc oci.Descriptor, offset, length int64) (io.ReadCloser, error) {
	switch src := src.(type) {
	case content.StretchFetcher:
		return src.FetchStretch(ctx, desc, offset, length)
	case content.Provider:
		ra, err := src.ReaderAt(ctx, desc)
		if err != nil {
			return nil, err
		}
		return stretch{io.NewSectionReader(ra, offset, length), ra}, nil
	case content.RangeFetcher:
		r, err := src.FetchFrom(ctx, desc, offset)
		if err != nil {
			return nil, err
		}
		return stretch{io.LimitReader(r, length), r}, nil
	}
	return nil, fmt.Errorf("fetch a part of %s: %w: the source gives it whole", desc.Digest, content.ErrUnsupported)
}

type stretch struct {
	io.Reader
	io.Closer
}

// Held implements content.Mixed.
func (s *stitched) Held() int64 { return s.held }

func (s *stitched) Read(p []byte) (int, error) {
	switch {
	case s.at >= s.left.Size:
		return 0, io.EOF
	case len(s.bad) > 0 && s.at >= s.bad[0].Offset:
		return s.readSource(p)
	}
	end := s.left.Size
	if len(s.bad) > 0 {
		end = s.bad[0].Offset
	}
	n, err := s.left.ReadAt(p[:min(int64(len(p)), end-s.at)], s.at)
	s.at, s.held = s.at+int64(n), s.held+int64(n)
	if n > 0 {
		return n, nil
	}
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("read %s: %w: its file has become shorter", s.desc.Digest, content.ErrCorrupt)
	}
	return 0, err
}

// readSource reads of the first damaged part.
func (s *stitched) readSource(p []byte) (int, error) {
	if s.cur == nil {
		err := s.open()
		if errors.Is(err, content.ErrUnsupported) {
			// It gave a part before: whoever copies asks for all of it then.
			err = fmt.Errorf("fetch a part of %s: %w: %w", s.desc.Digest, content.ErrCorrupt, err)
		}
		if err != nil {
			return 0, err
		}
	}
	end := s.bad[0].Offset + s.bad[0].Length
	n, err := s.cur.Read(p[:min(int64(len(p)), end-s.at)])
	if s.at += int64(n); s.at == end {
		err = s.cur.Close()
		s.cur, s.bad = nil, s.bad[1:]
	} else if errors.Is(err, io.EOF) {
		err = fmt.Errorf("fetch a part of %s: %w: it ended at byte %d", s.desc.Digest, content.ErrCorrupt, s.at)
	}
	return n, err
}

// Close closes what is left, too.
func (s *stitched) Close() error {
	if s.cur != nil {
		s.cur.Close()
		s.cur = nil
	}
	return s.left.Close()
}

// mending is a source for a store that has damaged copies of some of its blobs: of a
// large one it gets what is damaged and no more. Where that does not make the blob
// whole, the next try gets all of it.
type mending struct {
	content.Fetcher
	store *blobstore.Store

	mu    sync.Mutex
	tried map[oci.Digest]bool
}

func newMending(src content.Fetcher, s *blobstore.Store) *mending {
	return &mending{Fetcher: src, store: s, tried: map[oci.Digest]bool{}}
}

// first says whether nobody has asked for d yet.
func (m *mending) first(d oci.Digest) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := m.tried[d]
	m.tried[d] = true
	return !before
}

// FetchFrom implements content.RangeFetcher.
func (m *mending) FetchFrom(ctx context.Context, desc oci.Descriptor, offset int64) (io.ReadCloser, error) {
	if r, err := m.stitched(ctx, desc, offset); r != nil || err != nil {
		return r, err
	}
	switch rf, ok := m.Fetcher.(content.RangeFetcher); {
	case ok:
		return rf.FetchFrom(ctx, desc, offset)
	case offset > 0:
		return nil, fmt.Errorf("fetch %s from %d: %w", desc.Digest, offset, content.ErrUnsupported)
	}
	return m.Fetch(ctx, desc)
}

// stitched is nil where there is nothing to go on with, or the source gives no parts.
func (m *mending) stitched(ctx context.Context, desc oci.Descriptor, offset int64) (io.ReadCloser, error) {
	if oci.HasSuccessors(desc.MediaType) || !m.first(desc.Digest) {
		return nil, nil
	}
	info, err := m.store.Info(ctx, desc.Digest)
	if err != nil || info.Place != "damaged" || info.Size != desc.Size {
		return nil, nil
	}
	left, err := m.store.Salvage(ctx, desc.Digest)
	if err != nil {
		return nil, context.Cause(ctx)
	}
	if len(left.Bad) > 0 && !canStitch(m.Fetcher) {
		left.Close()
		return nil, nil
	}
	r, err := stitch(ctx, left, m.Fetcher, desc, offset)
	if errors.Is(err, content.ErrUnsupported) || errors.Is(err, content.ErrCorrupt) {
		return nil, nil // the whole may be had
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// pulling is mending for a pull, with all that its source can do.
type pulling struct {
	*federated
	mending *mending
}

// FetchFrom implements content.RangeFetcher.
func (p pulling) FetchFrom(ctx context.Context, desc oci.Descriptor, offset int64) (io.ReadCloser, error) {
	return p.mending.FetchFrom(ctx, desc, offset)
}
