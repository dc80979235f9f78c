package registryclient

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"dist.example/oci"
)

// A wait for what is at an address says for whom and for what it is.
func TestWaitsAtAddressesAreTold(t *testing.T) {
	f := newFake(t)
	var (
		mu   sync.Mutex
		told []string
	)
	c := testClient(t, func(o *Options) {
		o.Notice = func(m string) { mu.Lock(); defer mu.Unlock(); told = append(told, m) }
	})
	c.patience = time.Nanosecond
	data := []byte("data")
	f.hook = func(w http.ResponseWriter, _ *http.Request, n int) bool {
		if n == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
		_, _ = w.Write(data)
		return true
	}
	r, err := c.FetchURL(t.Context(), f.url.String()+"/x", oci.Descriptor{Digest: oci.DigestBytes(data), Size: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	mu.Lock()
	defer mu.Unlock()
	if i := slices.IndexFunc(told, func(m string) bool { return strings.Contains(m, "pause") }); i < 0 || !strings.Contains(told[i], f.url.Host) || !strings.Contains(told[i], "blob sha256:") {
		t.Errorf("told %q", told)
	}
}
