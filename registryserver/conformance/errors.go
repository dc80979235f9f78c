package conformance

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"

	"dist.example/oci"
)

func errorChecks() []check {
	return []check{
		{"json", errorJSON},
		{"head", errorHead},
		{"methods", errorMethods},
		{"unknown-paths", unknownPaths},
		{"escaped-paths", escapedPaths},
		{"read-only", readOnlyPush},
		{"connection-after-refusal", connectionAfterRefusal},
		{"http-1.0", oldHTTP},
	}
}

func errorJSON(t *tester) {
	a := t.want(t.do("GET", t.path("/manifests/v1"), nil), http.StatusNotFound, "MANIFEST_UNKNOWN")
	t.wantHeader(a, "Content-Type", oci.MediaTypeJSON)
}

func errorHead(t *tester) {
	for _, path := range []string{"/manifests/v1", "/blobs/" + t.absent("").Digest.String(), "/tags/list"} {
		t.want(t.do("HEAD", t.path(path), nil), http.StatusNotFound)
	}
}

func errorMethods(t *tester) {
	tests := map[string]struct {
		refused string
		allowed string
	}{
		"/v2/":               {"POST", "GET, HEAD"},
		t.path("/tags/list"): {"DELETE", "GET, HEAD"},
		t.path("/blobs/" + t.absent("").Digest.String()):     {"PUT", "DELETE, GET, HEAD"},
		t.path("/manifests/v1"):                              {"POST", "DELETE, GET, HEAD, PUT"},
		t.path("/blobs/uploads/"):                            {"GET", "POST"},
		t.path("/referrers/" + t.absent("").Digest.String()): {"PUT", "GET, HEAD"},
	}
	for path, tt := range tests {
		a := t.want(t.do(tt.refused, path, nil), http.StatusMethodNotAllowed, "UNSUPPORTED")
		got := strings.Split(a.header.Get("Allow"), ", ")
		slices.Sort(got)
		if s := strings.Join(got, ", "); s != tt.allowed {
			t.Errorf("%s allows %s", path, s)
		}
	}
}

func unknownPaths(t *tester) {
	for _, path := range []string{"/v2/" + t.repo, t.path("/"), t.path("/manifests/"), t.path("/manifests/v1/"), t.path("/tags/list/"), t.path("/tags"), t.path("/blobs/"), "/v1/", "/v3/"} {
		if a := t.do("GET", path, nil); a.status != http.StatusNotFound {
			t.Errorf("%s answers %d", path, a.status)
		}
	}
}

// Escapes that were not needed change nothing.
func escapedPaths(t *tester) {
	desc := t.push(t.image("one"), oci.MediaTypeManifest, "v1")
	digest := strings.Replace(desc.Digest.String(), ":", "%3A", 1)
	t.want(t.do("GET", t.path("/manifests/"+digest), nil), http.StatusOK)
	t.want(t.do("GET", t.path("/manifests/%76%31"), nil), http.StatusOK)
}

func readOnlyPush(t *tester) {
	data := t.own("content")
	digest := oci.DigestBytes(data).String()
	t.want(t.do("POST", t.registry.ReadOnly+t.path("/blobs/uploads/"), nil), http.StatusForbidden, "DENIED")
	t.want(t.do("POST", t.registry.ReadOnly+t.path("/blobs/uploads/?digest="+digest), bytes.NewReader(data)), http.StatusForbidden, "DENIED")
	t.want(t.do("PUT", t.registry.ReadOnly+t.path("/manifests/v1"), strings.NewReader("{}")), http.StatusForbidden, "DENIED")
	t.gone(t.path("/blobs/" + digest))
}

// raw sends requests as they are on one connection, and reads as many answers as
// there are until the server closes it.
func (t *tester) raw(text string) (statuses []int) {
	t.Helper()
	host, plain := strings.CutPrefix(t.registry.URL, "http://")
	if !plain {
		t.Skip("this check speaks without TLS")
	}
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() { _, _ = io.WriteString(conn, strings.ReplaceAll(text, "\n", "\r\n")) }()
	in := bufio.NewReader(conn)
	for {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			return statuses
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		statuses = append(statuses, resp.StatusCode)
	}
}

// What is left of a body that was refused is not taken for the next request: a
// short one is read over, and a long one ends the connection.
func connectionAfterRefusal(t *tester) {
	put := func(size int) string {
		body := strings.Repeat("GET /v2/ HTTP/1.1\nHost: x\n\n", size)
		length := len(strings.ReplaceAll(body, "\n", "\r\n"))
		return fmt.Sprintf("PUT %s HTTP/1.1\nHost: x\nContent-Length: %d\n\n%s", t.path("/elsewhere"), length, body)
	}
	last := "GET /v2/ HTTP/1.1\nHost: x\nConnection: close\n\n"
	if got := t.raw(put(10) + last); !slices.Equal(got, []int{404, 200}) {
		t.Errorf("a short body is followed by %v", got)
	}
	if got := t.raw(put(100_000) + last); !slices.Equal(got, []int{404}) {
		t.Errorf("a long body is followed by %v", got)
	}
}

func oldHTTP(t *tester) {
	if got := t.raw("GET /v2/ HTTP/1.0\n\n"); !slices.Equal(got, []int{200}) {
		t.Errorf("HTTP/1.0 is answered with %v", got)
	}
	if got := t.raw("GET " + t.path("/manifests/v1") + " HTTP/1.0\n\n"); !slices.Equal(got, []int{404}) {
		t.Errorf("HTTP/1.0 is answered with %v", got)
	}
}
