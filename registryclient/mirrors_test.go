package registryclient

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// mirrored is r.test behind mirrors, in the order given, and what its client
// warned of.
type mirrored struct {
	*Repository
	mu     sync.Mutex
	warned []string
}

func (m *mirrored) warnings() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.warned
}

func behindMirrors(t *testing.T, up string, change func(*Options), mirrors ...string) *mirrored {
	t.Helper()
	text := fmt.Sprintf("server = %q\n", up)
	for _, m := range mirrors {
		text += fmt.Sprintf("[host.%q]\n", m)
	}
	m := &mirrored{}
	dir := hostsDir(t, map[string]string{"r.test": text})
	m.Repository = repositoryAt(t, "r.test", func(o *Options) {
		o.HostsDirs = []string{dir}
		o.Warn = func(msg string) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.warned = append(m.warned, msg)
		}
		if change != nil {
			change(o)
		}
	})
	return m
}

// deaf takes connections, counts them and never says a word.
func deaf(t *testing.T) (addr string, dials *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dials = new(atomic.Int32)
	var conns []net.Conn
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			dials.Add(1)
			conns = append(conns, c)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		for _, c := range conns {
			c.Close()
		}
	})
	return l.Addr().String(), dials
}

// unheard is an address where nobody listens.
func unheard(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// A mirror that is not there costs one try in a run, however many blobs are
// asked for at once and whatever else is not found.
func TestADeadMirrorCostsOneTry(t *testing.T) {
	silent, dials := deaf(t)
	for name, scheme := range map[string]string{"does not answer": "http://" + silent, "does not greet": "https://" + silent, "is not there": "http://" + unheard(t)} {
		t.Run(name, func(t *testing.T) {
			dials.Store(0)
			up := newFake(t)
			r := behindMirrors(t, up.url.String(), func(o *Options) { o.MirrorTimeout = 50 * time.Millisecond }, scheme)
			var wg sync.WaitGroup
			for i := range 20 {
				desc := up.addBlob(1000 + i)
				wg.Go(func() {
					if _, err := fetchAll(r.Repository, desc); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			for range 3 {
				_, err := r.Resolve(context.Background(), oci.Reference{Tag: "gone"})
				wantClass(t, err, content.ErrNotFound)
			}
			if tries := r.client.Stats().Requests - int64(up.requests("")); tries != 1 || dials.Load() > 1 {
				t.Errorf("%d tries, %d connections", tries, dials.Load())
			}
			if w := r.warnings(); len(w) != 1 || !strings.Contains(w[0], "is passed over") {
				t.Errorf("warned %q", w)
			}
		})
	}
}

// Finding out whether an insecure mirror speaks TLS is the one try.
func TestADeadInsecureMirrorCostsOneTry(t *testing.T) {
	silent, dials := deaf(t)
	up := newFake(t)
	text := fmt.Sprintf("[[registry]]\nprefix=\"r.test\"\nlocation=%q\n[[registry.mirror]]\nlocation=%q\ninsecure=true\n", up.url.Host, silent)
	r := confRepository(t, "r.test/team/app", text, func(o *Options) { o.MirrorTimeout = 50 * time.Millisecond })
	for _, size := range []int{1000, 2000, 3000} {
		mustFetch(t, up, r, up.addBlob(size))
	}
	if dials.Load() != 1 || r.client.Stats().Requests != 4 {
		t.Errorf("%d connections, %d requests", dials.Load(), r.client.Stats().Requests)
	}
}

func TestDialTimeoutOfHostsTOML(t *testing.T) {
	c := testClient(t, nil)
	for _, tc := range []struct {
		spec            hostSpec
		dial, handshake time.Duration
	}{
		{hostSpec{}, connectTimeout, connectTimeout},
		{hostSpec{mirror: true}, 3 * time.Second, 3 * time.Second},
		{hostSpec{mirror: true, dialTimeout: time.Second}, time.Second, time.Second},
		{hostSpec{dialTimeout: time.Second}, time.Second, connectTimeout},
	} {
		if dial, handshake := c.connecting(tc.spec); dial != tc.dial || handshake != tc.handshake {
			t.Errorf("%+v: %s and %s", tc.spec, dial, handshake)
		}
	}
}

// Once everybody else has failed, the ones that let down get another chance, and
// their good name back.
func TestTheLastResortIsAMirrorThatLetDown(t *testing.T) {
	up, mirror := newFake(t), newFake(t)
	a, b, c := mirror.addBlob(1000), mirror.addBlob(2000), mirror.addBlob(3000)
	var sick atomic.Bool
	sick.Store(true)
	mirror.hook = func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		if sick.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return sick.Load()
	}
	up.blobs[a.Digest.String()] = mirror.blobs[a.Digest.String()]
	r := behindMirrors(t, up.url.String(), func(o *Options) { o.Retries = -1 }, mirror.url.String())
	mustFetch(t, up, r.Repository, a)
	sick.Store(false)
	up.misbehave(func(http.ResponseWriter, *http.Request, int) bool { panic(http.ErrAbortHandler) })
	mustFetch(t, mirror, r.Repository, b)
	asked := up.requests("")
	mustFetch(t, mirror, r.Repository, c)
	if up.requests("") != asked {
		t.Error("a mirror that came back is still asked last")
	}
}

func TestWhatAMirrorLacksDoesNotCostItsName(t *testing.T) {
	up, mirror := newFake(t), newFake(t)
	a, b := up.addBlob(1000), mirror.addBlob(2000)
	r := behindMirrors(t, up.url.String(), nil, mirror.url.String())
	mustFetch(t, up, r.Repository, a)
	mustFetch(t, mirror, r.Repository, b)
	if w := r.warnings(); len(w) != 0 || up.requests("") != 1 {
		t.Errorf("warned %q, the registry was asked %d times", w, up.requests(""))
	}
}

func TestAMirrorThatDeniesOneRepositoryServesOthers(t *testing.T) {
	up, mirror := newFake(t), newFake(t)
	a := mirror.addBlob(1000)
	up.blobs[a.Digest.String()] = mirror.blobs[a.Digest.String()]
	mirror.hook = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		denied := !strings.HasPrefix(r.URL.Path, repoPath)
		if denied {
			w.WriteHeader(http.StatusForbidden)
		}
		return denied
	}
	r := behindMirrors(t, up.url.String(), nil, mirror.url.String())
	secret := r.client.Repository(oci.Reference{Registry: "r.test", Repository: "team/secret"})
	for range 2 {
		_, err := fetchAll(secret, a)
		wantClass(t, err, content.ErrNotFound)
	}
	mustFetch(t, mirror, r.Repository, a)
	if mirror.requests("GET /v2/team/secret/") != 1 || mirror.requests("GET "+repoPath) != 1 {
		t.Errorf("the mirror was asked for %q", mirror.log)
	}
}

// A blob that a mirror does not give to its end goes on elsewhere, from the byte
// that came last.
func TestABlobGoesOnFromSomebodyElse(t *testing.T) {
	const size, first = 60_000, 20_000
	stall := func(w http.ResponseWriter, r *http.Request, data []byte) {
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		_, _ = w.Write(data[:first])
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	for name, body := range map[string]func(http.ResponseWriter, *http.Request, []byte){
		"stalls":       stall,
		"breaks again": func(w http.ResponseWriter, r *http.Request, data []byte) { breakOff(w, r, data, first/2) },
	} {
		t.Run(name, func(t *testing.T) {
			up, mirror := newFake(t), newFake(t)
			a := up.addBlob(size)
			mirror.hook = func(w http.ResponseWriter, r *http.Request, _ int) bool {
				body(w, r, up.blobs[a.Digest.String()])
				return true
			}
			r := behindMirrors(t, up.url.String(), func(o *Options) { o.StallTimeout = 200 * time.Millisecond }, mirror.url.String())
			mustFetch(t, up, r.Repository, a)
			if len(up.ranges) != 1 || up.ranges[0] != fmt.Sprintf("bytes=%d-%d", first, size-1) || mirror.requests("") > 2 {
				t.Errorf("the registry was asked for %q, the mirror %d times", up.ranges, mirror.requests(""))
			}
			if w := r.warnings(); len(w) != 1 {
				t.Errorf("warned %q", w)
			}
		})
	}
}

// What a mirror began and the registry ended is the blob, or it is refused.
func TestAMirrorCannotBeginABlobWrongly(t *testing.T) {
	up, mirror := newFake(t), newFake(t)
	a := up.addBlob(60_000)
	wrong := bytes.Repeat([]byte{'x'}, 60_000)
	mirror.hook = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		breakOff(w, r, wrong, 10_000)
		return true
	}
	r := behindMirrors(t, up.url.String(), nil, mirror.url.String())
	_, err := fetchAll(r.Repository, a)
	wantClass(t, err, content.ErrCorrupt)
	asked := mirror.requests("")
	mustFetch(t, up, r.Repository, a)
	if mirror.requests("") != asked {
		t.Error("the liar was asked again")
	}
}

func TestTagsOfAMirrorThatMayResolve(t *testing.T) {
	up, mirror, careless := newFake(t), newFake(t), newFake(t)
	here := mirror.addManifest("v1", oci.MediaTypeManifest, aManifest)
	careless.addManifest("v1", oci.MediaTypeManifest, strings.Replace(aManifest, "{", "{ ", 1))
	text := fmt.Sprintf("server = %q\n[host.%q]\ncapabilities=[\"pull\"]\n[host.%q]\ncapabilities=[\"pull\",\"resolve\"]\n", up.url, careless.url, mirror.url)
	dir := hostsDir(t, map[string]string{"r.test": text})
	r := repositoryAt(t, "r.test", func(o *Options) { o.HostsDirs = []string{dir} })
	var ns atomic.Value
	mirror.hook = func(_ http.ResponseWriter, r *http.Request, _ int) bool {
		ns.Store(r.URL.Query().Get("ns"))
		return false
	}
	desc, err := r.Resolve(context.Background(), oci.Reference{Tag: "v1"})
	if ns.Load() != "r.test" {
		t.Errorf("ns=%q", ns.Load())
	}
	if err != nil || desc.Digest != here.Digest || up.requests("") != 0 || careless.requests("") != 0 {
		t.Fatalf("%v, %v; asked %q and %q", desc.Digest, err, careless.log, up.log)
	}
	if _, _, err := r.FetchManifest(context.Background(), oci.Reference{Digest: here.Digest}); err != nil || careless.requests("") != 1 {
		t.Fatalf("by digest: %v after %q", err, careless.log)
	}
}
