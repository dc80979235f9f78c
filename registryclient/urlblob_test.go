package registryclient

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

// site serves one blob at /blob, and counts what it is asked.
type site struct {
	data   []byte
	hook   func(w http.ResponseWriter, r *http.Request, n int) bool
	asked  []*http.Request
	desc   oci.Descriptor
	server *httptest.Server
}

func newSite(t *testing.T, hook func(w http.ResponseWriter, r *http.Request, n int) bool) *site {
	t.Helper()
	s := &site{data: bytes.Repeat([]byte("0123456789abcdef"), 20_000), hook: hook}
	s.desc = oci.Descriptor{Digest: oci.DigestBytes(s.data), Size: -1}
	s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked = append(s.asked, r)
		if s.hook != nil && s.hook(w, r, len(s.asked)) {
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.data))
	}))
	t.Cleanup(s.server.Close)
	return s
}

func (s *site) fetch(t *testing.T, c *Client) ([]byte, error) {
	t.Helper()
	r, err := c.FetchURL(t.Context(), s.server.URL+"/blob?sig=secret", s.desc)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func (s *site) mustFetch(t *testing.T, c *Client) {
	t.Helper()
	got, err := s.fetch(t, c)
	if err != nil || !bytes.Equal(got, s.data) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
}

func TestAnAddressIsFetchedAndVerified(t *testing.T) {
	s := newSite(t, nil)
	s.mustFetch(t, testClient(t, nil))
	if got := s.asked[0].Header.Get("Authorization"); got != "" || s.asked[0].URL.RawQuery != "sig=secret" {
		t.Errorf("asked with %q and query %q", got, s.asked[0].URL.RawQuery)
	}
	s.data[100] ^= 1
	_, err := s.fetch(t, testClient(t, nil))
	wantClass(t, err, content.ErrCorrupt)
	s.desc.Size = 17
	_, err = s.fetch(t, testClient(t, nil))
	wantClass(t, err, content.ErrCorrupt)
}

func TestABrokenAddressIsTakenUpAgain(t *testing.T) {
	for name, again := range map[string]func(s *site, w http.ResponseWriter, r *http.Request) bool{
		"by range": func(*site, http.ResponseWriter, *http.Request) bool { return false },
		"from the beginning": func(s *site, w http.ResponseWriter, _ *http.Request) bool {
			_, _ = w.Write(s.data)
			return true
		},
		"by a wrong range": func(s *site, w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Range") == "" {
				return false
			}
			w.Header().Set("Content-Range", "bytes 5-9/10")
			w.WriteHeader(http.StatusPartialContent)
			return true
		},
		"by a range that is refused": func(s *site, w http.ResponseWriter, r *http.Request) bool {
			if r.Header.Get("Range") == "" {
				return false
			}
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return true
		},
		"after a busy answer": func(s *site, w http.ResponseWriter, r *http.Request) bool {
			if len(s.asked) > 3 {
				return false
			}
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			var s *site
			s = newSite(t, func(w http.ResponseWriter, r *http.Request, n int) bool {
				if n == 1 {
					breakOff(w, r, s.data, 100_000)
					return true
				}
				return again(s, w, r)
			})
			s.mustFetch(t, testClient(t, nil))
			if len(s.asked) < 2 || s.asked[1].Header.Get("Range") != "bytes=100000-" {
				t.Errorf("%d requests, the second for %q", len(s.asked), s.asked[1].Header.Get("Range"))
			}
		})
	}
}

func TestAnAddressThatNeverWorksEnds(t *testing.T) {
	var s *site
	s = newSite(t, func(w http.ResponseWriter, r *http.Request, _ int) bool {
		breakOff(w, r, s.data, 0)
		return true
	})
	_, err := s.fetch(t, testClient(t, nil))
	wantClass(t, err, content.ErrUnavailable)
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the error tells the query: %v", err)
	}
}

func TestAnAddressLeadsToOthers(t *testing.T) {
	s := newSite(t, nil)
	loop := newSite(t, func(w http.ResponseWriter, r *http.Request, n int) bool {
		http.Redirect(w, r, "/again", http.StatusFound)
		return true
	})
	from := newSite(t, func(w http.ResponseWriter, r *http.Request, n int) bool {
		http.Redirect(w, r, s.server.URL+"/blob", http.StatusTemporaryRedirect)
		return true
	})
	from.desc, from.data = s.desc, s.data
	from.mustFetch(t, testClient(t, nil))
	_, err := loop.fetch(t, testClient(t, nil))
	wantClass(t, err, content.ErrUnavailable)
	if len(loop.asked) != maxRedirects+1 {
		t.Errorf("%d requests in a loop", len(loop.asked))
	}
}

func TestAnAddressIsRefused(t *testing.T) {
	c := testClient(t, nil)
	desc := oci.Descriptor{Digest: oci.DigestBytes(nil), Size: -1}
	for _, a := range []string{"", "ftp://x/y", "https://", "http://example.com/x", "https://user:pw@example.com/x", "https://[::1", "x/y"} {
		_, err := c.FetchURL(t.Context(), a, desc)
		wantClass(t, err, content.ErrInvalid)
		if strings.Contains(err.Error(), "pw") {
			t.Errorf("the error tells the password: %v", err)
		}
	}
	_, err := c.FetchURL(t.Context(), "https://example.com/x", oci.Descriptor{Digest: "md5:1"})
	wantClass(t, err, content.ErrInvalid)
	_, err = testClient(t, func(o *Options) { o.Offline = true }).FetchURL(t.Context(), "https://example.com/x", desc)
	wantClass(t, err, content.ErrOffline)
	for status, class := range map[int]error{404: content.ErrNotFound, 401: content.ErrDenied, 403: content.ErrDenied, 500: content.ErrUnavailable} {
		s := newSite(t, func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			w.WriteHeader(status)
			return true
		})
		_, err := s.fetch(t, c)
		wantClass(t, err, class)
	}
}
