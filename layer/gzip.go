package layer

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"runtime"

	"github.com/klauspost/compress/flate"
)

const (
	gzipBlock  = 1 << 20  // what one worker compresses at a time
	gzipWindow = 32 << 10 // how far back deflate can refer
)

// gzipHeader is that of RFC 1952 without name, time, comment or system.
var gzipHeader = [10]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}

// gzipWriter writes one gzip member whose deflate stream is cut into blocks of
// gzipBlock bytes, compressed side by side. Each block starts with the last
// gzipWindow bytes before it as its dictionary, so that little is lost; the cuts
// depend on nothing but the content, so the bytes do not depend on the number of
// workers.
type gzipWriter struct {
	w    io.Writer
	crc  uint32
	size uint32
	cur  *gzipJob
	free chan *gzipJob
	work chan *gzipJob // to the workers
	line chan *gzipJob // to the writing goroutine, in order
	// failed is closed when w has failed, done when the writing goroutine has
	// ended; err is set before either.
	failed, done chan struct{}
	err          error
}

// gzipJob is one block on its way.
type gzipJob struct {
	data  []byte // dictionary, then content
	dict  int    // length of the dictionary
	last  bool
	out   bytes.Buffer
	ready chan struct{}
}

func newGzipWriter(w io.Writer) *gzipWriter {
	workers := min(max(runtime.GOMAXPROCS(0), 1), 8)
	jobs := workers + 2
	g := &gzipWriter{
		w:    w,
		free: make(chan *gzipJob, jobs), work: make(chan *gzipJob, jobs), line: make(chan *gzipJob, jobs),
		failed: make(chan struct{}), done: make(chan struct{}),
	}
	for range jobs {
		g.free <- &gzipJob{ready: make(chan struct{}, 1)}
	}
	g.cur = g.take()
	for range workers {
		go g.compress()
	}
	go g.write()
	return g
}

// take waits for a job, whose memory is made when it is first needed.
func (g *gzipWriter) take() *gzipJob {
	j := <-g.free
	if j.data == nil {
		j.data = make([]byte, 0, gzipWindow+gzipBlock)
	}
	return j
}

// Write takes p; an error of the destination shows at a later call or at Close.
func (g *gzipWriter) Write(p []byte) (int, error) {
	g.crc = crc32.Update(g.crc, crc32.IEEETable, p)
	g.size += uint32(len(p)) // modulo 2^32, as the format has it
	for rest := p; len(rest) > 0; {
		room := g.cur.dict + gzipBlock - len(g.cur.data)
		k := min(room, len(rest))
		g.cur.data = append(g.cur.data, rest[:k]...)
		rest = rest[k:]
		if k == room {
			g.next()
		}
	}
	select {
	case <-g.failed:
		return 0, g.err
	default:
		return len(p), nil
	}
}

// next hands the full block over and begins another with its tail.
func (g *gzipWriter) next() {
	full, fresh := g.cur, g.take()
	fresh.data = append(fresh.data[:0], full.data[len(full.data)-gzipWindow:]...)
	fresh.dict = gzipWindow
	g.submit(full)
	g.cur = fresh
}

func (g *gzipWriter) submit(j *gzipJob) {
	g.line <- j
	g.work <- j
}

// Close ends the stream, waits for all goroutines' work and returns the first
// error of the destination.
func (g *gzipWriter) Close() error {
	g.cur.last = true
	g.submit(g.cur)
	close(g.work)
	close(g.line)
	<-g.done
	return g.err
}

// compress is one worker.
func (g *gzipWriter) compress() {
	// The level is a constant of the package: it is valid.
	fw, _ := flate.NewWriter(io.Discard, flate.DefaultCompression)
	for j := range g.work {
		j.out.Reset()
		fw.ResetDict(&j.out, j.data[:j.dict])
		// A bytes.Buffer takes every write.
		_, _ = fw.Write(j.data[j.dict:])
		if j.last {
			_ = fw.Close()
		} else {
			_ = fw.Flush()
		}
		j.ready <- struct{}{}
	}
}

// write puts the blocks out in order. After a failure it goes on collecting
// them, so that nobody waits in vain.
func (g *gzipWriter) write() {
	defer close(g.done)
	g.put(gzipHeader[:])
	for j := range g.line {
		<-j.ready
		g.put(j.out.Bytes())
		if j.last {
			g.put(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, g.crc), g.size))
		}
		g.free <- j
	}
}

func (g *gzipWriter) put(p []byte) {
	if g.err != nil {
		return
	}
	if _, g.err = g.w.Write(p); g.err != nil {
		close(g.failed)
	}
}
