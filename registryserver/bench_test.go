package registryserver_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"dist.example/blobstore"
	"dist.example/oci"
	"dist.example/registryserver"
)

// bench is a server over a store on disk, asked without a network.
type bench struct {
	*testing.B
	h http.Handler
}

func newBench(b *testing.B) bench {
	store, err := blobstore.Open(b.Context(), b.TempDir(), blobstore.Options{Create: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = store.Close() })
	return bench{b, registryserver.New(store, registryserver.Options{Writable: true})}
}

// sent is what was answered, without the body.
type sent struct {
	header http.Header
	status int
}

func (s *sent) Header() http.Header         { return s.header }
func (s *sent) WriteHeader(status int)      { s.status = status }
func (s *sent) Write(p []byte) (int, error) { return len(p), nil }

func (b bench) do(method, url string, body io.Reader, status int, header ...string) http.Header {
	b.Helper()
	r := httptest.NewRequestWithContext(b.Context(), method, url, body)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := &sent{http.Header{}, http.StatusOK}
	b.h.ServeHTTP(w, r)
	if w.status != status {
		b.Fatalf("%s %s: status %d, want %d", method, url, w.status, status)
	}
	return w.header
}

// push brings a blob as clients do: a session, then its bytes.
func (b bench) push(p []byte) oci.Descriptor {
	b.Helper()
	d := oci.DigestBytes(p)
	to := b.do("POST", "/v2/app/blobs/uploads/", nil, http.StatusAccepted).Get("Location")
	b.do("PUT", to+"?digest="+d.String(), bytes.NewReader(p), http.StatusCreated)
	return oci.Descriptor{MediaType: oci.MediaTypeLayer, Digest: d, Size: int64(len(p))}
}

// image pushes one with the tag v1.
func (b bench) image() oci.Digest {
	b.Helper()
	m := oci.Manifest{MediaType: oci.MediaTypeManifest, Config: b.push([]byte("{}"))}
	m.SchemaVersion, m.Config.MediaType = 2, oci.MediaTypeImageConfig
	for i := range 10 {
		m.Layers = append(m.Layers, b.push(fmt.Appendf(nil, "layer %d", i)))
	}
	p, err := json.Marshal(m)
	if err != nil {
		b.Fatal(err)
	}
	b.do("PUT", "/v2/app/manifests/v1", bytes.NewReader(p), http.StatusCreated, "Content-Type", oci.MediaTypeManifest)
	return oci.DigestBytes(p)
}

// asked sends the same request again and again, from as many goroutines as there
// are processors.
func (b bench) asked(method, url string, status int, header ...string) {
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			b.do(method, url, nil, status, header...)
		}
	})
}

func BenchmarkManifest(b *testing.B) {
	s := newBench(b)
	d := s.image()
	for _, c := range []struct {
		name, reference string
		status          int
		header          []string
	}{
		{"tag", "v1", http.StatusOK, nil},
		{"digest", d.String(), http.StatusOK, nil},
		{"unchanged", "v1", http.StatusNotModified, []string{"If-None-Match", `"` + d.String() + `"`}},
	} {
		b.Run(c.name, func(b *testing.B) {
			bench{b, s.h}.asked("GET", "/v2/app/manifests/"+c.reference, c.status, c.header...)
		})
	}
}

func BenchmarkBlob(b *testing.B) {
	s := newBench(b)
	small, large := s.push(bytes.Repeat([]byte("packed "), 600)), s.push(bytes.Repeat([]byte("loose file"), 60_000))
	for _, c := range []struct {
		name, method string
		digest       oci.Digest
		status       int
	}{
		{"packed", "GET", small.Digest, http.StatusOK},
		{"loose", "GET", large.Digest, http.StatusOK},
		{"head", "HEAD", large.Digest, http.StatusOK},
		{"absent", "HEAD", oci.DigestBytes([]byte("absent")), http.StatusNotFound},
	} {
		b.Run(c.name, func(b *testing.B) {
			bench{b, s.h}.asked(c.method, "/v2/app/blobs/"+c.digest.String(), c.status)
		})
	}
}

// BenchmarkPush is of small blobs, one after the other and many at once.
func BenchmarkPush(b *testing.B) {
	s := newBench(b)
	filling := bytes.Repeat([]byte("x"), 4<<10)
	for _, goroutines := range []int{1, 16} {
		b.Run(fmt.Sprint(goroutines), func(b *testing.B) {
			s, next := bench{b, s.h}, make(chan int)
			go func() {
				defer close(next)
				for i := range b.N {
					next <- i
				}
			}()
			done := make(chan struct{})
			for range goroutines {
				go func() {
					for i := range next {
						s.push(fmt.Appendf(filling[:len(filling):len(filling)], "%d of %d by %d", i, b.N, goroutines))
					}
					done <- struct{}{}
				}()
			}
			for range goroutines {
				<-done
			}
		})
	}
}

func BenchmarkTags(b *testing.B) {
	s := newBench(b)
	m := oci.Manifest{MediaType: oci.MediaTypeManifest, Config: s.push([]byte("{}")), Layers: []oci.Descriptor{}}
	m.SchemaVersion, m.Config.MediaType = 2, oci.MediaTypeImageConfig
	p, err := json.Marshal(m)
	if err != nil {
		b.Fatal(err)
	}
	for i := range 1000 {
		s.do("PUT", fmt.Sprintf("/v2/app/manifests/tag-%d", i), bytes.NewReader(p), http.StatusCreated, "Content-Type", oci.MediaTypeManifest)
	}
	s.asked("GET", "/v2/app/tags/list", http.StatusOK)
}
