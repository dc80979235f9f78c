package blobstore

import (
	"encoding"
	"fmt"
	"hash"
	"sync"
	"sync/atomic"

	"dist.example/fsys"
	"dist.example/oci"
)

const (
	// chunk is how much is read, hashed and written at a time.
	chunk = 256 << 10
	// ring is how many chunks a pipe has at most: one is filled while others are worked
	// on, and together they are about what the cache of a core holds.
	ring = 4
)

// pipe writes one stream to a file and hashes it, each in a goroutine of its own, so
// that the caller can fetch the next bytes meanwhile. Neither waits for the other but
// for want of chunks.
type pipe struct {
	file    fsys.File
	hash    hash.Hash
	sums    *blockSums
	disk    *fsys.Behind
	eager   bool // chunks are worked on before they are full, when there is nothing else to do
	hashing chan *stretch
	writing chan *stretch

	mu     sync.Mutex
	done   sync.Cond  // a chunk is
	free   []*stretch // the one used last at the end: the cache has it
	busy   int        // how many are worked on
	fill   *stretch   // by the caller; an eager pipe's workers take it by themselves
	offset int64      // of it
	err    error      // the first one
}

// stretch is a chunk of the stream.
type stretch struct {
	data []byte
	off  int64
	left atomic.Int32 // who still works on it
}

func newStretch() *stretch { return &stretch{data: make([]byte, 0, chunk)} }

// newPipe goes on at offset with a hash that has seen everything before it. sums see
// what comes from here on.
func newPipe(f fsys.File, h hash.Hash, sums *blockSums, offset int64) *pipe {
	p := &pipe{
		file: f, hash: h, sums: sums, disk: fsys.NewBehind(f, offset, 0), offset: offset,
		fill: newStretch(), hashing: make(chan *stretch, ring), writing: make(chan *stretch, ring),
	}
	p.done.L = &p.mu
	go p.work(p.hashing, func(s *stretch) error {
		p.hash.Write(s.data)
		return nil
	})
	go p.work(p.writing, func(s *stretch) error { // which is quicker, so that it makes the sums
		p.sums.write(s.data)
		_, err := p.file.WriteAt(s.data, s.off)
		if err == nil {
			err = p.disk.Wrote(len(s.data))
		}
		return err
	})
	return p
}

// work does one of the two things with chunk after chunk, but nothing once something has
// failed: the file ends where it did.
func (p *pipe) work(chunks <-chan *stretch, do func(*stretch) error) {
	for s := range chunks {
		err := p.failure()
		if err == nil {
			err = do(s)
		}
		if err != nil {
			p.fail(err)
		}
		if s.left.Add(-1) == 0 {
			p.giveBack(s)
		}
	}
}

func (p *pipe) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

func (p *pipe) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
}

// giveBack is for behind the work on a chunk.
func (p *pipe) giveBack(s *stretch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.data = s.data[:0]
	p.free = append(p.free, s)
	p.busy--
	if p.eager && p.busy == 0 && p.err == nil && len(p.fill.data) > 0 {
		p.next()
	}
	p.done.Broadcast()
}

// next hands the current chunk over and goes on with another, which there is: mu is held,
// and fewer than ring-1 are worked on.
func (p *pipe) next() {
	full := p.fill
	full.off = p.offset
	full.left.Store(2)
	p.offset += int64(len(full.data))
	p.busy++
	if n := len(p.free); n > 0 {
		p.fill, p.free = p.free[n-1], p.free[:n-1]
	} else {
		p.fill = newStretch()
	}
	p.hashing <- full // there is room for the whole ring
	p.writing <- full
}

// Write accepts all of b or returns the error of an earlier chunk.
func (p *pipe) Write(b []byte) (int, error) {
	n := 0
	for len(b) > 0 {
		if err := p.failure(); err != nil {
			return n, err
		}
		k, full := p.take(b)
		if b, n = b[k:], n+k; full {
			p.flush()
		}
	}
	if p.eager {
		p.offer()
	}
	return n, p.failure()
}

// take copies from b what has room in the current chunk.
func (p *pipe) take(b []byte) (n int, full bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	data := p.fill.data
	n = copy(data[len(data):cap(data)], b)
	p.fill.data = data[:len(data)+n]
	return n, len(data)+n == cap(data)
}

// room is the free part of the current chunk, which is never full. The caller may
// fill it from its beginning and say so with took, but not while the pipe is eager:
// then its workers may take the chunk away.
func (p *pipe) room() []byte { return p.fill.data[len(p.fill.data):cap(p.fill.data)] }

// took accepts n bytes that were put into room.
func (p *pipe) took(n int) error {
	p.mu.Lock()
	data := p.fill.data[:len(p.fill.data)+n]
	p.fill.data = data
	p.mu.Unlock()
	if len(data) == cap(data) {
		p.flush()
	}
	return p.failure()
}

// offer hands the current chunk over if nothing is being worked on; else it will be taken.
func (p *pipe) offer() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy == 0 && len(p.fill.data) > 0 && p.err == nil {
		p.next()
	}
}

// flush hands the current chunk over once there may be another.
func (p *pipe) flush() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.busy == ring-1 {
		p.done.Wait()
	}
	if len(p.fill.data) > 0 { // else it was taken meanwhile
		p.next()
	}
}

// drain returns once everything written so far is in the file and in the hash.
func (p *pipe) drain() error {
	p.flush()
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.busy > 0 {
		p.done.Wait()
	}
	return p.err
}

// size counts the bytes accepted.
func (p *pipe) size() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.offset + int64(len(p.fill.data))
}

// close ends the goroutines of a pipe that is drained, and returns the error of a sync
// that ran meanwhile. Nothing may be written after it.
func (p *pipe) close() error {
	close(p.hashing)
	close(p.writing)
	return p.disk.Wait()
}

// state is the hash's state for a checkpoint. The pipe must be drained.
func (p *pipe) state() ([]byte, error) { return stateOf(p.hash) }

func stateOf(h hash.Hash) ([]byte, error) {
	m, ok := h.(encoding.BinaryMarshaler)
	if !ok {
		return nil, fmt.Errorf("hash %T keeps no state", h)
	}
	return m.MarshalBinary()
}

// hasher returns a fresh hash for the algorithm of d, sha256 when d is "".
func hasher(d oci.Digest) hash.Hash {
	if d == "" {
		return oci.SHA256.Hash()
	}
	return d.Algorithm().Hash()
}

// restore rebuilds a hash from a checkpoint's state.
func restore(d oci.Digest, state []byte) (hash.Hash, error) {
	h := hasher(d)
	u, ok := h.(encoding.BinaryUnmarshaler)
	if !ok {
		return nil, fmt.Errorf("hash %T keeps no state", h)
	}
	return h, u.UnmarshalBinary(state)
}
