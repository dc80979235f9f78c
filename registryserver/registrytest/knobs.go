package registrytest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// RefuseRange answers 416 to requests for a part, and all others as it should.
func RefuseRange() Fault {
	return func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		if req.Header.Get("Range") != "" {
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return
		}
		next.ServeHTTP(w, req)
	}
}

// ShiftRange answers requests for a part with another one, which begins by bytes
// later, and says so in Content-Range.
func ShiftRange(by int64) Fault {
	return func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		var from, to int64
		switch n, _ := fmt.Sscanf(req.Header.Get("Range"), "bytes=%d-%d", &from, &to); n {
		case 2:
			req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", from+by, max(to, from+by)))
		case 1:
			req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from+by))
		}
		next.ServeHTTP(w, req)
	}
}

// Oversize answers with n bytes, and a Content-Length that agrees, in place of
// the body. They are never in memory together.
func Oversize(n int64) Fault {
	return func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		held := &heldBack{a: Response{Status: http.StatusOK, Header: w.Header()}}
		next.ServeHTTP(held, req)
		w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
		w.WriteHeader(held.a.Status)
		if req.Method == http.MethodHead {
			return
		}
		for some := make([]byte, 64<<10); n > 0; {
			k, err := w.Write(some[:min(n, int64(len(some)))])
			if err != nil {
				return
			}
			n -= int64(k)
		}
	}
}

// Pages lets lists come n entries at a time, whatever was asked for.
func Pages(n int) Fault {
	return func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		q := req.URL.Query()
		q.Set("n", strconv.Itoa(n))
		req.URL.RawQuery = q.Encode()
		next.ServeHTTP(w, req)
	}
}

// NextLink changes where the next page of a list is said to be: change gets the
// target, a path with a query, and returns another one.
func NextLink(change func(target string) string) Fault {
	return Rewrite(func(a *Response) {
		if _, rest, ok := strings.Cut(a.Header.Get("Link"), "<"); ok {
			target, params, _ := strings.Cut(rest, ">")
			a.Header.Set("Link", "<"+change(target)+">"+params)
		}
	})
}

// CorruptUpload flips a bit of the byte at offset of the request's body.
func CorruptUpload(offset int64) Fault {
	return func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		req.Body = &flipped{ReadCloser: req.Body, left: offset}
		next.ServeHTTP(w, req)
	}
}

// flipped changes one byte on its way; left is how many come before it.
type flipped struct {
	io.ReadCloser
	left int64
}

func (f *flipped) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if 0 <= f.left && f.left < int64(n) {
		p[f.left] ^= 1
	}
	f.left -= int64(n)
	return n, err
}

// StallUpload takes n bytes of the request's body and no more, until release is
// closed; then it cuts the connection. The registry has got those bytes.
func StallUpload(n int64, release <-chan struct{}) Fault {
	return func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		taken, body := io.LimitReader(req.Body, n), req.Body
		req.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(taken, brokenReader{}), body}
		next.ServeHTTP(discard{http.Header{}}, req)
		// That the client has gone shows only to who reads on.
		<-release
		panic(http.ErrAbortHandler)
	}
}

// NoMount takes a request to mount a blob for one to begin an upload, as
// registries do that do not know mounts.
func NoMount() Fault {
	return func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		q := req.URL.Query()
		q.Del("mount")
		q.Del("from")
		req.URL.RawQuery = q.Encode()
		next.ServeHTTP(w, req)
	}
}

// Replace serves body, of a media type, in place of what there is, parts of it
// too, and says nothing of a digest.
func Replace(mediaType string, body []byte) Fault {
	return func(w http.ResponseWriter, req *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", mediaType)
		http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(body))
	}
}

// Then does something first, such as letting tokens expire, and answers as it
// should.
func Then(first func()) Fault {
	return func(w http.ResponseWriter, req *http.Request, next http.Handler) {
		first()
		next.ServeHTTP(w, req)
	}
}
