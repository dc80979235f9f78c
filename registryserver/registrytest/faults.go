package registrytest

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"dist.example/oci"
)

// Fault answers a request wrongly, or in another way than next would.
type Fault func(w http.ResponseWriter, req *http.Request, next http.Handler)

func (f Fault) around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { f(w, req, next) })
}

// injected is a fault and what is left of its Match.
type injected struct {
	m     Match
	fault Fault
}

// Inject lets f answer the requests that fit m. Of several faults that fit, the
// one injected last is asked first.
func (r *Registry) Inject(m Match, f Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, &injected{m, f})
}

// Heal takes all faults away, and lets go on what waits for Healed.
func (r *Registry) Heal() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = nil
	close(r.healed)
	r.healed = make(chan struct{})
}

// Healed is closed by the next Heal. Stall and Hold take it for their release.
func (r *Registry) Healed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.healed
}

// due are the faults for req, which counts for each of them.
func (r *Registry) due(req *http.Request) []Fault {
	q := describe(req)
	r.mu.Lock()
	defer r.mu.Unlock()
	var due []Fault
	for _, i := range r.faults {
		switch {
		case i.m.Times < 0 || !i.m.fits(&q):
			continue
		case i.m.Skip > 0:
			i.m.Skip--
			continue
		case i.m.Times == 1:
			i.m.Times = -1 // spent
		case i.m.Times > 1:
			i.m.Times--
		}
		due = append(due, i.fault)
	}
	return due
}

// abort cuts the connection once what was written has left.
func abort(w http.ResponseWriter) {
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// Reset cuts the connection without an answer. On a connection that served a
// request before, net/http's transport repeats a GET by itself.
func Reset() Fault {
	return func(http.ResponseWriter, *http.Request, http.Handler) { panic(http.ErrAbortHandler) }
}

// CutAfter cuts the connection after n bytes of the answer's body.
func CutAfter(n int64) Fault {
	return func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		next.ServeHTTP(&limited{ResponseWriter: w, left: n, then: func() { abort(w) }}, req)
	}
}

// CutUploadAfter cuts the connection after n bytes of the request's body; the
// registry has taken those.
func CutUploadAfter(n int64) Fault {
	return func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		body := req.Body
		req.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(io.LimitReader(body, n), brokenReader{}), body}
		next.ServeHTTP(discard{http.Header{}}, req)
		panic(http.ErrAbortHandler)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// discard takes an answer that nobody will get.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

// Stall stops after n bytes of the answer's body until release is closed or the
// client has gone, and goes on then.
func Stall(n int64, release <-chan struct{}) Fault {
	return func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		next.ServeHTTP(&limited{ResponseWriter: w, left: n, then: func() {
			_ = http.NewResponseController(w).Flush()
			wait(req, release)
		}}, req)
	}
}

// Hold lets the request wait until release is closed or the client has gone.
func Hold(release <-chan struct{}) Fault {
	return func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		wait(req, release)
		next.ServeHTTP(w, req)
	}
}

func wait(req *http.Request, release <-chan struct{}) {
	select {
	case <-release:
	case <-req.Context().Done():
	}
}

// limited calls then once, when left bytes have been written and there is more.
type limited struct {
	http.ResponseWriter
	left int64
	then func()
}

func (l *limited) Write(p []byte) (int, error) {
	if l.then == nil || int64(len(p)) <= l.left {
		l.left -= int64(len(p))
		return l.ResponseWriter.Write(p)
	}
	n, err := l.ResponseWriter.Write(p[:l.left])
	if err != nil {
		return n, err
	}
	then := l.then
	l.then = nil
	then()
	m, err := l.ResponseWriter.Write(p[n:])
	return n + m, err
}

// Unwrap is for http.ResponseController.
func (l *limited) Unwrap() http.ResponseWriter { return l.ResponseWriter }

// IgnoreRange answers requests for a part with the whole.
func IgnoreRange() Fault {
	return func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		req.Header.Del("Range")
		next.ServeHTTP(w, req)
	}
}

