package registryclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"dist.example/oci"
)

// budget is the memory for segments, shared by all fetches of a Client.
type budget struct {
	segment int64
	mu      sync.Mutex
	left    int
	free    [][]byte
}

func newBudget(w Window) *budget { return &budget{segment: w.SegmentBytes, left: w.Segments} }

// take returns a buffer of one segment, or nil when all are in use. It never
// waits: who gets none reads straight from its connection, so that fetches
// cannot lock each other out.
func (b *budget) take() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left == 0 {
		return nil
	}
	b.left--
	if n := len(b.free); n > 0 {
		p := b.free[n-1]
		b.free = b.free[:n-1]
		return p
	}
	return make([]byte, b.segment)
}

func (b *budget) give(p []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left++
	b.free = append(b.free, p)
}

// blobReader reads a blob in order: the segment at its head from its own
// connection, those after it from buffers that are filled meanwhile.
type blobReader struct {
	r      *Repository
	ctx    context.Context //nolint:containedctx // ended by Close
	cancel context.CancelFunc
	desc   oci.Descriptor
	err    error
	detour detour

	began time.Time // when the first bytes came, zero once their rate was judged
	had   int64     // what had come from the repository by then, over all streams

	pos      int64 // the next byte to give out
	cur      io.ReadCloser
	ahead    []*segment
	next     int64 // the first byte that nobody was asked for
	parallel bool
}

// openBlob asks for the first bytes from offset on, so that what is not there is
// told at once. restart as in stream.
func (r *Repository) openBlob(ctx context.Context, desc oci.Descriptor, offset int64, restart bool) (*blobReader, error) {
	ctx, cancel := context.WithCancel(ctx)
	b := &blobReader{r: r, ctx: ctx, cancel: cancel, desc: desc, pos: offset}
	first := span{offset, desc.Size}
	seg := r.client.budget.segment
	if desc.Size-offset > seg && !r.quick.Load() {
		first.end = offset + seg
	}
	s := newStream(ctx, r, desc, first, &b.detour)
	s.restart = restart
	if err := s.open(); err != nil {
		cancel()
		return nil, err
	}
	b.cur, b.next = s, s.end
	b.parallel = s.end < desc.Size
	// One stream to the end of the blob may start the blob again after a break. A
	// segment may not: that is for sequential to do, once for all segments.
	s.restart = !b.parallel
	b.began, b.had = time.Now(), r.received.Load()
	return b, nil
}

// judge looks at how fast bytes came while the first segment did, those of other
// blobs of the repository as well: they share the way, which those from elsewhere need
// not. Where streams are fast enough, the rest comes
// in one too: ranges side by side would only cost memory and requests.
func (b *blobReader) judge() {
	took, came := time.Since(b.began), b.r.received.Load()-b.had
	b.began = time.Time{}
	enough := b.r.client.opts.Window.Enough
	if enough < 0 || float64(came) < float64(enough)*took.Seconds() {
		return
	}
	b.r.quick.Store(true)
	s := newStream(b.ctx, b.r, b.desc, span{b.next, b.desc.Size}, &b.detour)
	b.cur, b.next = s, b.desc.Size
}

// fill asks for the segments after the head, as far as there is memory.
func (b *blobReader) fill() {
	most := b.r.client.opts.Window.Segments - 1
	for b.parallel && b.next < b.desc.Size && len(b.ahead) < most {
		buf := b.r.client.budget.take()
		if buf == nil {
			return
		}
		s := span{b.next, min(b.next+int64(len(buf)), b.desc.Size)}
		b.ahead = append(b.ahead, startSegment(b, s, buf))
		b.next = s.end
	}
}

