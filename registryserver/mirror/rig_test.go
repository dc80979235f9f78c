package mirror_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"dist.example/blobstore/memory"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryclient"
	"dist.example/registryserver"
	"dist.example/registryserver/mirror"
	"dist.example/registryserver/registrytest"
)

// clock is a clock that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// transport is that of all requests of these tests: http.DefaultTransport loses its
// idle connections with every httptest.Server that closes, in the middle of requests.
var transport = &http.Transport{}

// rig is a server that stands for a registry.
type rig struct {
	*testing.T
	up     *registrytest.Registry
	store  content.Store
	mirror *mirror.Mirror
	url    string
	clock  *clock
}

func newRig(t *testing.T) *rig {
	return over(t, memory.New(), registrytest.New(t, registrytest.Options{}), &clock{now: time.Now()})
}

// over is a server over store that mirrors up.
func over(t *testing.T, store content.Store, up *registrytest.Registry, c *clock) *rig {
	t.Helper()
	return withRoom(t, store, up, c, nil)
}

// withRoom is over with what makes room.
func withRoom(t *testing.T, store content.Store, up *registrytest.Registry, c *clock, makeRoom func(context.Context, mirror.Want) error) *rig {
	t.Helper()
	client, err := registryclient.New(registryclient.Options{
		HostsDirs: []string{}, RegistriesConf: []string{}, CertDirs: []string{}, NoAuthFiles: true,
		Retries: 2, RetryBase: time.Millisecond, Servers: map[string]string{"docker.io": up.URL, "quay.io": up.URL},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdle)
	m := mirror.New(store, mirror.Options{
		Registries: []string{"docker.io", "quay.io"}, Revalidate: 5 * time.Minute, Now: c.read, MakeRoom: makeRoom,
		Open: func(repo oci.Reference) mirror.Repository { return client.Repository(repo) },
	})
	srv := httptest.NewServer(registryserver.New(store, registryserver.Options{Upstream: m}))
	t.Cleanup(func() {
		srv.CloseClientConnections()
		m.Close()
		srv.Close()
	})
	return &rig{t, up, store, m, srv.URL, c}
}

type answer struct {
	status int
	header http.Header
	body   []byte
	err    error // of the body
}

// do asks the mirror. Headers come in pairs.
func (r *rig) do(method, path string, header ...string) answer {
	r.Helper()
	req, err := http.NewRequestWithContext(r.Context(), method, r.url+"/v2/"+path, nil)
	if err != nil {
		r.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, body, err}
}

// gets fails unless path has data.
func (r *rig) gets(path string, data []byte) {
	r.Helper()
	a := r.do("GET", path)
	if a.err != nil || a.status != 200 || !bytes.Equal(a.body, data) {
		r.Fatalf("GET %s: status %d, %d bytes, %v; want %d bytes: %.200s", path, a.status, len(a.body), a.err, len(data), a.body)
	}
}

func (r *rig) wantStatus(method, path string, status int) answer {
	r.Helper()
	a := r.do(method, path)
	if a.status != status {
		r.Fatalf("%s %s: status %d (%v), want %d: %.200s", method, path, a.status, a.err, status, a.body)
	}
	return a
}

func (r *rig) blob(seed uint64, n int) (string, []byte) {
	data := registrytest.Bytes(seed, n)
	return "library/app/blobs/" + r.up.PutBlob(oci.MediaTypeLayer, data).Digest.String(), data
}

// pull asks for a tag and all that it leads to, as clients do, and returns the digest.
func (r *rig) pull(path string) oci.Digest {
	r.Helper()
	a := r.wantStatus("GET", "library/app/manifests/"+path, 200)
	for _, e := range r.edges(a) {
		kind := "blobs/"
		if e.Role == oci.RoleManifest {
			r.pull(e.Digest.String())
			continue
		}
		b := r.wantStatus("GET", "library/app/"+kind+e.Digest.String(), 200)
		if b.err != nil || oci.DigestBytes(b.body) != e.Digest {
			r.Fatalf("blob %s came as %d bytes, %v", e.Digest, len(b.body), b.err)
		}
	}
	return oci.Digest(a.header.Get("Docker-Content-Digest"))
}

func (r *rig) edges(a answer) []oci.Edge {
	r.Helper()
	edges, err := oci.Successors(a.header.Get("Content-Type"), a.body)
	if err != nil {
		r.Fatal(err)
	}
	return edges
}

// named fails unless the store's name stands for d; "" for no such name.
func (r *rig) named(tag string, d oci.Digest) {
	r.Helper()
	ref, err := oci.ParseReference("docker.io/library/app:" + tag)
	if err != nil {
		r.Fatal(err)
	}
	got, err := r.store.Resolve(r.Context(), ref)
	if err != nil && !errors.Is(err, content.ErrNotFound) || got.Digest != d {
		r.Errorf("the store's name %s is %q (%v), want %q", tag, got.Digest, err, d)
	}
}

func (r *rig) count(method string, k registryserver.Kind, want int) {
	r.Helper()
	if n := r.up.Count(registrytest.Match{Method: method, Kind: k}); n != want {
		r.Errorf("upstream was asked %d times by %s for %ss, want %d", n, method, k, want)
	}
}

// eventually waits until what is true.
func (r *rig) eventually(what string, is func() bool) {
	r.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			r.Fatalf("it never came to this: %s", what)
		}
	}
}