// Answer sends status with pairs of header names and values, and a body in the
// form of the spec's errors.
func Answer(status int, header ...string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Add(header[i], header[i+1])
		}
		if w.Header().Get("Content-Type") == "" {
			w.Header().Set("Content-Type", oci.MediaTypeJSON)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"errors":[{"code":"UNKNOWN","message":"the test asked for this"}]}`)
	}
}

// Redirect answers 307 to the same path and query at base, such as another
// Registry's URL.
func Redirect(base string) Fault {
	return func(w http.ResponseWriter, req *http.Request, _ http.Handler) {
		w.Header().Set("Location", base+req.URL.RequestURI())
		w.WriteHeader(http.StatusTemporaryRedirect)
	}
}

// SetHeader sets a header of the answer, or takes it away when value is "".
func SetHeader(name, value string) Fault {
	return Rewrite(func(a *Response) {
		if a.Header.Del(name); value != "" {
			a.Header.Set(name, value)
		}
	})
}

// DropDigest leaves Docker-Content-Digest out.
func DropDigest() Fault { return SetHeader("Docker-Content-Digest", "") }

// WrongDigest claims d in Docker-Content-Digest.
func WrongDigest(d oci.Digest) Fault { return SetHeader("Docker-Content-Digest", d.String()) }

// Corrupt flips a bit of the byte at offset of the answer's body, counted within
// the part that is sent.
func Corrupt(offset int) Fault {
	return Rewrite(func(a *Response) {
		if offset < len(a.Body) {
			a.Body[offset] ^= 1
		}
	})
}

// Shorten sends only the first n bytes, with a Content-Length that agrees.
func Shorten(n int) Fault {
	return Rewrite(func(a *Response) { a.Body = a.Body[:min(n, len(a.Body))] })
}

// Lengthen sends extra after the body, with a Content-Length that agrees.
func Lengthen(extra []byte) Fault {
	return Rewrite(func(a *Response) { a.Body = append(a.Body, extra...) })
}

// Response is an answer that is held back to be changed.
type Response struct {
	Status int
	Header http.Header
	Body   []byte // empty for HEAD
}

// Rewrite lets change do anything to the answer before it is sent.
// Content-Length follows the body unless change sets it to something else.
func Rewrite(change func(*Response)) Fault {
	return func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		held := &heldBack{a: Response{Status: http.StatusOK, Header: w.Header()}}
		next.ServeHTTP(held, req)
		length := w.Header().Get("Content-Length")
		change(&held.a)
		if req.Method != http.MethodHead && w.Header().Get("Content-Length") == length {
			w.Header().Set("Content-Length", strconv.Itoa(len(held.a.Body)))
		}
		w.WriteHeader(held.a.Status)
		_, _ = io.Copy(w, bytes.NewReader(held.a.Body))
	}
}

// heldBack keeps an answer in memory.
type heldBack struct{ a Response }

func (h *heldBack) Header() http.Header    { return h.a.Header }
func (h *heldBack) WriteHeader(status int) { h.a.Status = status }

func (h *heldBack) Write(p []byte) (int, error) {
	h.a.Body = append(h.a.Body, p...)
	return len(p), nil
}

// Chunked sends the answer without a Content-Length.
func Chunked() Fault {
	return func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		next.ServeHTTP(&headerless{ResponseWriter: w, drop: "Content-Length"}, req)
	}
}

// headerless leaves a header out when the answer begins.
type headerless struct {
	http.ResponseWriter
	drop  string
	quiet bool // the header has no bearing on how the answer is sent
	begun bool
}

func (h *headerless) WriteHeader(status int) {
	h.begun = true
	h.Header().Del(h.drop)
	h.ResponseWriter.WriteHeader(status)
	if h.quiet {
		return
	}
	// An answer that has begun to leave can have no length any more.
	_ = http.NewResponseController(h.ResponseWriter).Flush()
}

func (h *headerless) Write(p []byte) (int, error) {
	if !h.begun {
		h.WriteHeader(http.StatusOK)
	}
	return h.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (h *headerless) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// Throttle sends about bytesPerSecond, in ten steps a second. It takes time: it
// is for looking at progress and for being killed in the middle, by hand and in
// scripts.
func Throttle(bytesPerSecond int) Fault {
	return func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		next.ServeHTTP(&throttled{ResponseWriter: w, req: req, step: max(bytesPerSecond/10, 1)}, req)
	}
}

type throttled struct {
	http.ResponseWriter
	req  *http.Request
	step int
	sent int // within this step
}

func (t *throttled) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		n, err := t.ResponseWriter.Write(p[:min(len(p), t.step-t.sent)])
		written += n
		if err != nil {
			return written, err
		}
		p = p[n:]
		if t.sent += n; t.sent >= t.step {
			t.sent = 0
			if err := t.pause(); err != nil {
				return written, err
			}
		}
	}
	return written, nil
}

func (t *throttled) pause() error {
	_ = http.NewResponseController(t.ResponseWriter).Flush()
	select {
	case <-time.After(100 * time.Millisecond):
		return nil
	case <-t.req.Context().Done():
		return t.req.Context().Err()
	}
}

// Unwrap is for http.ResponseController.
func (t *throttled) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// UploadLocation changes where upload sessions are said to be: change gets the
// Location, which is a path, and returns another spelling of it.
func UploadLocation(change func(location string) string) Fault {
	return Rewrite(func(a *Response) {
		if l := a.Header.Get("Location"); strings.Contains(l, "/blobs/uploads/") {
			a.Header.Set("Location", change(l))
		}
	})
}
