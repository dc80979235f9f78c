package registryclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dist.example/content"
	"dist.example/oci"
)

func TestFetchSizes(t *testing.T) {
	for _, size := range []int{0, 1, 64<<10 - 1, 64 << 10, 64<<10 + 1, 5*64<<10 + 7, 2 << 20} {
		f := newFake(t)
		desc := f.addBlob(size)
		r := f.repository(t, nil)
		mustFetch(t, f, r, desc)
		desc.Size = -1
		mustFetch(t, f, r, desc)
	}
}

func TestFetchLargeInParallelRanges(t *testing.T) {
	f := newFake(t)
	desc := f.addBlob(1 << 20)
	mustFetch(t, f, f.repository(t, nil), desc)
	if len(f.ranges) < 8 {
		t.Fatalf("ranges asked for: %q, want one for each segment or so", f.ranges)
	}
}

func TestManyWindowsShareOneBudget(t *testing.T) {
	f := newFake(t)
	desc := f.addBlob(2 << 20)
	r := f.repository(t, nil)
	// All are opened before any is read, and read in turns: none may wait for
	// memory that another holds.
	var readers []io.ReadCloser
	for range 6 {
		rc, err := r.Fetch(context.Background(), desc)
		if err != nil {
			t.Fatal(err)
		}
		defer rc.Close()
		readers = append(readers, rc)
	}
	for open := len(readers); open > 0; {
		for i, rc := range readers {
			if rc == nil {
				continue
			}
			_, err := io.CopyN(io.Discard, rc, 100<<10)
			if errors.Is(err, io.EOF) {
				readers[i] = nil
				open--
			} else if err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, rc := range readers {
		if rc != nil {
			rc.Close()
		}
	}
	if b := r.client.budget; b.left > 4 || len(b.free) > 4 {
		t.Fatalf("budget of 4 segments has %d, %d free", b.left, len(b.free))
	}
}

func TestCloseEarlyGivesMemoryBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := emptyFake()
		desc := f.addBlob(2 << 20)
		r, stop := inBubble(t, f)
		defer stop()
		rc, err := r.Fetch(context.Background(), desc)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.CopyN(io.Discard, rc, 10)
		rc.Close()
		synctest.Wait()
		if got := r.client.budget.left; got != 4 {
			t.Fatalf("segments left: %d, want all 4", got)
		}
	})
}

