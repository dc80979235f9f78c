package blobstore

import (
	"encoding"
	"fmt"
	"hash"
	"sync"

	"dist.example/fsys"
	"dist.example/oci"
)

const (
	// chunk is how much is handed to the hash and the disk at a time.
	chunk = 512 << 10
	// writeBack is how often the kernel is asked to begin writing.
	writeBack = 2 << 20
)

// pipe writes one stream to a file and hashes it, each in a goroutine of its
// own, so that the caller can fetch the next bytes meanwhile. One chunk is being
// filled while another is worked on.
type pipe struct {
	file  fsys.File
	hash  hash.Hash
	sums  *blockSums
	eager bool // chunks are worked on before they are full, when there is nothing else to do
	spare chan []byte
	work  chan []byte
	idle  chan error // the worker's verdict on the chunk before
	err   error

	mu     sync.Mutex // an eager worker takes chunks by itself
	fill   []byte
	offset int64 // of the chunk that is being filled
}

// newPipe goes on at offset with a hash that has seen everything before it. sums see
// what the hash sees from here on.
func newPipe(f fsys.File, h hash.Hash, sums *blockSums, offset int64) *pipe {
	p := &pipe{
		file: f, hash: h, sums: sums, offset: offset,
		fill:  make([]byte, 0, chunk),
		spare: make(chan []byte, 2),
		work:  make(chan []byte, 1),
		idle:  make(chan error, 1),
	}
	p.spare <- make([]byte, 0, chunk)
	p.idle <- nil
	go p.run(p.work, offset)
	return p
}

// run hashes and writes chunk after chunk of work, both at the same time. close may come
// before it has begun, and takes p.work away.
func (p *pipe) run(work <-chan []byte, offset int64) {
	toHash, hashed := make(chan []byte), make(chan struct{})
	go func() {
		for b := range toHash {
			p.hash.Write(b)
			p.sums.write(b)
			hashed <- struct{}{}
		}
	}()
	defer close(toHash)
	begun := offset
	for b := range work {
		for len(b) > 0 {
			toHash <- b
			_, err := p.file.WriteAt(b, offset)
			offset += int64(len(b))
			if err == nil && offset-begun >= writeBack {
				err = p.file.WriteBack(begun, offset-begun)
				begun = offset
			}
			<-hashed
			b = p.done(b, err)
		}
	}
}

// done gives a verdict on b, unless an eager worker has a chunk to go on with. A
// full one is its caller's, who waits for the verdict.
func (p *pipe) done(b []byte, err error) (next []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spare <- b[:0]
	if n := len(p.fill); p.eager && err == nil && n > 0 && n < cap(p.fill) {
		return p.next()
	}
	p.idle <- err
	return nil
}

// next takes the current chunk away and begins another; mu is held, and a buffer
// is there to spare.
func (p *pipe) next() []byte {
	b := p.fill
	p.offset += int64(len(b))
	p.fill = <-p.spare
	return b
}

// Write accepts all of b or returns the error of an earlier chunk.
func (p *pipe) Write(b []byte) (int, error) {
	n := 0
	for len(b) > 0 {
		k, full := p.take(b)
		b, n = b[k:], n+k
		if full {
			if err := p.flush(); err != nil {
				return n, err
			}
		}
	}
	if p.eager {
		return n, p.offer()
	}
	return n, nil
}

// take copies from b what has room in the current chunk.
func (p *pipe) take(b []byte) (n int, full bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n = copy(p.fill[len(p.fill):cap(p.fill)], b)
	p.fill = p.fill[:len(p.fill)+n]
	return n, len(p.fill) == cap(p.fill)
}

// room is the free part of the current chunk, which is never full. The caller may
// fill it from its beginning and say so with took, but not while the pipe is eager:
// then the worker may take the chunk away.
func (p *pipe) room() []byte { return p.fill[len(p.fill):cap(p.fill)] }

// took accepts n bytes that were put into room.
func (p *pipe) took(n int) error {
	p.mu.Lock()
	p.fill = p.fill[:len(p.fill)+n]
	full := len(p.fill) == cap(p.fill)
	p.mu.Unlock()
	if full {
		return p.flush()
	}
	return p.err
}

// offer hands the current chunk over if nothing is being worked on; else the
// worker comes for it.
func (p *pipe) offer() error {
	if p.err != nil {
		return p.err
	}
	select {
	case p.err = <-p.idle:
		return p.handOver()
	default:
		return nil
	}
}

// flush waits for the chunk before and hands the current one over.
func (p *pipe) flush() error {
	if p.err != nil {
		return p.err
	}
	p.err = <-p.idle
	return p.handOver()
}

// handOver gives the current chunk to the worker, which has none.
func (p *pipe) handOver() error {
	if p.err != nil {
		return p.err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.fill) == 0 {
		p.idle <- nil
		return nil
	}
	p.work <- p.next()
	return nil
}

// drain returns once everything written so far is in the file and in the hash.
func (p *pipe) drain() error {
	if err := p.flush(); err != nil {
		return err
	}
	if p.err = <-p.idle; p.err != nil {
		return p.err
	}
	p.idle <- nil
	return nil
}

// size counts the bytes accepted.
func (p *pipe) size() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.offset + int64(len(p.fill))
}

// close ends the goroutines. Nothing may be written after it.
func (p *pipe) close() {
	if p.work != nil {
		close(p.work)
		p.work = nil
	}
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
