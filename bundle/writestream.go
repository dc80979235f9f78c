package bundle

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"dist.example/content"
	"dist.example/fsys"
	"dist.example/oci"
)

const (
	// blockSize is how much is read, hashed and written at a time, and ring how many such
	// blocks are under way: together about what the cache of a core holds.
	blockSize = 256 << 10
	ring      = 4
)

// stream is a tar on its way out. Whoever fills it reads; the bytes are hashed in one
// goroutine and written in another, so that two cores are busy. What is small shares a
// block, and a write.
type stream struct {
	ctx     context.Context
	to      io.Writer
	patient bool // it waits for to even when ctx has ended
	cur     *block
	free    chan *block
	hashing chan *block
	writing chan *block
	ended   chan struct{}

	mu  sync.Mutex
	err error // the first one
}

// block is a stretch of the stream.
type block struct {
	data []byte
	jobs []hashJob
	left atomic.Int32 // who still works on it
}

// hashJob is a stretch of a block for some hashes, or what is to be done once all before
// it has been hashed.
type hashJob struct {
	hashes   []hash.Hash
	from, to int
	then     func() error
}

// newStream begins a stream to w, which is used until close has returned; unless
// patient, that is not longer than ctx lasts, and a write that is stuck is left behind.
func newStream(ctx context.Context, w io.Writer, patient bool) *stream {
	s := &stream{
		ctx: ctx, to: w, patient: patient,
		free: make(chan *block, ring), hashing: make(chan *block, ring), writing: make(chan *block, ring),
		ended: make(chan struct{}),
	}
	for range ring {
		s.free <- &block{data: make([]byte, 0, blockSize)}
	}
	var both sync.WaitGroup
	both.Go(func() { s.work(s.hashing, s.hash) })
	both.Go(func() { s.work(s.writing, s.write) })
	go func() { both.Wait(); close(s.ended) }()
	return s
}

// work does one of the two things with block after block, but nothing once something has
// failed.
func (s *stream) work(blocks <-chan *block, do func(*block) error) {
	for b := range blocks {
		if s.failure() == nil {
			s.fail(do(b))
		}
		if b.left.Add(-1) == 0 {
			b.data, b.jobs = b.data[:0], b.jobs[:0]
			s.free <- b
		}
	}
}

func (s *stream) write(b *block) error {
	_, err := s.to.Write(b.data)
	return fsys.Classify(err)
}

