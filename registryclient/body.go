package registryclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"

	"dist.example/budgets"
	"dist.example/content"
)

// body is what a request sends: a part of something that can be read again.
type body struct {
	at   io.ReaderAt
	file *os.File // the same content, when it is a file
	off  int64
	size int64

	mu      sync.Mutex
	oneShot bool    // it can be read once, in order
	started bool    // the file's own offset has been used up
	readErr error   // why the content could not be read
	now     *noting // the present try, nil when the file itself goes
}

func bytesBody(p []byte) *body { return &body{at: bytes.NewReader(p), size: int64(len(p))} }

// from is the rest of b from byte off on.
func (b *body) from(off int64) *body {
	return &body{at: b.at, off: b.off + off, size: b.size - off, started: true}
}

// attach gives req its body. The first time, a file goes as itself, for sendfile,
// which TLS has no use for, and which nobody could pay for; after that it is read
// by offset, since the transport may still hold the first one when the next try
// begins. Each byte that is read is paid for from budget.
func (b *body) attach(req *http.Request, budget *budgets.Host) error {
	req.ContentLength = b.size
	if b.size == 0 {
		req.Body = http.NoBody
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.file != nil && !b.started && !budget.Paced() && req.URL.Scheme == "http" {
		b.started = true
		if _, err := b.file.Seek(b.off, io.SeekStart); err == nil {
			if dup, err := duplicate(b.file); err == nil {
				req.Body = dup
				return nil
			}
		}
	}
	b.started = true
	b.now = &noting{r: io.NewSectionReader(b.at, b.off, b.size), body: b, budget: budget, ctx: req.Context()}
	req.Body = io.NopCloser(b.now)
	return nil
}

// sent is how many bytes the present try has taken, and whether it waits for the
// content itself.
func (b *body) sent() (n int64, reading bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.now != nil {
		return b.now.n.Load(), b.now.reading.Load()
	}
	if b.file == nil {
		return 0, false
	}
	at, err := b.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, false
	}
	return at - b.off, false
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

// maxRead is how much of a body is taken at once. Over HTTP/2 nobody but the body
// sees whether it moves on.
const maxRead = 64 << 10

// errReplaced ends the body of a try that another one has followed.
var errReplaced = errors.New("the request is sent anew")

// noting remembers the error of reading, which the transport would mix up with
// those of the connection, and how far it is.
type noting struct {
	r       io.Reader
	body    *body
	budget  *budgets.Host
	ctx     context.Context //nolint:containedctx // the request's own
	n       atomic.Int64
	reading atomic.Bool
}

func (n *noting) Read(p []byte) (int, error) {
	if !n.present() {
		return 0, errReplaced
	}
	n.reading.Store(true)
	k, err := n.r.Read(n.budget.Part(p[:min(len(p), maxRead)]))
	if perr := n.budget.Bytes(n.ctx, k); perr != nil {
		return 0, perr
	}
	n.reading.Store(false)
	if n.n.Add(int64(k)) < n.body.size && errors.Is(err, io.EOF) {
		err = fmt.Errorf("%w: the content ends after %d bytes of %d", content.ErrCorrupt, n.n.Load(), n.body.size)
	}
	if f := n.body.file; f != nil {
		// Whoever gave the file can see by its position how much of it has gone.
		_, _ = f.Seek(n.body.off+n.n.Load(), io.SeekStart)
	}
	if err != nil && !errors.Is(err, io.EOF) && n.present() {
		n.body.mu.Lock()
		n.body.readErr = err
		n.body.mu.Unlock()
	}
	return k, err
}

// present says whether n is what is being sent, not what the transport still
// holds of an earlier try.
func (n *noting) present() bool {
	n.body.mu.Lock()
	defer n.body.mu.Unlock()
	return n.body.now == n
}
