package client_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"dist.example/client"
	"dist.example/content"
	"dist.example/oci"
	"dist.example/registryserver/registrytest"
)

// wire leads the requests to made-up hosts to servers on this machine, and records
// in which schemes they were asked.
type wire struct {
	rt http.RoundTripper
	to map[string]string // addresses by host; nobody answers for a host that is not here

	wait func() // is called before each answer, nil for nothing

	mu   sync.Mutex
	seen []string // scheme://host
}

func newWire(regs map[string]*registrytest.Registry) *wire {
	w := &wire{rt: &http.Transport{}, to: map[string]string{}}
	for host, reg := range regs {
		w.to[host], _, _ = strings.Cut(reg.Ref("app"), "/")
	}
	return w
}

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	w.mu.Lock()
	w.seen = append(w.seen, req.URL.Scheme+"://"+req.URL.Host)
	address, ok := w.to[req.URL.Host]
	w.mu.Unlock()
	if w.wait != nil {
		w.wait()
	}
	if !ok {
		return nil, http.ErrServerClosed
	}
	req = req.Clone(req.Context())
	req.URL.Scheme, req.URL.Host = "http", address
	return w.rt.RoundTrip(req)
}

// asked counts the requests to a host in a scheme.
func (w *wire) asked(place string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.seen {
		if s == place {
			n++
		}
	}
	return n
}

func (w *wire) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = nil
}

// over has a client use w.
func (w *wire) over(o *client.Options) { o.Registry.Transport = w }

// damagedStore is a store with origin.test/app:v1, whose layer is damaged.
func damagedStore(t *testing.T, w *wire, layer []byte) string {
	dir := filepath.Join(t.TempDir(), "store")
	c := clientOf(t, dir, w.over)
	pull(t, c, "origin.test/app:v1")
	must(t, c.Close())
	flipAt(3000)(t, filepath.Join(dir, "blobs/sha256", oci.DigestBytes(layer).Encoded()))
	w.forget()
	return dir
}

// TestHealingKeepsItsDistance: what was said of the registry that is pushed to, plain
// HTTP here, does not count for the one that a damaged blob comes from.
func TestHealingKeepsItsDistance(t *testing.T) {
	t.Parallel()
	origin, target := registry(t), registry(t)
	layer := registrytest.Bytes(1, 300_000)
	origin.PushImage("app:v1", layer)
	w := newWire(map[string]*registrytest.Registry{"origin.test": origin, "target.test": target})
	dir := damagedStore(t, w, layer)
	c := clientOf(t, dir, w.over)
	_, err := c.Push(t.Context(), "origin.test/app:v1", client.PushOptions{Registry: "target.test"})
	must(t, err)
	if w.asked("http://origin.test") != 0 || w.asked("https://origin.test") == 0 || w.asked("http://target.test") == 0 {
		t.Errorf("asked: %v", w.seen)
	}
	flipAt(3000)(t, filepath.Join(dir, "blobs/sha256", oci.DigestBytes(layer).Encoded()))
	w.forget()
	_, err = c.Repair(t.Context(), nil, client.RepairOptions{Check: true})
	must(t, err)
	if len(w.seen) == 0 || w.asked("http://origin.test") != 0 || w.asked("http://target.test") != 0 {
		t.Errorf("a repair asked: %v", w.seen)
	}
	flipAt(3000)(t, filepath.Join(dir, "blobs/sha256", oci.DigestBytes(layer).Encoded()))
	w.forget()
	r, err := c.Repair(t.Context(), nil, client.RepairOptions{Check: true, From: []string{"docker://origin.test/app:v1"}})
	must(t, err)
	if w.asked("https://origin.test") != 0 || len(r.Repaired) != 1 {
		t.Errorf("a repair from there asked: %v", w.seen)
	}
}

// TestHealingAsksNobodyTwice: a registry that does not answer is asked once, whatever
// and how often is read, and a line says why there is no healing.
func TestHealingAsksNobodyTwice(t *testing.T) {
	t.Parallel()
	origin := registry(t)
	layer, other := registrytest.Bytes(1, 300_000), registrytest.Bytes(2, 6*mib)
	origin.PushImage("app:v1", layer, other)
	w := newWire(map[string]*registrytest.Registry{"origin.test": origin})
	dir := damagedStore(t, w, layer)
	flipAt(3*mib)(t, filepath.Join(dir, "blobs/sha256", oci.DigestBytes(other).Encoded()))
	delete(w.to, "origin.test")
	var said []string
	c := clientOf(t, dir, w.over, func(o *client.Options) { o.Warn = func(m string) { said = append(said, m) } })
	for range 2 {
		for _, p := range [][]byte{other, layer} {
			_, err := c.GetFile(t.Context(), oci.DigestBytes(p).String(), filepath.Join(t.TempDir(), "out"))
			if !errors.Is(err, content.ErrCorrupt) {
				t.Errorf("get: %v", err)
			}
		}
	}
	if n := w.asked("https://origin.test"); n != 1 {
		t.Errorf("a silent registry was asked %d times", n)
	}
	if len(said) != 2 || !strings.Contains(said[0], " could not be healed: origin.test/app: ") {
		t.Errorf("warnings: %q", said)
	}
}

// TestHealingEndsWithItsReader: who waits for another's turn goes when he is told to.
func TestHealingEndsWithItsReader(t *testing.T) {
	t.Parallel()
	origin := registry(t)
	layer := registrytest.Bytes(1, 300_000)
	origin.PushImage("app:v1", layer)
	w := newWire(map[string]*registrytest.Registry{"origin.test": origin})
	dir := damagedStore(t, w, layer)
	asked, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	w.wait = func() {
		once.Do(func() { close(asked) })
		<-release
	}
	c := clientOf(t, dir, w.over)
	id := oci.DigestBytes(layer).String()
	out := filepath.Join(t.TempDir(), "out")
	first := make(chan error)
	go func() {
		_, err := c.GetFile(t.Context(), id, out)
		first <- err
	}()
	<-asked
	ctx, cancel := context.WithCancel(t.Context())
	second := make(chan error)
	go func() {
		_, err := c.GetFile(ctx, id, out+"2")
		second <- err
	}()
	cancel()
	if err := <-second; err == nil {
		t.Error("it was given out")
	}
	close(release)
	must(t, <-first)
	_, err := os.Stat(out)
	must(t, err)
}
