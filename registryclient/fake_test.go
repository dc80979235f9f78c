package registryclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"dist.example/oci"
)

// fake is a registry with one repository, and a hook that misbehaves.
type fake struct {
	mu        sync.Mutex
	blobs     map[string][]byte
	manifests map[string]manifestBytes // by digest and tag
	uploads   map[string][]byte
	log       []string // method and path of every request
	auths     []string // its Authorization
	ranges    []string

	// hook answers in place of the registry when it returns true. n counts the
	// requests with this method and path, from 1.
	hook func(w http.ResponseWriter, r *http.Request, n int) bool
	url  *url.URL

	authority string // of a fake that speaks TLS, in PEM
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := emptyFake()
	s := httptest.NewServer(f)
	t.Cleanup(s.Close)
	f.url, _ = url.Parse(s.URL)
	return f
}

func emptyFake() *fake {
	return &fake{blobs: map[string][]byte{}, manifests: map[string]manifestBytes{}, uploads: map[string][]byte{}}
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	line := r.Method + " " + r.URL.Path
	f.log = append(f.log, line)
	f.auths = append(f.auths, r.Header.Get("Authorization"))
	if v := r.Header.Get("Range"); v != "" {
		f.ranges = append(f.ranges, v)
	}
	n, hook := f.count(line), f.hook
	f.mu.Unlock()
	if hook != nil && hook(w, r, n) {
		return
	}
	f.serve(w, r)
}

func (f *fake) count(line string) (n int) {
	for _, l := range f.log {
		if l == line {
			n++
		}
	}
	return n
}

func (f *fake) requests(prefix string) (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range f.log {
		if strings.HasPrefix(l, prefix) {
			n++
		}
	}
	return n
}

const repoPath = "/v2/team/app/"

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	kind, id, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, repoPath), "/")
	switch kind {
	case "manifests":
		f.serveManifest(w, r, id)
	case "blobs":
		if up, ok := strings.CutPrefix(id, "uploads/"); ok {
			f.serveUpload(w, r, up)
			return
		}
		f.mu.Lock()
		data, ok := f.blobs[id]
		f.mu.Unlock()
		if !ok {
			notFound(w, "BLOB_UNKNOWN")
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	default:
		notFound(w, "NAME_UNKNOWN")
	}
}

func notFound(w http.ResponseWriter, code string) {
	w.WriteHeader(http.StatusNotFound)
	fmt.Fprintf(w, `{"errors":[{"code":%q,"message":"gone\u001b[31m fishing"}]}`, code)
}

func (f *fake) serveManifest(w http.ResponseWriter, r *http.Request, id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Method == http.MethodPut {
		data, _ := io.ReadAll(r.Body)
		m := manifestBytes{oci.Descriptor{MediaType: r.Header.Get("Content-Type"), Digest: oci.DigestBytes(data), Size: int64(len(data))}, data}
		f.manifests[id], f.manifests[m.desc.Digest.String()] = m, m
		w.Header().Set("Docker-Content-Digest", m.desc.Digest.String())
		w.WriteHeader(http.StatusCreated)
		return
	}
	m, ok := f.manifests[id]
	if !ok {
		notFound(w, "MANIFEST_UNKNOWN")
		return
	}
	w.Header().Set("Content-Type", m.desc.MediaType)
	w.Header().Set("Docker-Content-Digest", m.desc.Digest.String())
	w.Header().Set("Content-Length", fmt.Sprint(len(m.data)))
	if r.Method == http.MethodGet {
		_, _ = w.Write(m.data)
	}
}

