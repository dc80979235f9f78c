package layer

import "io"

const (
	stageBuffers    = 4
	stageBufferSize = 256 << 10
)

// stage is a writer whose destination runs in a goroutine of its own, so that
// reading, hashing and compressing overlap. It holds 1 MiB at most. It is
// written by one goroutine and must be closed, also after an error.
type stage struct {
	dst  io.Writer
	cur  []byte
	full chan []byte
	free chan []byte
	// failed is closed when dst has failed, done when the goroutine has ended;
	// err is set before either.
	failed, done chan struct{}
	err          error
}

func newStage(dst io.Writer) *stage {
	s := &stage{
		dst:    dst,
		full:   make(chan []byte, stageBuffers),
		free:   make(chan []byte, stageBuffers),
		failed: make(chan struct{}),
		done:   make(chan struct{}),
	}
	for range stageBuffers {
		s.free <- nil
	}
	s.cur = s.take()
	go s.run()
	return s
}

// take waits for a buffer; it is made when it is first needed, since most layers
// that are read are small.
func (s *stage) take() []byte {
	if p := <-s.free; p != nil {
		return p
	}
	return make([]byte, 0, stageBufferSize)
}

// run writes what comes. After a failure it goes on emptying the channel, so
// that the writer never waits for a buffer in vain.
func (s *stage) run() {
	defer close(s.done)
	for p := range s.full {
		if s.err == nil {
			if _, s.err = s.dst.Write(p); s.err != nil {
				close(s.failed)
			}
		}
		s.free <- p[:0]
	}
}

// Write takes p; an error of the destination shows at a later call or at Close.
func (s *stage) Write(p []byte) (int, error) {
	var n int
	for n < len(p) {
		k := copy(s.cur[len(s.cur):cap(s.cur)], p[n:])
		s.cur = s.cur[:len(s.cur)+k]
		n += k
		if len(s.cur) == cap(s.cur) {
			s.full <- s.cur
			s.cur = s.take()
		}
	}
	select {
	case <-s.failed:
		return 0, s.err
	default:
		return n, nil
	}
}

// Close hands over what is left, waits for the destination and returns its
// error. Nothing may be written after it.
func (s *stage) Close() error {
	s.full <- s.cur
	close(s.full)
	<-s.done
	return s.err
}