func (s *stream) hash(b *block) error {
	for _, j := range b.jobs {
		for _, h := range j.hashes {
			h.Write(b.data[j.from:j.to])
		}
		if j.then != nil {
			if err := j.then(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *stream) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *stream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
}

// room is the free part of the current block, at least a byte.
func (s *stream) room() ([]byte, error) {
	if s.cur != nil && len(s.cur.data) == cap(s.cur.data) {
		s.submit()
	}
	if s.cur == nil {
		select {
		case s.cur = <-s.free:
		case <-s.ctx.Done():
			return nil, context.Cause(s.ctx)
		}
	}
	if err := s.failure(); err != nil {
		return nil, err
	}
	if s.ctx.Err() != nil {
		return nil, context.Cause(s.ctx)
	}
	return s.cur.data[len(s.cur.data):cap(s.cur.data)], nil
}

// submit hands the current block over.
func (s *stream) submit() {
	b := s.cur
	s.cur = nil
	b.left.Store(2)
	s.hashing <- b // there is room for the whole ring
	s.writing <- b
}

// put copies bytes that no blob has.
func (s *stream) put(p []byte) error {
	for len(p) > 0 {
		room, err := s.room()
		if err != nil {
			return err
		}
		n := copy(room, p)
		s.cur.data = s.cur.data[:len(s.cur.data)+n]
		p = p[n:]
	}
	return nil
}

// copy reads n bytes of a blob from off on and has them hashed.
func (s *stream) copy(from io.ReaderAt, off, n int64, advance func(off int64), hashes ...hash.Hash) error {
	for end := off + n; off < end; {
		room, err := s.room()
		if err != nil {
			return err
		}
		room = room[:min(int64(len(room)), end-off)]
		got, err := from.ReadAt(room, off)
		if got < len(room) {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		at := len(s.cur.data)
		s.cur.data = s.cur.data[:at+got]
		s.cur.jobs = append(s.cur.jobs, hashJob{hashes: hashes, from: at, to: at + got})
		off += int64(got)
		advance(off)
	}
	return nil
}

// then has something done once all so far has been hashed.
func (s *stream) then(do func() error) error {
	if _, err := s.room(); err != nil {
		return err
	}
	s.cur.jobs = append(s.cur.jobs, hashJob{then: do})
	return nil
}

// drain returns when all so far has been hashed and written.
func (s *stream) drain() error {
	if s.cur != nil {
		s.submit()
	}
	var all []*block
	defer func() {
		for _, b := range all {
			s.free <- b
		}
	}()
	for range ring {
		select {
		case b := <-s.free:
			all = append(all, b)
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		}
	}
	return s.failure()
}

// close ends the goroutines, with what there is written where err, which it returns
// else, is nil.
func (s *stream) close(err error) error {
	if err != nil {
		s.fail(err)
	} else if s.cur != nil {
		s.submit()
	}
	close(s.hashing)
	close(s.writing)
	stuck := s.ctx.Done()
	if s.patient {
		stuck = nil
	}
	select {
	case <-s.ended:
	case <-stuck:
		return context.Cause(s.ctx)
	}
	return s.failure()
}

// carrying is a blob that is being written, perhaps through several volumes.
type carrying struct {
	ra   content.ReaderAt
	hash hash.Hash
}

func (c *carrying) close() {
	if c.ra != nil {
		_ = c.ra.Close()
	}
	c.ra = nil
}

// emit writes a volume.
func (w *Outgoing) emit(s *stream, v volume, c *carrying) error {
	var parts []*PartSum
	end := v.lastBlob()
	for i, p := range v.pieces {
		head, err := tarHeader(p.name, p.size, p.at, memberTime(w.o.Epoch))
		if err != nil {
			return err
		}
		if err := s.put(head); err != nil {
			return err
		}
		switch {
		case p.blob >= 0:
			part := &PartSum{}
			if err = w.carry(s, p, c, part, i == end); p.isPart() {
				parts = append(parts, part)
			}
		case p.name == SumsFile:
			if err = s.drain(); err == nil { // all digests are there
				err = s.put(encodeSums(sumsOf(parts)))
			}
		default:
			err = s.put(p.doc)
		}
		if err == nil {
			err = s.put(make([]byte, p.end()-p.at-p.head-p.size))
		}
		if err != nil {
			return err
		}
	}
	return s.put(make([]byte, tarEnd))
}

// lastBlob is the last of the pieces that has bytes of a blob, -1 for none.
func (v volume) lastBlob() int {
	for i, p := range slices.Backward(v.pieces) {
		if p.blob >= 0 && p.size > 0 {
			return i
		}
	}
	return -1
}

func sumsOf(parts []*PartSum) Sums {
	sums := Sums{Parts: []PartSum{}}
	for _, p := range parts {
		sums.Parts = append(sums.Parts, *p)
	}
	return sums
}

// carry writes a blob, or a part of one, whose sum is there once that is hashed. The end of
// the last one is written when all is found to be right: whoever reads a stream is not
// to take one with damage in it for whole.
func (w *Outgoing) carry(s *stream, p piece, c *carrying, sum *PartSum, last bool) (err error) {
	b, judged := w.blobs[p.blob], false
	desc := descriptorOf(b.BlobEntry)
	defer func() {
		if err != nil || p.off+p.size == b.Size {
			c.close()
		}
		if err != nil && !judged { // else that was told with the verdict
			w.event(content.EventFailed, desc, 0)
		}
	}()
	if p.off == 0 {
		w.event(content.EventStarted, desc, 0)
		if c.ra, err = w.open(s.ctx, b); err != nil {
			return fmt.Errorf("%s: %w", b.Digest, err)
		}
		c.hash = b.Digest.Algorithm().Hash()
	}
	hashes := []hash.Hash{c.hash}
	part := c.hash // the beginning of a blob is hashed with it
	if p.isPart() && (p.off > 0 || b.Digest.Algorithm() != oci.SHA256) {
		part = oci.SHA256.Hash()
		hashes = append(hashes, part)
	}
	advance := func(off int64) { w.event(content.EventAdvanced, desc, off) }
	whole := c.hash
	held := int64(0)
	if last && !p.isPart() {
		held = min(p.size, heldBack)
	}
	if err = s.copy(c.ra, p.off, p.size-held, advance, hashes...); err == nil && held > 0 {
		judged, err = w.carryEnd(s, b, c.ra, held, whole)
		return err
	}
	if err != nil {
		return fmt.Errorf("%s: %w", b.Digest, w.unreadable(b, err))
	}
	if p.isPart() {
		err = s.then(func() error {
			*sum = PartSum{Blob: b.Digest, Offset: p.off, Size: p.size, Digest: oci.NewDigest(oci.SHA256, part)}
			return nil
		})
		if err != nil {
			return err
		}
	}
	if p.off+p.size < b.Size {
		return nil
	}
	return s.then(func() error { return w.verdict(desc, whole) })
}

// heldBack is how many bytes of the last blob wait for the verdict on all of them.
const heldBack = 512

// carryEnd writes the last n bytes of a blob once these and all before them are hashed, and
// says whether there is a verdict.
func (w *Outgoing) carryEnd(s *stream, b outBlob, from io.ReaderAt, n int64, h hash.Hash) (judged bool, err error) {
	if err := s.drain(); err != nil {
		return false, err
	}
	end := make([]byte, n)
	if got, err := from.ReadAt(end, b.Size-n); got < len(end) {
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return false, fmt.Errorf("%s: %w", b.Digest, w.unreadable(b, err))
	}
	h.Write(end)
	if err := w.verdict(descriptorOf(b.BlobEntry), h); err != nil {
		return true, err
	}
	return true, s.put(end)
}

// unreadable tells a blob that ends early from what else may go wrong.
func (w *Outgoing) unreadable(b outBlob, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return damagedBlob(b.Digest, fmt.Errorf("%w: shorter than its %d bytes", content.ErrCorrupt, b.Size))
	}
	if errors.Is(err, content.ErrCorrupt) {
		return damagedBlob(b.Digest, err)
	}
	return fsys.Classify(err)
}

// verdict ends a blob whose bytes are all through.
func (w *Outgoing) verdict(desc oci.Descriptor, h hash.Hash) error {
	if got := oci.NewDigest(desc.Digest.Algorithm(), h); got != desc.Digest {
		w.event(content.EventFailed, desc, 0)
		return damagedBlob(desc.Digest, fmt.Errorf("%s: %w: the bytes hash to %s", desc.Digest, content.ErrCorrupt, got.Encoded()))
	}
	w.event(content.EventFinished, desc, desc.Size)
	w.o.Hook("export.blob")
	return nil
}

func (w *Outgoing) event(k content.EventKind, desc oci.Descriptor, off int64) {
	w.o.Observe(content.Event{Kind: k, Descriptor: desc, Offset: off, Total: desc.Size})
}