// faults are answers to blob requests that a fetch survives with the right bytes.
func TestFetchSurvives(t *testing.T) {
	type hook = func(w http.ResponseWriter, r *http.Request, n int, data []byte) bool
	first := func(k int, h func(w http.ResponseWriter, r *http.Request, data []byte)) hook {
		return func(w http.ResponseWriter, r *http.Request, n int, data []byte) bool {
			if n <= k {
				h(w, r, data)
			}
			return n <= k
		}
	}
	status := func(code int) func(http.ResponseWriter, *http.Request, []byte) {
		return func(w http.ResponseWriter, _ *http.Request, _ []byte) { w.WriteHeader(code) }
	}
	cases := map[string]hook{
		"reset once":        first(1, func(w http.ResponseWriter, r *http.Request, d []byte) { breakOff(w, r, d, len(d)/3) }),
		"reset three times": first(3, func(w http.ResponseWriter, r *http.Request, d []byte) { breakOff(w, r, d, 5000) }),
		"short body with a matching short length": first(1, func(w http.ResponseWriter, _ *http.Request, d []byte) {
			w.Header().Set("Content-Length", fmt.Sprint(len(d)/2))
			_, _ = w.Write(d[:len(d)/2])
		}),
		"truncated chunked body": first(1, func(w http.ResponseWriter, _ *http.Request, d []byte) {
			w.(http.Flusher).Flush()
			_, _ = w.Write(d[:len(d)/2])
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}),
		"range ignored": func(w http.ResponseWriter, _ *http.Request, _ int, d []byte) bool {
			_, _ = w.Write(d)
			return true
		},
		"range ignored after a reset": func(w http.ResponseWriter, r *http.Request, n int, d []byte) bool {
			if n == 1 {
				breakOff(w, r, d, len(d)/3)
			}
			_, _ = w.Write(d)
			return true
		},
		"206 with a wrong Content-Range": func(w http.ResponseWriter, r *http.Request, _ int, d []byte) bool {
			if r.Header.Get("Range") == "" {
				return false
			}
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 7-%d/%d", len(d)-1, len(d)))
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(d[7:])
			return true
		},
		"206 with another size": func(w http.ResponseWriter, r *http.Request, _ int, d []byte) bool {
			if r.Header.Get("Range") == "" {
				return false
			}
			w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-9/%d", len(d)+1))
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(d[:10])
			return true
		},
		"416 to every range": func(w http.ResponseWriter, r *http.Request, _ int, _ []byte) bool {
			if r.Header.Get("Range") == "" {
				return false
			}
			w.WriteHeader(http.StatusRequestedRangeNotSatisfiable)
			return true
		},
		"ranges shorter than asked for": func(w http.ResponseWriter, r *http.Request, _ int, d []byte) bool {
			var from, to int
			if k, _ := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); k != 2 {
				return false
			}
			to = min(to, from+20_000)
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, len(d)))
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(d[from : to+1])
			return true
		},
		"503 burst": first(3, status(503)),
		"502":       first(1, status(502)),
		"500":       first(2, status(500)),
		"429":       first(2, status(429)),
	}
	for name, h := range cases {
		for _, size := range []int{50_000, 500_000} {
			t.Run(fmt.Sprintf("%s/%d", name, size), func(t *testing.T) {
				t.Parallel()
				f := newFake(t)
				desc := f.addBlob(size)
				data := f.blobs[desc.Digest.String()]
				f.hook = func(w http.ResponseWriter, r *http.Request, n int) bool { return h(w, r, n, data) }
				mustFetch(t, f, f.repository(t, nil), desc)
			})
		}
	}
}

func TestResumeMovesEachByteOnce(t *testing.T) {
	f := newFake(t)
	desc := f.addBlob(1 << 20)
	data := f.blobs[desc.Digest.String()]
	f.hook = func(w http.ResponseWriter, r *http.Request, n int) bool {
		if n <= 3 {
			breakOff(w, r, data, 30_000)
		}
		return false
	}
	r := f.repository(t, nil)
	mustFetch(t, f, r, desc)
	if got := r.client.Stats().BytesIn; got != desc.Size {
		t.Fatalf("bytes on the wire: %d, want %d", got, desc.Size)
	}
}

