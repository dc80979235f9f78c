package blobstore

import (
	"errors"
	"io"
	"sync"
)

// ReadFrom implements io.ReaderFrom. Bytes are read to where they are worked on: a
// chunk of the pipe, or a buffer of the blob's size. It ends at r's end, or with
// its error, or as Write does.
func (w *writer) ReadFrom(r io.Reader) (n int64, err error) {
	var odd []byte // for bytes that have to be looked at first
	for {
		p := w.room()
		direct := len(p) > 0
		if !direct {
			if odd == nil {
				odd = make([]byte, w.oddSize())
			}
			p = odd
		}
		k, err := r.Read(p)
		n += int64(k)
		if k > 0 {
			if werr := w.took(p[:k], direct); werr != nil {
				return n, werr
			}
		}
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// room is where what comes next may be put at once, without what would be more
// than the content has; nothing where that is for Write to decide.
func (w *writer) room() (p []byte) {
	left := w.opts.Total - w.offset()
	switch {
	case w.done, w.err != nil, left <= 0:
		return nil
	case w.file != nil:
		p = w.file.room()
	case w.opts.Total <= w.limit:
		if w.buf == nil {
			w.buf = w.buffer()
		}
		p = w.buf[len(w.buf):cap(w.buf)]
	}
	return p[:min(int64(len(p)), left)]
}

// oddSize is one byte where nothing should come any more.
func (w *writer) oddSize() int {
	if w.opts.Total >= 0 && w.offset() >= w.opts.Total {
		return 1
	}
	return 32 << 10
}

// took accepts bytes that are in their place, or writes those that are not.
func (w *writer) took(p []byte, direct bool) error {
	switch {
	case !direct:
		_, err := w.Write(p)
		return err
	case w.file != nil:
		w.err = w.file.took(len(p))
	default:
		w.buf = w.buf[:len(w.buf)+len(p)]
	}
	return w.err
}

// wholes are buffers for batched loose blobs, which come one after the other.
var wholes = sync.Pool{New: func() any { return new([batchedLoose]byte) }}

// pooledFrom is the size from which a buffer is worth keeping for the next blob.
const pooledFrom = 64 << 10

// buffer has room for all of a blob whose size is known and within the limit, so
// that nothing is copied while it comes.
func (w *writer) buffer() []byte {
	total := w.opts.Total
	if total < pooledFrom || total > batchedLoose {
		return make([]byte, 0, max(total, 0))
	}
	w.whole = wholes.Get().(*[batchedLoose]byte)
	return w.whole[:0:total]
}

// free gives the buffer back. Nothing that w has made of it may still refer to it.
func (w *writer) free() {
	if w.buf = nil; w.whole != nil {
		wholes.Put(w.whole)
		w.whole = nil
	}
}
