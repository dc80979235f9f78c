package registryserver_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dist.example/blobstore/memory"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryserver"
)

// streamed hides how long a body is.
func streamed(s string) io.Reader { return struct{ io.Reader }{strings.NewReader(s)} }

func (r *rig) sessions() int {
	r.Helper()
	n := 0
	for _, err := range r.store.Active(r.Context()) {
		if err != nil {
			r.Fatal(err)
		}
		n++
	}
	return n
}

func TestBlobsThatAreTooLarge(t *testing.T) {
	r := newRig(t, registryserver.Options{Writable: true, Limits: registryserver.Limits{Blob: 10}})
	r.push("0123456789")
	large := "0123456789a"
	d := oci.DigestBytes([]byte(large)).String()
	for name, body := range map[string]func() io.Reader{
		"known":    func() io.Reader { return strings.NewReader(large) },
		"streamed": func() io.Reader { return streamed(large) },
	} {
		t.Run(name, func(t *testing.T) {
			r.want(r.do("POST", "/v2/app/blobs/uploads/?digest="+d, body()), 413, "SIZE_INVALID")
			at := r.do("POST", "/v2/app/blobs/uploads/", nil).header.Get("Location")
			r.want(r.do("PATCH", at, body()), 413, "SIZE_INVALID")
			r.want(r.do("GET", at, nil), 404, "BLOB_UPLOAD_UNKNOWN")
			at = r.do("POST", "/v2/app/blobs/uploads/", nil).header.Get("Location")
			r.want(r.do("PUT", at+"?digest="+d, body()), 413, "SIZE_INVALID")
			// The sum counts, not the chunk.
			at = r.do("POST", "/v2/app/blobs/uploads/", nil).header.Get("Location")
			r.want(r.do("PATCH", at, strings.NewReader(large[:6])), 202)
			r.want(r.do("PATCH", at, body()), 413, "SIZE_INVALID")
			if n := r.sessions(); n != 0 {
				t.Errorf("%d sessions are left of what nobody can finish", n)
			}
		})
	}
	at := r.do("POST", "/v2/app/blobs/uploads/", nil).header.Get("Location")
	r.want(r.do("PATCH", at, strings.NewReader(large[:6])), 202)
	r.want(r.do("PATCH", at, strings.NewReader(large[6:10]), "Content-Range", "6-9"), 202)
	r.want(r.do("PATCH", at, streamed(large[10:]), "Content-Range", "10-10"), 413, "SIZE_INVALID")
}

// uploading is a server without a network, so that a synctest bubble holds it.
type uploading struct {
	*testing.T
	h http.Handler
}

func (u uploading) do(method, path string) *httptest.ResponseRecorder {
	u.Helper()
	w := httptest.NewRecorder()
	u.h.ServeHTTP(w, httptest.NewRequestWithContext(u.Context(), method, path, http.NoBody))
	return w
}

func (u uploading) begin(want int) *httptest.ResponseRecorder {
	u.Helper()
	w := u.do("POST", "/v2/app/blobs/uploads/")
	if w.Code != want {
		u.Fatalf("POST is %d, want %d: %s", w.Code, want, w.Body)
	}
	return w
}

func TestOpenUploadsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := memory.New()
		o := registryserver.Options{Writable: true, Limits: registryserver.Limits{Uploads: 3}}
		u := uploading{t, registryserver.New(store, o)}
		// kept makes an ingest of a session, which a restart does not end.
		kept := func(w *httptest.ResponseRecorder) { u.do("PATCH", w.Header().Get("Location")) }
		first := u.begin(202).Header().Get("Location")
		second := u.begin(202).Header().Get("Location")
		kept(u.begin(202))
		w := u.begin(429)
		if w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "TOOMANYREQUESTS") {
			t.Errorf("the refusal is %v %s", w.Header(), w.Body)
		}
		// What the client ends makes room at once.
		u.do("DELETE", first)
		kept(u.begin(202))
		u.begin(429)
		if w := u.do("PUT", second+"?digest="+oci.DigestBytes(nil).String()); w.Code != 201 {
			t.Fatalf("PUT is %d: %s", w.Code, w.Body)
		}
		kept(u.begin(202))
		u.begin(429)

		// They count after a restart too.
		u.h = registryserver.New(store, o)
		u.begin(429)

		// What ends without the server is noticed in a while.
		for st, err := range store.Active(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if err := store.Abort(t.Context(), st.Key); err != nil {
				t.Fatal(err)
			}
			break
		}
		u.begin(429)
		time.Sleep(time.Second)
		u.begin(202)
		u.begin(429)

		// Sessions that nobody has touched for days make room.
		time.Sleep(9 * 24 * time.Hour)
		u.begin(202)

		// So do those without a byte, which are in memory, after an hour.
		u.h = registryserver.New(memory.New(), o)
		for range 3 {
			u.begin(202)
		}
		u.begin(429)
		time.Sleep(2 * time.Hour)
		u.begin(202)

		// Ingests of others do not count, nor without a limit anything.
		o.Limits.Uploads = -1
		u.h = registryserver.New(store, o)
		for range 5 {
			u.begin(202)
		}
	})
}

// stuckStore answers where a blob is once it is let.
type stuckStore struct {
	*memory.Store
	asked, let chan struct{}
}

