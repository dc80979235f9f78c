package layer

import (
	"context"
	"io"

	"dist.example/content"
)

// plain is what a compressed stream has, decompressed ahead of who reads it.
type plain struct {
	*ahead
	decoder io.Closer
}

// newPlain begins to decompress up to that many buffers of a stage. It is to be closed.
func newPlain(ctx context.Context, r io.Reader, c Compression, buffers int) (*plain, error) {
	d, err := Decompress(r, c)
	if err != nil {
		return nil, err
	}
	// The context counts here too: a little input can keep a decoder busy for long.
	return &plain{newAhead(content.UntilDone(ctx, d), buffers), d}, nil
}

// hashed lets visit read the bytes to their end, which to hashes.
func (p *plain) hashed(to io.Writer, visit func(io.Reader) (int, error)) (int, error) {
	hashing := newStage(to)
	n, err := visit(io.TeeReader(p, hashing))
	// A hash does not fail.
	_ = hashing.Close()
	return n, err
}

// Close ends the decompression.
func (p *plain) Close() {
	p.ahead.Close()
	_ = p.decoder.Close()
}

// ahead reads in a goroutine of its own, so that decompression and what is done with
// plain bytes overlap. One goroutine reads it, and must close it,
// which waits for a Read of the source that runs; that is left open.
type ahead struct {
	src  io.Reader
	full chan []byte
	free chan []byte
	stop chan struct{}
	err  error  // of src, set before full is closed
	last []byte // the buffer that is being read
	cur  []byte // what of it is not read yet
}

// newAhead is for so many buffers of a stage's size.
func newAhead(src io.Reader, buffers int) *ahead {
	a := &ahead{src: src, full: make(chan []byte, buffers), free: make(chan []byte, buffers), stop: make(chan struct{})}
	for range buffers {
		a.free <- nil
	}
	go a.run()
	return a
}

// run fills buffers. They are made when they are first needed, since most layers that are
// read are small.
func (a *ahead) run() {
	defer close(a.full)
	for {
		var p []byte
		select {
		case p = <-a.free:
		case <-a.stop:
			return
		}
		if p == nil {
			p = make([]byte, stageBufferSize)
		}
		n, err := a.fill(p)
		a.full <- p[:n] // which has room for all buffers
		if err != nil {
			a.err = err
			return
		}
	}
}

// fill reads until p is full, or what is there is waited for.
func (a *ahead) fill(p []byte) (n int, err error) {
	for n < len(p) && err == nil && (n == 0 || len(a.full) > 0) {
		select {
		case <-a.stop:
			return n, io.ErrClosedPipe
		default:
		}
		var m int
		m, err = a.src.Read(p[n:])
		n += m
	}
	return n, err
}

func (a *ahead) Read(p []byte) (int, error) {
	for len(a.cur) == 0 {
		if a.last != nil {
			a.free <- a.last[:cap(a.last)]
			a.last = nil
		}
		next, ok := <-a.full
		if !ok {
			return 0, a.err
		}
		a.last, a.cur = next, next
	}
	n := copy(p, a.cur)
	a.cur = a.cur[n:]
	return n, nil
}

// Close ends the reading. It is called once.
func (a *ahead) Close() {
	close(a.stop)
	for range a.full {
	}
}
