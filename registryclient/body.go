package registryclient

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"

	"dist.example/content"
)

// body is what a request sends: a part of something that can be read again.
type body struct {
	at   io.ReaderAt
	file *os.File // the same content, when it is a file
	off  int64
	size int64

	mu      sync.Mutex
	oneShot bool  // it can be read once, in order
	started bool  // the file's own offset has been used up
	readErr error // why the content could not be read
}

func bytesBody(p []byte) *body { return &body{at: bytes.NewReader(p), size: int64(len(p))} }

// from is the rest of b from byte off on.
func (b *body) from(off int64) *body {
	return &body{at: b.at, off: b.off + off, size: b.size - off, started: true}
}

// attach gives req its body. The first time, a file goes as itself, for sendfile;
// after that it is read by offset, since the transport may still hold the first
// one when the next try begins.
func (b *body) attach(req *http.Request) error {
	req.ContentLength = b.size
	if b.size == 0 {
		req.Body = http.NoBody
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.file != nil && !b.started {
		b.started = true
		if _, err := b.file.Seek(b.off, io.SeekStart); err == nil {
			if dup, err := duplicate(b.file); err == nil {
				req.Body = dup
				return nil
			}
		}
	}
	req.Body = io.NopCloser(&noting{r: io.NewSectionReader(b.at, b.off, b.size), body: b})
	return nil
}

// blame returns why the content could not be read, if that is why a request
// failed, else err. b may be nil.
func (b *body) blame(err error) error {
	if b == nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.readErr != nil {
		return &settled{b.readErr}
	}
	return err
}

// settled is a failure that has nothing to do with the connection, so that
// trying again is of no use: what was to be sent could not be read, or there is
// no way to authorise.
type settled struct{ error }

func (e *settled) Unwrap() error { return e.error }

// noting remembers the error of reading, which the transport would mix up with
// those of the connection.
type noting struct {
	r    io.Reader
	body *body
	n    int64
}

func (n *noting) Read(p []byte) (int, error) {
	k, err := n.r.Read(p)
	n.n += int64(k)
	if errors.Is(err, io.EOF) && n.n < n.body.size {
		err = fmt.Errorf("%w: the content ends after %d bytes of %d", content.ErrCorrupt, n.n, n.body.size)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		n.body.mu.Lock()
		n.body.readErr = err
		n.body.mu.Unlock()
	}
	return k, err
}
