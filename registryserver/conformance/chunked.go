package conformance

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"dist.example/oci"
)

func chunkedChecks() []check {
	return []check{
		{"chunks", chunks},
		{"last-chunk-by-put", lastChunkByPut},
		{"streamed", streamed},
		{"status", sessionStatus},
		{"out-of-order", outOfOrder},
		{"first-chunk-begins-at-0", firstChunk},
		{"goes-on-after-416", goesOnAfterRefusal},
		{"malformed-range", malformedRange},
		{"range-and-length-differ", rangeAndLengthDiffer},
		{"broken-off", brokenOff},
		{"unknown-session", unknownSession},
		{"session-of-another-repository", sessionElsewhere},
	}
}

// chunk sends data as the bytes from first on.
func (t *tester) chunk(method, at string, first int, data []byte) answer {
	t.Helper()
	return t.do(method, at, bytes.NewReader(data), "Content-Type", oci.MediaTypeOctets,
		"Content-Range", fmt.Sprintf("%d-%d", first, first+len(data)-1))
}

// accepted holds an answer to 202 and says where the next chunk goes.
func (t *tester) accepted(a answer, end int) string {
	t.Helper()
	t.want(a, http.StatusAccepted)
	t.wantHeader(a, "Range", fmt.Sprintf("0-%d", end))
	return t.location(a)
}

func chunks(t *tester) {
	data := t.own("first second third")
	at := t.begin()
	for first := 0; first < len(data); first += 10 {
		end := min(first+10, len(data))
		at = t.accepted(t.chunk("PATCH", at, first, data[first:end]), end-1)
	}
	t.created(t.do("PUT", t.with(at, "digest", oci.DigestBytes(data).String()), nil), data, oci.DigestBytes(data))
	t.want(t.do("GET", at, nil), http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
}

func lastChunkByPut(t *tester) {
	data := t.own("first second third")
	at := t.accepted(t.chunk("PATCH", t.begin(), 0, data[:7]), 6)
	at = t.with(at, "digest", oci.DigestBytes(data).String())
	t.created(t.chunk("PUT", at, 7, data[7:]), data, oci.DigestBytes(data))
}

// streamed sends everything in one PATCH, with neither length nor range.
func streamed(t *tester) {
	data := bytes.Repeat(t.own("streamed"), 20_000)
	at := t.accepted(t.do("PATCH", t.begin(), io.MultiReader(bytes.NewReader(data))), len(data)-1)
	t.created(t.do("PUT", t.with(at, "digest", oci.DigestBytes(data).String()), nil), data, oci.DigestBytes(data))
}

func sessionStatus(t *tester) {
	data := t.own("content")
	at := t.accepted(t.do("PATCH", t.begin(), bytes.NewReader(data)), len(data)-1)
	a := t.want(t.do("GET", at, nil), http.StatusNoContent)
	t.wantHeader(a, "Range", fmt.Sprintf("0-%d", len(data)-1))
	if t.location(a) != at {
		t.Errorf("the session moved from %s to %s", at, t.location(a))
	}
}

func outOfOrder(t *tester) {
	data := t.own("first second third")
	at := t.accepted(t.chunk("PATCH", t.begin(), 0, data[:8]), 7)
	digest := oci.DigestBytes(data).String()
	for _, first := range []int{0, 4, 9} {
		for method, where := range map[string]string{"PATCH": at, "PUT": t.with(at, "digest", digest)} {
			a := t.want(t.chunk(method, where, first, data[first:]), http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID")
			t.wantHeader(a, "Range", "0-7")
			if t.location(a) != at {
				t.Errorf("%s from %d leads to %s", method, first, t.location(a))
			}
		}
	}
	t.want(t.do("HEAD", t.path("/blobs/"+digest), nil), http.StatusNotFound)
}

func firstChunk(t *tester) {
	t.want(t.chunk("PATCH", t.begin(), 1, t.own("content")), http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID")
}

func goesOnAfterRefusal(t *tester) {
	data := t.own("first second third")
	at := t.accepted(t.chunk("PATCH", t.begin(), 0, data[:8]), 7)
	t.want(t.chunk("PATCH", at, 9, data[9:]), http.StatusRequestedRangeNotSatisfiable)
	a := t.want(t.do("GET", at, nil), http.StatusNoContent)
	t.wantHeader(a, "Range", "0-7")
	at = t.accepted(t.chunk("PATCH", t.location(a), 8, data[8:]), len(data)-1)
	t.created(t.do("PUT", t.with(at, "digest", oci.DigestBytes(data).String()), nil), data, oci.DigestBytes(data))
}

func malformedRange(t *tester) {
	at := t.begin()
	for _, value := range []string{"x", "5", "-5", "9-5", "0-99999999999999999999", "0--1", "+0-6", "0-+6"} {
		a := t.do("PATCH", at, bytes.NewReader(t.own("content")), "Content-Range", value)
		t.want(a, http.StatusBadRequest, "BLOB_UPLOAD_INVALID")
	}
	t.wantHeader(t.do("GET", at, nil), "Range", "0-0")
}

func rangeAndLengthDiffer(t *tester) {
	for _, value := range []string{"0-3", "0-999"} {
		for _, body := range []io.Reader{bytes.NewReader(t.own("content")), io.MultiReader(bytes.NewReader(t.own("content")))} {
			t.want(t.do("PATCH", t.begin(), body, "Content-Range", value), http.StatusBadRequest, "SIZE_INVALID")
		}
	}
}

// What has arrived of a chunk that was cut off is kept, and the client goes on.
func brokenOff(t *tester) {
	data := t.own("first second third")
	at := t.begin()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	if u.Scheme != "http" {
		t.Skip("this check cuts connections without TLS")
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "PATCH %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s", u.RequestURI(), u.Host, len(data), data[:8])
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, conn) // until the server has given up
	_ = conn.Close()
	a := t.want(t.do("GET", at, nil), http.StatusNoContent)
	t.wantHeader(a, "Range", "0-7")
	at = t.with(t.location(a), "digest", oci.DigestBytes(data).String())
	t.created(t.chunk("PUT", at, 8, data[8:]), data, oci.DigestBytes(data))
}

func (t *tester) noSession(at string) {
	t.Helper()
	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		t.want(t.do(method, at, nil), http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
	}
	data := t.own("content")
	at = t.with(at, "digest", oci.DigestBytes(data).String())
	t.want(t.do("PUT", at, bytes.NewReader(data)), http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN")
}

func unknownSession(t *tester) {
	t.noSession(t.registry.URL + t.path("/blobs/uploads/nobody-knows-this"))
	finished := t.begin()
	data := t.own("other content")
	t.want(t.do("PUT", t.with(finished, "digest", oci.DigestBytes(data).String()), bytes.NewReader(data)), http.StatusCreated)
	t.noSession(finished)
}

func sessionElsewhere(t *tester) {
	at := t.begin()
	t.noSession(strings.Replace(at, t.repo, t.repo+"/other", 1))
	t.want(t.do("GET", at, nil), http.StatusNoContent)
}