func (s stuckStore) InRepository(ctx context.Context, _ string, _ ...oci.Digest) ([]bool, error) {
	s.asked <- struct{}{}
	select {
	case <-s.let:
		return []bool{false}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestRequestsAtOnceAreBounded(t *testing.T) {
	store := stuckStore{memory.New(), make(chan struct{}), make(chan struct{})}
	srv := httptest.NewServer(registryserver.New(store, registryserver.Options{Limits: registryserver.Limits{Requests: 1}}))
	defer srv.Close()
	r := &rig{t, nil, srv.URL}
	done := make(chan struct{})
	go func() {
		defer close(done)
		resp, err := (&http.Client{Transport: transport}).Get(srv.URL + "/v2/app/blobs/" + oci.DigestBytes(nil).String())
		if err != nil {
			t.Error(err)
			return
		}
		resp.Body.Close()
	}()
	<-store.asked
	a := r.do("GET", "/v2/", nil)
	r.want(a, 429, "TOOMANYREQUESTS")
	r.wantHeader(a, "Retry-After", "1")
	r.want(r.do("GET", "/healthz", nil), 200)
	r.want(r.do("GET", "/metrics", nil), 200)
	close(store.let)
	<-done
	for r.do("GET", "/v2/", nil).status != 200 { // the count goes down a little after the answer
		if t.Context().Err() != nil {
			t.Fatal("the request that is over still counts")
		}
	}
}

func TestAClientThatGoesAwayEndsItsRequest(t *testing.T) {
	store := stuckStore{memory.New(), make(chan struct{}), make(chan struct{})}
	var buf bytes.Buffer
	done := make(chan struct{})
	h := registryserver.New(store, registryserver.Options{Log: slog.New(slog.NewTextHandler(&buf, nil))})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, r)
		close(done)
	}))
	defer srv.Close()
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", srv.URL+"/v2/app/blobs/"+oci.DigestBytes(nil).String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-store.asked
		cancel()
	}()
	if resp, err := transport.RoundTrip(req); !errors.Is(err, context.Canceled) {
		t.Errorf("the answer is %v, %v", resp, err)
	}
	<-done
	if !strings.Contains(buf.String(), "level=INFO") || !strings.Contains(buf.String(), "status=499") {
		t.Errorf("the log is %s", buf.String())
	}
}

// faultyStore breaks in ways of its own.
type faultyStore struct {
	*memory.Store
	resolve func() error
	read    func() int
}

func (s faultyStore) Resolve(context.Context, oci.Reference) (oci.Descriptor, error) {
	return oci.Descriptor{}, s.resolve()
}

func (s faultyStore) ReaderAt(context.Context, oci.Descriptor) (content.ReaderAt, error) {
	return blobReader{readerFunc(s.read), 1 << 20}, nil
}

func (faultyStore) InRepository(context.Context, string, ...oci.Digest) ([]bool, error) {
	return []bool{true}, nil
}

type readerFunc func() int

func (f readerFunc) ReadAt(p []byte, off int64) (int, error) {
	if off == 0 {
		return len(p), nil
	}
	return f(), nil
}

func TestAFaultEndsOneRequest(t *testing.T) {
	store := faultyStore{memory.New(), func() error { panic("a bug") }, func() int { panic("another bug") }}
	var warned []string
	srv := httptest.NewServer(registryserver.New(store, registryserver.Options{Warn: func(s string) { warned = append(warned, s) }}))
	defer srv.Close()
	r := &rig{t, nil, srv.URL}
	a := r.do("GET", "/v2/app/manifests/v1", nil)
	r.want(a, 500, "UNKNOWN")
	if strings.Contains(string(a.body), "bug") {
		t.Errorf("the client is told %s", a.body)
	}
	if len(warned) != 1 || !strings.Contains(warned[0], "a bug") || !strings.Contains(warned[0], "limits_test.go") {
		t.Errorf("warned of %q", warned)
	}
	// An answer that has begun is not ended as if it were whole.
	resp, err := (&http.Client{Transport: transport}).Get(srv.URL + "/v2/app/blobs/" + oci.DigestBytes(nil).String())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Error("an answer that was cut off looks whole")
	}
	if got := string(r.do("GET", "/metrics", nil).body); !strings.Contains(got, "dist_panics_total 2\n") {
		t.Error("the faults are not counted")
	}
}

func TestTheLogTellsWhatTheClientIsNotTold(t *testing.T) {
	store := faultyStore{memory.New(), func() error { return fmt.Errorf("read /srv/secret: %w", io.ErrUnexpectedEOF) }, nil}
	var buf bytes.Buffer
	h := registryserver.New(store, registryserver.Options{Log: slog.New(slog.NewTextHandler(&buf, nil))})
	req := httptest.NewRequestWithContext(t.Context(), "GET", "/v2/team/app/manifests/v1?_state=hidden&ns=docker.io", strings.NewReader("body"))
	req.Header.Set("User-Agent", "tester/1")
	req.Header.Set("Authorization", "Basic aGlkZGVuOmhpZGRlbg==")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	if w.Code != 500 || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("the client is told %d %s", w.Code, w.Body)
	}
	for _, want := range []string{
		"level=ERROR", "id=" + w.Header().Get("X-Request-Id"), "method=GET", "path=/v2/team/app/manifests/v1 ", "query=ns=docker.io",
		"repository=team/app", "status=500", "received=0", "bytes=", "took=", "from=", "agent=tester/1", "/srv/secret",
	} {
		if !strings.Contains(strings.ReplaceAll(buf.String(), `"`, ""), want) {
			t.Errorf("no %s in %s", want, buf.String())
		}
	}
	for _, secret := range []string{"hidden", "aGlkZGVu"} {
		if strings.Contains(buf.String(), secret) {
			t.Errorf("%s is in %s", secret, buf.String())
		}
	}
}
