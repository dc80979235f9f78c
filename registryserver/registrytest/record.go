package registrytest

import (
	"io"
	"net/http"
	"slices"
	"strings"

	"dist.example/oci"
	"dist.example/registryserver"
)

// KindToken is the kind of requests to the token endpoint.
const KindToken registryserver.Kind = "token"

// Request is what is remembered of a request.
type Request struct {
	Method        string
	Kind          registryserver.Kind
	Path          string     // unescaped, without the query
	Query         string     // as it came
	Digest        oci.Digest // of a path that ends in one
	Range         string
	ContentRange  string
	Authorization string
	UserAgent     string
	Status        int   // 0 until it is answered
	Sent          int64 // bytes of the answer's body so far
	Received      int64 // bytes of the request's body so far
	Announced     int64 // bytes of the request's body, -1 when it does not say
}

// Match picks requests; a zero field fits every request.
type Match struct {
	Method string
	Kind   registryserver.Kind
	Digest oci.Digest
	// Path must be in the request's path.
	Path string
	// Skip lets that many requests by before the first that counts, and Times is
	// how many count then, 0 for all. Only Inject looks at them.
	Skip  int
	Times int
}

func (m Match) fits(q *Request) bool {
	return (m.Method == "" || m.Method == q.Method) &&
		(m.Kind == "" || m.Kind == q.Kind) &&
		(m.Digest == "" || m.Digest == q.Digest) &&
		strings.Contains(q.Path, m.Path)
}

func describe(req *http.Request) Request {
	q := Request{
		Method:        req.Method,
		Kind:          registryserver.KindOf(req.URL.Path),
		Path:          req.URL.Path,
		Query:         req.URL.RawQuery,
		Range:         req.Header.Get("Range"),
		ContentRange:  req.Header.Get("Content-Range"),
		Authorization: req.Header.Get("Authorization"),
		UserAgent:     req.UserAgent(),
		Announced:     req.ContentLength,
	}
	if q.Path == tokenPath {
		q.Kind = KindToken
	}
	if d, err := oci.ParseDigest(q.Path[strings.LastIndexByte(q.Path, '/')+1:]); err == nil {
		q.Digest = d
	}
	return q
}

// Requests are all requests since the beginning or Forget, in order of arrival.
func (r *Registry) Requests() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Request, len(r.requests))
	for i, q := range r.requests {
		all[i] = *q
	}
	return all
}

// Matching are the requests that fit m.
func (r *Registry) Matching(m Match) []Request {
	return slices.DeleteFunc(r.Requests(), func(q Request) bool { return !m.fits(&q) })
}

// Count is how many requests fit m.
func (r *Registry) Count(m Match) int { return len(r.Matching(m)) }

// BlobBytes is how many bytes of blobs went out, those of d or, with "", of all.
// Bytes count when they are handed to the connection.
func (r *Registry) BlobBytes(d oci.Digest) int64 {
	var n int64
	for _, q := range r.Matching(Match{Method: http.MethodGet, Kind: registryserver.KindBlob, Digest: d}) {
		if q.Status == http.StatusOK || q.Status == http.StatusPartialContent {
			n += q.Sent
		}
	}
	return n
}

// Forget empties the record. Faults stay.
func (r *Registry) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = nil
}

// record enters req and returns a writer that counts what goes out.
func (r *Registry) record(w http.ResponseWriter, req *http.Request) *counter {
	q := describe(req)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, &q)
	c := &counter{ResponseWriter: w, r: r, q: &q}
	req.Body = countedBody{req.Body, c}
	return c
}

// counter counts an answer. It counts before it writes, so that a client which
// has the bytes finds them counted. Without ReadFrom everything comes by here.
type counter struct {
	http.ResponseWriter
	r *Registry
	q *Request
}

func (c *counter) WriteHeader(status int) {
	c.r.mu.Lock()
	c.q.Status = status
	c.r.mu.Unlock()
	c.ResponseWriter.WriteHeader(status)
}

func (c *counter) Write(p []byte) (int, error) {
	c.r.mu.Lock()
	if c.q.Status == 0 {
		c.q.Status = http.StatusOK
	}
	c.q.Sent += int64(len(p))
	c.r.mu.Unlock()
	n, err := c.ResponseWriter.Write(p)
	if n < len(p) {
		c.r.mu.Lock()
		c.q.Sent -= int64(len(p) - n)
		c.r.mu.Unlock()
	}
	return n, err
}

// Unwrap is for http.ResponseController.
func (c *counter) Unwrap() http.ResponseWriter { return c.ResponseWriter }

type countedBody struct {
	io.ReadCloser
	c *counter
}

func (b countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.c.r.mu.Lock()
	b.c.q.Received += int64(n)
	b.c.r.mu.Unlock()
	return n, err
}
