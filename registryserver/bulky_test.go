package registryserver

import (
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"dist.example/blobstore/memory"
	"dist.example/oci"
)

// However many ask at once, the memory that it takes is bounded.
func TestLargeManifestsAndListsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(memory.New(), Options{Writable: true}).(*server)
		empty := `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeIndex + `","manifests":[]`
		large := empty + `,"annotations":{"a":"` + strings.Repeat("x", bulkyFrom) + `"}}`
		list := "/v2/a/b/referrers/" + oci.DigestBytes(nil).String()
		want := func(method, path, body string, status int) {
			t.Helper()
			r := httptest.NewRequest(method, path, strings.NewReader(body))
			r.Header.Set("Content-Type", oci.MediaTypeIndex)
			w := httptest.NewRecorder()
			if s.ServeHTTP(w, r); w.Code != status || status == 429 && w.Header().Get("Retry-After") == "" {
				t.Errorf("%s %s is %d, want %d: %s", method, path, w.Code, status, w.Body)
			}
		}
		want("PUT", "/v2/a/b/manifests/large", large, 201)
		want("GET", list, "", 200)
		want("GET", "/v2/_catalog", "", 200)
		for range bulkyAtOnce {
			s.large <- struct{}{}
		}
		want("PUT", "/v2/a/b/manifests/large", large, 429)
		want("PUT", "/v2/a/b/manifests/small", empty+"}", 201)
		want("GET", list, "", 200)
		for range bulkyAtOnce {
			s.lists <- struct{}{}
		}
		want("GET", list, "", 429)
		want("GET", "/v2/_catalog", "", 429)
		<-s.large
		<-s.lists
		want("PUT", "/v2/a/b/manifests/large", large, 201)
		want("GET", list, "", 200)
		want("GET", "/v2/_catalog", "", 200)
		if len(s.large) != bulkyAtOnce-1 || len(s.lists) != bulkyAtOnce-1 {
			t.Errorf("%d and %d turns are not given back", len(s.large), len(s.lists))
		}
	})
}
