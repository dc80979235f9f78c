package layer

import "io"

// ahead reads in a goroutine of its own, so that decompression and what is done with
// plain bytes overlap. It holds 1 MiB at most. One goroutine reads it, and must close it,
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

func newAhead(src io.Reader) *ahead {
	a := &ahead{src: src, full: make(chan []byte, stageBuffers), free: make(chan []byte, stageBuffers), stop: make(chan struct{})}
	for range stageBuffers {
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