func (f *fake) serveUpload(w http.ResponseWriter, r *http.Request, id string) {
	var data []byte
	var readErr error
	if r.Body != nil {
		data, readErr = io.ReadAll(r.Body)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.Method == http.MethodPost {
		id = fmt.Sprint("s", len(f.log))
		f.uploads[id] = []byte{}
		w.Header().Set("Location", repoPath+"blobs/uploads/"+id+"?state=x%2By")
		w.WriteHeader(http.StatusAccepted)
		return
	}
	have, ok := f.uploads[id]
	if !ok || r.URL.Query().Get("state") != "x+y" {
		notFound(w, "BLOB_UPLOAD_UNKNOWN")
		return
	}
	w.Header().Set("Location", r.URL.String())
	if r.Method == http.MethodPatch && !strings.HasPrefix(r.Header.Get("Content-Range"), fmt.Sprint(len(have), "-")) {
		w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
		return
	}
	have = append(have, data...)
	f.uploads[id] = have
	w.Header().Set("Range", fmt.Sprintf("0-%d", max(0, len(have)-1)))
	switch {
	case readErr != nil:
	case r.Method == http.MethodPut:
		d := r.URL.Query().Get("digest")
		if oci.DigestBytes(have).String() != d {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"errors":[{"code":"DIGEST_INVALID","message":"no"}]}`)
			return
		}
		f.blobs[d] = have
		delete(f.uploads, id)
		w.WriteHeader(http.StatusCreated)
	case r.Method == http.MethodGet:
		w.WriteHeader(http.StatusNoContent)
	default:
		w.WriteHeader(http.StatusAccepted)
	}
}

// misbehave sets the hook of a fake that has been asked already.
func (f *fake) misbehave(hook func(w http.ResponseWriter, r *http.Request, n int) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hook = hook
}

func (f *fake) addBlob(size int) oci.Descriptor {
	data := make([]byte, size)
	rnd := rand.New(rand.NewPCG(1, uint64(size)))
	for i := range data {
		data[i] = byte(rnd.Uint32())
	}
	d := oci.DigestBytes(data)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.blobs[d.String()] = data
	return oci.Descriptor{MediaType: oci.MediaTypeLayer, Digest: d, Size: int64(size)}
}

func (f *fake) addManifest(tag, mediaType, body string) oci.Descriptor {
	m := manifestBytes{oci.Descriptor{MediaType: mediaType, Digest: oci.DigestBytes([]byte(body)), Size: int64(len(body))}, []byte(body)}
	f.manifests[tag], f.manifests[m.desc.Digest.String()] = m, m
	return m.desc
}

// client is for tests: no file of this machine is read, pauses are short.
func testClient(t *testing.T, change func(*Options)) *Client {
	t.Helper()
	o := Options{
		HostsDirs: []string{}, RegistriesConf: []string{}, CertDirs: []string{}, NoAuthFiles: true,
		RetryBase: time.Millisecond, Window: Window{SegmentBytes: 64 << 10, Enough: -1},
	}
	if change != nil {
		change(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	return c
}

func (f *fake) repository(t *testing.T, change func(*Options)) *Repository {
	t.Helper()
	return testClient(t, change).Repository(oci.Reference{Registry: f.url.Host, Repository: "team/app"})
}

func fetchAll(r *Repository, desc oci.Descriptor) ([]byte, error) {
	rc, err := r.Fetch(context.Background(), desc)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return io.ReadAll(rc)
}

func mustFetch(t *testing.T, f *fake, r *Repository, desc oci.Descriptor) {
	t.Helper()
	got, err := fetchAll(r, desc)
	if err != nil {
		t.Fatalf("fetch: %v", err)
	}
	if !bytes.Equal(got, f.blobs[desc.Digest.String()]) {
		t.Fatal("other bytes came")
	}
}

func wantClass(t *testing.T, err, class error) {
	t.Helper()
	if !errors.Is(err, class) {
		t.Fatalf("error %v, want the class %v", err, class)
	}
}

// breakOff sends the first n bytes of the range that is asked for, and drops the
// connection.
func breakOff(w http.ResponseWriter, r *http.Request, data []byte, n int) {
	from, to := 0, len(data)-1
	if v := r.Header.Get("Range"); v != "" {
		_, _ = fmt.Sscanf(v, "bytes=%d-%d", &from, &to)
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, len(data)))
	}
	w.Header().Set("Content-Length", fmt.Sprint(to-from+1))
	if r.Header.Get("Range") != "" {
		w.WriteHeader(http.StatusPartialContent)
	}
	_, _ = w.Write(data[from:min(from+n, to+1)])
	w.(http.Flusher).Flush()
	panic(http.ErrAbortHandler)
}

// pipeNet is a network without sockets, so that time can be faked around it.
type pipeNet struct {
	conns  chan net.Conn
	closed chan struct{}
}

func newPipeNet() *pipeNet { return &pipeNet{make(chan net.Conn), make(chan struct{})} }

func (p *pipeNet) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipeNet) Close() error   { close(p.closed); return nil }
func (p *pipeNet) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5000} }

func (p *pipeNet) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	a, b := net.Pipe()
	select {
	case p.conns <- b:
		return a, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// inBubble serves h and returns a client that reaches it; both end with stop.
func inBubble(t *testing.T, h http.Handler) (r *Repository, stop func()) {
	t.Helper()
	n := newPipeNet()
	s := &http.Server{Handler: h} //nolint:gosec // a test's
	go func() { _ = s.Serve(n) }()
	tr := &http.Transport{DialContext: n.dial, DisableCompression: true}
	c := testClient(t, func(o *Options) { o.Transport, o.RetryBase = tr, 250*time.Millisecond })
	return c.Repository(oci.Reference{Registry: "localhost:5000", Repository: "team/app"}), func() {
		tr.CloseIdleConnections()
		_ = s.Shutdown(context.Background())
	}
}