func TestFetchGivesUp(t *testing.T) {
	cases := map[string]struct {
		class error
		hook  func(w http.ResponseWriter, r *http.Request, data []byte)
	}{
		"reset at every try": {content.ErrUnavailable, func(_ http.ResponseWriter, _ *http.Request, _ []byte) { panic(http.ErrAbortHandler) }},
		"503 for ever":       {content.ErrUnavailable, func(w http.ResponseWriter, _ *http.Request, _ []byte) { w.WriteHeader(503) }},
		"redirects in a circle": {content.ErrUnavailable, func(w http.ResponseWriter, r *http.Request, _ []byte) {
			http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
		}},
		"other bytes": {content.ErrCorrupt, func(w http.ResponseWriter, _ *http.Request, d []byte) {
			_, _ = w.Write(bytes.Repeat([]byte{7}, len(d)))
		}},
		"more bytes": {content.ErrCorrupt, func(w http.ResponseWriter, _ *http.Request, d []byte) {
			_, _ = w.Write(append(bytes.Clone(d), 1))
		}},
		"short for ever": {content.ErrCorrupt, func(w http.ResponseWriter, _ *http.Request, d []byte) {
			_, _ = w.Write(d[:len(d)-1])
		}},
		"404": {content.ErrNotFound, func(w http.ResponseWriter, _ *http.Request, _ []byte) { notFound(w, "BLOB_UNKNOWN") }},
		"403": {content.ErrDenied, func(w http.ResponseWriter, _ *http.Request, _ []byte) { w.WriteHeader(403) }},
		"401": {content.ErrDenied, func(w http.ResponseWriter, _ *http.Request, _ []byte) { w.WriteHeader(401) }},
		"400": {content.ErrInvalid, func(w http.ResponseWriter, _ *http.Request, _ []byte) { w.WriteHeader(400) }},
	}
	for name, c := range cases {
		for _, size := range []int{20_000, 200_000} {
			t.Run(fmt.Sprintf("%s/%d", name, size), func(t *testing.T) {
				t.Parallel()
				f := newFake(t)
				desc := f.addBlob(size)
				data := f.blobs[desc.Digest.String()]
				f.hook = func(w http.ResponseWriter, r *http.Request, _ int) bool { c.hook(w, r, data); return true }
				r := f.repository(t, nil)
				_, err := fetchAll(r, desc)
				wantClass(t, err, c.class)
				if errors.Is(err, io.EOF) {
					t.Fatalf("%v passes for the end of the content", err)
				}
				if n := f.requests(""); n > 30 {
					t.Fatalf("%d requests", n)
				}
				if errors.Is(err, content.ErrNotFound) && f.requests("") != 1 {
					t.Fatal("a 404 was tried again")
				}
			})
		}
	}
}

func TestErrorTellsWhatAndWhere(t *testing.T) {
	f := newFake(t)
	r := f.repository(t, nil)
	d := oci.DigestBytes(nil)
	_, err := fetchAll(r, oci.Descriptor{MediaType: oci.MediaTypeLayer, Digest: d, Size: 5})
	for _, want := range []string{f.url.Host, "team/app", d.String(), "404", "BLOB_UNKNOWN", "gone[31m fishing"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q lacks %q", err, want)
		}
	}
	var remote *content.RemoteError
	if !errors.As(err, &remote) || remote.Status != 404 || remote.Registry != f.url.Host || remote.Retryable {
		t.Errorf("remote error %+v", remote)
	}
}

func TestDeadRegistryFailsSoon(t *testing.T) {
	f := newFake(t)
	c := testClient(t, func(o *Options) { o.RetryBase = 0 })
	f.url.Host = "127.0.0.1:1" // nobody listens on port 1
	start := time.Now()
	_, err := c.Repository(oci.Reference{Registry: "127.0.0.1:1", Repository: "a"}).
		Resolve(context.Background(), oci.Reference{Tag: "v1"})
	wantClass(t, err, content.ErrUnavailable)
	if took := time.Since(start); took > 3*time.Second {
		t.Fatalf("it took %s", took)
	}
}

func TestStallIsResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := emptyFake()
		desc := f.addBlob(50_000)
		data := f.blobs[desc.Digest.String()]
		f.hook = func(w http.ResponseWriter, r *http.Request, n int) bool {
			if n > 1 {
				return false
			}
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
			_, _ = w.Write(data[:20_000])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return true
		}
		r, stop := inBubble(t, f)
		defer stop()
		start := time.Now()
		mustFetch(t, f, r, desc)
		if took := time.Since(start); took < 20*time.Second || took > 22*time.Second {
			t.Fatalf("resumed after %s, want the 20 s of the stall timeout", took)
		}
		if len(f.ranges) != 1 || f.ranges[0] != "bytes=20000-49999" {
			t.Fatalf("ranges %q", f.ranges)
		}
	})
}

func TestSlowButMovingIsNoStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := emptyFake()
		desc := f.addBlob(10_000)
		data := f.blobs[desc.Digest.String()]
		f.hook = func(w http.ResponseWriter, _ *http.Request, _ int) bool {
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
			for i := 0; i < len(data); i += 1000 {
				_, _ = w.Write(data[i : i+1000])
				w.(http.Flusher).Flush()
				time.Sleep(15 * time.Second)
			}
			return true
		}
		r, stop := inBubble(t, f)
		defer stop()
		mustFetch(t, f, r, desc)
		if n := f.requests(""); n != 1 {
			t.Fatalf("%d requests, want one", n)
		}
	})
}

func TestSlowReaderIsNoStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := emptyFake()
		desc := f.addBlob(60_000)
		r, stop := inBubble(t, f)
		defer stop()
		rc, err := r.Fetch(context.Background(), desc)
		if err != nil {
			t.Fatal(err)
		}
		defer rc.Close()
		for p := make([]byte, 30_000); err == nil; {
			_, err = rc.Read(p)
			time.Sleep(time.Hour)
		}
		if !errors.Is(err, io.EOF) || f.requests("") != 1 {
			t.Fatalf("%v after %d requests", err, f.requests(""))
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	for name, value := range map[string]func() string{
		"seconds": func() string { return "30" },
		"date":    func() string { return time.Now().Add(30 * time.Second).UTC().Format(http.TimeFormat) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := emptyFake()
				desc := f.addBlob(1000)
				f.hook = func(w http.ResponseWriter, _ *http.Request, n int) bool {
					if n == 1 {
						w.Header().Set("Retry-After", value())
						w.WriteHeader(http.StatusTooManyRequests)
					}
					return n == 1
				}
				r, stop := inBubble(t, f)
				defer stop()
				start := time.Now()
				mustFetch(t, f, r, desc)
				if took := time.Since(start); took < 29*time.Second || took > 32*time.Second {
					t.Fatalf("waited %s", took)
				}
			})
		})
	}
}

func TestRetryAfterOfHoursEndsAtOnce(t *testing.T) {
	f := newFake(t)
	desc := f.addBlob(1000)
	f.hook = func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		w.Header().Set("Retry-After", "7200")
		w.WriteHeader(http.StatusTooManyRequests)
		return true
	}
	_, err := fetchAll(f.repository(t, nil), desc)
	wantClass(t, err, content.ErrUnavailable)
	if f.requests("") != 1 || !strings.Contains(content.Hint(err), "2h0m0s") {
		t.Fatalf("%d requests, hint %q", f.requests(""), content.Hint(err))
	}
}

func TestCancelEndsEveryWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := emptyFake()
		desc := f.addBlob(300_000)
		f.hook = func(_ http.ResponseWriter, r *http.Request, _ int) bool {
			<-r.Context().Done()
			return true
		}
		r, stop := inBubble(t, f)
		defer stop()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := r.Fetch(ctx, desc)
		if !errors.Is(err, context.DeadlineExceeded) || f.requests("") != 1 {
			t.Fatalf("%v after %d requests", err, f.requests(""))
		}
	})
}

func TestFetchFrom(t *testing.T) {
	f := newFake(t)
	desc := f.addBlob(500_000)
	data := f.blobs[desc.Digest.String()]
	r := f.repository(t, nil)
	for _, off := range []int64{0, 1, 64 << 10, 499_999, 500_000} {
		rc, err := r.FetchFrom(context.Background(), desc, off)
		if err != nil {
			t.Fatalf("from %d: %v", off, err)
		}
		got, err := io.ReadAll(rc)
		rc.Close()
		if err != nil || !bytes.Equal(got, data[off:]) {
			t.Fatalf("from %d: %d bytes, %v", off, len(got), err)
		}
	}
	_, err := r.FetchFrom(context.Background(), desc, 500_001)
	wantClass(t, err, content.ErrInvalid)
}