func (b *blobReader) Read(p []byte) (int, error) {
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	for {
		if b.cur == nil {
			if b.pos == b.desc.Size {
				return 0, b.stop(io.EOF)
			}
			b.step()
		}
		n, err := b.cur.Read(p)
		b.pos += int64(n)
		switch {
		case err == nil:
			return n, nil
		case errors.Is(err, io.EOF):
			b.cur.Close()
			b.cur = nil
			if b.desc.Size < 0 {
				return n, b.stop(io.EOF)
			}
			if b.pos > b.desc.Size || (b.next >= b.desc.Size && len(b.ahead) == 0) {
				// The last one: what its length should have been is checked below.
				return n, b.stop(b.end())
			}
		case errors.Is(err, errBadRange):
			b.sequential()
		default:
			return n, b.stop(err)
		}
		if n > 0 {
			return n, nil
		}
	}
}

func (b *blobReader) end() error {
	if b.pos != b.desc.Size {
		return fmt.Errorf("blob %s in %s: %d bytes in place of %d: %w", b.desc.Digest, b.r.ref.Name(), b.pos, b.desc.Size, io.ErrUnexpectedEOF)
	}
	return io.EOF
}

func (b *blobReader) stop(err error) error {
	b.err = err
	return err
}

// step goes on to the next segment. Where none was asked for ahead, a longer
// range is read directly.
func (b *blobReader) step() {
	if !b.began.IsZero() {
		if b.judge(); b.cur != nil {
			return
		}
	}
	if len(b.ahead) > 0 {
		b.cur, b.ahead = b.ahead[0], b.ahead[1:]
	} else {
		s := span{b.next, min(b.next+directSegments*b.r.client.budget.segment, b.desc.Size)}
		b.cur, b.next = newStream(b.ctx, b.r, b.desc, s, &b.detour), s.end
	}
	b.fill()
}

// directSegments is how many segments are read in one request when there is no
// memory to have them in parallel.
const directSegments = 4

// sequential gives up ranges: the rest comes in one stream.
func (b *blobReader) sequential() {
	b.parallel = false
	b.drop()
	s := newStream(b.ctx, b.r, b.desc, span{b.pos, b.desc.Size}, &b.detour)
	s.restart, s.noRange = true, true
	b.cur, b.next = s, b.desc.Size
}

func (b *blobReader) drop() {
	if b.cur != nil {
		b.cur.Close()
		b.cur = nil
	}
	for _, s := range b.ahead {
		s.Close()
	}
	b.ahead = nil
}

// Close ends all requests of the reader.
func (b *blobReader) Close() error {
	b.cancel()
	b.drop()
	if b.err == nil {
		b.err = errClosed
	}
	return nil
}

var errClosed = errors.New("read of a closed blob")

// segment is a span that is read into memory while its reader is elsewhere.
type segment struct {
	budget *budget
	cancel context.CancelFunc
	buf    []byte

	mu     sync.Mutex
	more   sync.Cond
	filled int
	err    error // io.EOF at the end
	users  int   // reader and filler; the last one gives the buffer back

	pos int // the reader's
}

func startSegment(b *blobReader, s span, buf []byte) *segment {
	ctx, cancel := context.WithCancel(b.ctx)
	g := &segment{budget: b.r.client.budget, cancel: cancel, buf: buf, users: 2}
	g.more.L = &g.mu
	go g.fill(newStream(ctx, b.r, b.desc, s, &b.detour), int(s.end-s.off))
	return g
}

func (g *segment) fill(s *stream, size int) {
	defer g.leave()
	defer s.Close()
	for at := 0; ; {
		n, err := s.Read(g.buf[at:size])
		at += n
		g.mu.Lock()
		g.filled, g.err = at, err
		g.more.Signal()
		g.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (g *segment) Read(p []byte) (int, error) {
	g.mu.Lock()
	for g.pos == g.filled && g.err == nil {
		g.more.Wait()
	}
	filled, err := g.filled, g.err
	g.mu.Unlock()
	if g.pos == filled {
		return 0, err
	}
	n := copy(p, g.buf[g.pos:filled])
	g.pos += n
	return n, nil
}

// Close gives the buffer back, once nothing is written to it any more.
func (g *segment) Close() error {
	g.cancel()
	g.leave()
	return nil
}

func (g *segment) leave() {
	g.mu.Lock()
	g.users--
	last := g.users == 0
	g.mu.Unlock()
	if last {
		g.budget.give(g.buf)
	}
}
