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
		all := func(b bulky) bool { return b.TryAcquire(bulkyAtOnce) }
		if !all(s.large) {
			t.Fatal("a turn is not given back")
		}
		want("PUT", "/v2/a/b/manifests/large", large, 429)
		want("PUT", "/v2/a/b/manifests/small", empty+"}", 201)
		want("GET", list, "", 200)
		if !all(s.lists) {
			t.Fatal("a turn is not given back")
		}
		want("GET", list, "", 429)
		want("GET", "/v2/_catalog", "", 429)
		s.large.Release(1)
		s.lists.Release(1)
		want("PUT", "/v2/a/b/manifests/large", large, 201)
		want("GET", list, "", 200)
		want("GET", "/v2/_catalog", "", 200)
		for _, b := range []bulky{s.large, s.lists} {
			if !b.TryAcquire(1) || b.TryAcquire(1) {
				t.Error("there is not one turn after that, as there was before")
			}
		}
	})
}