func TestFetchFromWithoutRangeSupport(t *testing.T) {
	for name, code := range map[string]int{"ignored": 200, "refused": 416} {
		f := newFake(t)
		desc := f.addBlob(500_000)
		data := f.blobs[desc.Digest.String()]
		f.hook = func(w http.ResponseWriter, r *http.Request, _ int) bool {
			if code == 416 && r.Header.Get("Range") == "" {
				return false
			}
			w.WriteHeader(code)
			_, _ = w.Write(data)
			return true
		}
		r := f.repository(t, nil)
		_, err := r.FetchFrom(context.Background(), desc, 10)
		wantClass(t, err, content.ErrUnsupported)
		rc, err := r.FetchFrom(context.Background(), desc, 0)
		if err != nil {
			t.Fatalf("%s: from 0: %v", name, err)
		}
		got, err := io.ReadAll(rc)
		rc.Close()
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%s: from 0: %d bytes, %v", name, len(got), err)
		}
	}
}

func TestStatBlob(t *testing.T) {
	f := newFake(t)
	blob := f.addBlob(1234)
	man := f.addManifest("v1", oci.MediaTypeManifest, `{"schemaVersion":2}`)
	r := f.repository(t, nil)
	got, err := r.StatBlob(context.Background(), blob.Digest)
	if err != nil || got.Size != 1234 {
		t.Fatalf("blob: %+v, %v", got, err)
	}
	got, err = r.StatBlob(context.Background(), man.Digest)
	if err != nil || got.Size != man.Size || got.MediaType != man.MediaType {
		t.Fatalf("manifest: %+v, %v", got, err)
	}
	_, err = r.StatBlob(context.Background(), oci.DigestBytes([]byte("x")))
	wantClass(t, err, content.ErrNotFound)
}

func TestContentRangeMatches(t *testing.T) {
	cases := []struct {
		header string
		n      int64
		ok     bool
	}{
		{"bytes 10-19/100", 10, true},
		{"bytes 10-14/100", 5, true},
		{"bytes 10-19/*", 10, true},
		{"bytes 9-19/100", 0, false},
		{"bytes 11-19/100", 0, false},
		{"bytes 10-20/100", 0, false},
		{"bytes 10-9/100", 0, false},
		{"bytes 10-19/101", 0, false},
		{"bytes 10-19", 0, false},
		{"bytes +10-19/100", 0, false},
		{"bytes */100", 0, false},
		{"", 0, false},
	}
	for _, c := range cases {
		n, ok := matches(c.header, span{10, 20}, 100)
		if n != c.n || ok != c.ok {
			t.Errorf("%q: %d, %v, want %d, %v", c.header, n, ok, c.n, c.ok)
		}
	}
}

func TestAFastWayNeedsNoWindow(t *testing.T) {
	f := newFake(t)
	for _, tc := range []struct {
		name          string
		enough        int64
		first, second int // requests for two blobs of 16 segments, 8 for many
	}{
		{"any rate is enough: the first segment is judged, then each blob comes whole", 1, 2, 1},
		{"no rate is enough: segment by segment", -1, 8, 8},
		{"no rate reached is enough: the same", 1 << 60, 8, 8},
	} {
		r := f.repository(t, func(o *Options) {
			o.Window = Window{Segments: 16, SegmentBytes: 64 << 10, Enough: tc.enough}
		})
		for i, want := range []int{tc.first, tc.second} {
			desc := f.addBlob(1 << 20)
			before := f.requests("GET /v2/team/app/blobs/")
			mustFetch(t, f, r, desc)
			if got := f.requests("GET /v2/team/app/blobs/") - before; got != want && (want < 8 || got < want) {
				t.Errorf("%s: blob %d took %d requests, want %d", tc.name, i+1, got, want)
			}
		}
	}
}

func TestABlobUnderAnotherDigestIsRefused(t *testing.T) {
	f := newFake(t)
	desc := f.addBlob(1000)
	f.hook = func(w http.ResponseWriter, _ *http.Request, _ int) bool {
		w.Header().Set(digestHeader, oci.DigestBytes(nil).String())
		return false
	}
	_, err := fetchAll(f.repository(t, nil), desc)
	wantClass(t, err, content.ErrCorrupt)
}
