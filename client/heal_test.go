package client_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"dist.example/client"
	"dist.example/oci"
	"dist.example/registryserver/registrytest"
)

// wire leads the requests to made-up hosts to servers on this machine, and records
// in which schemes they were asked.
type wire struct {
	rt http.RoundTripper
	to map[string]string // addresses by host; nobody answers for a host that is not here

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
