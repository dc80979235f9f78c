package registryclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// A session that gets somewhere and is lost, again and again, is no progress.
func TestPushGivesUpOnSessionsThatAreLost(t *testing.T) {
	f := newFake(t)
	desc, data := somewhere(f, 1<<20)
	var requests atomic.Int32
	ctx, cancel := context.WithCancel(t.Context())
	f.hook = func(w http.ResponseWriter, r *http.Request, n int) bool {
		if requests.Add(1) > 500 {
			cancel()
		}
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.Method {
		case http.MethodPost:
			w.Header().Set("Location", fmt.Sprintf("/v2/team/app/blobs/uploads/%d", requests.Load()))
			w.WriteHeader(http.StatusAccepted)
		case http.MethodGet:
			if n > 1 {
				w.WriteHeader(http.StatusNotFound)
				break
			}
			w.Header().Set("Range", "0-524287")
			w.WriteHeader(http.StatusNoContent)
		case http.MethodHead:
			w.WriteHeader(http.StatusNotFound)
		default:
			w.WriteHeader(http.StatusInternalServerError)
		}
		return true
	}
	err := f.repository(t, nil).Push(ctx, desc, bytes.NewReader(data))
	wantClass(t, err, content.ErrUnavailable)
	if n := requests.Load(); n > 100 {
		t.Errorf("%d requests", n)
	}
}

// token, ends with its context.
func TestARefusalEndsWithItsContext(t *testing.T) {
	f := newFake(t)
	f.addManifest("v1", oci.MediaTypeManifest, aManifest)
	var tokens, dead atomic.Int32
	arrived, asked, told, release := make(chan struct{}), make(chan struct{}), make(chan string, 1), make(chan struct{})
	refuse := make(chan struct{})
	f.hook = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		switch {
		case r.URL.Path == "/token":
			if tokens.Add(1) == 2 {
				close(asked)
				<-release
			}
			_, _ = io.WriteString(w, `{"token":"t","expires_in":3600}`)
			return true
		case r.Header.Get("Authorization") != "" && dead.Load() == 0:
			return false
		case strings.HasSuffix(r.URL.Path, "/late"):
			close(arrived)
			<-refuse
			w.Header().Set("Warning", `299 - "late"`)
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token"`, f.url))
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
	r := f.repository(t, func(o *Options) { o.Warn = func(m string) { told <- m } })
	if _, err := r.Resolve(t.Context(), oci.Reference{Tag: "v1"}); err != nil {
		t.Fatal(err)
	}
	dead.Store(1)
	ctx, cancel := context.WithCancel(t.Context())
	late, other := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := r.Resolve(ctx, oci.Reference{Tag: "late"})
		late <- err
	}()
	<-arrived
	go func() {
		_, err := r.Resolve(t.Context(), oci.Reference{Tag: "early"})
		other <- err
	}()
	<-asked
	close(refuse)
	<-told
	cancel()
	select {
	case err := <-late:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Error("it waits for the other one's token")
	}
	close(release)
	<-other
}

// What pages are remembered by does not grow with their addresses.
func TestLongLinksAreNotKept(t *testing.T) {
	f := newFake(t)
	const pages, long = 300, 50_000
	f.hook = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		n, _ := strconv.Atoi(r.URL.Query().Get("page"))
		if n < pages {
			w.Header().Set("Link", fmt.Sprintf(`</v2/team/app/tags/list?page=%d&pad=%s>; rel="next"`, n+1, strings.Repeat("x", long)))
		}
		_, _ = fmt.Fprintf(w, `{"tags":["v%d"]}`, n)
		f.mu.Lock()
		f.log = nil // it would keep them itself
		f.mu.Unlock()
		return true
	}
	used := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, n := used(), 0
	for _, err := range f.repository(t, nil).Tags(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n > pages {
			if now := used(); now > before+pages*long/2 {
				t.Errorf("%d bytes are kept", now-before)
			}
		}
	}
	if n != pages+1 {
		t.Errorf("%d tags", n)
	}
}

// drip answers with size bytes, one at a time, until nobody listens any more.
func drip(w http.ResponseWriter, r *http.Request, status, size int) {
	w.Header().Set("Content-Length", strconv.Itoa(size))
	w.WriteHeader(status)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range size {
		_, _ = w.Write([]byte(" "))
		_ = http.NewResponseController(w).Flush()
		select {
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
	}
}

// Of answers that are read whole, and of what is not read at all, not every byte is
// waited for.
func TestAnswersThatDrip(t *testing.T) {
	for what, want := range map[string]error{"redirect": nil, "refused token": nil, "manifest": content.ErrUnavailable, "token": content.ErrUnavailable} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			man := f.addManifest("v1", oci.MediaTypeManifest, aManifest)
			f.manifests["elsewhere"] = f.manifests["v1"]
			var dripped atomic.Int32
			slowly := func(w http.ResponseWriter, r *http.Request, status, size int) bool {
				dripped.Add(1)
				drip(w, r, status, size)
				return true
			}
			f.hook = func(w http.ResponseWriter, r *http.Request, _ int) bool {
				w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token"`, f.url))
				known := r.Header.Get("Authorization") != ""
				switch {
				case r.URL.Path == "/token" && what == "token":
					return slowly(w, r, http.StatusOK, maxTokenAnswer)
				case r.URL.Path == "/token":
					_, _ = io.WriteString(w, `{"token":"t"}`)
					return true
				case what == "token":
					w.WriteHeader(http.StatusUnauthorized)
					return true
				case what == "refused token" && !known:
					return slowly(w, r, http.StatusUnauthorized, 8<<10)
				case what == "redirect" && strings.HasSuffix(r.URL.Path, "/v1"):
					w.Header().Set("Location", "elsewhere")
					return slowly(w, r, http.StatusFound, 8<<10)
				case what == "manifest":
					return slowly(w, r, http.StatusOK, 1<<20)
				}
				return false
			}
			r := f.repository(t, nil)
			r.client.thinking = 2 * time.Second
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			desc, _, err := r.FetchManifest(ctx, oci.Reference{Tag: "v1"})
			if !errors.Is(err, want) || (want == nil && desc.Digest != man.Digest) || ctx.Err() != nil {
				t.Errorf("%s, %v", desc.Digest, err)
			}
			if n := dripped.Load(); n != 1 {
				t.Errorf("%d answers dripped", n)
			}
		})
	}
}
