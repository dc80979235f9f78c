package registryserver

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"dist.example/blobstore/memory"
)

// deadlines is a ResponseWriter that remembers the last read deadline.
type deadlines struct {
	http.ResponseWriter
	set  bool
	last time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.set, d.last = true, t
	return nil
}

// What a client still owes of its body is waited for only so long, whatever
// becomes of the request.
func TestNoBodyIsWaitedForForEver(t *testing.T) {
	broken := iotest.ErrReader(errors.New("time-out"))
	tests := map[string]struct {
		method, path string
		body         io.Reader
		bounded      bool
	}{
		"no body":         {"GET", "/v2/", nil, false},
		"none is wanted":  {"GET", "/v2/", strings.NewReader("x"), true},
		"no such path":    {"PUT", "/v2/elsewhere", strings.NewReader("x"), true},
		"no such session": {"PATCH", "/v2/a/blobs/uploads/x", strings.NewReader("x"), true},
		"read to its end": {"PUT", "/v2/a/manifests/v1", strings.NewReader("x"), false},
		"it broke off":    {"PUT", "/v2/a/manifests/v1", broken, true},
	}
	h := New(memory.New(), Options{Writable: true})
	for name, tt := range tests {
		r := httptest.NewRequest(tt.method, tt.path, tt.body)
		if r.ContentLength == 0 && tt.body != nil {
			r.ContentLength = -1
		}
		w := &deadlines{ResponseWriter: httptest.NewRecorder()}
		h.ServeHTTP(w, r)
		if bounded := w.set && !w.last.IsZero(); bounded != tt.bounded {
			t.Errorf("%s: the rest of the body is bounded: %v", name, bounded)
		}
	}
}
