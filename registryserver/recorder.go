package registryserver

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const (
	// piece is how much of a file is handed to the kernel at once, so that the count
	// of what was sent, and the deadline, move on the way.
	piece = 4 << 20
	// settled is for how long a deadline that was moved is left where it is.
	settled = time.Second
	// rest is how long the part of a body that no handler wanted may take.
	rest = 10 * time.Second
)

// recorder is what handlers write to. It remembers what was answered, and lets a
// client that takes nothing for a while lose its connection: the write deadline is
// moved before whatever may have to wait for the client. Whole files still leave by
// sendfile, since ReadFrom passes them on.
type recorder struct {
	http.ResponseWriter
	conn   *http.ResponseController
	ctx    context.Context
	start  time.Time
	moved  time.Time     // when the write deadline was
	limit  time.Duration // from then on
	direct bool          // what is written to is a plain TCP connection
	body   countedBody
	status int // 0 until there is one
	sent   int64
	id     string
	user   string // who asked, "" when nobody knows
	cause  error  // why the answer is an error, with what the client is not told
	broken bool   // the client did not take all of the answer
}

// newRecorder is the recorder of one request, and the request with its body counted.
func newRecorder(w http.ResponseWriter, r *http.Request) (*recorder, *http.Request) {
	rec := &recorder{
		ResponseWriter: w, conn: http.NewResponseController(w), ctx: r.Context(), start: time.Now(), limit: stall,
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	_, tcp := local.(*net.TCPAddr)
	rec.direct = tcp && r.TLS == nil && r.ProtoMajor == 1
	if r.Body != nil && r.Body != http.NoBody {
		rec.body.ReadCloser = r.Body
		r = r.WithContext(r.Context())
		r.Body = &rec.body
	}
	rec.move()
	return rec, r
}

// move lets the client take something until limit from now. A ResponseWriter that
// has no deadline is none of a network's.
func (r *recorder) move() {
	now := time.Now()
	if now.Sub(r.moved) < min(settled, r.limit/2) {
		return
	}
	r.moved = now
	_ = r.conn.SetWriteDeadline(now.Add(r.limit))
}

// close bounds what net/http does after the handler: sending what is buffered, and
// reading the rest of the body.
func (r *recorder) close() {
	r.move()
	if r.body.ReadCloser != nil && !r.body.ended {
		_ = r.conn.SetReadDeadline(time.Now().Add(rest))
	}
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= http.StatusOK {
		r.status = status
	}
	r.move()
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	r.move()
	n, err := r.ResponseWriter.Write(p)
	r.sent += int64(n)
	r.broken = r.broken || err != nil && !errors.Is(err, http.ErrBodyNotAllowed)
	return n, err
}

// Unwrap is for http.ResponseController.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// fileLike is what the kernel can send from.
type fileLike interface {
	io.Reader
	io.Seeker
	syscall.Conn
}

// ReadFrom implements io.ReaderFrom. A part of a file goes to the kernel, all else
// through a buffer.
func (r *recorder) ReadFrom(src io.Reader) (int64, error) {
	if part, ok := src.(*io.LimitedReader); ok && r.direct {
		if file, ok := part.R.(fileLike); ok {
			return r.sendFile(file, part)
		}
	}
	return r.copyFrom(src)
}

func (r *recorder) sendFile(file fileLike, part *io.LimitedReader) (int64, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	var total int64
	for part.N > 0 {
		at, err := file.Seek(0, io.SeekCurrent)
		if err != nil {
			return total, err
		}
		r.move()
		n, err := io.Copy(r.ResponseWriter, &io.LimitedReader{R: file, N: min(part.N, piece)})
		total, part.N, r.sent = total+n, part.N-n, r.sent+n
		switch {
		case err == nil && n == 0:
			return total, nil // the file is shorter than it was
		case err == nil:
		case r.slow(n, err):
			// Some of it may have been read that was not sent.
			if _, err = file.Seek(at+n, io.SeekStart); err != nil {
				return total, err
			}
			r.moved = time.Time{}
		default:
			r.broken = true
			return total, err
		}
	}
	return total, nil
}

// slow says whether err means only that the deadline has passed while a client took
// n bytes: there is no harm then in sending it the next ones. The request's context
// has ended when it was net/http's own buffer that could not be written in time. On
// Windows nobody knows how much has gone.
func (r *recorder) slow(n int64, err error) bool {
	return n > 0 && errors.Is(err, os.ErrDeadlineExceeded) && r.ctx.Err() == nil && runtime.GOOS != "windows"
}

// copyBuffers are for what the kernel cannot send by itself.
var copyBuffers = sync.Pool{New: func() any { return new([64 << 10]byte) }}

func (r *recorder) copyFrom(src io.Reader) (int64, error) {
	buf := copyBuffers.Get().(*[64 << 10]byte)
	defer copyBuffers.Put(buf)
	return io.CopyBuffer(struct{ io.Writer }{r}, struct{ io.Reader }{src}, buf[:])
}

// countedBody is a request's body that remembers how much of it was read.
type countedBody struct {
	io.ReadCloser
	n     int64
	ended bool
}

// Read implements io.Reader.
func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	b.ended = b.ended || err != nil
	return n, err
}
